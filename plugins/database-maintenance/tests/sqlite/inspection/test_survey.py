"""The survey: what it says of a file, that it changes nothing, and that one bad file costs that file only."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sampling import at_most

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.files.temporary_files import sweep
from pitstop_database_maintenance.sqlite.inspection import survey as survey_module
from pitstop_database_maintenance.sqlite.inspection.records import Inspection
from pitstop_database_maintenance.sqlite.inspection.survey import has_wal_reset_bug, survey
from pitstop_database_maintenance.sqlite.surveyor import survey_file

Make = Callable[..., Path]


def one(path: Path | str, **settings: object) -> Inspection:
    (found,) = survey([str(path)], **settings)  # type: ignore[arg-type]
    return found


def test_survey_tells_what_the_header_and_sqlite_say(bloated: Path) -> None:
    """Each figure of the header is the one that SQLite's own PRAGMAs give."""
    found = one(bloated)
    with closing(sqlite3.connect(bloated)) as connection:
        asked = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count", "schema_version")
        }
    assert (found.page_size, found.pages) == (asked["page_size"], asked["page_count"])
    assert (found.free_pages, found.schema_cookie) == (asked["freelist_count"], asked["schema_version"])
    assert (found.journal, found.auto_vacuum, found.encoding) == ("rollback", "none", "UTF-8")
    assert found.written_by == found.library == sqlite3.sqlite_version
    assert (found.bytes, found.inode) == (bloated.stat().st_size, bloated.stat().st_ino)
    assert found.folder.path == str(bloated.parent)
    assert found.temporary.path
    assert (found.refused, found.notes, found.library_hazard) == ("", (), "")


@pytest.mark.parametrize(("number", "name"), [(1, "full"), (2, "incremental")])
def test_survey_tells_auto_vacuum(number: int, name: str, make: Make) -> None:
    """Both kinds of auto_vacuum are told apart, and so is another encoding."""
    path = make(f"PRAGMA auto_vacuum = {number}", "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (a)")
    found = one(path)
    assert (found.auto_vacuum, found.encoding) == (name, "UTF-16le")
    assert found.schema is not None
    assert [table.name for table in found.schema.tables] == ["t"]


def test_survey_changes_nothing(bloated: Path, seen: SimpleNamespace) -> None:
    """After a look at everything the folder and the file are as before, to the byte and to the time."""
    before = (seen.content(bloated), bloated.stat().st_mtime_ns, sorted(os.listdir(bloated.parent)))
    one(bloated, exact=True, map_cells=10)
    assert (seen.content(bloated), bloated.stat().st_mtime_ns, sorted(os.listdir(bloated.parent))) == before


def test_survey_drops_no_lock_of_this_process(bloated: Path) -> None:
    """A transaction that this process has open keeps its lock: who reads the file past SQLite is another process."""
    with closing(sqlite3.connect(bloated, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert one(bloated).waste is not None
        probe = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None);"
            "c.execute('BEGIN IMMEDIATE')"
        )
        other = subprocess.run([sys.executable, "-c", probe, str(bloated)], capture_output=True, text=True)
    assert "database is locked" in other.stderr


def test_survey_waits_for_no_lock(bloated: Path) -> None:
    """A writer that keeps everybody out is not waited for, and not disturbed."""
    with closing(sqlite3.connect(bloated, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        found = one(bloated)
        writer.execute("COMMIT")
    assert found.waste is not None
    assert found.schema is not None


def test_survey_is_in_the_order_of_the_paths(bloated: Path, make: Make) -> None:
    """Answers come in the order of the paths, whichever child is quicker, also for a path that is named twice."""
    small = make("CREATE TABLE t (a)", name="small.db")
    paths = [str(small), str(bloated), "/nowhere", str(bloated), str(small)] * 25
    found = [inspection.path for inspection in survey(paths, exact=True, workers=3)]
    assert found == paths


def test_survey_takes_paths_as_they_are_needed(make: Make) -> None:
    """A fleet may be endless: only so many paths are taken as answers are asked for."""
    path = make("CREATE TABLE t (a)")
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield str(path)

    answers = survey(endless(), facts=False, workers=2)
    for _ in range(100):
        assert next(answers).pages == 2
    answers.close()  # type: ignore[attr-defined]
    assert taken <= 100 + 2 * survey_module._AHEAD


def test_survey_leaves_no_process(make: Make) -> None:
    """When the answers are no longer wanted, the child is ended and gone; until then Ctrl-C is not for it."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    others = set(children.read_text().split())
    answers = survey([str(make("CREATE TABLE t (a)"))] * 50, facts=False)
    next(answers)
    (child,) = set(children.read_text().split()) - others
    assert os.getsid(int(child)) == int(child)
    answers.close()  # type: ignore[attr-defined]
    assert child not in children.read_text().split()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty: no database was ever written to it"),
        (b"x" * 5000, "it is not a SQLite database: its beginning is not SQLite's"),
        (b"SQLite format 3\0" + bytes(84), "its header gives pages of 0 bytes"),
        (b"SQLite format 3\0\x10\0\1\1\0\x20\x20\x20" + bytes(76), "payload fractions that are not SQLite's"),
        (b"SQLite format 3\0\x10\0\1\1\0\x40\x20\x20" + bytes(20) + b"\0\0\0\x09" + bytes(52), "of format 9"),
    ],
)
def test_survey_refuses_what_is_no_database(content: bytes, said: str, tmp_path: Path, make: Make) -> None:
    """What is wrong with the file is said, and the next one is looked at."""
    bad = tmp_path / "bad.db"
    bad.write_bytes(content)
    good = make("CREATE TABLE t (a)")
    refused, fine = survey([str(bad), str(good)])
    assert said in refused.refused
    assert refused.pages == 0
    assert fine.refused == ""


def test_survey_tells_of_the_journal_of_an_empty_file(tmp_path: Path) -> None:
    """SQLite brings its pages back from there: nobody is told that it never had any."""
    path = tmp_path / "app.db"
    path.write_bytes(b"")
    path.with_name("app.db-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(504))
    (found,) = survey([str(path)])
    assert "beside it lies a journal" in found.refused


def test_survey_refuses_what_is_not_there(tmp_path: Path) -> None:
    """A missing file, a dangling link, a folder and a pipe are each told as what they are."""
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    found = [i.refused for i in survey([str(tmp_path / name) for name in ("none", "link", "", "pipe")])]
    assert found[0] == "it was not found"
    assert found[1].startswith("it is a link to ")
    assert found[2:] == ["it is a folder", "it is no regular file"]


@pytest.mark.parametrize(
    ("at", "value", "text"),
    [
        (28, 3, "it is truncated or damaged: its beginning and its size do not agree"),
        (36, 0xFFFFFFFF, "it is damaged: its header counts 4294967295 free pages of"),
    ],
    ids=["pages", "free pages"],
)
def test_survey_refuses_a_header_that_contradicts_itself(bloated: Path, at: int, value: int, text: str) -> None:
    """Too few pages for what the schema names, or more free ones than there are."""
    with closing(sqlite3.connect(bloated)) as connection:
        connection.execute("VACUUM")
    data = bytearray(bloated.read_bytes())
    data[at : at + 4] = value.to_bytes(4, "big")
    bloated.write_bytes(data)
    assert one(bloated).refused.startswith(text)


def test_survey_refuses_a_truncated_file(bloated: Path) -> None:
    """A file that is shorter than its header says is damaged."""
    os.truncate(bloated, bloated.stat().st_size // 2 // 4096 * 4096)
    assert one(bloated).refused == "it is truncated or damaged: its beginning and its size do not agree"


def test_survey_follows_links(bloated: Path, tmp_path: Path) -> None:
    """A link is looked at as the file that it leads to, whose log and journal are beside that one."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "link.db").symlink_to(bloated)
    assert one(tmp_path / "sub" / "link.db").path == str(bloated)


def test_survey_names_files_with_odd_names(make: Make) -> None:
    """A name with what URIs, JSON and shells treat specially is only a name; so is one that is not UTF-8."""
    for name in ("a?b#c%20.db", "with space\n.db", 'q"uote.db', "ümlaut.db", os.fsdecode(b"\xff\xfe.db")):
        found = one(make("CREATE TABLE t (a)", name=name))
        assert os.path.basename(found.path) == name
        assert found.schema is not None


def test_survey_finds_what_an_interrupted_run_left(bloated: Path) -> None:
    """Files of Pitstop's beside the database are named, which the next run removes; all others there are not.

    Such as those of another database, of a run that goes on, or of somebody who calls a file like that.
    """
    with subprocess.Popen(["true"]) as ended:
        gone = ended.pid
    names = [f"app.db.pitstop-compact-{gone}-x", f"other.db.pitstop-compact-{gone}-x", "app.db.bak"]
    for name in (*names, f"app.db.pitstop-compact-{os.getpid()}-x", "app.db.pitstop-odd"):
        bloated.with_name(name).write_bytes(b"")
    assert one(bloated).leftovers == (f"{bloated}.pitstop-compact-{gone}-x",)
    assert f"{bloated}.pitstop-compact-{gone}-x" in sweep(str(bloated))
    assert bloated.with_name("app.db.pitstop-odd").exists()


def test_survey_goes_on_when_a_child_dies(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file at which the child is killed is refused with how it ended; those before and after it are looked at."""
    child = tmp_path / "child.py"
    real = Path(survey_module._CHILD)
    # stands for what a bad block under a mapped file does to a process
    child.write_text(
        f"import os, runpy\nreal = os.open\n"
        f"def opened(path, *rest, **more):\n"
        f"    if str(path).endswith('deadly.db'): os.kill(os.getpid(), {int(signal.SIGBUS)})\n"
        f"    return real(path, *rest, **more)\n"
        f"os.open = opened\nrunpy.run_path({str(real)!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(survey_module, "_CHILD", str(child))
    good = str(make("CREATE TABLE t (a)"))
    deadly = str(make("CREATE TABLE t (a)", name="deadly.db"))
    found = list(survey([good, deadly, good, good, deadly, good], workers=1))
    dead = "the process that looked at it was killed by signal 7 (SIGBUS)"
    assert [inspection.refused for inspection in found] == ["", dead, "", "", dead, ""]
    assert found[1].path == deadly


def test_survey_gives_up_a_child_that_says_nothing(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file on which the child hangs, as on a dead network file system, is refused; the next one is looked at."""
    child = tmp_path / "child.py"
    child.write_text(
        "import os, runpy, time\nreal = os.open\n"
        "def opened(path, *rest, **more):\n"
        "    if str(path).endswith('dead.db'): time.sleep(60)\n"
        "    return real(path, *rest, **more)\n"
        f"os.open = opened\nrunpy.run_path({survey_module._CHILD!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(survey_module, "_CHILD", str(child))
    monkeypatch.setattr(survey_module, "SILENCE", 1.0)
    paths = [str(make("CREATE TABLE t (a)", name=name)) for name in ("dead.db", "good.db")]
    dead, good = survey(paths)
    assert "it had said nothing for 1 s" in dead.refused
    assert good.refused == ""


def test_survey_counts_no_silence_while_nobody_waits(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long answer, half of which is here, is no silence, for however long nobody has taken the answers."""
    passed = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed, time=time.time)
    monkeypatch.setattr(survey_module, "time", clock)
    monkeypatch.setattr(survey_module, "_AHEAD", 4)
    columns = ", ".join(f"{'long' * 100}_{number}" for number in range(9))
    long = [f"CREATE INDEX i{number} ON t ({columns})" for number in range(100)]
    paths = [
        str(make("CREATE TABLE t (a)", name="short.db")),
        str(make(f"CREATE TABLE t ({columns})", *long, name="long.db")),
    ]
    found = survey([paths[0], *paths * 4], workers=2)
    next(found)
    passed = 2 * survey_module.SILENCE
    assert [inspection.refused for inspection in found] == [""] * 8


def test_survey_says_when_no_child_starts(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no file's fault is an error, not a refusal of each file."""
    monkeypatch.setattr(survey_module, "_CHILD", str(tmp_path / "missing.py"))
    with pytest.raises(OperationError, match=r"exited with code 2, before it had begun; it said: .*can't open file"):
        list(survey([str(make("CREATE TABLE t (a)"))]))


def test_survey_starts_a_child_with_the_standard_library_only() -> None:
    """The child loads none of what this package otherwise needs, and SQLite only for facts: it starts in a moment."""
    command = [sys.executable, "-I", "-S", "-X", "importtime", survey_module._CHILD]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.shutdown(socket.SHUT_WR)
        ended = subprocess.run(command, stdin=theirs, capture_output=True, check=True)
    loaded = {line.rsplit("|", 1)[-1].strip() for line in ended.stderr.decode().splitlines()}
    assert "pitstop_database_maintenance.sqlite.surveyor.survey_file" in loaded
    assert not {name for name in loaded if name.split(".")[0] in ("attrs", "attr", "pitstop", "click", "sqlite3")}
    assert not loaded & {"random", "typing", "subprocess", "dataclasses", "inspect"}


def test_survey_says_that_a_file_is_being_written_to(bloated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look during which the file changes is taken again, and if that does not help it is said."""
    real, writes = survey_file._state, iter(range(100))

    def state(file: int) -> tuple[int, int, bytes]:
        found = real(file)
        with closing(sqlite3.connect(bloated)) as writer:
            writer.execute(f"UPDATE t SET w = {next(writes)} WHERE id = 1")
            writer.commit()
        return found

    monkeypatch.setattr(survey_file, "_state", state)
    answer = survey_file.inspect_file({"path": str(bloated)})
    assert answer["notes"] == ["the file was written to while it was looked at: its figures may not agree"]
    assert answer["waste"]["share"]["value"] > 0.2
    assert next(writes) == 2 * survey_file.ATTEMPTS


def test_survey_says_that_a_crash_left_a_journal(make: Make) -> None:
    """A journal that the next connection would roll back is told, and left as it is."""
    path = make("CREATE TABLE t (a)", "INSERT INTO t VALUES (zeroblob(2000000))")
    code = (
        "import os, signal, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA cache_size = 5'); c.execute('BEGIN'); c.execute('UPDATE t SET a = randomblob(2000000)');"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)])
    journal = path.with_name(f"{path.name}-journal")
    assert journal.stat().st_size > 0
    before = journal.read_bytes()
    found = one(path)
    assert found.hot_journal
    assert any("a crash left a journal" in note for note in found.notes)
    assert journal.read_bytes() == before


def test_survey_takes_a_writer_s_journal_for_no_crash(make: Make) -> None:
    """The journal of somebody who is just writing is not a crash's."""
    path = make("CREATE TABLE t (a)")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN")
        writer.execute("INSERT INTO t VALUES (1)")
        assert path.with_name(f"{path.name}-journal").exists()
        assert not one(path).hot_journal


def test_survey_warns_of_the_library_in_wal_mode_only(make: Make) -> None:
    """The bug is one of WAL mode: a database in rollback mode has nothing to fear."""
    path = make("PRAGMA journal_mode = WAL", "CREATE TABLE t (a)", name="wal.db")
    assert bool(one(path).library_hazard) is has_wal_reset_bug(sqlite3.sqlite_version_info)


@at_most(25)
@given(data=st.data())
def test_survey_gives_an_answer_for_any_bytes(data: st.DataObject, bloated: Path, tmp_path: Path) -> None:
    """Whatever is overwritten in a file, the look ends with an answer and not with an error of its own."""
    content = bytearray(bloated.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        page = data.draw(st.sampled_from([0, 0, 1, 2, 5, 40, len(content) // 4096 - 1]))
        at = page * 4096 + data.draw(st.integers(0, 130) | st.integers(0, 4095))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.db"
    path.write_bytes(content)
    for exact in (False, True):
        answer = survey_file.inspect_file(
            {"path": str(path), "exact": exact, "pages": 50, "map_cells": 20, "facts": True}
        )
        if "refused" not in answer:
            share = answer["waste"]["share"]
            assert 0 <= share["low"] <= share["value"] <= share["high"] <= 1


def test_survey_asks_for_a_lock_without_taking_it(bloated: Path) -> None:
    """Whether somebody writes is asked for: somebody else's lock is still there afterwards, and none is added."""
    bloated.with_name(f"{bloated.name}-journal").write_bytes(b"\xd9\xd5\x05\xf9")
    with open(bloated, "rb+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0x40000001)
        assert not one(bloated, facts=False).hot_journal
        fcntl.lockf(file, fcntl.LOCK_UN, 1, 0x40000001)
        assert one(bloated, facts=False).hot_journal


def test_survey_takes_no_commit_for_a_crash(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that is gone a moment after its lock is that of a writer that has just committed."""
    from pitstop_database_maintenance.sqlite.surveyor.format import journal

    path = make("CREATE TABLE t (a)")
    beside = Path(f"{path}-journal")
    with path.open("rb") as file:
        beside.write_bytes(b"\xd9\xd5\x05\xf9 and so on")
        assert journal.find_hot_journal(str(path), file.fileno())
        monkeypatch.setattr(journal.time, "sleep", lambda _: beside.unlink())
        assert not journal.find_hot_journal(str(path), file.fileno())
        beside.write_bytes(b"\xd9\xd5\x05\xf9 and so on")
        monkeypatch.setattr(journal.time, "sleep", lambda _: beside.write_bytes(b"\xd9\xd5\x05\xf9 another"))
        assert not journal.find_hot_journal(str(path), file.fileno())
