"""`checkpoint`: that the log comes into the file and is emptied, and who is named when somebody is in the way."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import InvalidJobError, JobCancelledError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.assessment import Look
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.assessments import space
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.describe import description
from pitstop_database_maintenance.sqlite.inspection.survey import has_wal_reset_bug, survey
from pitstop_database_maintenance.sqlite.operations import checkpoint as module
from pitstop_database_maintenance.sqlite.operations.checkpoint import checkpoint, find_others

Open = Callable[..., SQLiteDatabase]
FIXED, HAZARDOUS = (3, 51, 3), (3, 40, 1)
#: Reads in a transaction that it does not end until its stdin is closed.
READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM t").fetchall()
print("reads", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a library about which there is nothing to warn of."""
    monkeypatch.setattr(module.sqlite3, "sqlite_version_info", FIXED)


@pytest.fixture
def logged(make: Any, raw: Any) -> tuple[Path, sqlite3.Connection]:
    """A database with a log of some 200 kB, and the application's connection, which runs no checkpoint by itself."""
    path = make("PRAGMA journal_mode = wal", "CREATE TABLE t (x)")
    application = raw(path)
    application.execute("PRAGMA wal_autocheckpoint = 0")
    fill(application)
    return path, application


def fill(connection: sqlite3.Connection) -> None:
    """Write a hundred pages into the log, in two transactions."""
    for _ in range(2):
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)"
            " INSERT INTO t SELECT randomblob(3000) FROM n"
        )


def wal(path: Path) -> int:
    """Return the size of the log."""
    return Path(f"{path}-wal").stat().st_size


def test_checkpoint_copies_the_log_and_empties_it(logged: Any, opened: Open, seen: Any) -> None:
    """All of it, although the application has the file open."""
    path, application = logged
    assert wal(path) > 200_000
    result = checkpoint(opened(path))
    assert (result.outcome, result.warnings) == (Outcome.CHANGED, ())
    assert (result.data["busy"], result.data["emptied"], wal(path)) == (False, True, 0)
    assert result.data["copied_frames"] == result.data["log_frames"] > 50
    assert result.data["wal_bytes_before"] > 0 == result.data["wal_bytes_after"]
    assert result.data["file_bytes_after"] == result.data["bytes_after"]
    assert 0 < result.data["writer_stall"] < 1
    assert "all of it in the file" in result.summary
    assert application.execute("SELECT count(*) FROM t").fetchall() == [(100,)]
    assert checkpoint(opened(path)).outcome is Outcome.UNCHANGED


def test_checkpoint_may_leave_the_log_as_long_as_it_is(logged: Any, opened: Open) -> None:
    """Then no writer waits at all, and the log is written over from its beginning."""
    path, application = logged
    before, db = wal(path), opened(path)
    result = checkpoint(db, truncate=False)
    assert (result.outcome, result.data["emptied"], result.data["busy"]) == (Outcome.CHANGED, False, False)
    assert db.stalls.count == 0
    assert wal(path) == before
    application.execute("INSERT INTO t VALUES (1)")
    assert wal(path) == before


@pytest.mark.parametrize("journal", ["delete", "truncate", "persist"])
def test_checkpoint_without_a_log_has_nothing_to_do(make: Any, opened: Open, seen: Any, journal: str) -> None:
    """No failure, and nothing is touched."""
    path = make(f"PRAGMA journal_mode = {journal}", "CREATE TABLE t (x)")
    before = seen.content(path)
    result = checkpoint(opened(path))
    assert (result.outcome, "not in WAL mode" in result.summary) == (Outcome.UNCHANGED, True)
    assert seen.content(path) == before


def test_checkpoint_names_the_reader_that_is_in_the_way(logged: Any, opened: Open) -> None:
    """It is no failure: what can be copied is, and the warning says who keeps the rest."""
    path, application = logged
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout
        reader.stdout.readline()
        fill(application)
        db = opened(path)
        result = checkpoint(db, patience=0)
        assert find_others(f"{path}-shm") == {reader.pid: True}
        assert reader.stdin
        reader.stdin.close()
    assert (result.outcome, result.data["busy"], result.data["emptied"]) == (Outcome.CHANGED, True, False)
    assert 0 < result.data["copied_frames"] < result.data["log_frames"]
    [warning] = result.warnings
    assert "wait for a reader" in warning
    assert f"process {reader.pid} (python" in warning
    again = checkpoint(db)
    assert (again.warnings, again.data["emptied"]) == ((), True)


def test_checkpoint_says_that_a_reader_of_the_newest_keeps_the_log_from_being_emptied(
    logged: Any, opened: Open, raw: Any
) -> None:
    """Everything is in the file; only the log's own size could not be given back."""
    path, _ = logged
    reader = raw(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    db = opened(path)
    result = checkpoint(db, patience=0)
    assert result.data["copied_frames"] == result.data["log_frames"]
    assert (result.data["emptied"], wal(path) > 0) == (False, True)
    assert "could not be emptied because others" in result.warnings[0]
    assert db.stalls.writer_stall < 1


def test_checkpoint_does_not_begin_what_makes_writers_wait_while_much_is_left(
    logged: Any, opened: Open, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRUNCATE would copy all of the rest with the writers kept out."""
    monkeypatch.setattr(module, "_FEW", 10_000)
    path, application = logged
    reader = raw(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    fill(application)
    db = opened(path)
    ran: list[str] = []
    execute = db.execute

    def noted(sql: str, parameters: Any = ()) -> Any:
        ran.append(sql)
        return execute(sql, parameters)

    monkeypatch.setattr(db, "execute", noted)
    checkpoint(db, patience=0.1)
    assert sum("PASSIVE" in sql for sql in ran) > 1
    assert not any("TRUNCATE" in sql for sql in ran)


def test_checkpoint_waits_for_a_short_reader(
    logged: Any, opened: Open, raw: Any, context: Any, monkeypatch: Any
) -> None:
    """It goes on as soon as the reader has ended."""
    monkeypatch.setattr(module, "_FEW", 10_000)
    path, application = logged
    reader = raw(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    fill(application)
    context.at_progress = lambda done: reader.in_transaction and reader.execute("COMMIT")
    assert checkpoint(opened(path)).data["emptied"]
    assert context.reports[0][2] == "bytes"


@pytest.fixture
def damaged_log(make: Any, tmp_path: Path) -> Path:
    """A database whose log holds committed changes, and a header that somebody has written over."""
    with closing(sqlite3.connect(make("CREATE TABLE t (x)", name="whole.db"), isolation_level=None)) as writer:
        writer.executescript("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
        writer.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 200)
        copy = tmp_path / "copy.db"
        shutil.copy(tmp_path / "whole.db", copy)
        log = bytearray((tmp_path / "whole.db-wal").read_bytes())
    log[0:4] = b"abcd"
    Path(f"{copy}-wal").write_bytes(log)
    return copy


def test_log_that_cannot_be_read_is_told_of_and_not_lost(damaged_log: Path, opened: Open) -> None:
    """SQLite takes it for empty and removes it: nothing is opened that could, unless that was asked for."""
    before = {path.name: path.read_bytes() for path in damaged_log.parent.iterdir()}
    (found,) = survey([str(damaged_log)])
    assert found.log.unreadable
    assert any("cannot be read: its header is damaged" in str(finding) for finding in description(found).findings)
    with History(":memory:") as history:
        look = Look(database=str(damaged_log), inspection=found, history=history.of("x"))
        assert "write-ahead log of" in space.vacuum(look).reason
    with pytest.raises(InvalidJobError, match=r"the write-ahead log of .*copy\.db \(.*\) cannot be read"):
        SQLiteDatabase.check(str(damaged_log))
    assert {path.name: path.read_bytes() for path in damaged_log.parent.iterdir()} == before
    SQLiteDatabase.check(str(damaged_log), force=True)
    assert "all of it in the file" not in checkpoint(opened(damaged_log)).summary


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_sound_log_is_no_reason_to_refuse(make: Any, journal: str) -> None:
    """Of either order of bytes; one that is empty, or not there, neither."""
    path = make("CREATE TABLE t (x)")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.executescript(f"PRAGMA journal_mode = {journal}; INSERT INTO t VALUES (1)")
        SQLiteDatabase.check(str(path))
        (found,) = survey([str(path)])
        assert not found.log.unreadable


def test_checkpoint_that_is_cancelled_leaves_the_connection_as_it_was(
    logged: Any, opened: Open, raw: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for locks again."""
    monkeypatch.setattr(module, "_FEW", 10_000)
    path, application = logged
    reader = raw(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    fill(application)
    db = opened(path)
    context.at_progress = lambda done: context.cancel()
    with pytest.raises(JobCancelledError, match="test"):
        checkpoint(db)
    assert db._patient


@pytest.mark.parametrize(
    ("version", "bug"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_reset_bug_is_in_the_versions_that_sqlite_says(version: tuple[int, ...], bug: bool) -> None:
    """From 3.7.0 to 3.51.2, but for the two branches into which the correction was taken."""
    assert has_wal_reset_bug(version) is bug


@pytest.mark.parametrize(
    ("others", "words"),
    [({}, None), ({7: False}, "others have the file open"), (None, "others may have the file open")],
)
def test_checkpoint_warns_of_the_reset_bug_beside_others(
    logged: Any, opened: Open, monkeypatch: pytest.MonkeyPatch, others: Any, words: str | None
) -> None:
    """Alone nothing can happen, so that nothing is said."""
    monkeypatch.setattr(module.sqlite3, "sqlite_version_info", HAZARDOUS)
    monkeypatch.setattr(module, "find_others", lambda path: others)
    warnings = checkpoint(opened(logged[0])).warnings
    assert [words in text and "3.51.3 or newer" in text for text in warnings] == ([True] if words else [])


def test_others_on_a_file_without_an_index_are_not_known(tmp_path: Path) -> None:
    """Such as when the last connection has closed."""
    assert find_others(str(tmp_path / "app.db-shm")) is None
