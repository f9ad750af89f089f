"""`optimize`: on a fresh connection it does what a long one would have done."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import JobCancelledError, OperationError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations import optimize as module
from pitstop_database_maintenance.sqlite.operations.analyze import analyze
from pitstop_database_maintenance.sqlite.operations.optimize import optimize

Open = Callable[..., SQLiteDatabase]


def test_optimize_works_on_a_fresh_connection(bloated: Path, opened: Open, seen: Any) -> None:
    """Statistics come of it, and the statement that made them is reported."""
    rows = seen.rows(bloated)
    result = optimize(opened(bloated))
    assert result.outcome is Outcome.CHANGED
    assert result.data["statements"] == ['ANALYZE "main"."t"']
    assert result.data["indexes_described_after"] == 3
    assert result.summary == "statistics of 1 table and 3 indexes"
    assert seen.rows(bloated) == rows


def test_optimize_finds_nothing_after_analyze(bloated: Path, opened: Open) -> None:
    """What is up to date is left alone."""
    analyze(opened(bloated))
    result = optimize(opened(bloated))
    assert result.outcome is Outcome.UNCHANGED
    assert result.data["statements"] == []
    assert result.summary == "SQLite wants no new statistics"


def test_optimize_sees_a_table_that_has_grown(make: Any, opened: Open, raw: Any) -> None:
    """Thirty times the rows are enough for every version's rule (25 times before 3.46, 10 times since)."""
    path = make("CREATE TABLE t (x)", "CREATE INDEX i ON t (x)", "INSERT INTO t VALUES (1), (2), (3)", "ANALYZE")
    assert optimize(opened(path)).data["statements"] == []
    raw(path).execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) INSERT INTO t SELECT i FROM n"
    )
    assert optimize(opened(path)).data["statements"] == ['ANALYZE "main"."t"']


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE t (x UNIQUE)"],
        ["CREATE TABLE t (x)", "CREATE INDEX i ON t (lower(x))"],
        ["CREATE TABLE t (x)", "CREATE INDEX i ON t (x) WHERE x > 0"],
        ["CREATE TABLE t (x)", "CREATE INDEX i ON t (x COLLATE nocase DESC)"],
        ["CREATE TABLE t (x)", 'CREATE INDEX "o"" dd" ON t (x)'],
        ["CREATE TABLE t (x PRIMARY KEY) WITHOUT ROWID"],
        ["CREATE TABLE t (x PRIMARY KEY) WITHOUT ROWID", "CREATE INDEX i ON t (x)"],
    ],
)
def test_optimize_sees_every_kind_of_index(make: Any, opened: Open, statements: list[str]) -> None:
    """Expressions, conditions, collations and constraints come to no plain query, but need statistics as well."""
    path = make(*statements, "INSERT INTO t VALUES (1), (2), (3)")
    result = optimize(opened(path))
    if statements == ["CREATE TABLE t (x PRIMARY KEY) WITHOUT ROWID"] and sqlite3.sqlite_version_info < (3, 46):
        assert result.outcome is Outcome.UNCHANGED  # the table is its only index, and SQLite lists none
    else:
        assert result.outcome is Outcome.CHANGED
    assert optimize(opened(path)).outcome is Outcome.UNCHANGED


def test_optimize_ignores_empty_tables(make: Any, opened: Open) -> None:
    """Statistics of no rows are none, however often they are gathered."""
    result = optimize(opened(make("CREATE TABLE t (x)", "CREATE INDEX i ON t (x)")))
    assert result.outcome is Outcome.UNCHANGED
    assert result.data["statements"] == []


def test_optimize_goes_on_without_what_only_the_application_knows(make: Any, opened: Open) -> None:
    """A collation of the application costs only its own table, and the warning names it."""
    path = make(
        "CREATE TABLE names (x COLLATE german)",
        "CREATE INDEX by_name ON names (x)",
        "CREATE TABLE t (x)",
        "CREATE INDEX i ON t (x)",
        "INSERT INTO names VALUES ('a')",
        "INSERT INTO t VALUES (1)",
        setup=lambda connection: connection.create_collation("german", lambda a, b: 0),
    )
    result = optimize(opened(path))
    assert result.outcome is Outcome.CHANGED
    assert result.data["indexes_described_after"] == 1
    assert any("names" in warning and "'german'" in warning for warning in result.warnings)


def test_optimize_that_is_stopped_leaves_the_file_as_it_was(
    bloated: Path, opened: Open, context: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told in the middle, it ends at once and writes no half of the statistics."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 100)
    before = seen.content(bloated)
    db = opened(bloated)
    context.at_check = lambda count: context.cancel() if count == 10 else None
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        optimize(db)
    assert seen.content(bloated) == before


def test_optimize_does_not_mislead(make: Any, opened: Open, seen: Any) -> None:
    """Where SQLite gathers by itself, an index of two values seems to have many: github.com/navidrome, 5740."""
    path = make(
        "CREATE TABLE t (two)",
        "CREATE INDEX i ON t (two)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO t SELECT i % 2 FROM n",
    )
    result = optimize(opened(path))
    assert result.data["indexes_in_full"] == ["i"]
    assert seen.query(path, "SELECT stat FROM sqlite_stat1") == [("20000 10000",)]


def test_optimize_ends_when_the_time_is_over(make: Any, opened: Open, context: Any, seen: Any) -> None:
    """What is done is done; the next run asks SQLite anew, and gets the rest."""
    path = make(
        "CREATE TABLE a (x UNIQUE)", "CREATE TABLE b (x UNIQUE)", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)"
    )
    db = opened(path)
    context.at_progress = lambda done: setattr(db, "limits", Limits(until=0.0)) if done == 1 else None
    result = optimize(db)
    assert (result.data["stopped_by"], result.data["left"]) == ("time limit", {})
    assert seen.query(path, "SELECT tbl FROM sqlite_stat1") == [("a",)]
    assert optimize(opened(path)).data["statements"] == ['ANALYZE "main"."b"']


def test_optimize_does_nothing_that_it_does_not_know(
    bloated: Path, opened: Open, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later SQLite may want something else: that is said, and nothing is written."""
    monkeypatch.setattr(module, "_find_due", lambda db, mask: (['REINDEX "main"."t"'], []))
    monkeypatch.setattr(module, "_looks_at_all", lambda: True)
    before = seen.content(bloated)
    with pytest.raises(OperationError, match=r'would run what optimize does not know: REINDEX "main"."t"; run analyze'):
        optimize(opened(bloated))
    assert seen.content(bloated) == before
