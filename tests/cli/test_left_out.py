"""What is due and not done is never "nothing due": exit codes, sums and what is remembered, with real obstacles."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")


@pytest.fixture
def wasteful(database):
    """A database of which well over a third is waste, and whose statistics are there."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute('DELETE FROM "order" WHERE id % 10')
        connection.commit()
        connection.execute("ANALYZE")
    return database


def break_schema(path):
    """Change one letter of a schema, which SQLite then refuses to read."""
    content = path.read_bytes()
    assert content.count(b"CREATE INDEX") == 1
    path.write_bytes(content.replace(b"CREATE INDEX", b"CREXTE INDEX"))


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


def fleet_of(folder, source, *, number=22):
    """Return a folder with so many copies of a database."""
    (folder / "fleet").mkdir()
    for index in range(number):
        shutil.copyfile(source, folder / "fleet" / f"{index:02}.db")
    return folder / "fleet"


def test_what_is_due_and_not_allowed_is_left_out(pitstop, wasteful):
    """It has its own exit code, and a line that says so; what was asked for by name is a failure."""
    answer = pitstop("maintain", "app.db", "--max-stall", "1ms")
    assert answer.code == 3
    assert answer.out.startswith("app.db  left out")
    assert "more than the 1.0 ms allowed" in answer.out
    document = pitstop("maintain", "app.db", "--max-stall", "1ms", "--json").json
    vacuum = next(step for step in document["databases"][0]["steps"] if step["operation"] == "vacuum")
    assert (vacuum["end"], vacuum["cause"]) == ("left out", "stall")
    assert not document["databases"][0]["settled"]
    assert document["summary"]["incomplete"] == 1
    assert pitstop("maintain", "app.db", "--max-stall", "1ms", "--operations", "vacuum").code == 1
    assert pitstop("maintain", "app.db", "--max-stall", "1ms", "--all").code == 1
    assert pitstop("maintain", "app.db", "--time-limit", "1ms", "--operations", "analyze").code == 1


def test_a_schema_that_cannot_be_read_is_a_failure_everywhere(pitstop, wasteful):
    """Each command says so with its exit code, and nothing is called due or sound."""
    break_schema(wasteful)
    for arguments in (["inspect"], ["plan"], ["maintain"], ["maintain", "--all"], ["report", "--html", "r.html"]):
        answer = pitstop(*arguments, "app.db")
        assert answer.code == 1, (arguments, answer)
        assert "schema" in answer.out
        assert "nothing is due" not in answer.out.lower()


@pytest.mark.parametrize("few", [False, True])
def test_a_fleet_remembers_no_failure_as_nothing_due(pitstop, database, few):
    """A file whose schema cannot be read is told in each run; the others are not looked at again."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("VACUUM")
        connection.execute("ANALYZE")
    folder = fleet_of(pitstop.folder, database, number=22 if few else 205)  # of many a first look is brief
    break_schema(folder / "07.db")
    for expected in (0, len(list(folder.iterdir())) - 1):
        answer = pitstop("maintain", "fleet/*.db", "--json")
        assert answer.code == 1
        summary = answer.json["summary"]
        assert (summary["failed"], summary["unchanged"]) == (1, expected)
        failed = [entry for entry in answer.json["databases"] if entry["end"] == "failed"]
        assert [os.path.basename(entry["database"]) for entry in failed] == ["07.db"]


@needs_root
def test_a_fleet_without_rights_is_maintained_when_they_are_given(pitstop, wasteful, disk):
    """What was in the way is not remembered; what was told is that something was left out."""
    fleet_of(disk, wasteful)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for _ in range(2):
        answer = pitstop("maintain", "disk/fleet/*.db")
        assert answer.code == 3, answer
        assert "something left out" in answer.out
        assert "not looked at again" not in answer.out
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    again = pitstop("maintain", "disk/fleet/*.db", "--json")
    assert again.code == 0
    assert again.json["summary"]["ends"] == {"completed": 22}


@needs_root
def test_a_fleet_without_room_is_maintained_when_there_is_some(pitstop, wasteful, disk):
    """A full disk is something that was left out, whose cause is told, and nothing that is remembered."""
    fleet_of(disk, wasteful)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "ballast").write_bytes(bytes(free - 40_000))
    answer = pitstop("maintain", "disk/fleet/*.db", "--json")
    assert answer.code == 3, answer
    assert answer.json["summary"]["left_out"]["vacuum"]["databases"] == 22
    steps = [step for entry in answer.json["databases"] for step in entry["steps"] if step["operation"] == "vacuum"]
    assert {step["cause"] for step in steps} == {"no room"}
    (disk / "ballast").unlink()
    again = pitstop("maintain", "disk/fleet/*.db", "--json")
    assert again.code == 0
    assert again.json["summary"]["ends"] == {"completed": 22}


@contextmanager
def reading(path):
    """Hold a read transaction on a database."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute('SELECT count(*) FROM "order"').fetchall()
        yield


def test_given_back_is_what_the_disk_says(pitstop, database):
    """While a reader keeps the log, a vacuum takes more room, and says what will go back later."""

    def taken():
        return sum(path.stat().st_size for path in pitstop.folder.glob("app.db*") if not path.name.endswith("-shm"))

    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    with reading(database):
        before = taken()
        answer = pitstop("maintain", "app.db", "--operations", "vacuum", "--json")
        grown = taken() - before
    assert answer.code == 0
    (entry,) = answer.json["databases"]
    assert grown > 0
    assert entry["given_back"] == -grown
    assert entry["after"]["pending"] > 0


def test_an_offline_night_falls_back_to_vacuum(pitstop, wasteful):
    """Where compact is refused, the space is given back all the same, and that is no failure."""
    with closing(sqlite3.connect(wasteful, isolation_level=None)) as holder:
        holder.execute("PRAGMA journal_mode = WAL")
        holder.execute('SELECT count(*) FROM "order"').fetchall()  # open elsewhere, against what --offline says
        answer = pitstop("maintain", "app.db", "--offline", "--json")
    steps = {step["operation"]: step for step in answer.json["databases"][0]["steps"]}
    assert steps["compact"]["end"] == "replaced", answer
    assert "vacuum was run instead" in steps["compact"]["summary"]
    assert steps["vacuum"]["end"] == "completed"
    assert answer.code == 0
    assert pitstop("maintain", "app.db", "--offline", "--operations", "compact").code == 0


@needs_root
@pytest.mark.parametrize("operation", ["quick_check", "integrity_check", "backup"])
def test_plan_promises_nothing_that_maintain_refuses(pitstop, wasteful, disk, operation):
    """On a disk that is read-only no operation opens a file, and both commands say so, with the same code."""
    shutil.copyfile(wasteful, disk / "app.db")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    asked = ("--operations", operation, *(("--set", "backup.to=copy.db") if operation == "backup" else ()), "--json")
    (planned,) = pitstop("plan", "disk/app.db", *asked).json["databases"]
    answer = pitstop("maintain", "disk/app.db", *asked)
    (done,) = answer.json["databases"]
    (step,) = [step for step in planned["steps"] if step["operation"] == operation]
    assert not step["run"]
    assert step["cause"] == "no rights"
    assert [entry["end"] for entry in done["steps"] if entry["operation"] == operation] == ["left out"]
    assert answer.code == 1


def test_inspect_plan_and_maintain_agree_on_a_file_that_is_known_to_be_damaged(pitstop, wasteful):
    """Who found it, and when; what writes is left out by name; and nobody ends with 0."""
    with closing(sqlite3.connect(wasteful)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index'").fetchone()
    content = bytearray(wasteful.read_bytes())
    content[4096 * (root - 1) : 4096 * root] = b"\xff" * 4096
    wasteful.write_bytes(content)
    assert pitstop("maintain", "app.db").code == 1
    for command in ("inspect", "plan", "maintain"):
        answer = pitstop(command, "app.db")
        assert answer.code == 1, answer.out
        assert "found it damaged on 20" in answer.out
        assert "until integrity_check finds that gone" in answer.out
    (inspected,) = pitstop("inspect", "app.db", "--json").json["databases"]
    (planned,) = pitstop("plan", "app.db", "--json").json["databases"]
    (done,) = pitstop("maintain", "app.db", "--json").json["databases"]
    assert inspected["obstacle"]["cause"] == "damage"
    assert "found it damaged on" in planned["barred"]
    for steps in (planned["steps"], done["steps"]):
        assert next(step for step in steps if step["operation"] == "vacuum")["cause"] == "damage"
    assert [step["operation"] for step in planned["steps"] if step["run"]] == ["integrity_check"]
    assert [step["operation"] for step in done["steps"] if step["end"] == "failed"] == ["integrity_check"]
