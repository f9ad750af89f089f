"""The engine: inspect, plan, run, inspect again, and what is kept of it. Real databases, jobs in this process."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from maintaining import ends, run

import pitstop
from pitstop.errors import InvalidJobError, UnknownNameError
from pitstop.jobs import Result
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.maintenance.engine import MAP, Maintenance, PlannedDatabase, check_saved, maintain
from pitstop_database_maintenance.maintenance.outcome import StepStatus
from pitstop_database_maintenance.planning.plan import MaintenancePlan, MaintenanceRequest

WORKER = "database_maintenance_operation"


def test_maintain_does_what_pays_and_measures_again(bloated: Path, seen: Any) -> None:
    """A program gets what came of each database: before, predicted, after, with all rows as they were."""
    before = seen.rows(bloated)
    (outcome,) = maintain([bloated], store="none", runner=pitstop.InlineRunner())
    assert outcome.end is StepStatus.COMPLETED
    assert ends(outcome)["vacuum"] == "completed"
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.after.bytes == bloated.stat().st_size < outcome.before.bytes
    assert outcome.given_back == outcome.before.bytes - outcome.after.bytes
    vacuum = next(step for step in outcome.steps if step.operation == "vacuum")
    assert vacuum.given_back == pytest.approx(vacuum.predicted["gain"], rel=0.1)
    assert vacuum.seconds is not None
    assert vacuum.writer_stall is not None
    assert vacuum.job
    assert seen.rows(bloated) == before
    assert json.loads(json.dumps(outcome.to_document()))["end"] == "completed"


def test_maintain_a_second_time_finds_nothing_due(bloated: Path) -> None:
    """What was done is not due again, and every operation says why it is not."""
    maintain([bloated], store="none", runner=pitstop.InlineRunner())
    (outcome,) = maintain([bloated], store="none", runner=pitstop.InlineRunner())
    assert outcome.end is StepStatus.NOT_PLANNED
    assert outcome.planned == ()
    assert all(step.reason for step in outcome.steps)
    assert outcome.before == outcome.after


def test_run_tells_of_a_failure_and_goes_on(engine: Callable[..., Maintenance], bloated: Path, registry: Any) -> None:
    """A step that fails has its error, and the next one runs."""

    def explode(db: Database) -> None:
        raise ValueError("boom")

    registry.add_operation(WORKER, "sqlite.explode", explode)
    (outcome,) = run(engine(operations=("explode", "analyze")), bloated)
    assert ends(outcome) == {"explode": "failed", "analyze": "completed"}
    assert outcome.end is StepStatus.FAILED
    assert "boom" in outcome.steps[0].summary


def test_run_refuses_an_unknown_operation_before_anything(engine: Callable[..., Maintenance], bloated: Path) -> None:
    """Nothing is looked at or started."""
    with pytest.raises(UnknownNameError, match="vacum"):
        run(engine(operations=("vacum",)), bloated)


def test_maps_are_kept_before_and_after(engine: Callable[..., Maintenance], bloated: Path) -> None:
    """The report finds two maps of a run, in the agreed form; a run that did nothing leaves none."""
    made = engine()
    (outcome,) = run(made, bloated, map_cells=64)
    with History() as history:
        after, before = (kept.data for kept in history.snapshots(outcome.resource, MAP))
        assert (before["when"], after["when"]) == ("before", "after")
        assert before["run"] == after["run"] == outcome.run
        assert before["waste"] > after["waste"]
        assert before["bytes"] > after["bytes"] == bloated.stat().st_size
        assert {kind for kind, _ in before["cells"]} >= {"free", "table"}
        assert all(0 <= unused <= 1 for _, unused in before["cells"])
    run(engine(), bloated, map_cells=64)
    with History() as history:
        assert len(history.snapshots(outcome.resource, MAP)) == 2


def test_steps_are_kept_with_what_was_predicted(engine: Callable[..., Maintenance], bloated: Path) -> None:
    """The history holds each step's prediction and figures under the run's id."""
    (outcome,) = run(engine(), bloated)
    with History() as history:
        steps = {step.operation: step for step in history.steps(database=outcome.resource)}
    assert steps["vacuum"].run == outcome.run
    assert steps["vacuum"].predicted["gain"] > 0
    assert steps["vacuum"].data["free_pages_after"] == 0


def test_a_saved_plan_is_run_as_it_says(engine: Callable[..., Maintenance], bloated: Path, registry: Any) -> None:
    """Through its document and back, a plan does what it said, although more would be due."""
    made = engine(operations=("analyze",))
    plan = MaintenancePlan.of((one.plan for one in made.plan([str(bloated)])), made.request)
    saved = MaintenancePlan.from_document(json.loads(json.dumps(plan.to_document())))
    again = engine(operations=("analyze",))
    looked = check_saved(saved, list(again.plan([str(bloated)])), lookup=registry)
    (outcome,) = again.run(looked)
    assert ends(outcome) == {"analyze": "completed"}


def test_a_saved_plan_is_refused_after_too_much_has_changed(
    engine: Callable[..., Maintenance], bloated: Path, registry: Any
) -> None:
    """A new table, for one, is a change that the plan knew nothing of; the database is named."""
    made = engine()
    plan = MaintenancePlan.of((one.plan for one in made.plan([str(bloated)])), made.request)
    with closing(sqlite3.connect(bloated)) as connection:
        connection.execute("CREATE TABLE later (a)")
    with pytest.raises(InvalidJobError, match=r"no longer fits: .*app\.db"):
        check_saved(plan, list(engine().plan([str(bloated)])), lookup=registry)


def test_a_run_without_history_still_runs(registry: pitstop.Registry, bloated: Path) -> None:
    """Where no history can be had, only what depends on it is missing."""
    with pitstop.Orchestrator(pitstop.open_store("none"), registry=registry) as orchestrator:
        made = Maintenance(
            registry, lambda: orchestrator, request=MaintenanceRequest(operations=("analyze",)), history=None
        )
        (outcome,) = run(made, bloated)
    assert ends(outcome) == {"analyze": "completed"}


def test_looked_is_told_of_although_nothing_is_due(
    engine: Callable[..., Maintenance], make: Callable[..., Path]
) -> None:
    """A refused database and one on which nothing is due are told of, without a job."""
    made = engine()
    looked: list[PlannedDatabase] = list(made.plan([str(make("CREATE TABLE t (a)")), "/nowhere.db"]))
    outcomes = made.run(looked)
    assert [one.end for one in outcomes] == [StepStatus.NOT_PLANNED, StepStatus.FAILED]
    assert "not found" in outcomes[1].refused
    assert made.roots == []


def test_each_of_several_steps_of_one_operation_has_its_own_end(
    engine: Callable[..., Maintenance], bloated: Path, registry: Any
) -> None:
    """A plan may have an operation more than once: a first that fails is not told as the second that completed."""
    calls: list[str] = []

    def odd(db: Database, *, word: str) -> Result:
        calls.append(word)
        if word == "first":
            raise ValueError("boom")
        return Result.changed(word)

    registry.add_operation(WORKER, "sqlite.odd", odd)
    made = engine(operations=("odd",), parameters={"odd": {"word": "first"}})
    (looked,) = made.plan([str(bloated)])
    (step,) = looked.plan.steps
    steps = (step, evolve(step, parameters={"word": "second"}), evolve(step, parameters={"word": "third"}))
    (outcome,) = made.run([evolve(looked, plan=evolve(looked.plan, steps=steps))])
    assert calls == ["first", "second", "third"]
    assert [one.end for one in outcome.steps] == [StepStatus.FAILED, StepStatus.COMPLETED, StepStatus.COMPLETED]
    assert [one.summary for one in outcome.steps[1:]] == ["second", "third"]
    assert outcome.end is StepStatus.FAILED
    assert not outcome.is_settled


def test_what_is_unfit_costs_no_other(engine: Callable[..., Maintenance], bloated: Path, make: Any) -> None:
    """A database whose jobs would be refused is a failure of its own; the others are worked on."""
    other = make("CREATE TABLE t (a)", name="other.db")
    made = engine(operations=("analyze",))
    looked = list(made.plan([str(bloated), str(other)]))
    other.unlink()
    outcomes = made.run(looked)
    assert [one.end for one in outcomes] == [StepStatus.COMPLETED, StepStatus.FAILED]
    assert "was not found" in outcomes[1].steps[0].summary


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (lambda path: path.unlink(missing_ok=True), "was not found"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("something else " * 100), "is not a SQLite database"),
    ],
    ids=["it goes", "it is emptied", "another comes"],
)
def test_what_becomes_unfit_before_its_jobs_are_stored_is_no_wrong_input(
    engine: Callable[..., Maintenance],
    bloated: Path,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[Path], object],
    told: str,
) -> None:
    """What was asked for is as right as before: it is a failure of that database, and the others are worked on."""
    other = make("CREATE TABLE t (a)", name="other.db")
    made = engine(operations=("analyze",))
    looked = list(made.plan([str(bloated), str(other)]))
    submit = made.orchestrator.submit

    def late(*arguments: Any, **settings: Any) -> Any:
        happens(other)
        return submit(*arguments, **settings)

    monkeypatch.setattr(made.orchestrator, "submit", late)
    outcomes = made.run(looked)
    assert [one.end for one in outcomes] == [StepStatus.COMPLETED, StepStatus.FAILED]
    assert told in outcomes[1].steps[0].summary


def test_what_is_refused_of_fit_databases_is_wrong_input(
    engine: Callable[..., Maintenance], bloated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is the request, which is told as that."""
    made = engine(operations=("analyze",))
    looked = list(made.plan([str(bloated)]))

    def refuse(*arguments: Any, **settings: Any) -> Any:
        raise InvalidJobError(reason="not like this")

    monkeypatch.setattr(made.orchestrator, "submit", refuse)
    with pytest.raises(InvalidJobError, match="not like this"):
        made.run(looked)
