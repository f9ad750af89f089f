"""What the tests of a job's life share: a clock that can be set, a worker that does what it is asked, stores, hooks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pitstop.contracts import JobStore
from pitstop.contracts.hooks import hookimpl
from pitstop.jobs import Job, JobRecord, Plan, Progress, Tolerance
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore

#: Seconds after which a test that waits for something has failed; none comes near it when all is well.
PATIENCE = 20.0
STORES = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SQLiteStore(folder / "jobs.db", durability="process"),
}


class FakeClock:
    """A clock whose sleep advances the time at once."""

    def __init__(self, now: float = 1000.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class Actor:
    """A worker that does what the test says, by the job's name or else for every job."""

    worker_type = "act"

    def __init__(self) -> None:
        self.acts: dict[str, Callable[..., Any]] = {}
        self.ran: list[str] = []
        self.configs: list[Any] = []
        self.on_validate: Callable[[Job], object] = lambda job: None

    def validate(self, job: Job) -> None:
        self.on_validate(job)

    def execute(self, job: Job, context: Any) -> Any:
        self.ran.append(job.name)
        self.configs.append(job.config)
        act = self.acts.get(job.name) or self.acts.get("*")
        return act(context) if act else None


class Recorder:
    """A hook plugin that notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any]] = []

    @hookimpl
    def pitstop_job_created(self, record: JobRecord) -> None:
        self.calls.append(("created", record.job.name, record.status.value))

    @hookimpl
    def pitstop_job_started(self, record: JobRecord) -> None:
        self.calls.append(("started", record.job.name, record.attempt))

    @hookimpl
    def pitstop_job_progress(self, job: Job, progress: Progress) -> None:
        self.calls.append(("progress", job.name, progress.done))

    @hookimpl
    def pitstop_job_finished(self, record: JobRecord) -> None:
        self.calls.append(("finished", record.job.name, record.status.value))

    def of(self, name: str) -> list[str]:
        return [kind for kind, whose, _ in self.calls if whose == name]


class Gate:
    """Where a job stands until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, context: Any = None) -> None:
        self.reached.set()
        assert self.open.wait(PATIENCE), "the gate was never opened"

    def until_cancelled(self, context: Any) -> None:
        """Stand at the gate until the job is told to stop, as a worker that is interrupted does."""
        told = threading.Event()
        with context.on_cancel(told.set):
            self.reached.set()
            assert told.wait(PATIENCE), "nobody told the job to stop"
        context.check_cancelled()


def job(name: str, **fields: Any) -> Job:
    return Job(type="act", name=name, **fields)


def plan(*children: Job | Plan, name: str = "root", on_error: Any = "continue", max_failures: int = 0) -> Plan:
    tolerance = Tolerance(on_error=on_error, max_failures=max_failures)
    return Plan(parent=Job(type="group", name=name, tolerance=tolerance), children=children)


def statuses(store: JobStore, root_id: str) -> dict[str, str]:
    from pitstop.contracts import JobQuery

    found = store.select(JobQuery(correlation_id=root_id, oldest_first=True, limit=None))
    return {record.job.name: record.status.value for record in found}


def wait_for(orchestrator: Orchestrator, job_id: str) -> JobRecord:
    record = orchestrator.wait(job_id, timeout=PATIENCE)
    assert record.status.terminal, f"{job_id} has not ended: {record}"
    return record


def eventually(condition: Callable[[], object], what: str = "it") -> None:
    """Wait until something is true that no event tells, such as a change in the store by another process."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError(f"{what} never happened")
