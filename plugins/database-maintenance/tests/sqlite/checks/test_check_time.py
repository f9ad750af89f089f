"""How long checks take, and whom they keep waiting: what is not reached is for the next run, or a copy is checked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from check_databases import ROWS, damaged_page, wal

from pitstop.errors import (
    JobCancelledError,
    OperationError,
)
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.limits import Limits, TimeLimitReachedError
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.checks import full_check, workers
from pitstop_database_maintenance.sqlite.checks.parts import STRUCTURE, PartResult
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations import quick_check as quick_check_module
from pitstop_database_maintenance.sqlite.operations.integrity_check import integrity_check
from pitstop_database_maintenance.sqlite.operations.quick_check import quick_check

Open = Callable[..., SQLiteDatabase]


def some(count: int, order: list[str]) -> Any:
    """Return what looks at so many parts and then runs out of time."""

    def check_parts(db: Any, parts: Any, **_: Any) -> Iterator[PartResult]:
        for part in parts[:count]:
            order.append(part.name)
            yield PartResult(part=part.name, seconds=1.0)

    return check_parts


# -- time --------------------------------------------------------------------------------------------------------------


def test_a_check_in_this_process_is_stopped(
    bloated: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement ends in its middle."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 500)
    db = opened(bloated)
    context.at_check = lambda count: context.cancel() if count > 20 else None
    with pytest.raises(JobCancelledError, match="test"):
        integrity_check(db)


def test_integrity_check_goes_on_where_the_last_one_stopped(
    make: Any, opened: Open, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was checked longest ago comes first; after enough runs all was, and nothing is starved."""
    path = make(*(f"CREATE TABLE t{number} (x)" for number in range(5)))
    db = opened(path)
    db.history = history.of("it")
    order: list[str] = []
    monkeypatch.setattr(full_check, "check_parts", some(3, order))
    first = integrity_check(db, budget=10)
    assert first.data["stopped_by"] == "budget"
    assert len(first.data["left"]["tables"]) == 4
    assert "3 of 7 parts were checked; 4 never were" in first.summary
    # the first of those left is taken for one that was begun, and comes last next time
    begun = first.data["left"]["tables"][0]
    second = integrity_check(db, budget=10)
    assert set(order[3:]) == {*first.data["left"]["tables"]} - {begun}
    assert second.data["oldest"] is None
    for _ in range(4):
        last = integrity_check(db, budget=10)
    assert set(order) == {STRUCTURE, "sqlite_master", "t0", "t1", "t2", "t3", "t4"}
    assert last.data["oldest"] is not None
    assert "the oldest check of a part is 0.0 days old" in last.summary
    assert Verdicts.read(db).latest("integrity_check")[""].at == last.data["oldest"]


def test_integrity_check_begins_with_the_largest(make: Any, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no worker is left alone with it in the end; what is not known may be large, and is not asked for long."""
    path = make(
        "CREATE TABLE small (x)",
        "CREATE TABLE large (x UNIQUE)",
        "CREATE TABLE middle (x)",
        "CREATE TABLE unknown (x PRIMARY KEY) WITHOUT ROWID",
        "CREATE VIRTUAL TABLE search USING fts5(a)",
        f"{ROWS.format(9)} INSERT INTO large SELECT i FROM n",
        f"{ROWS.format(9)} INSERT INTO middle SELECT i FROM n",
        f"{ROWS.format(9)} INSERT INTO search SELECT i FROM n",
        "INSERT INTO small VALUES (1)",
    )
    order: list[str] = []
    monkeypatch.setattr(full_check, "check_parts", some(99, order))
    integrity_check(opened(path))
    own = [part for part in order if not part.startswith("search")]
    assert own == [STRUCTURE, "unknown", "large", "middle", "small", "sqlite_master"]
    assert order.index("search") > order.index("small")


def test_integrity_check_leaves_what_the_time_limit_does_not_allow(
    bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends normally, with what the next run continues with, though nothing remembers for it."""
    db = opened(bloated)
    monkeypatch.setattr(full_check, "check_parts", some(1, []))
    db.limits = Limits(until=time.time() + 60)
    result = integrity_check(db)
    assert result.outcome is Outcome.UNCHANGED
    assert result.data["stopped_by"] == "time limit"
    assert len(result.data["left"]["tables"]) == 2


@pytest.mark.parametrize("from_size", [0, 1 << 40])
def test_integrity_check_of_no_time_at_all(
    bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, from_size: int
) -> None:
    """Nothing is checked, and that is said."""
    monkeypatch.setattr(workers, "CHILDREN_FROM", from_size)
    result = integrity_check(opened(bloated), budget=1e-9)
    assert result.outcome is Outcome.SKIPPED
    assert result.data["left"]["tables"]


def test_quick_check_is_undone_by_the_time_limit(bloated: Path, opened: Open) -> None:
    """It is one statement: what is not finished is not begun."""
    db = opened(bloated)
    db.limits = Limits(until=time.time() - 1)
    with pytest.raises(TimeLimitReachedError, match="time limit"):
        quick_check(db)


# -- stalls ------------------------------------------------------------------------------------------------------------


def test_checks_count_whom_they_keep_waiting(bloated: Path, opened: Open) -> None:
    """Without a write-ahead log a reader keeps writers waiting; with one it does not."""
    for check in (quick_check, integrity_check):
        db = opened(bloated)
        data = check(db).data
        assert data["writer_stall"] > 0
        assert data["reader_stall"] > 0
    wal(bloated)
    for check in (quick_check, integrity_check):
        data = check(opened(bloated)).data
        assert (data["writer_stall"], data["reader_stall"]) == (0, 0)


def test_checks_stand_aside_for_writers(
    bloated: Path, opened: Open, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a check would keep writers waiting for too long, a copy is checked, and removed."""
    monkeypatch.setattr(quick_check_module, "QUICK_CHECK_RATE", 1e3)
    monkeypatch.setattr(full_check, "_RATE", 1e3)
    for check in (quick_check, integrity_check):
        db = opened(bloated)
        db.limits = Limits(max_stall=1.0)
        result = check(db)
        assert result.data["copied"] is True
        assert 0 < result.data["writer_stall"] < 1.0
        assert db.stalls.count == 1  # for the copying, and not for the look at the copy
    assert os.listdir(bloated.parent) == ["app.db"]
    damaged_page(bloated)
    db = opened(bloated)
    db.limits = Limits(max_stall=1.0)
    with pytest.raises(OperationError, match=r"in .*app\.db: Page 3"):
        quick_check(db)
    assert os.listdir(bloated.parent) == ["app.db"]


def test_checks_learn_how_long_they_keep_writers_waiting(
    bloated: Path, opened: Open, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last check took says more than the file's size."""
    monkeypatch.setattr(full_check, "_RATE", 1e3)
    db = opened(bloated)
    db.history = history.of("it")
    integrity_check(db)
    db.limits = Limits(max_stall=30.0)
    assert integrity_check(db).data["copied"] is False
