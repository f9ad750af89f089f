"""`vacuum`: what it gives back, and that it leaves the file as it was whenever it cannot."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pitstop.errors import DeadlineExceededError, JobCancelledError, OperationError
from pitstop.jobs import Outcome
from pitstop.text import resize_text, size_text
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations import vacuum as module
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop_database_maintenance.sqlite.rewriting import progress

Open = Callable[..., SQLiteDatabase]


def test_vacuum_gives_free_pages_back(bloated: Path, opened: Open, seen: Any, context: Any) -> None:
    """The file is smaller, has no free page, and holds the same rows; the figures are those of the file."""
    rows, size = seen.rows(bloated), bloated.stat().st_size
    result = vacuum(opened(bloated))
    assert result.outcome is Outcome.CHANGED
    assert result.data["bytes_before"] == result.data["file_bytes_before"] == size
    assert result.data["bytes_after"] == result.data["file_bytes_after"] == bloated.stat().st_size < size
    assert result.data["free_pages_before"] > 0 == result.data["free_pages_after"]
    assert result.data["page_size"] == 4096
    assert result.data["seconds"] >= 0
    assert result.summary == resize_text(size, bloated.stat().st_size)
    assert result.warnings == ()
    assert seen.rows(bloated) == rows
    assert seen.integrity(bloated) == ["ok"]
    assert context.logger.lines == [
        ("debug", f"vacuum of {bloated} begins"),
        ("info", f"vacuum of {bloated}: {result.summary}"),
    ]


def test_vacuum_tells_when_there_was_nothing_to_give_back(bloated: Path, opened: Open) -> None:
    """A second time in a row changes nothing, and says so."""
    vacuum(opened(bloated))
    result = vacuum(opened(bloated))
    assert result.outcome is Outcome.UNCHANGED
    assert "nothing to give back" in result.summary


def test_vacuum_of_a_database_without_tables(make: Any, opened: Open) -> None:
    """No table is no error."""
    path = make("PRAGMA user_version = 7")
    assert vacuum(opened(path)).outcome is Outcome.UNCHANGED


@pytest.mark.parametrize(("stop", "kind"), [("cancel", JobCancelledError), ("expire", DeadlineExceededError)])
def test_vacuum_that_is_stopped_leaves_the_file_as_it_was(
    bloated: Path, opened: Open, context: Any, seen: Any, monkeypatch: pytest.MonkeyPatch, stop: str, kind: Any
) -> None:
    """Told in the middle of the statement, it ends at once, and not one byte is different."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 1000)
    before = seen.content(bloated)
    db = opened(bloated)
    begun: list[int] = []
    context.at_progress = lambda done: begun.append(context.checks)
    context.at_check = lambda count: getattr(context, stop)() if begun and count == begun[0] + 5 else None
    with pytest.raises(kind, match="test"):
        vacuum(db)
    assert context.checks == begun[0] + 5
    assert seen.content(bloated) == before


def test_vacuum_refuses_an_open_transaction(bloated: Path, opened: Open, seen: Any) -> None:
    """SQLite refuses it too, but does not say what to do."""
    db = opened(bloated)
    db.execute("BEGIN")
    with pytest.raises(OperationError, match=r"a transaction is open.*commit it"):
        vacuum(db)


@pytest.mark.parametrize("in_memory", [False, True])
def test_vacuum_needs_its_result_twice_on_one_file_system(
    bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_memory: bool
) -> None:
    """One byte short of twice the used pages is refused; with exactly that much it runs. In memory it is once."""
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    monkeypatch.setattr(module, "_temporary_in_memory", lambda db: in_memory)
    db = opened(bloated)
    found = db.measure()
    needed = (1 if in_memory else 2) * (found.bytes - found.free_bytes)
    free = {"bytes": needed - 1}
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free["bytes"]))
    with pytest.raises(OperationError, match=f"needs up to {size_text(needed)} in "):
        vacuum(db)
    free["bytes"] = needed
    assert vacuum(db).outcome is Outcome.CHANGED


def _with_collation(connection: sqlite3.Connection) -> None:
    connection.create_collation("german", lambda a, b: (a > b) - (a < b))


def _with_function(connection: sqlite3.Connection) -> None:
    connection.create_function("fold", 1, lambda x: x.lower(), deterministic=True)


@pytest.mark.parametrize(
    ("setup", "index", "missing"),
    [
        (_with_collation, "CREATE INDEX i ON t (x COLLATE german)", "the collation 'german'"),
        (_with_function, "CREATE INDEX i ON t (fold(x))", "the function 'fold'"),
    ],
)
def test_vacuum_refuses_a_schema_that_only_the_application_knows(
    make: Any, opened: Open, seen: Any, setup: Any, index: str, missing: str
) -> None:
    """What is missing is named, and the file is as it was."""
    path = make("CREATE TABLE t (x)", "INSERT INTO t VALUES ('a'), ('B')", index, setup=setup)
    before = seen.content(path)
    with pytest.raises(OperationError, match=rf"vacuum of .*{missing} \(index 'i'\); register it by .*on_connect"):
        vacuum(opened(path))
    assert seen.content(path) == before


def test_vacuum_in_wal_mode_shrinks_the_file_at_once(bloated: Path, opened: Open, raw: Any, seen: Any) -> None:
    """With nobody else in the way, what is in the log goes into the file before it is measured."""
    connection = raw(bloated)
    connection.execute("PRAGMA journal_mode = wal").fetchall()
    rows = seen.rows(bloated)
    result = vacuum(opened(bloated))
    assert result.warnings == ()
    assert result.data["file_bytes_after"] == result.data["bytes_after"] < result.data["bytes_before"]
    assert seen.rows(bloated) == rows


def test_vacuum_in_wal_mode_warns_while_a_reader_is_in_the_way(
    bloated: Path, opened: Open, raw: Any, seen: Any
) -> None:
    """The file stays large until the reader ends, and the reader sees what it saw."""
    reader = raw(bloated)
    reader.execute("PRAGMA journal_mode = wal").fetchall()
    reader.execute("INSERT INTO t (k) VALUES ('one more')")
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchall() == [(6001,)]
    result = vacuum(opened(bloated))
    assert result.outcome is Outcome.CHANGED
    assert "shrinks at the next checkpoint" in result.warnings[0]
    assert result.data["file_bytes_after"] > result.data["bytes_after"]
    assert result.data["wal_bytes_after"] > 0
    assert reader.execute("SELECT count(*) FROM t").fetchall() == [(6001,)]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (81_234_567, "81.2 MB"),
        (999_960, "1.0 MB"),
        (2.5e18, "2500.0 PB"),
    ],
)
def test_size_text_has_one_digit_after_the_point(size: float, text: str) -> None:
    """Sizes are rounded for a person, and never read "1000.0 kB"."""
    assert size_text(size) == text


def test_resize_text_says_what_came_of_it() -> None:
    """Less is given back, more is more, and the same is as before."""
    assert resize_text(81_200_000, 54_000_000) == "81.2 MB -> 54.0 MB, 27.2 MB given back"
    assert resize_text(1000, 3000) == "1.0 kB -> 3.0 kB, 2.0 kB more"
    assert resize_text(5000, 5000) == "5.0 kB as before"


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("stop", ["cancel", "expire"])
def test_vacuum_that_was_done_before_it_was_told_to_stop_says_so(
    make: Any, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch, journal: str, stop: str
) -> None:
    """What cannot be undone is told as it is: the file is rebuilt, and a warning says why it was not stopped."""
    path = make(f"PRAGMA journal_mode = {journal}", "CREATE TABLE t (x)", "INSERT INTO t VALUES (zeroblob(900000))")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM t")
    # it is asked at each instruction whether to stop, as it would be in a checkpoint of many pages
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 1)
    db = opened(path)
    real = db.disable_cancellation

    def told_too_late() -> None:
        getattr(context, stop)()
        real()

    monkeypatch.setattr(db, "disable_cancellation", told_too_late)
    result = vacuum(db)
    assert result.outcome is Outcome.CHANGED
    assert result.data["bytes_after"] < result.data["bytes_before"]
    assert "it was told to stop when it could no longer be stopped, and so it was done" in result.warnings


@pytest.mark.skipif(not os.path.exists("/proc/thread-self/io"), reason="only Linux counts what a thread writes")
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_vacuum_tells_how_many_bytes_are_written(
    make: Any, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch, journal: str
) -> None:
    """While SQLite says nothing: bytes of the result, rising to what the plan expects of it."""
    path = make(
        f"PRAGMA journal_mode = {journal}",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)"
        " INSERT INTO t SELECT i, randomblob(500) FROM n",
        "DELETE FROM t WHERE id % 2",
    )
    db = opened(path)
    size = db.measure().bytes
    db.predicted = {"gain": size // 2}
    monkeypatch.setattr(progress, "_TOLD_EVERY", 0.002)
    vacuum(db)
    after = db.measure().bytes
    told = [done for done, total, unit, _ in context.reports if (total, unit) == (size - size // 2, "bytes")]
    assert len(told) == len(context.reports) > 5
    assert told == sorted(told)
    assert told[0] == 0
    assert told[-1] == size - size // 2
    assert any(after * 0.2 < done < after * 0.8 for done in told)
    assert 0.8 * after < told[-2] <= told[-1], "the count of what was written is of the result, and not of all writes"


@pytest.mark.parametrize("small", [True, False])
def test_only_a_large_rebuild_has_a_thread_to_tell_of_it(
    bloated: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    """A small one is told of before and after: a thread for each of thousands would cost more than it tells."""
    monkeypatch.setattr(progress, "_SOON", sys.maxsize if small else 0)
    begun = threading.Thread.start
    threads: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: (threads.append(thread), begun(thread)))
    vacuum(opened(bloated))
    assert len(threads) == (0 if small else 1)
    assert [context.reports[0][0], context.reports[-1][0]] == [0, context.reports[-1][1]]


def test_write_counter_counts_what_this_thread_writes(tmp_path: Path) -> None:
    """And nothing of another thread; None where the system does not count."""
    written = progress.make_write_counter()
    if written() is None:
        pytest.skip("this system does not count what a thread writes")

    def write() -> None:
        (tmp_path / "x").write_bytes(bytes(100_000))

    other = threading.Thread(target=write)
    other.start()
    other.join()
    assert written() == 0
    write()
    assert written() == 100_000
