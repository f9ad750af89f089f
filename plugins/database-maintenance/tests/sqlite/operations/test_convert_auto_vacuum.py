"""`convert_auto_vacuum`: that the file says what it was asked to, and that its rows are what they were."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import JobCancelledError, OperationError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations import convert_auto_vacuum as module
from pitstop_database_maintenance.sqlite.operations import vacuum as vacuum_module
from pitstop_database_maintenance.sqlite.operations.convert_auto_vacuum import convert_auto_vacuum
from pitstop_database_maintenance.sqlite.operations.incremental_vacuum import incremental_vacuum

Open = Callable[..., SQLiteDatabase]
MODES = ("none", "full", "incremental")


@pytest.fixture
def file(make: Any) -> Callable[..., Path]:
    """Make a database with some free pages, unless they go at once."""

    def made(auto_vacuum: str, journal: str = "delete") -> Path:
        path: Path = make(
            f"PRAGMA auto_vacuum = {MODES.index(auto_vacuum)}",
            f"PRAGMA journal_mode = {journal}",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
            " INSERT INTO t SELECT i, hex(randomblob(200)) FROM n",
            "DELETE FROM t WHERE id <= 200",
        )
        return path

    return made


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize(("before", "after"), list(permutations(MODES, 2)))
def test_convert_auto_vacuum_from_each_mode_to_each_other(
    file: Any, opened: Open, seen: Any, before: str, after: Any, journal: str
) -> None:
    """The file says so itself, with a write-ahead log too, and holds the same rows."""
    path = file(before, journal)
    rows = seen.rows(path)
    result = convert_auto_vacuum(opened(path), mode=after)
    assert result.outcome is Outcome.CHANGED
    assert (result.data["auto_vacuum_before"], result.data["auto_vacuum_after"]) == (before, after)
    assert result.summary.startswith(f"auto_vacuum {before} -> {after}")
    assert seen.query(path, "PRAGMA auto_vacuum") == [(MODES.index(after),)]
    assert seen.query(path, "PRAGMA journal_mode") == [(journal,)]
    assert (seen.rows(path), seen.integrity(path)) == (rows, ["ok"])


@pytest.mark.parametrize("mode", MODES)
def test_convert_auto_vacuum_changes_nothing_where_it_is_so(file: Any, opened: Open, seen: Any, mode: Any) -> None:
    """Not a byte, and no rebuild."""
    path = file(mode)
    before = seen.content(path)
    result = convert_auto_vacuum(opened(path), mode=mode)
    assert (result.outcome, result.summary) == (Outcome.UNCHANGED, f"auto_vacuum is {mode} already")
    assert seen.content(path) == before


@pytest.mark.parametrize(("size", "described"), [(1024, 205), (4096, 820)])
def test_the_map_takes_one_page_for_as_many_as_the_page_says(
    make: Any, opened: Open, seen: Any, size: int, described: int
) -> None:
    """A page of the map has five bytes for each of those that follow it."""
    path = make(
        f"PRAGMA page_size = {size}",
        "CREATE TABLE t (a)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1700)"
        f" INSERT INTO t SELECT zeroblob({size - 100}) FROM n",
    )
    [(before,)] = seen.query(path, "PRAGMA page_count")
    convert_auto_vacuum(opened(path))
    [(after,)] = seen.query(path, "PRAGMA page_count")
    assert after - before == -(-(after - 1) // described)


def test_convert_auto_vacuum_makes_incremental_vacuum_possible(file: Any, opened: Open, raw: Any, seen: Any) -> None:
    """Which is what it is for; with a plain PRAGMA alone it would stay refused."""
    path = file("none")
    raw(path).execute("PRAGMA auto_vacuum = 2")
    assert seen.query(path, "PRAGMA auto_vacuum") == [(0,)]
    convert_auto_vacuum(opened(path))
    raw(path).execute("DELETE FROM t WHERE id <= 400")
    assert incremental_vacuum(opened(path)).data["freed_pages"] > 0
    assert seen.query(path, "PRAGMA freelist_count") == [(0,)]


def test_convert_auto_vacuum_between_full_and_incremental_rebuilds_nothing(
    file: Any, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map is there already."""
    monkeypatch.setattr(module, "rebuild", lambda db, **_: pytest.fail("it was rebuilt"))
    assert convert_auto_vacuum(opened(file("full"))).outcome is Outcome.CHANGED


@pytest.mark.parametrize(("before", "after"), [("none", "incremental"), ("full", "incremental")])
def test_convert_auto_vacuum_refuses_an_open_transaction(file: Any, opened: Open, before: str, after: Any) -> None:
    """Before anything has changed."""
    db = opened(file(before))
    db.execute("BEGIN")
    with pytest.raises(OperationError, match="a transaction is open"):
        convert_auto_vacuum(db, mode=after)


def test_convert_auto_vacuum_that_is_stopped_leaves_the_file_as_it_was(
    file: Any, opened: Open, context: Any, seen: Any
) -> None:
    """And the connection too: a later VACUUM on it changes no mode."""
    path = file("none")
    before, db = seen.content(path), opened(path)
    context.at_progress = lambda done: context.cancel()
    with pytest.raises(JobCancelledError, match="test"):
        convert_auto_vacuum(db)
    assert seen.content(path) == before
    context._stop = None
    db.execute("VACUUM")
    assert seen.query(path, "PRAGMA auto_vacuum") == [(0,)]


def test_convert_auto_vacuum_says_that_it_came_to_nothing(
    file: Any, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuild that left the mode as it was is a failure, whatever SQLite said."""
    monkeypatch.setattr(module, "_set_mode", lambda db, mode: None)
    with pytest.raises(OperationError, match=r"auto_vacuum of .* is none after it was set to incremental"):
        convert_auto_vacuum(opened(file("none")))


@pytest.mark.parametrize(
    ("limits", "words", "stopped"),
    [
        (Limits(max_stall=0.05, predicted=6.0), "writers would wait for about 6 s, and 0.05 s are allowed", None),
        (Limits(until=4e9, predicted=1e10), "takes about 10000000000 s", "time limit"),
    ],
)
def test_convert_auto_vacuum_keeps_to_the_limits(
    file: Any, opened: Open, seen: Any, limits: Limits, words: str, stopped: str | None
) -> None:
    """What cannot be stopped is not begun if it will not fit, nor what keeps writers waiting for too long."""
    path = file("none")
    before, db = seen.content(path), opened(path)
    db.limits = limits
    for result in (convert_auto_vacuum(db), vacuum_module.vacuum(db)):
        assert result.outcome is Outcome.SKIPPED
        assert words in result.summary
        assert result.data.get("stopped_by") == stopped
    assert seen.content(path) == before


def test_vacuum_within_its_limits_is_done(file: Any, opened: Open) -> None:
    """A small file fits into a second."""
    db = opened(file("none"))
    db.limits = Limits(max_stall=1.0, until=4e9)
    assert vacuum_module.vacuum(db).outcome is Outcome.CHANGED
