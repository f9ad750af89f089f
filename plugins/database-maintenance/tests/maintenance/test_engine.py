"""The engine: inspect, plan, run, inspect again, and what is kept of it. Real databases, jobs in this process."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import pitstop
from pitstop.errors import InvalidJobError, OperationError, TransientError, UnknownNameError
from pitstop.jobs import Result
from pitstop.operations import operation_of
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Prediction, Worth
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.databases.errors import LockWaitOverError
from pitstop_database_maintenance.history import VARIABLE, History, UnfinishedStep
from pitstop_database_maintenance.maintenance.engine import MAP, Maintenance, PlannedDatabase, check_saved, maintain
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome, StepStatus
from pitstop_database_maintenance.planning.plan import MaintenancePlan, MaintenanceRequest
from pitstop_database_maintenance.sqlite.assessments import space, statistics
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure, damage_error
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

WORKER = "database_maintenance_operation"
CHECKS = ("quick_check", "integrity_check", "foreign_key_check", "fts_check")


@pytest.fixture(autouse=True)
def history_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The history of each test is its own."""
    path = tmp_path / "state" / "maintenance.db"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


@pytest.fixture
def registry() -> pitstop.Registry:
    return pitstop.Registry()


@pytest.fixture
def engine(registry: pitstop.Registry) -> Iterator[Callable[..., Maintenance]]:
    """Make engines whose jobs run in this process; their orchestrators are closed at the end."""
    started: list[Any] = []

    def made(**request: Any) -> Maintenance:
        def start() -> pitstop.Orchestrator:
            orchestrator = pitstop.Orchestrator(pitstop.open_store("none"), registry=registry)
            started.append(orchestrator)
            return orchestrator

        history = History()
        started.append(history)
        return Maintenance(registry, start, request=MaintenanceRequest(**request), history=history)

    yield made
    for one in started:
        one.close()


def run(engine: Maintenance, *paths: Path, **settings: Any) -> list[DatabaseOutcome]:
    """Look, and run what was planned."""
    return engine.run(list(engine.look([str(path) for path in paths], **settings)), **settings)


def ends(outcome: DatabaseOutcome) -> dict[str, str]:
    """Return how the planned steps ended."""
    return {step.operation: step.end.value for step in outcome.planned}


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
    (looked,) = made.look([str(bloated)])
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
    (looked,) = made.look([str(bloated)])
    run_it = evolve(looked.plan.steps[0], run=True)
    made.run([evolve(looked, plan=evolve(looked.plan, steps=(run_it,)))])
    assert told == [0.05]


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
    plan = MaintenancePlan.of((one.plan for one in made.look([str(bloated)])), made.request)
    saved = MaintenancePlan.from_document(json.loads(json.dumps(plan.to_document())))
    again = engine(operations=("analyze",))
    looked = check_saved(saved, list(again.look([str(bloated)])), lookup=registry)
    (outcome,) = again.run(looked)
    assert ends(outcome) == {"analyze": "completed"}


def test_a_saved_plan_is_refused_after_too_much_has_changed(
    engine: Callable[..., Maintenance], bloated: Path, registry: Any
) -> None:
    """A new table, for one, is a change that the plan knew nothing of; the database is named."""
    made = engine()
    plan = MaintenancePlan.of((one.plan for one in made.look([str(bloated)])), made.request)
    with closing(sqlite3.connect(bloated)) as connection:
        connection.execute("CREATE TABLE later (a)")
    with pytest.raises(InvalidJobError, match=r"no longer fits: .*app\.db"):
        check_saved(plan, list(engine().look([str(bloated)])), lookup=registry)


def test_a_run_without_history_still_runs(registry: pitstop.Registry, bloated: Path) -> None:
    """Where no history can be had, only what depends on it is missing."""
    with pitstop.Orchestrator(pitstop.open_store("none"), registry=registry) as orchestrator:
        made = Maintenance(
            registry, lambda: orchestrator, request=MaintenanceRequest(operations=("analyze",)), history=None
        )
        (outcome,) = run(made, bloated)
    assert ends(outcome) == {"analyze": "completed"}


def test_what_an_earlier_run_left_comes_first(engine: Callable[..., Maintenance], make: Callable[..., Path]) -> None:
    """Of several databases those are begun first of which something was left."""
    paths = [make("CREATE TABLE t (a)", name=f"{name}.db") for name in "abc"]
    made = engine(operations=("analyze",))
    looked = list(made.look([str(path) for path in paths]))
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


def test_looked_is_told_of_although_nothing_is_due(
    engine: Callable[..., Maintenance], make: Callable[..., Path]
) -> None:
    """A refused database and one on which nothing is due are told of, without a job."""
    made = engine()
    looked: list[PlannedDatabase] = list(made.look([str(make("CREATE TABLE t (a)")), "/nowhere.db"]))
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
    (looked,) = made.look([str(bloated)])
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
    looked = list(made.look([str(bloated), str(other)]))
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
    looked = list(made.look([str(bloated), str(other)]))
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
    looked = list(made.look([str(bloated)]))

    def refuse(*arguments: Any, **settings: Any) -> Any:
        raise InvalidJobError(reason="not like this")

    monkeypatch.setattr(made.orchestrator, "submit", refuse)
    with pytest.raises(InvalidJobError, match="not like this"):
        made.run(looked)


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
