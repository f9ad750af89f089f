"""`analyze`: what statistics come of it, and what happens when one table cannot be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import InvalidValueError, JobCancelledError, OperationError
from pitstop.jobs import Outcome
from pitstop.operations import operation_of
from pitstop_database_maintenance.sqlite.analyze import analyze
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

Open = Callable[..., SQLiteDatabase]


def _with_collation(connection: sqlite3.Connection) -> None:
    connection.create_collation("german", lambda a, b: (a > b) - (a < b))


def test_analyze_gathers_full_statistics(bloated: Path, opened: Open, seen: Any) -> None:
    """Without a limit the figures are exact: 6000 rows, of which each value of w has 6000 / 7."""
    rows = seen.rows(bloated)
    result = analyze(opened(bloated))
    assert result.outcome is Outcome.CHANGED
    assert result.summary == "statistics of 1 table and 3 indexes"
    assert result.data["tables_described_before"] == result.data["indexes_described_before"] == 0
    assert result.data["tables_described_after"] == 1
    assert result.data["indexes_described_after"] == 3
    assert seen.query(bloated, "SELECT stat FROM sqlite_stat1 WHERE idx = 'by_w'") == [("6000 858",)]
    assert seen.rows(bloated) == rows


def test_analyze_with_a_limit_estimates(bloated: Path, opened: Open, seen: Any) -> None:
    """With a limit SQLite looks at some rows only, and its figure for w is another one."""
    analyze(opened(bloated), limit=10)
    [(stat,)] = seen.query(bloated, "SELECT stat FROM sqlite_stat1 WHERE idx = 'by_w'")
    assert stat != "6000 858"


@pytest.mark.parametrize("limit", [0, -1, 2**31])
def test_analyze_refuses_a_limit_that_is_none(limit: int) -> None:
    """Nought would mean all of it, which is what leaving it out means; it is refused before anything starts."""
    with pytest.raises(InvalidValueError, match=rf"limit: expected int >= 1, <= 2147483647, got {limit} \(int\)"):
        operation_of("sqlite.analyze", analyze).check({"limit": limit})


def test_analyze_tells_when_statistics_were_right(bloated: Path, opened: Open) -> None:
    """A second time in a row changes nothing, and says so."""
    analyze(opened(bloated))
    result = analyze(opened(bloated))
    assert result.outcome is Outcome.UNCHANGED
    assert result.summary == "the statistics were right already"
    assert result.data["tables_described_before"] == 1


@pytest.mark.parametrize("statements", [["PRAGMA user_version = 7"], ["CREATE TABLE t (x)", "CREATE INDEX i ON t (x)"]])
def test_analyze_of_nothing_changes_nothing(make: Any, opened: Open, statements: list[str]) -> None:
    """No table, or only empty ones: there is nothing to describe."""
    result = analyze(opened(make(*statements)))
    assert result.outcome is Outcome.UNCHANGED
    assert result.summary == "there are no rows to describe"


def test_analyze_goes_on_without_a_table_that_it_cannot_read(make: Any, opened: Open, context: Any) -> None:
    """A collation of the application costs only its own table, and the warning names both."""
    path = make(
        "CREATE TABLE names (x COLLATE german)",
        "CREATE INDEX by_name ON names (x)",
        'CREATE TABLE "odd ""one" (y)',
        'CREATE INDEX other ON "odd ""one" (y)',
        "INSERT INTO names VALUES ('a')",
        'INSERT INTO "odd ""one" VALUES (1)',
        setup=_with_collation,
    )
    result = analyze(opened(path))
    assert result.outcome is Outcome.CHANGED
    assert result.data["tables_described_after"] == 1
    assert len(result.warnings) == 1
    assert "table 'names'" in result.warnings[0]
    assert "'german'" in result.warnings[0]
    assert ("tables", "names") in [(unit, message) for _, _, unit, message in context.reports]


def test_analyze_fails_when_no_table_can_be_read(make: Any, opened: Open) -> None:
    """Nothing done is not a success."""
    path = make("CREATE TABLE t (x COLLATE german)", "CREATE INDEX i ON t (x)", setup=_with_collation)
    with pytest.raises(
        OperationError, match=r"no table of .*app\.db could be analyzed: .*'german'.*from the application"
    ):
        analyze(opened(path))


def test_analyze_that_is_stopped_leaves_the_file_as_it_was(
    bloated: Path, opened: Open, context: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told in the middle, it ends at once and writes no half of the statistics."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 1000)
    before = seen.content(bloated)
    db = opened(bloated)
    context.at_check = lambda count: context.cancel() if count == 10 else None
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        analyze(db)
    assert seen.content(bloated) == before
