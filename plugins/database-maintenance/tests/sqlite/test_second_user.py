"""Somebody else may write to the folder, and renames and links there all the while: no other file is read or written.

A real second user does it, in a process of his own. What he wants is a file that he may neither read nor write: its
owner is the user who runs Pitstop, root on a folder of a service, or a service in a folder of its group.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

if os.geteuid() != 0 or shutil.which("setpriv") is None:
    pytest.skip("a second user can be had by root only, with setpriv", allow_module_level=True)

ATTACKER, SERVICE = 12345, 23456
#: How often the user does something while he is attacked.
FEW, MANY = 5, 25
SECRET = "a value that is nobody else's business"

#: Takes whatever Pitstop makes away, and puts links to what he wants in its place; or does so with the database.
ATTACK = """
import os, random, sys
victim, what = sys.argv[1:3]
print("begins", flush=True)
done = 0
while True:
    for name in os.listdir("."):
        try:
            if what == "made" and (".pitstop-" in name or name in ("copy.db", "report.html", "night.json")):
                if name.endswith(".was"):
                    os.unlink(name)
                    continue
                os.rename(name, f"{name}.was")
                random.choice((os.symlink, os.symlink, os.link))(victim, name)
            elif what == "database" and name == "app.db" and not os.path.islink(name):
                os.rename("app.db", "app.kept")
                os.symlink(victim, "app.db")
                os.replace("app.kept", "app.db")
            elif what == "beside" and name == "app.db":
                for suffix in ("-journal", "-wal", "-shm"):
                    os.symlink(victim, name + suffix)
                    os.unlink(name + suffix)
        except OSError:
            pass
"""

#: Does one thing to the database again and again, and says what came of it.
WORK = """
import os, sys
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations.backup import backup
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.checks.snapshot import snapshot
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop.errors import PitstopError
from pitstop.files import write_whole

class Context:
    class logger:
        debug = info = warning = staticmethod(lambda *given: None)
    def progress(self, *given): pass
    def check_cancelled(self): pass

def work(db, what, number):
    if what == "compact":
        db.execute("INSERT INTO t (v) SELECT v FROM t LIMIT 300")
        db.execute("DELETE FROM t WHERE id > 600")
        return compact(db, offline=True).outcome.value
    if what == "backup":
        return backup(db, to="copy.db", overwrite=True).outcome.value
    if what == "vacuum":
        return vacuum(db).outcome.value
    with snapshot(db, max_stall=None) as copy:
        copy.execute("UPDATE t SET v = v")
        return str(copy.execute("SELECT count(*) FROM t")[0][0])

what = sys.argv[1]
OUR_OWN = (OSError,) if what in ("report", "plan") else ()
for number in range(int(sys.argv[2])):
    try:
        if what == "report":
            write_whole("report.html", b"<p>a report</p>" * 1000, replace=True)
            said = "written"
        elif what == "plan":
            write_whole("night.json", b"{}" * 1000, replace=False)
            said = "written"
        else:
            with SQLiteDatabase.connect(os.path.abspath("app.db"), Context()) as db:
                said = work(db, what, number)
    except (PitstopError, *OUR_OWN) as error:
        said = f"refused: {error}"
    print(said.replace(chr(10), " "), flush=True)
"""


def as_user(user: int, *command: str) -> list[str]:
    """Return what runs a command as another user, who may read all that root may, as this Python may be root's."""
    if user == 0:
        return list(command)
    reads = ("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search")
    return ["setpriv", f"--reuid={user}", f"--regid={ATTACKER}", "--clear-groups", *reads, *command]


@frozen
class Scene:
    """A folder in which two may write.

    Args:
        folder: it.
        user: who runs Pitstop.
        victim: a database of that user's alone, to which nothing must happen.
    """

    folder: Path
    user: int
    victim: Path

    def run(self, what: str, rounds: int) -> list[str]:
        """Have the user do something again and again."""
        done = subprocess.run(
            as_user(self.user, sys.executable, "-c", WORK, what, str(rounds)),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            umask=0o027,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    @contextmanager
    def attacked(self, what: str) -> Iterator[None]:
        """Have the other one at work meanwhile."""
        command = as_user(ATTACKER, sys.executable, "-I", "-S", "-c", ATTACK, str(self.victim), what)
        with subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"begins\n"
            try:
                yield
                assert other.poll() is None, "he gave up"
            finally:
                other.kill()


@pytest.fixture(params=["root", "service"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Root in a folder of a service, which attacks; or a service in a folder of its group, where a member attacks."""
    user = 0 if request.param == "root" else SERVICE
    base = Path(tempfile.mkdtemp(prefix="second-user-"))
    try:
        base.chmod(0o755)
        private = base / "private"
        private.mkdir(mode=0o700)
        victim = make(private / "victim.db", SECRET)
        folder = base / "app"
        folder.mkdir()
        database = make(folder / "app.db", "what everybody may know")
        for path in (private, victim):
            os.chown(path, user, user)
        victim.chmod(0o600)
        os.chown(folder, ATTACKER if user == 0 else SERVICE, ATTACKER)
        folder.chmod(0o755 if user == 0 else 0o2775)
        os.chown(database, ATTACKER if user == 0 else SERVICE, ATTACKER)
        database.chmod(0o660)
        yield Scene(folder, user, victim)
    finally:
        shutil.rmtree(base)


def make(path: Path, text: str) -> Path:
    """Make a database with free pages."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        connection.executemany("INSERT INTO t (v) VALUES (?)", [(f"{text} {number}",) for number in range(900)])
        connection.execute("DELETE FROM t WHERE id > 600")
        connection.commit()
    return path


def state(path: Path) -> tuple[Any, ...]:
    """Return all that an attack could change of a file."""
    found = path.stat()
    data = hashlib.sha256(path.read_bytes()).hexdigest()
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_size, found.st_nlink, data


def exposed(folder: Path) -> list[str]:
    """Return the files of a folder that hold what is in the victim."""
    plain = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path.name for path in plain if SECRET.encode() in path.read_bytes()]


@pytest.fixture(params=[FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def rounds(request: pytest.FixtureRequest) -> int:
    """How often: a few times each day, and many in the run of the slow tests."""
    return int(request.param)


@pytest.mark.parametrize("what", ["compact", "backup", "snapshot", "report", "plan"])
def test_what_is_made_is_not_turned_into_another_file(scene: Scene, what: str, rounds: int) -> None:
    """The temporary ones while they are written, read and swapped, and what has just got its name."""
    before = state(scene.victim)
    with scene.attacked("made"):
        said = scene.run(what, rounds)
    assert len(said) == rounds
    assert state(scene.victim) == before
    assert os.listdir(scene.victim.parent) == [scene.victim.name]
    assert exposed(scene.folder) == []
    for name in ("app.db", "app.db.kept"):
        if (scene.folder / name).exists():
            with closing(sqlite3.connect(scene.folder / name)) as connection:
                assert connection.execute("SELECT count(*) FROM t").fetchone() == (600,)


@pytest.mark.parametrize("what", ["compact", "backup", "snapshot", "vacuum"])
def test_the_database_is_not_turned_into_another_file(scene: Scene, what: str, rounds: int) -> None:
    """A link bears its name now and then: it is refused, or the database itself was worked on."""
    before = state(scene.victim)
    with scene.attacked("database"):
        said = scene.run(what, rounds)
    assert len(said) == rounds
    assert state(scene.victim) == before
    assert os.listdir(scene.victim.parent) == [scene.victim.name]
    assert exposed(scene.folder) == []
    assert all(line in ("changed", "unchanged", "600") or line.startswith("refused: ") for line in said)


@pytest.mark.parametrize("what", ["compact", "backup", "vacuum"])
def test_what_lies_beside_the_database_is_not_turned_into_another_file(scene: Scene, what: str, rounds: int) -> None:
    """SQLite's journal and log, which Pitstop removes or looks at."""
    before = state(scene.victim)
    with scene.attacked("beside"):
        said = scene.run(what, rounds)
    assert len(said) == rounds
    assert state(scene.victim) == before
    assert os.listdir(scene.victim.parent) == [scene.victim.name]
    assert exposed(scene.folder) == []


@pytest.mark.parametrize("what", ["compact", "backup", "snapshot"])
def test_it_works_in_such_a_folder(scene: Scene, what: str) -> None:
    """While nobody interferes, it is as everywhere, and nothing is left."""
    owner = (scene.folder / "app.db").stat()
    assert scene.run(what, rounds=2)[0] == ("600" if what == "snapshot" else "changed")
    found = (scene.folder / "app.db").stat()
    assert (found.st_uid, found.st_gid, found.st_mode) == (owner.st_uid, owner.st_gid, owner.st_mode)
    assert set(os.listdir(scene.folder)) - {"copy.db"} == {"app.db"}
