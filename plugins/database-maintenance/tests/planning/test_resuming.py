"""What an earlier run left is gone on with: what, by whom, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from assessing import DAY, NOW, due, inspection, step_of

from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.history import History, UnfinishedStep
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenancePlan, MaintenanceRequest, PlannedStep
from pitstop_database_maintenance.sqlite.inspection.records import (
    SchemaFacts,
)

HERE = "sqlite:/data/app.db"


def test_planning_takes_up_what_an_earlier_run_left(planned: Callable[..., DatabasePlan], history: History) -> None:
    """It is planned although its rule no longer says so, with the parameters to go on with, and first among equals."""
    left = UnfinishedStep(
        database=HERE, operation="reindex", at=NOW - DAY, reason="time limit", parameters={"indexes": ["i"]}
    )
    history.defer(left)
    made = planned(inspection(waste=0.0))
    assert due(made) == ["reindex"]
    assert made.continued
    step = step_of(made, "reindex")
    assert step.continued
    assert step.cause is Cause.LEFT_OVER
    assert step.parameters == {"indexes": ["i"]}
    assert "left over on 2023-" in step.why
    assert "time limit" in step.why
    assert due(planned(inspection(waste=0.0), operations=("analyze",))) == ["analyze"]


@pytest.mark.parametrize(
    ("left", "request_", "taken"),
    [
        # what nobody had asked for, and this run may plan by itself, or is asked for
        ({"operation": "reindex"}, {}, True),
        ({"operation": "reindex"}, {"operations": ("reindex",)}, True),
        ({"operation": "quick_check"}, {"checks": True}, True),
        # what this run does not plan by itself
        ({"operation": "quick_check"}, {}, False),
        ({"operation": "backup", "parameters": {"to": "/b.db"}}, {}, False),
        ({"operation": "backup", "parameters": {"to": "/b.db"}}, {"everything": True}, False),
        ({"operation": "convert_auto_vacuum"}, {}, False),
        ({"operation": "rollback_stats"}, {}, False),
        ({"operation": "no_such_operation"}, {}, False),
        # what somebody had asked for is for who asks for just that
        ({"operation": "reindex", "asked": {}}, {}, False),
        ({"operation": "reindex", "asked": {}}, {"operations": ("reindex",)}, True),
        ({"operation": "fts_optimize", "asked": {"rebuild": True}, "parameters": {"rebuild": True}}, {}, False),
        (
            {"operation": "fts_optimize", "asked": {"rebuild": True}, "parameters": {"rebuild": True}},
            {"operations": ("fts_optimize",)},
            False,
        ),
        (
            {"operation": "fts_optimize", "asked": {"rebuild": True}, "parameters": {"rebuild": True}},
            {"operations": ("fts_optimize",), "parameters": {"fts_optimize": {"rebuild": True}}},
            True,
        ),
        # what the operation would not take
        ({"operation": "reindex", "parameters": {"indexes": 7}}, {}, False),
        ({"operation": "reindex", "parameters": {"nosuch": True}}, {}, False),
    ],
)
def test_planning_goes_on_only_with_what_it_may(
    planned: Callable[..., DatabasePlan],
    history: History,
    left: dict[str, Any],
    request_: dict[str, Any],
    taken: bool,
) -> None:
    """The history gives no orders: nothing is done that this run would not do by itself, or is asked for."""
    history.defer(UnfinishedStep(**{"database": HERE, "at": NOW, "reason": "time limit", "parameters": {}, **left}))
    made = planned(inspection(waste=0.0, schema=SchemaFacts(foreign_keys=1)), **request_)
    assert [step.operation for step in made.steps if step.continued] == ([left["operation"]] if taken else [])
    if not taken and "operations" not in request_ and "everything" not in request_:
        assert due(made) == []


def test_planning_puts_what_was_left_before_its_equals(planned: Callable[..., DatabasePlan], history: History) -> None:
    """Of the checks, the one that an earlier run left is made first."""
    history.defer(UnfinishedStep(database=HERE, operation="quick_check", at=NOW, reason="time limit", parameters={}))
    made = planned(inspection(waste=0.0, schema=SchemaFacts(foreign_keys=1)), checks=True)
    assert due(made) == ["quick_check", "foreign_key_check"]


def test_planning_goes_on_with_what_was_left_rather_than_with_what_is_preferred(
    planned: Callable[..., DatabasePlan], history: History
) -> None:
    """Half of an incremental vacuum is finished before a rebuild is thought of."""
    history.defer(
        UnfinishedStep(database=HERE, operation="incremental_vacuum", at=NOW, reason="time limit", parameters={})
    )
    made = planned(inspection(waste=0.6, free=0.1, auto_vacuum="incremental"))
    assert due(made) == ["incremental_vacuum"]
    assert step_of(made, "vacuum").why.startswith("incremental_vacuum is chosen")


def test_planning_leaves_others_remainders_alone(planned: Callable[..., DatabasePlan], history: History) -> None:
    """What was left of one database is nothing to another."""
    history.defer(
        UnfinishedStep(database="sqlite:/other", operation="analyze", at=NOW, reason="time limit", parameters={})
    )
    assert due(planned(inspection(waste=0.0))) == []


def test_maintenance_plan_begins_with_what_was_left() -> None:
    """Databases on which an earlier run left something come first; the others keep their order."""
    step = PlannedStep(operation="analyze", run=True, why="left", continued=True)
    plans = [DatabasePlan(database=name, resource=name) for name in ("a", "b")]
    left = DatabasePlan(database="c", resource="c", steps=(step,))
    made = MaintenancePlan.of([*plans, left], MaintenanceRequest())
    assert [entry.database for entry in made.databases] == ["c", "a", "b"]
