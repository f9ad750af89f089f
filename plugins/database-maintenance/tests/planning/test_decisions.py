"""A decision is a cause with figures, and its sentence follows from these."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.history import History, UnfinishedStep
from pitstop_database_maintenance.planning.decisions import Decision
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenanceRequest, PlannedStep
from pitstop_database_maintenance.planning.planner import plan_database
from pitstop_database_maintenance.planning.secrecy import collect_secrets, mask_plan

from ..assessing import NOW, inspection


@pytest.fixture
def history() -> Iterator[History]:
    with History(":memory:") as kept:
        yield kept


@pytest.mark.parametrize(
    ("decision", "sentence"),
    [
        (Decision(cause=Cause.PAYS, detail="34 % is waste"), "34 % is waste"),
        (Decision(cause=Cause.ASKED_FOR), "asked for"),
        (Decision(cause=Cause.ASKED_FOR, detail="34 % is waste"), "asked for; 34 % is waste"),
        (
            Decision(cause=Cause.STALL, affected="readers", seconds=3.0, allowed=0.05),
            "it would keep readers waiting for 3.0 s, more than the 50 ms allowed",
        ),
        (
            Decision(cause=Cause.STALL, allowed=0.05),
            "nothing tells how long it would keep writers waiting, and 50 ms are allowed",
        ),
        (
            Decision(cause=Cause.TIME, seconds=90.0, allowed=60.0),
            "it would take 1 min 30 s and cannot be stopped, which does not fit into the 1 min allowed",
        ),
        (
            Decision(cause=Cause.PUT_OFF, seconds=9.0, allowed=60.0, before=55.0),
            "it would take 9.0 s and cannot be stopped, which does not fit into the 1 min allowed after 55.0 s of other"
            " work",
        ),
        (Decision(cause=Cause.TIME), "it cannot be stopped once it runs, and nothing tells how long it takes"),
        (Decision(cause=Cause.SERVED, instead="compact"), "compact is chosen"),
        (
            Decision(cause=Cause.SERVED, instead="compact", gain=1000, gain_instead=2_000_000),
            "compact is chosen, which gives back 2.0 MB instead of 1.0 kB",
        ),
    ],
)
def test_a_sentence_follows_from_the_cause_and_its_figures(decision: Decision, sentence: str) -> None:
    """No sentence is kept beside them."""
    assert str(decision) == sentence


def step(history: History, name: str, **request: Any) -> PlannedStep:
    """Return a step of the plan for a database of 300 MB, of which 40 % are waste."""
    from pitstop import Registry

    plan = plan_database(
        "/data/app.db", inspection(), MaintenanceRequest(**request), lookup=Registry(), history=history
    )
    return next(step for step in plan.steps if step.operation == name)


@pytest.mark.parametrize(
    ("name", "request_", "expected"),
    [
        ("vacuum", {}, {"cause": Cause.PAYS}),
        ("backup", {}, {"cause": Cause.BY_NAME_ONLY}),
        ("vacuum", {"operations": ("vacuum",)}, {"cause": Cause.ASKED_FOR}),
        ("vacuum", {"max_stall": 0.05}, {"cause": Cause.STALL, "affected": "writers", "allowed": 0.05}),
        ("vacuum", {"time_limit": 0.5}, {"cause": Cause.TIME, "allowed": 0.5, "before": 0.0}),
        ("compact", {}, {"cause": Cause.DECLARATION}),
        (
            "vacuum",
            {"everything": True, "thresholds": {"compact": {"offline": True}}},
            {"cause": Cause.SERVED, "instead": "compact"},
        ),
        ("vacuum", {"thresholds": {"space": {"high_from": 0.9}}}, {"cause": Cause.POLICY}),
    ],
)
def test_a_step_carries_its_decision(
    history: History, name: str, request_: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A program asks for the cause and the figures; the sentence is for people."""
    found = step(history, name, **request_)
    assert {key: getattr(found.decision, key) for key in expected} == expected
    assert found.cause is expected["cause"]
    assert found.why == str(found.decision)


def test_what_was_left_over_says_since_when(history: History) -> None:
    """Beside what its assessment says now."""
    left = UnfinishedStep(
        database="sqlite:/data/app.db", operation="vacuum", at=NOW, reason="time limit", parameters={}, asked=None
    )
    history.defer(left)
    found = step(history, "vacuum").decision
    assert (found.cause, found.left_at, found.left_because) == (Cause.LEFT_OVER, NOW, "time limit")


def test_a_decision_shows_no_secret() -> None:
    """Neither what somebody said of the step nor what ended an earlier run."""
    decision = Decision(cause=Cause.LEFT_OVER, detail="hunter2", left_at=NOW, left_because="no room for hunter2")
    step = PlannedStep(operation="vacuum", run=True, why=str(decision), decision=decision)
    plan = DatabasePlan(database="acme://app:hunter2@host/shelf", resource="acme", steps=(step,))
    shown = mask_plan(plan, collect_secrets([plan.database], MaintenanceRequest())).shown_document()
    assert "hunter2" not in json.dumps(shown)
    assert shown["steps"][0]["cause"] == "left over"


def test_what_is_put_off_says_after_how_much_other_work(history: History) -> None:
    """Only the whole of the plan does not fit into the time."""
    alone = step(history, "vacuum", operations=("vacuum",)).prediction.seconds
    assert alone is not None
    found = step(history, "vacuum", operations=("quick_check", "vacuum"), time_limit=1.3 * alone + 0.01).decision
    assert found.cause is Cause.PUT_OFF
    assert found.seconds == pytest.approx(alone, abs=0.5)
    assert found.before > 0
