"""The survey and the write-ahead log: what is newest is in the log, and readers hold it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pitstop_database_maintenance.sqlite.inspection.records import Inspection
from pitstop_database_maintenance.sqlite.inspection.survey import survey
from pitstop_database_maintenance.sqlite.surveyor import survey_file
from pitstop_database_maintenance.sqlite.surveyor.format import wal as log_module
from pitstop_database_maintenance.sqlite.surveyor.format import wal_index as index_module

linux = pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="needs /proc/locks")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a database in WAL mode, all of which is still in the log."""
    with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(number, os.urandom(200)) for number in range(4000)])
        connection.execute("COMMIT")
        yield connection


@pytest.fixture
def used(writer: sqlite3.Connection) -> Iterator[None]:
    """Have another process use the database too: this one does not see the locks of its own connections."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT count(*) FROM t').fetchall();"
        "print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path_of(writer))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


def path_of(connection: sqlite3.Connection) -> Path:
    return Path(connection.execute("PRAGMA database_list").fetchone()[2])


def one(path: Path, **settings: object) -> Inspection:
    (found,) = survey([str(path)], **settings)  # type: ignore[arg-type]
    return found


def copied(path: Path) -> Path:
    """Copy a database and its log, as a backup or a crash may leave them: without the log's index."""
    folder = path.parent / "copy"
    folder.mkdir()
    for name in ("app.db", "app.db-wal"):
        shutil.copyfile(path.with_name(name), folder / name)
    return folder / "app.db"


def asked(connection: sqlite3.Connection) -> tuple[int, int]:
    return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))  # type: ignore[return-value]


def test_survey_sees_what_is_in_the_log(writer: sqlite3.Connection) -> None:
    """With a log that holds everything, pages, waste and schema are the newest, though the file has next to nothing."""
    writer.execute("DELETE FROM t WHERE id > 1000")
    writer.execute("CREATE TABLE newest (x)")
    path = path_of(writer)
    assert path.stat().st_size < 100_000
    found = one(path)
    assert (found.pages, found.free_pages) == asked(writer)
    assert found.waste is not None
    assert found.waste.share.value == pytest.approx(0.75, abs=0.03)
    assert found.schema is not None
    assert [table.name for table in found.schema.tables] == ["t", "newest"]
    assert found.journal == "wal"
    assert found.log.bytes == path.with_name("app.db-wal").stat().st_size
    assert (found.log.checkpointed, found.notes) == (0, ())


def test_survey_counts_frames_as_a_checkpoint_does(writer: sqlite3.Connection) -> None:
    """Frames, and how many of them are in the file, are those that a checkpoint then tells."""
    with closing(sqlite3.connect(path_of(writer), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchall()
        writer.execute("DELETE FROM t WHERE id % 2")
        _, frames, checkpointed = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        found = one(path_of(writer)).log
    assert 0 < checkpointed < frames
    assert (found.frames, found.checkpointed) == (frames, checkpointed)


@linux
def test_survey_names_the_process_that_holds_the_log(writer: sqlite3.Connection) -> None:
    """A reader that keeps a checkpoint from finishing is named, with the frame at which it stands."""
    path = path_of(writer)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchall()
        writer.execute("DELETE FROM t WHERE id % 2")
        _, frames, checkpointed = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        held = one(path, facts=False).log.held_by
        assert len(held) == 1
        assert held[0].startswith(f"process {os.getpid()} (")
        assert held[0].endswith(f"has it open, a reader holds frame {checkpointed} of {frames}")
        reader.execute("COMMIT")
    assert one(path, facts=False).log.held_by == ()


@linux
def test_survey_names_no_reader_of_the_newest(writer: sqlite3.Connection) -> None:
    """A reader that sees all of the log keeps no checkpoint from finishing, though it is not in the file yet."""
    path = path_of(writer)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchall()
        found = one(path, facts=False).log
    assert found.frames
    assert (found.checkpointed, found.held_by) == (0, ())


def test_survey_of_a_checkpointed_log_reads_the_file(writer: sqlite3.Connection) -> None:
    """Once all of the log is in the file, nothing is missing there, whoever still has it open."""
    writer.execute("DELETE FROM t WHERE id % 2")
    writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    found = one(path_of(writer))
    assert found.log.frames == found.log.checkpointed
    assert (found.pages, found.free_pages) == asked(writer)
    assert found.waste is not None
    assert found.waste.share.value == pytest.approx(0.5, abs=0.03)


def test_survey_tells_an_old_log_from_a_new_one(writer: sqlite3.Connection) -> None:
    """After a restart the log begins again, and what the file of it still holds behind the newest frames is old."""
    writer.execute("DELETE FROM t WHERE id % 2")
    writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    writer.execute("INSERT INTO t VALUES (-1, 'x')")
    found = one(path_of(writer))
    assert found.log.bytes > 1_000_000
    assert found.log.frames is not None
    assert 0 < found.log.frames < 10
    assert (found.pages, found.free_pages) == asked(writer)
    assert one(copied(path_of(writer)), facts=False).log.frames == found.log.frames


def test_survey_of_a_log_that_nobody_has_open(writer: sqlite3.Connection) -> None:
    """After a crash the index of the log may be gone: the log is read from its beginning, and nothing is recovered."""
    writer.execute("DELETE FROM t WHERE id > 1000")
    path = copied(path_of(writer))
    found = one(path)
    assert (found.pages, found.free_pages) == asked(writer)
    assert found.waste is not None
    assert found.waste.share.value == pytest.approx(0.75, abs=0.03)
    assert found.log.checkpointed is None
    assert found.schema is not None
    assert [table.name for table in found.schema.tables] == ["t"]
    assert [note.split(":")[0] for note in found.notes] == ["nobody has the database open, but its log holds frames"]
    assert sorted(os.listdir(path.parent)) == ["app.db", "app.db-wal"]


def test_survey_leaves_out_what_was_not_committed(writer: sqlite3.Connection) -> None:
    """Frames behind the last commit are in the log, and are not the database."""
    before = asked(writer)
    writer.execute("PRAGMA cache_size = 5")
    writer.execute("BEGIN")
    writer.execute("UPDATE t SET a = zeroblob(20)")
    path = path_of(writer)
    with_index, without = one(path, facts=False), one(copied(path), facts=False)
    writer.execute("ROLLBACK")
    assert (with_index.pages, with_index.free_pages) == before
    assert (without.pages, without.free_pages) == before
    assert without.log.frames == with_index.log.frames
    assert without.waste == with_index.waste
    assert with_index.waste is not None
    assert with_index.waste.share.value < 0.05


def test_survey_creates_no_log(make: Callable[..., Path]) -> None:
    """A database in WAL mode that nobody has open has no log beside it, and has none after the look."""
    path = make("PRAGMA journal_mode = WAL", "CREATE TABLE t (a)", "CREATE INDEX t_a ON t (a)")
    assert os.listdir(path.parent) == ["app.db"]
    found = one(path)
    assert found.schema is not None
    assert found.journal == "wal"
    assert os.listdir(path.parent) == ["app.db"]


def test_survey_blocks_no_writer_and_no_checkpoint(writer: sqlite3.Connection) -> None:
    """Between two looks at a database that is in use, its owner writes and empties the log as if nobody looked."""
    path = path_of(writer)
    for number in range(3):
        assert one(path).schema is not None
        writer.execute("INSERT INTO t VALUES (?, 'x')", (-1 - number,))
        assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)


def test_survey_of_a_long_log_looks_up_each_page(
    writer: sqlite3.Connection, used: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log with more frames than are looked up at once is looked up as SQLite does, page by page, with one result."""
    for number in range(5):
        writer.execute("UPDATE t SET a = randomblob(200) WHERE id % 5 = ?", (number,))
    writer.execute("DELETE FROM t WHERE id > 1000")
    path = path_of(writer)
    at_once = log_module.read_log(str(path), 4096)
    monkeypatch.setattr(log_module, "FRAMES", 10)
    found = log_module.read_log(str(path), 4096)
    assert found.frames == at_once.frames
    assert found.frames is not None
    assert found.frames > 1000
    assert isinstance(found.in_log, index_module.Frames)
    pages = range(1, asked(writer)[0] + 2)
    assert [found.in_log.get(page) for page in pages] == [at_once.in_log.get(page) for page in pages]
    answer = survey_file.inspect_file({"path": str(path), "facts": False})
    assert (answer["pages"], answer["free_pages"]) == asked(writer)
    assert answer["waste"]["share"]["value"] == pytest.approx(0.75, abs=0.03)


def test_log_that_began_again_is_not_the_same(writer: sqlite3.Connection, used: None) -> None:
    """A log is the same while frames are added, and no longer once it has begun again or the file is ahead of it."""
    path = str(path_of(writer))
    found = log_module.read_log(path, 4096)
    writer.execute("INSERT INTO t VALUES (-1, 'x')")
    assert log_module.is_unchanged(path, found)
    writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    assert not log_module.is_unchanged(path, found)
    checkpointed = log_module.read_log(path, 4096)
    assert log_module.is_unchanged(path, checkpointed)
    writer.execute("INSERT INTO t VALUES (-2, 'x')")
    assert not log_module.is_unchanged(path, checkpointed)


def test_survey_notices_that_the_log_began_again(
    writer: sqlite3.Connection, used: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that is emptied and written anew during the look gives a mixture: the look is taken again."""
    path, real, looks = path_of(writer), survey_file.read_log, []

    def emptied(of: str, page_size: int) -> log_module.Log:
        found = real(of, page_size)
        looks.append(found)
        if len(looks) == 1:
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            writer.execute("DELETE FROM t WHERE id > 1000")
        return found

    monkeypatch.setattr(survey_file, "read_log", emptied)
    answer = survey_file.inspect_file({"path": str(path), "facts": False})
    assert len(looks) == 2
    assert (answer["pages"], answer["free_pages"]) == asked(writer)
    assert answer["notes"] == []
