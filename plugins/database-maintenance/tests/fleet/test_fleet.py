"""Many databases: which share a job, what is tried again alone, what is not looked at again, and the sums."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import pitstop
from pitstop.errors import InvalidValueError, JobCancelledError, UnknownKeyError
from pitstop.jobs import Job, Result
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.fleet import batching, fleet
from pitstop_database_maintenance.fleet.fleet import Fleet
from pitstop_database_maintenance.fleet.summary import NAMED, FleetSummary
from pitstop_database_maintenance.fleet.unchanged import TRUSTED, UnchangedFiles, digest_rules, stamp_files
from pitstop_database_maintenance.history import VARIABLE, History, UnfinishedStep
from pitstop_database_maintenance.maintenance.engine import Maintenance
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome, State, StepOutcome, StepStatus
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.reporting.text.outcome import print_summary
from pitstop_database_maintenance.reporting.text.summary import format_summary
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.worker import batch

WORKER = "database_maintenance_operation"
_tallies: list[FleetSummary] = []


@pytest.fixture(autouse=True)
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    """The history of each test is its own."""
    path = tmp_path / "state" / "maintenance.db"
    monkeypatch.setenv(VARIABLE, str(path))
    with History(path) as opened:
        yield opened
    while _tallies:
        _tallies.pop().close()


@pytest.fixture
def registry() -> pitstop.Registry:
    return pitstop.Registry()


@pytest.fixture
def orchestrator(registry: pitstop.Registry) -> Iterator[pitstop.Orchestrator]:
    with pitstop.Orchestrator(pitstop.open_store("none"), registry=registry) as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path, bloated: Path) -> list[str]:
    """Six databases: three of which half is waste, and three healthy ones with statistics."""
    healthy = tmp_path / "healthy.db"
    shutil.copyfile(bloated, healthy)
    with closing(sqlite3.connect(healthy, isolation_level=None)) as connection:
        connection.execute("VACUUM")
        connection.execute("ANALYZE")
    with closing(sqlite3.connect(bloated, isolation_level=None)) as connection:
        connection.execute("DELETE FROM t WHERE id > 2000")
        connection.execute("ANALYZE")
    (tmp_path / "fleet").mkdir()
    made = []
    for number in range(6):
        path = tmp_path / "fleet" / f"{number}.db"
        shutil.copyfile(bloated if number % 2 else healthy, path)
        made.append(str(path))
    return made


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


def test_tally_takes_equals_that_ended_in_other_ways() -> None:
    """Databases that gave back the same, however they ended: the first of them stay."""

    def outcome(name: str, end: StepStatus, back: int) -> DatabaseOutcome:
        before, after = (State(bytes=size, free_bytes=0, waste=0.0) for size in (10_000, 10_000 - back))
        seconds = None if end in (StepStatus.CANCELLED, StepStatus.TIME_LIMIT) else 0.1
        steps = (StepOutcome(operation="vacuum", end=end, seconds=seconds),)
        return DatabaseOutcome(database=name, resource=name, before=before, after=after, steps=steps)

    ends = [
        StepStatus.COMPLETED,
        StepStatus.COMPLETED,
        StepStatus.FAILED,
        StepStatus.FAILED,
        StepStatus.CANCELLED,
        StepStatus.TIME_LIMIT,
    ]
    with FleetSummary(files=60) as tally:
        for number in range(60):
            tally.add(outcome(f"{number}", ends[number % len(ends)], 4096 if number % 3 else 1000))
    assert tally.operations["vacuum"].steps == 40, "what was to be run and never began is no step"
    assert [one.given_back for one in tally.most] == [4096] * NAMED
    assert tally.most[0].database == "1"


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


@pytest.mark.parametrize("number", [0, 1, 100, 101, 250])
def test_the_document_of_a_fleet_is_whole_however_many_there_are(
    capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """It is written some databases at a time, each once and in their order."""
    names = [f"sqlite:////data/{place}.db" for place in range(number)]
    with FleetSummary(keep=True) as tally:
        tally.add_unchanged(names)
        print_summary(tally, as_json=True)
    assert [one["database"] for one in json.loads(capsys.readouterr().out)["databases"]] == names


def test_fleet_after_a_crash_does_the_rest_alone(
    orchestrator: pitstop.Orchestrator, history: History, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a shared job is lost, what it had done is taken from the history, and only the rest is done, alone."""
    real = batch._maintained

    def crash(worker: Any, job: Job, entry: Any, context: Any) -> dict[str, Any]:
        if entry["database"].endswith("3.db"):
            raise RuntimeError("the process is gone")
        return real(worker, job, entry, context)

    monkeypatch.setattr(batch, "_maintained", crash)
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


def test_seen_takes_up_what_was_left_first(history: History, files: list[str]) -> None:
    """A database of which something was left is looked at, and first, although nothing was due by the rules."""
    seen = UnchangedFiles(history, "rules", lookup=pitstop.Registry())
    assert seen.select_changed(files) == ([], files)
    seen.remember(files)
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry()).select_changed(files) == ([], [])
    history.defer(
        UnfinishedStep(
            database=f"sqlite:{os.path.realpath(files[4])}", operation="vacuum", at=1.0, reason="", parameters={}
        )
    )
    Path(files[1]).touch()
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry()).select_changed(files) == (
        [files[4], files[1]],
        [],
    )


def test_seen_is_not_believed_for_ever(history: History, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a week each is looked at again, and none before half of that; a clock that was set back is not believed."""
    import time

    seen = UnchangedFiles(history, "rules", lookup=pitstop.Registry())
    seen.select_changed(files)
    seen.remember(files)
    now = time.time()
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry(), now=now + 0.49 * TRUSTED).select_changed(
        files
    ) == ([], [])
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry(), now=now + TRUSTED + 60).select_changed(
        files
    ) == (files, [])
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry(), now=now - 3600).select_changed(files) == (
        files,
        [],
    )


def test_seen_remembers_the_state_before_the_look(history: History, files: list[str]) -> None:
    """A change between the look at the files' times and the end of the inspection is seen by the next run."""
    seen = UnchangedFiles(history, "rules", lookup=pitstop.Registry())
    seen.select_changed(files)
    os.utime(files[0], ns=(1, 1))
    seen.remember(files)
    assert UnchangedFiles(history, "rules", lookup=pitstop.Registry()).select_changed(files) == ([files[0]], [])


def test_state_of_tells_of_every_change(files: list[str]) -> None:
    """Size, time, another file in its place and its log count; what is no file has no state."""
    path = Path(files[0])
    states = [stamp_files(files[0], SQLiteDatabase)]
    os.utime(path, ns=(5, 5))
    states.append(stamp_files(files[0], SQLiteDatabase))
    shutil.copyfile(path, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)
    os.utime(path, ns=(5, 5))
    states.append(stamp_files(files[0], SQLiteDatabase))
    Path(f"{path}-wal").write_bytes(b"x")
    states.append(stamp_files(files[0], SQLiteDatabase))
    assert len(set(states)) == 4
    assert stamp_files("/nowhere.db", SQLiteDatabase) == stamp_files("postgresql://h/d", SQLiteDatabase) == ""


def test_digest_of_rules_changes_with_what_decides(registry: pitstop.Registry) -> None:
    """Thresholds, limits and installed assessments are part of it; what is asked for, or due by date, has none."""
    base = digest_rules(MaintenanceRequest(), registry)
    assert base == digest_rules(MaintenanceRequest(), pitstop.Registry())
    others = [
        MaintenanceRequest(thresholds={"space": {"high_from": 0.2}}),
        MaintenanceRequest(max_stall=0.05),
        MaintenanceRequest(options={"force": True}),
    ]
    assert len({base, *(digest_rules(request, registry) for request in others)}) == 4
    by_itself = MaintenanceRequest(thresholds={"quick_check": {"by_itself": True}})
    for request in (
        MaintenanceRequest(checks=True),
        by_itself,
        MaintenanceRequest(everything=True),
        MaintenanceRequest(operations=("vacuum",)),
    ):
        assert digest_rules(request, registry) == ""


# -- shared jobs -------------------------------------------------------------------------------------------------------


def shared_job(*entries: dict[str, Any], **more: Any) -> Job:
    """Return a job of several databases."""
    return Job(type=WORKER, config={"databases": list(entries), **more})


@pytest.mark.parametrize(
    ("config", "kind", "text"),
    [
        ({"databases": []}, InvalidValueError, "expected a list of objects"),
        ({"databases": "a.db"}, InvalidValueError, "expected a list of objects"),
        ({"databases": ["a.db"]}, InvalidValueError, r"databases\[0\]: expected an object, got str"),
        ({"databases": [{"database": "a.db", "step": []}]}, UnknownKeyError, "did you mean 'steps'"),
        ({"databases": [{"database": "a.db"}]}, InvalidValueError, "steps"),
        (
            {"databases": [{"database": "a.db", "steps": [{"operation": "analyze", "parameters": {"limt": 1}}]}]},
            UnknownKeyError,
            "limit",
        ),
        (
            {"databases": [{"database": "a.db", "steps": [{"operation": "vacuum"}]}], "side_by_side": 0},
            InvalidValueError,
            "whole number from 1",
        ),
        ({"databases": [], "operation": "vacuum"}, UnknownKeyError, "operation"),
    ],
)
def test_shared_job_is_checked(
    registry: pitstop.Registry, config: dict[str, Any], kind: type[Exception], text: str
) -> None:
    """Whatever is wrong with its config is told before anything runs."""
    with pytest.raises(kind, match=text):
        registry.worker(WORKER).validate(Job(type=WORKER, config=config))


def test_shared_job_goes_on_after_a_failure(registry: pitstop.Registry, context: Any, bloated: Path) -> None:
    """One database that is gone is told in the result; the others are done, side by side, and the log has a warning."""
    worker = registry.worker(WORKER)
    other = bloated.with_name("other.db")
    shutil.copyfile(bloated, other)
    steps = [{"operation": "vacuum"}, {"operation": "analyze"}]
    entries = [{"database": str(path), "steps": steps} for path in (bloated, bloated.with_name("gone.db"), other)]
    context.job = shared_job(*entries, side_by_side=3)
    result = worker.execute(context.job, context)
    assert isinstance(result, Result)
    done = result.data["databases"]
    assert [len(entry["steps"]) for entry in done] == [2, 0, 2]
    assert "was not found" in done[1]["error"]
    assert done[0]["steps"][0]["bytes_after"] < done[0]["steps"][0]["bytes_before"]
    assert len(context.logger.of("warning")) == 1
    assert context.logger.of("info") == []
    assert context.reports[-1][:3] == (3, 3, "databases")


def test_shared_job_stops_when_told(registry: pitstop.Registry, context: Any, bloated: Path) -> None:
    """A cancelled job ends as cancelled, and begins no other database."""
    done: list[str] = []

    def stop(db: Database) -> None:
        done.append("one")
        context.cancel()
        db.check_stop()

    registry.add_operation(WORKER, "sqlite.stop", stop)
    context.job = shared_job(*[{"database": str(bloated), "steps": [{"operation": "stop"}]}] * 4)
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        registry.worker(WORKER).execute(context.job, context)
    assert done == ["one"]


def test_shared_job_keeps_to_the_time_limit(registry: pitstop.Registry, context: Any, bloated: Path, seen: Any) -> None:
    """Steps whose time is over are told as left, and nothing was done."""
    content = seen.content(bloated)
    step = {"operation": "vacuum", "limits": {"until": 1.0}}
    context.job = shared_job({"database": str(bloated), "steps": [step]})
    result = registry.worker(WORKER).execute(context.job, context)
    assert isinstance(result, Result)
    assert result.data["databases"][0]["steps"][0]["stopped_by"] == "time limit"
    assert seen.content(bloated) == content


def test_tally_says_so_when_databases_grew() -> None:
    """What took more room is told as that, and not as less than nothing given back."""
    grown = DatabaseOutcome(
        database="sqlite:////a.db",
        steps=(
            StepOutcome(
                operation="analyze", end=StepStatus.COMPLETED, seconds=1.0, disk_before=1000, disk_after=533_480
            ),
        ),
        before=State(bytes=1000),
        after=State(bytes=533_480),
    )
    with FleetSummary(files=1, looked_at=1) as tally:
        tally.add(grown)
        text = "\n".join(format_summary(tally, 80))
    assert "532.5 kB more than before" in text
    assert "-5" not in text


def test_databases_of_a_shared_job_are_found_without_their_urls(
    orchestrator: pitstop.Orchestrator, registry: pitstop.Registry, bloated: Path
) -> None:
    """A URL is stored without its password, so that answers are told apart by the resource, which holds none."""
    entry = {"database": str(bloated), "steps": [{"operation": "analyze"}]}
    job = Job(type=WORKER, config={batch.KEY: [entry]})
    root = orchestrator.wait(orchestrator.submit(job).id)
    assert root.result is not None
    (answer,) = root.result.data[batch.KEY]
    resource = registry.worker(WORKER).resource(Job(type=WORKER, config={"database": str(bloated)}))
    assert answer["resource"] == resource
    assert list(batching.job_answers([root])) == [resource]
