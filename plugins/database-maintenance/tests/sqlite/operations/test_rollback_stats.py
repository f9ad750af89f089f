"""`rollback_stats`: the statistics as they were, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import InvalidValueError, JobCancelledError, OperationError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations.analyze import analyze
from pitstop_database_maintenance.sqlite.operations.optimize import optimize
from pitstop_database_maintenance.sqlite.operations.rollback_stats import rollback_stats

FIGURES = "SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY 1, 2"


@pytest.fixture
def db(bloated: Path, opened: Callable[..., SQLiteDatabase], tmp_path: Path) -> Iterator[SQLiteDatabase]:
    """The database with a history."""
    with History(tmp_path / "history.db") as history:
        database = opened(bloated)
        database.history = history.of("test")
        yield database


def _kept_now(db: SQLiteDatabase) -> int:
    """Gather statistics, have them kept, and return the number of that state."""
    assert db.history is not None
    analyze(db)
    analyze(db)
    return db.history.snapshots("statistics")[0].id


def test_rollback_stats_restores_what_analyze_replaced(db: SQLiteDatabase, bloated: Path, seen: Any) -> None:
    """The very rows, whoever wrote them; the result says of when they are."""
    db.execute("ANALYZE")
    db.execute("UPDATE sqlite_stat1 SET stat = '6000 3 unordered' WHERE idx = 'by_w'")
    before, rows = seen.query(bloated, FIGURES), seen.rows(bloated)
    analyze(db)
    assert seen.query(bloated, FIGURES) != before
    result = rollback_stats(db)
    assert result.outcome is Outcome.CHANGED
    assert result.summary.startswith("statistics of 1 table and 3 indexes, as of 20")
    assert seen.query(bloated, FIGURES) == before
    assert seen.rows(bloated) == rows


@pytest.mark.parametrize("operation", [analyze, optimize])
def test_rollback_stats_restores_that_there_were_none(
    db: SQLiteDatabase, bloated: Path, seen: Any, operation: Any
) -> None:
    """No statistics are a state as well; and a rollback can itself be rolled back."""
    operation(db)
    gathered = seen.query(bloated, FIGURES)
    result = rollback_stats(db)
    assert result.summary.startswith("no statistics, as at 20")
    assert seen.query(bloated, FIGURES) == []
    assert rollback_stats(db, to=result.data["kept"][0]["id"]).outcome is Outcome.CHANGED
    assert seen.query(bloated, FIGURES) == gathered


def test_rollback_stats_makes_the_table_that_is_gone(db: SQLiteDatabase, bloated: Path, seen: Any) -> None:
    """What an application dropped is there again."""
    analyze(db)
    gathered = seen.query(bloated, FIGURES)
    analyze(db)
    db.execute("DROP TABLE sqlite_stat1")
    rollback_stats(db)
    assert seen.query(bloated, FIGURES) == gathered


def test_rollback_stats_chooses_a_state(db: SQLiteDatabase, bloated: Path, seen: Any) -> None:
    """Any that was kept can be had; one that was not is refused with the list of those that were."""
    analyze(db)
    db.execute("DELETE FROM t WHERE id % 2")
    analyze(db)
    states = db.history.snapshots("statistics") if db.history else []
    with pytest.raises(InvalidValueError, match=rf"to: there is no state 99; there are: {states[0].id} \(20"):
        rollback_stats(db, to=99)
    rollback_stats(db, to=states[0].id)
    assert seen.query(bloated, "SELECT stat FROM sqlite_stat1 WHERE idx = 'by_w'") == [("6000 858",)]
    assert rollback_stats(db, to=states[0].id).outcome is Outcome.UNCHANGED


def test_rollback_stats_leaves_out_what_is_another_index_now(db: SQLiteDatabase, bloated: Path, seen: Any) -> None:
    """Figures of an index that is defined otherwise would mislead: they are named, and the others restored."""
    state = _kept_now(db)
    for statement in ("DROP INDEX by_w", "CREATE INDEX by_w ON t (w, v)", "DROP INDEX by_v", "ALTER TABLE t ADD z"):
        db.execute(statement)
    analyze(db)
    result = rollback_stats(db, to=state)
    assert sorted(result.warnings) == [
        "the statistics of index 'by_v' were not restored: it is gone",
        "the statistics of index 'by_w' were not restored: it is defined otherwise now",
    ]
    assert [index for _, index, _ in seen.query(bloated, FIGURES)] == ["sqlite_autoindex_t_1"]


def test_rollback_stats_refuses_what_belongs_to_another_schema(db: SQLiteDatabase, bloated: Path, seen: Any) -> None:
    """When nothing fits, nothing is touched."""
    analyze(db)
    analyze(db)
    for statement in ("DROP TABLE t", "CREATE TABLE u (x UNIQUE)", "INSERT INTO u VALUES (1)"):
        db.execute(statement)
    before = seen.content(bloated)
    with pytest.raises(OperationError, match=r"no statistics that were kept .* belong to its schema.*run analyze"):
        rollback_stats(db)
    assert seen.content(bloated) == before


def test_rollback_stats_leaves_newer_tables_alone(db: SQLiteDatabase, bloated: Path, seen: Any) -> None:
    """What was not there then keeps what was gathered since."""
    state = _kept_now(db)
    db.execute("CREATE TABLE u (x UNIQUE)")
    db.execute("INSERT INTO u VALUES (1)")
    db.execute("DELETE FROM t WHERE id % 2")
    analyze(db)
    rollback_stats(db, to=state)
    assert seen.query(bloated, "SELECT stat FROM sqlite_stat1 WHERE idx = 'by_w'") == [("6000 858",)]
    assert seen.query(bloated, "SELECT stat FROM sqlite_stat1 WHERE tbl = 'u'") == [("1 1",)]


def test_rollback_stats_takes_samples_away(db: SQLiteDatabase, bloated: Path, seen: Any) -> None:
    """Samples of STAT4 are not kept, because they are values of the data; those that came since describe other rows."""
    analyze(db)
    db.execute("PRAGMA writable_schema = ON")
    db.execute("CREATE TABLE IF NOT EXISTS sqlite_stat4 (tbl, idx, nEq, nLt, nDLt, sample)")
    db.execute("PRAGMA writable_schema = RESET")
    db.execute("INSERT INTO sqlite_stat4 VALUES ('t', 'by_w', '1 1', '0 0', '0 0', x'02'), ('u', 'v', '', '', '', '')")
    db.execute("DELETE FROM t WHERE id % 2")
    analyze(db)
    rollback_stats(db)
    assert seen.query(bloated, "SELECT tbl FROM sqlite_stat4") == [("u",)]


def test_rollback_stats_needs_something_kept(
    db: SQLiteDatabase, bloated: Path, opened: Callable[..., SQLiteDatabase]
) -> None:
    """Without a history, or with an empty one, there is nothing to restore, and that is no success."""
    for database in (db, opened(bloated)):
        with pytest.raises(OperationError, match=r"no statistics of .*app\.db were kept on this machine"):
            rollback_stats(database)


def test_rollback_stats_that_is_stopped_changes_nothing(
    db: SQLiteDatabase, bloated: Path, seen: Any, context: Any
) -> None:
    """It happens whole or not at all."""
    analyze(db)
    before = seen.query(bloated, FIGURES)

    def stop(count: int) -> None:
        if db.in_transaction:
            context.cancel()

    db._connection.set_progress_handler(db._must_abort, 1)
    context.at_check = stop
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        rollback_stats(db)
    assert seen.query(bloated, FIGURES) == before
