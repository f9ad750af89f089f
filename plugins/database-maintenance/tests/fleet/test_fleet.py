"""Many databases: which share a job, what is tried again alone, and what is counted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import pitstop
from pitstop.jobs import Job
from pitstop_database_maintenance.fleet import batching, fleet
from pitstop_database_maintenance.fleet.fleet import Fleet
from pitstop_database_maintenance.fleet.summary import NAMED, FleetSummary
from pitstop_database_maintenance.fleet.unchanged import UnchangedFiles, digest_rules
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.maintenance.engine import Maintenance
from pitstop_database_maintenance.maintenance.outcome import StepStatus
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.worker import batch

WORKER = "database_maintenance_operation"
_tallies: list[FleetSummary] = []


@pytest.fixture(autouse=True)
def close_tallies() -> Iterator[None]:
    yield
    while _tallies:
        _tallies.pop().close()


def engine_of(orchestrator: pitstop.Orchestrator, history: History, **request: Any) -> Maintenance:
    """Return an engine for a request."""
    return Maintenance(
        orchestrator.registry, lambda: orchestrator, request=MaintenanceRequest(**request), history=history
    )


def maintain(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str], *, remember: bool = True, **request: Any
) -> FleetSummary:
    """Maintain a fleet as the command does, and return the sums."""
    engine = engine_of(orchestrator, history, **request)
    rules = digest_rules(engine.request, orchestrator.registry)
    seen = UnchangedFiles(history, rules, lookup=orchestrator.registry) if remember and rules else None
    again, never = seen.select_changed(files) if seen else ([], files)
    tally = FleetSummary(files=len(files), unchanged=len(files) - len(again) - len(never), keep=True)
    _tallies.append(tally)
    Fleet(engine, processes=2, seen=seen).run(again, never, tally)
    return tally


def test_fleet_does_only_what_is_worth_it(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str], seen: Any
) -> None:
    """The wasteful ones are rebuilt with their rows as they were, the others are not touched."""
    before = {name: (seen.content(Path(name)), seen.rows(Path(name))) for name in files}
    tally = maintain(orchestrator, history, files)
    assert tally.ends == {StepStatus.NOT_PLANNED: 3, StepStatus.COMPLETED: 3}
    assert tally.operations["vacuum"].steps == 3
    assert tally.given_back == tally.operations["vacuum"].given_back > 0
    assert tally.operations["vacuum"].predicted_back == pytest.approx(tally.given_back, rel=0.2)
    for number, name in enumerate(files):
        assert seen.rows(Path(name)) == before[name][1]
        assert (seen.content(Path(name)) == before[name][0]) == (number % 2 == 0)
    document = json.loads(json.dumps(tally.to_document()))
    assert document["ends"] == {"not planned": 3, "completed": 3}
    ends = {Path(entry["database"]).name: entry["end"] for entry in map(json.loads, tally.documents())}
    assert ends == {f"{number}.db": "completed" if number % 2 else "not planned" for number in range(6)}
    assert len(tally.most) == 3


def test_fleet_shares_jobs_among_small_databases(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small databases share jobs; larger ones have a parent and a job for each operation, as a single one has."""
    engine = engine_of(orchestrator, history)
    Fleet(engine, processes=1).run([], files[:4], FleetSummary())
    jobs = engine.tree(engine.roots[0])
    assert [batch.KEY in job.job.config for job in jobs] == [False, True, True]
    monkeypatch.setattr(batching, "SMALL", 0)
    engine = engine_of(orchestrator, history)
    Fleet(engine, processes=1).run([], files[4:], FleetSummary())
    assert [job.job.name for job in engine.tree(engine.roots[0])] == ["1 database", "5.db", "vacuum"]


def test_fleet_next_run_does_nothing(orchestrator: pitstop.Orchestrator, history: History, files: list[str]) -> None:
    """On a second run no file is looked at; one that has changed since is."""
    maintain(orchestrator, history, files)
    tally = maintain(orchestrator, history, files)
    assert (tally.unchanged, tally.looked_at) == (6, 0)
    with closing(sqlite3.connect(files[0])) as connection, connection:
        connection.execute("DELETE FROM t WHERE id % 2")
    tally = maintain(orchestrator, history, files)
    assert (tally.unchanged, tally.looked_at, tally.ends) == (5, 1, {StepStatus.COMPLETED: 1})


def test_fleet_inspects_again_by_other_rules(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str]
) -> None:
    """Other thresholds, and what is asked for by name, make a new decision for every file."""
    maintain(orchestrator, history, files)
    assert maintain(orchestrator, history, files, thresholds={"space": {"high_from": 0.4}}).looked_at == 6
    assert maintain(orchestrator, history, files, operations=("analyze",)).done == 6


def test_fleet_failure_of_one_stops_no_other(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str]
) -> None:
    """What fails in a shared job is tried again alone, with a record and an error of its own, and is told by name."""

    def picky(db: Any) -> None:
        if db.path.endswith("3.db"):
            raise ValueError("not this one")

    orchestrator.registry.add_operation(WORKER, "sqlite.picky", picky)
    tally = maintain(orchestrator, history, files, operations=("analyze", "picky"))
    assert tally.ends == {StepStatus.COMPLETED: 5, StepStatus.FAILED: 1}
    (failure,) = tally.failures
    assert failure.database.endswith("3.db")
    assert {step.operation: step.end.value for step in failure.steps} == {"analyze": "completed", "picky": "failed"}
    picky_step = next(step for step in failure.steps if step.operation == "picky")
    assert "not this one" in orchestrator.store.get(picky_step.job).error.message  # type: ignore[union-attr]


def test_fleet_waits_for_a_lock_within_one_budget(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str], raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was waited in a shared job counts when it is tried again alone: it is one run on one database."""
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.1)
    for module in ("worker.worker", "maintenance.engine"):
        monkeypatch.setattr(f"pitstop_database_maintenance.{module}.LOCK_WAIT", 0.15)
    raw(files[3]).execute("BEGIN IMMEDIATE")
    tally = maintain(orchestrator, history, files, operations=("analyze",))
    assert tally.ends == {StepStatus.COMPLETED: 5, StepStatus.FAILED: 1}
    steps = history.steps(database=SQLiteDatabase.resource(files[3]), unfinished=True)
    waits = [step.figure("waited") or 0.0 for step in reversed(steps)]
    assert len({step.run for step in steps}) == 2
    assert waits[0] >= 0.1
    # each step may overrun by the sleep in which its time was over, and none begins to wait after that
    overrun = next(place for place in range(len(waits)) if sum(waits[: place + 1]) >= 0.15)
    assert waits[overrun + 1 :] == [0.0] * len(waits[overrun + 1 :])


def test_fleet_counts_what_cannot_be_looked_at(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str]
) -> None:
    """A file that is no database is a failure of its own."""
    Path(files[2]).write_bytes(b"no database at all, but long enough to be looked at" * 100)
    tally = maintain(orchestrator, history, files)
    assert tally.ends == {StepStatus.NOT_PLANNED: 2, StepStatus.COMPLETED: 3, StepStatus.FAILED: 1}
    assert "not a SQLite database" in tally.failures[0].refused
    assert maintain(orchestrator, history, files).looked_at == 1


def test_fleet_names_only_the_first_failures(
    history: History, orchestrator: pitstop.Orchestrator, tmp_path: Path
) -> None:
    """However many fail, what is kept in memory is bounded, and the sum is right."""
    files = []
    for number in range(NAMED + 5):
        path = tmp_path / f"{number}.db"
        path.write_bytes(b"no database at all" * 100)
        files.append(str(path))
    tally = maintain(orchestrator, history, files)
    assert tally.failed == NAMED + 5
    assert len(tally.failures) == NAMED
    assert len(list(tally.documents())) == NAMED + 5


def test_fleet_after_a_crash_does_the_rest_alone(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a shared job is lost, what it had done is taken from the history, and only the rest is done, alone."""
    real = batch._maintain

    def crash(worker: Any, job: Job, entry: Any, context: Any) -> dict[str, Any]:
        if entry["database"].endswith("3.db"):
            raise RuntimeError("the process is gone")
        return real(worker, job, entry, context)

    monkeypatch.setattr(batch, "_maintain", crash)
    monkeypatch.setattr(batching, "_groups", lambda entries, sizes, processes: iter([list(entries)]))
    tally = maintain(orchestrator, history, files)
    assert tally.ends == {StepStatus.NOT_PLANNED: 3, StepStatus.COMPLETED: 3}
    vacuums: dict[str, int] = {}
    for step in history.steps(operation="vacuum"):
        vacuums[Path(step.database).name] = vacuums.get(Path(step.database).name, 0) + 1
    assert vacuums == {"1.db": 1, "3.db": 1, "5.db": 1}


def test_fleet_that_was_stopped_goes_on_with_the_rest(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a stop between two waves the next run does what is left, and nothing twice."""
    monkeypatch.setattr(fleet, "WAVE", 1)
    engine = engine_of(orchestrator, history)
    seen = UnchangedFiles(history, digest_rules(engine.request, orchestrator.registry), lookup=orchestrator.registry)
    again, never = seen.select_changed(files)
    tally = FleetSummary(files=6)
    Fleet(engine, seen=seen, interrupted=lambda: bool(engine.roots)).run(again, never, tally)
    assert tally.interrupted
    assert tally.ends[StepStatus.COMPLETED] == 1
    assert tally.not_reached + tally.looked_at == 6
    tally = maintain(orchestrator, history, files)
    assert tally.ends[StepStatus.COMPLETED] == 2
    assert len(history.steps(operation="vacuum")) == 3


def test_fleet_out_of_time_leaves_the_rest(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str]
) -> None:
    """When the time is over nothing is begun; what was not looked at is counted as not reached."""
    engine = engine_of(orchestrator, history)
    engine.until = 1.0
    tally = FleetSummary(files=6)
    Fleet(engine).run([], files, tally)
    assert tally.out_of_time
    assert tally.done == 0
    assert tally.not_reached == 6 - tally.ends.get(StepStatus.NOT_PLANNED, 0)
    assert history.steps() == []


def test_fleet_stops_after_a_failure_if_told_to(
    registry: pitstop.Registry, orchestrator: pitstop.Orchestrator, history: History, files: list[str]
) -> None:
    """With on_error = stop no wave begins after one with a failure."""
    registry.add_operation(WORKER, "sqlite.explode", lambda db: 1 / 0)
    engine = Maintenance(
        registry,
        lambda: orchestrator,
        request=MaintenanceRequest(operations=("explode",)),
        history=history,
        options=pitstop.SubmitOptions(on_error="stop"),
    )
    tally = FleetSummary(files=6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet, "WAVE", 2)
        Fleet(engine).run([], files, tally)
    assert tally.failed >= 1
    assert tally.not_reached >= 2
