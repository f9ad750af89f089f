"""What a run may take: its time, its stalls, and what the next run goes on with."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from maintaining import ends, run

from pitstop.jobs import Result
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Prediction, Worth
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.history import History, UnfinishedStep
from pitstop_database_maintenance.maintenance.engine import Maintenance
from pitstop_database_maintenance.maintenance.outcome import StepStatus

WORKER = "database_maintenance_operation"


class Sliced:
    """An operation in slices, as a stranger would write it: five of them, and it looks at the time between two."""

    def __init__(self, *, then: Callable[[int], object] = lambda number: None) -> None:
        self.done: list[int] = []
        self._then = then

    def __call__(self, db: Database, *, start: int = 0) -> Result:
        """Do slice after slice."""
        for number in range(start, 5):
            if not db.limits.time_left():
                return Result.changed("some slices", stopped_by="time limit", left={"start": number})
            self.done.append(number)
            self._then(number)
        return Result.changed("all slices")


def test_time_limit_leaves_the_rest_and_the_next_run_continues(
    engine: Callable[..., Maintenance], bloated: Path, registry: Any
) -> None:
    """A step that stops for want of time is left with its parameters; the next run begins there and says so."""
    first = engine(operations=("slices", "analyze"), time_limit=3600.0)
    slices = Sliced(then=lambda number: setattr(clock, "over", number == 2))

    class Clock:
        over = False

    clock = Clock()
    registry.add_operation(WORKER, "sqlite.slices", slices)
    real = time.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "pitstop_database_maintenance.databases.limits.time.time", lambda: real() + (7200 if clock.over else 0)
        )
        (outcome,) = run(first, bloated)
    assert slices.done == [0, 1, 2]
    assert ends(outcome) == {"slices": "time limit", "analyze": "time limit"}
    assert outcome.end is StepStatus.TIME_LIMIT
    with History() as history:
        left = {entry.operation: dict(entry.parameters) for entry in history.deferred_steps()}
    assert left == {"slices": {"start": 3}, "analyze": {}}
    run(engine(), bloated)
    assert slices.done == [0, 1, 2]  # nobody asked this run for it
    (outcome,) = run(engine(operations=("slices", "analyze")), bloated)
    assert slices.done == [0, 1, 2, 3, 4]
    continued = {step.operation: step.reason for step in outcome.planned if step.continued}
    assert set(continued) == {"slices"}
    assert "left over on" in continued["slices"]
    with History() as history:
        assert history.deferred_steps() == []


def test_time_limit_that_is_over_starts_nothing(engine: Callable[..., Maintenance], bloated: Path, seen: Any) -> None:
    """When the time is over, no step begins, the file is as it was, and all of it is left."""
    content = seen.content(bloated)
    made = engine(operations=("vacuum", "analyze"))
    made.until = time.time() - 1
    (outcome,) = run(made, bloated)
    assert set(ends(outcome).values()) == {"time limit"}
    assert seen.content(bloated) == content
    with History() as history:
        assert {entry.operation for entry in history.deferred_steps()} == {"vacuum", "analyze"}


def test_time_limit_keeps_what_cannot_be_stopped_from_beginning(
    engine: Callable[..., Maintenance], bloated: Path, registry: Any
) -> None:
    """What is predicted to take longer than is left, and cannot be cancelled, does not begin, even if planned."""
    began: list[str] = []

    def assess(look: Look) -> Assessment:
        cost = Prediction(seconds=100.0, cancellable=False)
        return Assessment(worth=Worth.YES, reason="always", prediction=cost)

    registry.add_operation(WORKER, "sqlite.endless", lambda db: began.append("endless"))
    made = engine(operations=("endless",))
    (looked,) = made.plan([str(bloated)])
    step = evolve(looked.plan.steps[0], assessment=assess(Look(database="", inspection=None, history=None)))  # type: ignore[arg-type]
    made.until = time.time() + 110
    (outcome,) = made.run([evolve(looked, plan=evolve(looked.plan, steps=(step,)))])
    assert began == []
    assert ends(outcome) == {"endless": "time limit"}
    assert "cannot be stopped, is expected to take 100.0 s" in outcome.steps[0].summary
    made.until = time.time() + 140
    made.run([evolve(looked, plan=evolve(looked.plan, steps=(step,)))])
    assert began == ["endless"]


def test_time_limit_leaves_what_was_not_planned_for_want_of_time(
    engine: Callable[..., Maintenance], bloated: Path
) -> None:
    """A vacuum that does not fit in beside the rest is noted for the next run, which takes it up first."""
    made = engine(operations=("vacuum",), time_limit=0.001)
    (outcome,) = run(made, bloated)
    (step,) = outcome.steps
    assert step.end is StepStatus.LEFT_OUT
    assert step.cause is Cause.TIME
    assert step.denied
    assert "does not fit into" in step.reason
    assert step.left_out
    with History() as history:
        assert [entry.operation for entry in history.deferred_steps()] == ["vacuum"]
    (outcome,) = run(engine(operations=("vacuum",)), bloated)
    assert [step.operation for step in outcome.planned if step.continued] == ["vacuum"]


def test_max_stall_reaches_the_job_and_leaves_out_what_breaks_it(
    engine: Callable[..., Maintenance], bloated: Path, registry: Any
) -> None:
    """What would keep writers waiting for longer is left out with the figure; what runs is told the limit."""
    told: list[float | None] = []
    registry.add_operation(WORKER, "sqlite.tell", lambda db: told.append(db.limits.max_stall))
    (outcome,) = run(engine(max_stall=0.0001), bloated)
    assert ends(outcome) == {}
    reason = next(s.reason for s in outcome.steps if s.operation == "vacuum" and s.left_out)
    assert "more than the 0.1 ms allowed" in reason
    made = engine(operations=("tell",), max_stall=0.05)
    (looked,) = made.plan([str(bloated)])
    run_it = evolve(looked.plan.steps[0], run=True)
    made.run([evolve(looked, plan=evolve(looked.plan, steps=(run_it,)))])
    assert told == [0.05]


def test_what_an_earlier_run_left_comes_first(engine: Callable[..., Maintenance], make: Callable[..., Path]) -> None:
    """Of several databases those are begun first of which something was left."""
    paths = [make("CREATE TABLE t (a)", name=f"{name}.db") for name in "abc"]
    made = engine(operations=("analyze",))
    looked = list(made.plan([str(path) for path in paths]))
    assert made.history is not None
    made.history.defer(
        UnfinishedStep(
            database=looked[2].plan.resource, operation="analyze", at=1.0, reason="time limit", parameters={}
        )
    )
    outcomes = run(engine(operations=("analyze",)), *paths)
    assert [Path(one.database).name for one in outcomes] == ["a.db", "b.db", "c.db"]
    with History() as history:
        order = [Path(step.database).name for step in reversed(history.steps(operation="analyze"))]
    assert order[0] == "c.db"
