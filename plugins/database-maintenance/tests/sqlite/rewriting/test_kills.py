"""`compact` and `backup`, killed: at random moments, and at each step of the swap; and out of room in the middle.

This file is also the program that does it: `python test_kills.py FOLDER MODE KILLS`. It forks a child for each
kill, which a process with threads, such as the one of these tests, should not.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import PitstopError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import durable_files, file_holders, temporary_files
from pitstop_database_maintenance.sqlite.operations.analyze import analyze
from pitstop_database_maintenance.sqlite.operations.backup import backup
from pitstop_database_maintenance.sqlite.operations.checkpoint import checkpoint
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop_database_maintenance.sqlite.rewriting import replace_file

KILLS = 30
#: Where a child is killed, before and after it: what these modules' functions of these names do.
STEPS: list[tuple[Any, str]] = [
    (replace_file, "_lock"),
    (replace_file, "_remove_leftovers"),
    (replace_file, "_finish"),
    (durable_files, "swap_names"),
    (SQLiteDatabase, "disconnect"),
    (replace_file, "_look_back"),
    (durable_files, "sync_folder"),
    (SQLiteDatabase, "reconnect"),
]


class Context:
    """As much of a job's context as an operation needs."""

    class logger:  # noqa: N801 - as it is called there
        debug = info = warning = staticmethod(lambda *given: None)

    def progress(self, *given: object) -> None:
        """Tell nobody."""

    def check_cancelled(self) -> None:
        """Go on."""


def run(operation: Callable[..., Any], path: Path, **parameters: Any) -> Any:
    """Run an operation as a job does."""
    context: Any = Context()
    with SQLiteDatabase.connect(str(path), context) as db:
        return operation(db, **parameters)


def make(path: Path, mode: str, rows: int = 3000) -> None:
    """Make a database with free pages, in WAL mode with rows that are in the log only."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT UNIQUE, v TEXT)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO t SELECT i, hex(randomblob(10)), hex(randomblob(60)) FROM n",
            (rows,),
        )
        connection.execute("CREATE INDEX by_v ON t (v)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("DELETE FROM t WHERE id > ?", (rows * 2 // 3,))
        for suffix in ("", "-wal"):
            if os.path.exists(f"{path}{suffix}"):
                shutil.copyfile(f"{path}{suffix}", f"{path}.kept{suffix}")


def restore(path: Path) -> None:
    """Put the database back as it was made, with nothing else beside it."""
    for name in os.listdir(path.parent):
        if ".kept" not in name:
            os.unlink(path.parent / name)
    for suffix in ("", "-wal"):
        if os.path.exists(f"{path}.kept{suffix}"):
            shutil.copyfile(f"{path}.kept{suffix}", f"{path}{suffix}")


def rows(path: Path) -> list[Any]:
    """Return all rows of a database, which must be sound."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("SELECT * FROM t ORDER BY id").fetchall()


def mode_of(path: Path) -> str:
    """Return the journal mode that a database says it has, without opening what is kept with its log."""
    return "wal" if path.read_bytes()[18:20] == b"\2\2" else "delete"


def forked(work: Callable[[], object]) -> bool:
    """Do something in a child, and return whether it was killed."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "it failed, though nobody killed it"
    return os.WIFSIGNALED(status)


def checked(path: Path, expected: list[Any], how: str) -> None:
    """See that the rows are those before, also after the next run, which leaves nothing of the killed one.

    A database that lost its mode has it again then.
    """
    assert rows(path) == expected, how
    # a child of the killed one ends when it reads that its parent is gone, which takes it a moment
    ends_at = time.monotonic() + 30
    while file_holders.find_holders(os.stat(path)).others and time.monotonic() < ends_at:
        time.sleep(0.005)
    temporary_files._listed.clear()  # as another process has none that is older than the kill
    run(compact, path, offline=True)
    assert rows(path) == expected, how
    assert mode_of(path) == mode_of(Path(f"{path}.kept")), how
    left = [name for name in os.listdir(path.parent) if ".kept" not in name]
    assert left == [path.name], how


def kill_at_random(path: Path, expected: list[Any], kills: int) -> int:
    """Kill compact at random moments, and return how often it was not complete by then."""
    chance = random.Random(7)
    began = time.monotonic()
    restore(path)
    run(compact, path, offline=True)
    usual = time.monotonic() - began

    def work(after: float) -> None:
        # the timer's signal ends the process as a kill does: no Python runs any more
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, after)
        run(compact, path, offline=True)

    hits = 0
    for number in range(kills):
        restore(path)
        after = chance.uniform(0.0005, usual)
        hits += forked(lambda after=after: work(after))  # type: ignore[misc]
        checked(path, expected, f"kill {number} after {after:.4f} s")
    return hits


def kill_at_steps(path: Path, expected: list[Any]) -> int:
    """Kill compact right before and right after each step of the swap, and return how often."""
    hits = 0
    for owner, name in STEPS:
        for before in (True, False):
            restore(path)
            hits += forked(lambda o=owner, n=name, b=before: stepped(path, o, n, before=b))  # type: ignore[misc]
            checked(path, expected, f"{'before' if before else 'after'} {name}")
    return hits


def stepped(path: Path, owner: Any, name: str, *, before: bool) -> None:
    """Compact, and die at a step."""
    original = getattr(owner, name)

    def dying(*given: Any, **named: Any) -> Any:
        if before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dying)
    run(compact, path, offline=True)


def main(folder: str, mode: str, kills: str) -> None:
    """Kill, check, and print how often it was killed."""
    path = Path(folder) / "app.db"
    # the parent's own handles and processes are not what is tried here
    file_holders._unseen = lambda hidden: ""  # type: ignore[assignment]
    make(path, mode)
    restore(path)
    expected = rows(path)
    print(json.dumps({"random": kill_at_random(path, expected, int(kills)), "steps": kill_at_steps(path, expected)}))


@pytest.mark.parametrize(
    ("mode", "kills"),
    [
        ("wal", 6),
        pytest.param("wal", KILLS, marks=pytest.mark.slow),
        pytest.param("delete", KILLS, marks=pytest.mark.slow),
    ],
)
def test_compact_killed_at_any_time_loses_nothing(tmp_path: Path, mode: str, kills: int) -> None:
    """The file is sound and holds all rows, and the next run completes and leaves nothing of the killed one."""
    command = [sys.executable, __file__, str(tmp_path), mode, str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    hits = json.loads(done.stdout)
    assert hits["random"] >= kills // 4
    assert hits["steps"] == 2 * len(STEPS)


def left_by_a_kill(path: Path, mode: str = "wal") -> Path:
    """Put a copy beside a database as a compact leaves it that is killed when it has taken the mode; return it."""
    copy = Path(f"{path}.pitstop-compact-{os.getpid()}-0a1b2c3d")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
    return copy


@pytest.mark.parametrize("operation", [vacuum, analyze, checkpoint])
def test_mode_that_a_killed_compact_has_taken_comes_back(tmp_path: Path, operation: Callable[..., Any]) -> None:
    """With the first operation that finds the file sound; until then the copy, which tells of it, stays."""
    make(path := tmp_path / "app.db", "delete")
    copy = left_by_a_kill(path)
    run(operation, path)
    looked = operation is not checkpoint
    assert mode_of(path) == ("wal" if looked else "delete")
    assert copy.exists() is not looked


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_mode_that_was_not_taken_stays(tmp_path: Path, mode: str) -> None:
    """A compact that was killed before it took it, or that never had to: any operation removes what it left."""
    make(path := tmp_path / "app.db", mode)
    copy = left_by_a_kill(path, mode)
    run(checkpoint, path)
    assert mode_of(path) == mode
    assert not copy.exists()


def test_mode_that_a_compact_has_taken_that_lives_is_its_own(tmp_path: Path) -> None:
    """Its copy is locked, and gives the mode back itself."""
    make(path := tmp_path / "app.db", "delete")
    copy = left_by_a_kill(path)
    with open(copy, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        run(analyze, path)
    assert mode_of(path) == "delete"
    assert copy.exists()


# -- no room -----------------------------------------------------------------------------------------------------------


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Have every write beyond a size fail, as on a full disk (EFBIG in place of ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


def without_room(name: str, folder: Path) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return an operation and its parameters."""
    copies = folder / "copies"
    copies.mkdir()
    known: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "compact": (compact, {"offline": True}),
        "backup": (backup, {"to": str(copies)}),
        "vacuum": (vacuum, {}),
    }
    return known[name]


@pytest.mark.parametrize("name", ["compact", "backup", "vacuum"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_operation_that_cannot_write_on_leaves_the_file_as_it_was(
    tmp_path: Path, name: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, with nothing beside it, and an error that says what failed."""
    monkeypatch.setattr(file_holders, "_unseen", lambda hidden: "")
    path = tmp_path / "app.db"
    make(path, "delete")
    before = path.read_bytes()
    operation, parameters = without_room(name, tmp_path)
    with largest_file(int(len(before) * share)), pytest.raises(PitstopError, match=r"failed|no space"):
        run(operation, path, **parameters)
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["app.db", "app.db.kept", "copies"]
    assert os.listdir(tmp_path / "copies") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system, and not in every container")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["compact", "backup"])
def test_operation_on_a_disk_that_fills_up_leaves_the_file_as_it_was(
    small_disk: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was room when it began, and somebody else took it meanwhile."""
    monkeypatch.setattr(file_holders, "_unseen", lambda hidden: "")
    monkeypatch.setattr(durable_files, "require_room", lambda *given, **named: None)
    path = small_disk / "app.db"
    make(small_disk.parent / "app.db", "delete", rows=6000)
    shutil.copyfile(small_disk.parent / "app.db", path)
    before = path.read_bytes()
    operation, parameters = without_room(name, small_disk)
    # what the operation had written by then is gone again, and there may be a little room now
    with pytest.raises(PitstopError, match=r"no space left|found no room"):
        run(operation, path, **parameters)
    assert path.read_bytes() == before
    assert sorted(os.listdir(small_disk)) == ["app.db", "copies"]
    assert os.listdir(small_disk / "copies") == []


if __name__ == "__main__":
    main(*sys.argv[1:])
