"""`incremental_vacuum`: free pages go back slice by slice, and whoever writes beside it hardly notices."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import JobCancelledError, OperationError, TransientError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations import incremental_vacuum as module
from pitstop_database_maintenance.sqlite.operations.incremental_vacuum import incremental_vacuum

Open = Callable[..., SQLiteDatabase]


def free(path: Path) -> int:
    """Return how many pages are free."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


# -- what it gives back ------------------------------------------------------------------------------------------------


def test_execute_frees_one_page_whatever_it_is_asked_for(freed: Any) -> None:
    """The trap of Python's library: no error, and one page; on 3.11 even all rows fetched make no difference."""
    path = freed()
    there_are = free(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA incremental_vacuum(100)")
    assert free(path) == there_are - 1
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA incremental_vacuum(100)").fetchall()
    assert free(path) == there_are - (2 if sys.version_info < (3, 12) else 101)


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("page_size", [1024, 4096])
def test_incremental_vacuum_gives_all_free_pages_back(
    freed: Any, opened: Open, seen: Any, mode: str, page_size: int
) -> None:
    """The file is shorter by all of them, and holds the same rows; the figures are those of the file."""
    path = freed(mode=mode, page_size=page_size)
    rows, there_are, size = seen.rows(path), free(path), path.stat().st_size
    assert there_are > 250
    result = incremental_vacuum(opened(path))
    assert result.outcome is Outcome.CHANGED
    assert (free(path), path.stat().st_size < size - there_are * page_size + page_size) == (0, True)
    assert result.data["freed_pages"] == result.data["free_pages_before"] == there_are
    assert result.data["free_pages_after"] == 0
    assert result.data["slices"] > 1
    assert 0 < result.data["held_seconds"] <= result.data["seconds"]
    assert result.data["writer_stall"] > 0
    assert "stopped_by" not in result.data
    assert "given back in" in result.summary
    assert (seen.rows(path), seen.integrity(path)) == (rows, ["ok"])


def test_incremental_vacuum_leaves_a_reserve(freed: Any, opened: Open) -> None:
    """What may stay stays free, for the application to use."""
    path = freed()
    db = opened(path)
    kept = db.measure().pages // 10
    assert incremental_vacuum(db, keep=0.1).outcome is Outcome.CHANGED
    assert free(path) == kept
    again = incremental_vacuum(db, keep=0.5)
    assert again.outcome is Outcome.UNCHANGED
    assert f"{kept} free pages, of which" in again.summary


def test_incremental_vacuum_of_a_file_without_free_pages(make: Any, opened: Open) -> None:
    """Nothing to do is no failure, and nothing is looked at."""
    path = make("PRAGMA auto_vacuum = 2", "CREATE TABLE t (x)")
    result = incremental_vacuum(opened(path))
    assert (result.outcome, "no free page" in result.summary) == (Outcome.UNCHANGED, True)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_incremental_vacuum_refuses_a_file_without_a_map(freed: Any, opened: Open, seen: Any, mode: str) -> None:
    """SQLite would do nothing and say nothing; here is said what has to come first."""
    path = freed(auto_vacuum=0, mode=mode)
    before = seen.content(path)
    with pytest.raises(OperationError, match=r"auto_vacuum is none.*convert_auto_vacuum"):
        incremental_vacuum(opened(path))
    assert seen.content(path) == before


def test_incremental_vacuum_refuses_an_open_transaction(freed: Any, opened: Open) -> None:
    """Its slices would be no transactions of their own."""
    db = opened(freed())
    db.execute("BEGIN")
    with pytest.raises(OperationError, match="a transaction is open"):
        incremental_vacuum(db)


def test_incremental_vacuum_tells_its_progress_in_bytes(freed: Any, opened: Open, context: Any) -> None:
    """From the first slice to all of it."""
    path = freed()
    there_are = free(path)
    incremental_vacuum(opened(path))
    done = [done for done, total, unit, _ in context.reports if (total, unit) == (there_are * 4096, "bytes")]
    assert done == sorted(done)
    assert 0 < done[0] < done[-1] == there_are * 4096


def test_incremental_vacuum_undoes_a_slice_that_came_to_nothing(
    freed: Any, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a library free nothing, or less than it was asked for, that is said, and it does not go on for ever."""
    path = freed()
    db, there_are = opened(path), free(path)
    execute = db.execute

    def execute_nothing(sql: str, parameters: Any = ()) -> Any:
        return [] if "incremental_vacuum" in sql else execute(sql, parameters)

    monkeypatch.setattr(db, "execute", execute_nothing)
    with pytest.raises(OperationError, match=r"SQLite gave back 0 free pages of .* where \d+ were asked for"):
        incremental_vacuum(db)
    assert (db.in_transaction, free(path)) == (False, there_are)


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_incremental_vacuum_that_is_cancelled_keeps_what_was_given_back(
    freed: Any, opened: Open, context: Any, seen: Any
) -> None:
    """It ends between two slices, and the file is sound."""
    path = freed()
    rows, there_are = seen.rows(path), free(path)
    context.at_progress = lambda done: context.cancel()
    with pytest.raises(JobCancelledError, match="test"):
        incremental_vacuum(opened(path))
    [(done, *_)] = context.reports
    assert 0 < free(path) == there_are - done / 4096
    assert (seen.rows(path), seen.integrity(path)) == (rows, ["ok"])


def test_incremental_vacuum_stops_at_the_time_limit_and_goes_on_in_the_next_run(
    freed: Any, opened: Open, context: Any
) -> None:
    """The result says that there is something left, and with which parameters; with them it is finished."""
    path = freed()
    db, there_are = opened(path), free(path)

    def over(_: float) -> None:
        db.limits = Limits(until=time.time() - 1)

    context.at_progress = over
    result = incremental_vacuum(db, keep=0.01, max_stall=0.2)
    assert result.outcome is Outcome.CHANGED
    assert result.data["stopped_by"] == "time limit"
    assert result.data["freed_pages"] * 4096 == context.reports[0][0] < there_are * 4096
    assert result.data["left"] == {"keep": 0.01, "max_stall": 0.2}
    context.at_progress = lambda done: None
    db.limits = Limits()
    again = incremental_vacuum(db, **result.data["left"])
    assert "stopped_by" not in again.data
    assert free(path) < there_are / 10


def test_incremental_vacuum_ends_though_pages_become_free_as_fast(
    freed: Any, opened: Open, context: Any, raw: Any
) -> None:
    """As many as were free at the beginning, and no more: writers could keep it busy for ever."""
    path = freed()
    there_are = free(path)
    writer = raw(path)
    context.at_progress = lambda done: writer.execute("DELETE FROM t WHERE id IN (SELECT id FROM t LIMIT 100)")
    result = incremental_vacuum(opened(path))
    assert result.data["freed_pages"] == there_are
    assert free(path) > 0


def test_incremental_vacuum_ends_when_others_use_the_free_pages(
    freed: Any, opened: Open, context: Any, raw: Any
) -> None:
    """What is no longer free cannot be given back; that is no failure."""
    path = freed()
    writer = raw(path)

    def fill(_: float) -> None:
        if len(context.reports) == 1:
            writer.execute("CREATE TABLE filled AS SELECT hex(randomblob(2000)) FROM t")

    context.at_progress = fill
    result = incremental_vacuum(opened(path))
    assert (result.outcome, "stopped_by" in result.data) == (Outcome.CHANGED, False)
    assert result.data["freed_pages"] * 4096 == context.reports[-1][0]
    assert len(context.reports) == 1


def test_incremental_vacuum_does_not_take_the_reserve_when_others_have_used_the_rest(
    freed: Any, opened: Open, context: Any, raw: Any
) -> None:
    """What is kept is kept free for them, however little of it is left."""
    path = freed()
    db, writer = opened(path), raw(path)
    reserve = int(0.2 * db.measure().pages)

    def use(_: float) -> None:
        while free(path) >= reserve:
            writer.execute("INSERT INTO t (k) VALUES (hex(randomblob(4000)))")

    context.at_progress = use
    result = incremental_vacuum(db, keep=0.2)
    assert len(context.reports) == 1
    assert reserve - 10 < free(path) < reserve
    assert result.data["freed_pages"] * 4096 == context.reports[0][0]


# -- beside others -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_incremental_vacuum_beside_a_writer_loses_nothing(freed: Any, opened: Open, seen: Any, mode: str) -> None:
    """A writer that never rests gets on, and all of its rows are there."""
    path = freed("CREATE TABLE log (x INTEGER)", mode=mode)
    written, ended = [], threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as writer:
            while not ended.is_set():
                writer.execute("INSERT INTO log VALUES (?)", (len(written),))
                written.append(len(written))
                time.sleep(0.001)  # what an application does between two transactions

    thread = threading.Thread(target=write)
    thread.start()
    try:
        result = incremental_vacuum(opened(path))
    finally:
        ended.set()
        thread.join()
    assert result.outcome is Outcome.CHANGED
    assert result.data["freed_pages"] > 200
    assert len(written) > result.data["slices"]
    assert seen.query(path, "SELECT x FROM log ORDER BY x") == [(x,) for x in written]
    assert seen.integrity(path) == ["ok"]


def test_incremental_vacuum_says_that_a_reader_is_in_the_way(
    freed: Any, opened: Open, raw: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a log a reader that never ends keeps every slice from committing: nothing changes, and that is said."""
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.3)
    path = freed()
    before = seen.content(path)
    reader = raw(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    with pytest.raises(TransientError, match="left no moment to commit in"):
        incremental_vacuum(opened(path))
    assert seen.content(path) == before


def test_incremental_vacuum_tells_what_it_gave_back_before_a_lock(
    freed: Any, opened: Open, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the run has no time left to wait: what is done is done, and the rest is left for the next run."""
    path = freed(mode="wal")
    there_are, holder, log = free(path), raw(path), module._checkpoint
    db = opened(path)

    def lock(db: SQLiteDatabase) -> int:
        if not holder.in_transaction:
            db.limits = Limits(lock_wait=0.0)
            holder.execute("BEGIN IMMEDIATE")
        return log(db)

    monkeypatch.setattr(module, "_checkpoint", lock)
    result = incremental_vacuum(db)
    assert "locked by another connection" in result.data["stopped_by"]
    assert 0 < result.data["freed_pages"] < there_are
    assert result.data["left"] == {"keep": 0.0}


def test_incremental_vacuum_does_not_let_the_log_grow_for_ever(
    freed: Any, opened: Open, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a reader keeps the log from being emptied, it waits, and then ends and says why; the reader is not hurt."""
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.3)
    monkeypatch.setattr(module, "_LOG_LIMIT", 100_000)
    path = freed(mode="wal")
    there_are = free(path)
    reader = raw(path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchall() == [(2200,)]
    result = incremental_vacuum(opened(path))
    assert "a reader that keeps the write-ahead log" in result.data["stopped_by"]
    assert result.data["left"] == {"keep": 0.0}
    assert 0 < result.data["freed_pages"] < there_are
    assert reader.execute("SELECT count(*) FROM t").fetchall() == [(2200,)]


def test_incremental_vacuum_leaves_a_short_log(freed: Any, opened: Open) -> None:
    """The log is copied into the file after each slice, so that it is not as long as all that was moved."""
    path = freed(mode="wal")
    db = opened(path)
    written = free(path) * 4096
    result = incremental_vacuum(db)
    assert 0 < result.data["wal_bytes_after"] < written
    assert result.data["file_bytes_after"] == result.data["bytes_after"]


def test_incremental_vacuum_keeps_to_the_smaller_of_two_limits(freed: Any, opened: Open) -> None:
    """The job's limit holds whatever the parameter says, and a stall beyond it is a warning."""
    db = opened(freed())
    db.limits = Limits(max_stall=0.03)
    db.stalls.add(10.0)
    result = incremental_vacuum(db, max_stall=0.2)
    assert result.data["max_stall"] == 0.03
    assert "where 30 ms were allowed" in result.warnings[0]
