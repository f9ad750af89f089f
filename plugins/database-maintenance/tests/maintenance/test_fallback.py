"""What is run in place of an operation that failed, and what is not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from maintaining import ends, run

from pitstop.errors import OperationError, TransientError
from pitstop.jobs import Result
from pitstop.operations import operation_of
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.databases.errors import LockWaitOverError
from pitstop_database_maintenance.maintenance.engine import Maintenance
from pitstop_database_maintenance.maintenance.outcome import StepStatus
from pitstop_database_maintenance.sqlite.assessments import space, statistics
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure, damage_error
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

WORKER = "database_maintenance_operation"
CHECKS = ("quick_check", "integrity_check", "foreign_key_check", "fts_check")


def test_a_failed_choice_is_replaced_by_the_next_one(
    engine: Callable[..., Maintenance], bloated: Path, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails as it was foreseen is replaced, and that is no failure; what was asked for by name is none."""

    class Refusing:
        error: Exception = OperationError(reason="not like the original")

        def __call__(self, db: Database, *, offline: bool = False) -> Result:
            raise self.error

    refusing = Refusing()
    load = registry.operation
    replaced = operation_of("sqlite.compact", refusing)
    monkeypatch.setattr(registry, "operation", lambda kind, name: replaced if "compact" in name else load(kind, name))
    offline = {"compact": {"offline": True}}
    shutil.copyfile(bloated, copy := bloated.with_name("copy.db"))
    (outcome,) = run(engine(thresholds=offline), copy)
    steps = {step.operation: step for step in outcome.steps}
    assert steps["compact"].end is StepStatus.REPLACED
    assert steps["compact"].summary == "not like the original; vacuum was run instead"
    assert steps["vacuum"].end is StepStatus.COMPLETED
    assert outcome.end is StepStatus.COMPLETED
    assert outcome.is_settled
    assert outcome.after is not None
    assert outcome.after.bytes < bloated.stat().st_size
    (outcome,) = run(engine(thresholds=offline, operations=("compact",)), bloated)
    assert [step.end for step in outcome.steps] == [StepStatus.FAILED]
    # what a lock, damage or a full disk has stopped, it would stop again
    for refusing.error in (
        TransientError("locked"),
        LockWaitOverError(reason="locked"),
        SQLiteFailure(reason="no space left", code=sqlite3.SQLITE_FULL),
        damage_error(str(bloated), "page 3"),  # the last, for it stays known
    ):
        (outcome,) = run(engine(thresholds=offline), bloated)
        ends = {step.operation: step.end for step in outcome.steps}
        assert ends["compact"] is StepStatus.FAILED, refusing.error
        assert ends.get("vacuum", StepStatus.NOT_PLANNED) is StepStatus.NOT_PLANNED, refusing.error


def test_what_somebody_has_locked_is_not_tried_in_another_way(
    engine: Callable[..., Maintenance], bloated: Path, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other operation would be kept out as well, and wait for as long again."""
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr("pitstop_database_maintenance.worker.worker.LOCK_WAIT", 0.01)
    raw(bloated).execute("BEGIN EXCLUSIVE")
    (outcome,) = run(engine(), bloated)
    assert ends(outcome) == {"vacuum": "failed", "analyze": "failed"}
    assert outcome.end is StepStatus.FAILED


@pytest.mark.parametrize("check", ["integrity_check", "fts_check", "foreign_key_check"])
def test_what_a_check_found_stands(engine: Callable[..., Maintenance], make: Any, check: str) -> None:
    """No other check is run in place of one that found something, and the database has failed."""
    path = make(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE t (a INTEGER REFERENCES parent (id), b TEXT)",
        "CREATE INDEX by_b ON t (b)",
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO t VALUES (1, 'one')",
        "INSERT INTO f VALUES ('one two')",
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if check == "foreign_key_check":
            connection.execute("INSERT INTO t VALUES (7, 'seven')")
        elif check == "fts_check":
            connection.execute("UPDATE f_content SET c0 = 'three'")
        else:  # a row without its entry in the index, and an entry without its row
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX by_b ON t (a)' WHERE name = 'by_b'")
    (outcome,) = run(engine(thresholds={name: {"by_itself": True} for name in CHECKS}), path)
    steps = {step.operation: step for step in outcome.steps}
    assert steps[check].end is StepStatus.FAILED, steps[check]
    assert "was run instead" not in steps[check].summary
    assert outcome.end is StepStatus.FAILED
    assert not outcome.is_settled


def test_a_check_that_could_not_be_done_is_replaced_by_no_weaker_one(
    engine: Callable[..., Maintenance], make: Any, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an integrity check did not look at, a quick check has not seen either."""

    def failing(db: Database) -> Result:
        raise OperationError(reason="the disk cannot be read")

    load = registry.operation
    broken = operation_of("sqlite.integrity_check", failing)
    monkeypatch.setattr(registry, "operation", lambda kind, name: broken if "integrity" in name else load(kind, name))
    (outcome,) = run(engine(thresholds={name: {"by_itself": True} for name in CHECKS}), make("CREATE TABLE t (a)"))
    steps = {step.operation: step for step in outcome.steps}
    assert steps["integrity_check"].end is StepStatus.FAILED
    assert outcome.end is StepStatus.FAILED
    assert set(SQLiteDatabase.substitutable) == {space.NEED, statistics.NEED}
