"""What a check and its children say to each other arrives as it was."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from attrs import asdict

from pitstop.errors import InvalidJobError, OperationError, PitstopError
from pitstop_database_maintenance.databases.errors import LockedError, LockWaitOverError
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.checks.parts import STRUCTURE, CheckPart, PartResult
from pitstop_database_maintenance.sqlite.checks.protocol import error_message, parse_outcome
from pitstop_database_maintenance.sqlite.connection.check_answers import CheckFinding, Flaw, Problem
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature

PROBLEM = Problem(flaw=Flaw.INDEX, text="row 3 missing", object="i\n\udc80", times=2, finding=CheckFinding.ROW_MISSING)


def sent(message: Any) -> Any:
    """Return a message as the other process receives it."""
    return json.loads(json.dumps(message))


@pytest.mark.parametrize(
    "part",
    [
        CheckPart(name='it\'s "\n"', check="integrity_check"),
        CheckPart(name=STRUCTURE, check="quick_check", limit=7, rows=True, may_lock=False),
    ],
)
def test_parts_arrive(part: CheckPart) -> None:
    """With everything that is asked."""
    assert CheckPart(**sent(asdict(part))) == part


@pytest.mark.parametrize(
    "result",
    [
        PartResult(part="t"),
        PartResult(
            part="t", problems=(PROBLEM,), capped=True, unchecked="it", notes=("one", "two"), seconds=1.5, locked=0.25
        ),
    ],
)
def test_results_arrive(result: PartResult) -> None:
    """With all that a problem says, what is not compared too."""
    found = parse_outcome(sent({"result": asdict(result)}))
    assert found == result
    assert isinstance(found, PartResult)
    assert [problem.finding for problem in found.problems] == [problem.finding for problem in result.problems]
    hash(found)


@pytest.mark.parametrize(
    "error",
    [
        LockedError("busy"),
        LockWaitOverError(reason="over", hint="wait"),
        MissingFeature(reason="r", kind=Feature.COLLATION, name="german", code=1, said="s"),
        OperationError(reason="r", hint="h"),
        SQLiteFailure(reason="r", hint="h", code=sqlite3.SQLITE_CORRUPT, problems=(PROBLEM,), said="s"),
        TimeLimitReachedError(),
    ],
)
def test_errors_arrive(error: PitstopError) -> None:
    """Those by which something is decided, with their fields."""
    found = parse_outcome(sent(error_message(error)))
    assert found == error
    if isinstance(error, MissingFeature):
        assert isinstance(found, MissingFeature)
        assert found.kind is error.kind


def test_other_errors_arrive_as_what_they_say() -> None:
    """Whatever their class is."""
    found = parse_outcome(sent(error_message(InvalidJobError("not a file"))))
    assert type(found) is OperationError
    assert "not a file" in str(found)
