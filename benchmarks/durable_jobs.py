"""One sample of `durable`: some jobs in this process, on a fresh file.

`python -m benchmarks.durable_jobs CONTENDER SHAPE JOBS DURABILITY FOLDER` prints it as JSON: seconds in all, of
processor time, and for "first" of either half; for "idle" those of one job, its p50 and p99; SQLite's `synchronous`.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.idle import CONFIG, Idle, check_completed

FULL, PROCESS = "full", "process"
LIMIT, HUEY, HUEY_RESULTS, OURS = "bare sqlite3", "huey, no results", "huey, keeps results", "Pitstop"
#: huey asks its file for work so often, in seconds; its default of 0.1 would measure the waiting.
POLL = 0.001
#: Callers and threads in the shape "together".
TOGETHER = 16
#: Jobs that are submitted at once in the shape "batches", by those who can.
BATCH = 100

Sample = dict[str, float]


class Body:
    """What all jobs do: nothing but count; the last one tells."""

    def __init__(self, jobs: int) -> None:
        self.jobs = self._left = jobs
        self._lock = threading.Lock()
        self.last = threading.Event()
        self.each = threading.Semaphore(0)

    def run(self) -> None:
        """Count one."""
        self.each.release()
        with self._lock:
            self._left -= 1
            if not self._left:
                self.last.set()


@dataclass(frozen=True)
class Engine:
    """Somebody who runs jobs.

    Attributes:
        submit: submits a job and returns what waits for its end.
        start: lets jobs run.
        settle: waits until every job's end is recorded, as far as that is done after the job.
        synchronous: asks the connection that wrote for its durability.
        submit_many: submits so many jobs at once; None for who has no such call.
    """

    submit: Callable[[], Callable[[], object]]
    start: Callable[[], object]
    settle: Callable[[], object]
    synchronous: Callable[[], int]
    submit_many: Callable[[int], object] | None = None


class Clock:
    """Notes wall and processor time at each step."""

    def __init__(self) -> None:
        self.cpu, self.times = time.process_time(), [time.perf_counter()]

    def step(self) -> None:
        """Note the time now."""
        self.times.append(time.perf_counter())

    def sample(self, synchronous: int) -> Sample:
        """Return what took how long; two steps are the submission and the rest."""
        sample = {"cpu": time.process_time() - self.cpu, "total": self.times[-1] - self.times[0]}
        if len(self.times) > 2:
            sample |= {"submit": self.times[1] - self.times[0], "drain": self.times[2] - self.times[1]}
        return sample | {"synchronous": synchronous}


# -- the limit -----------------------------------------------------------------------------------------------------

# as many columns and indexes as a job that has no relatives touches
_TABLE = """
CREATE TABLE job (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, correlation_id TEXT, type TEXT, name TEXT, config TEXT,
    metadata TEXT, timeout REAL, max_attempts INTEGER, status TEXT, attempt INTEGER, created_at REAL, started_at REAL,
    finished_at REAL, owner TEXT, lease_until REAL, progress TEXT, result TEXT, error_type TEXT, error_message TEXT
)"""
_INSERT = """
INSERT INTO job (id, correlation_id, type, name, config, metadata, max_attempts, status, attempt, created_at,
    started_at, owner, lease_until) VALUES (?, ?, 'idle', 'idle', ?, '{}', 3, 'running', 1, ?, ?, ?, ?)"""
_UPDATE = "UPDATE job SET status = 'completed', finished_at = ?, lease_until = NULL, result = '{}' WHERE id = ?"


def _bare(shape: str, jobs: int, durability: str, folder: Path) -> Sample:
    raw = sqlite3.connect(folder / "raw.db", isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute(f"PRAGMA synchronous = {'FULL' if durability == FULL else 'NORMAL'}")
    raw.execute(_TABLE)
    raw.execute("CREATE INDEX job_by_status ON job (status, type)")
    config, owner, now = json.dumps(CONFIG), "host:12345:abcdefgh", time.time()
    inserts = [(f"{n:016x}", f"{n:016x}", config, now, now, owner, now) for n in range(jobs)]
    updates = [(now, f"{n:016x}") for n in range(jobs)]

    def commit(sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        if len(rows) > 1:
            raw.execute("BEGIN")
        for row in rows:
            raw.execute(sql, row)
        if len(rows) > 1:
            raw.execute("COMMIT")

    batch = {"together": TOGETHER, "batches": BATCH}.get(shape, 1)
    clock = Clock()
    for n in range(0, jobs, batch):
        commit(_INSERT, inserts[n : n + batch])
        if shape != "first":
            # a job that came in a batch still ends alone, where one thread runs them
            for first in range(n, min(n + batch, jobs), 1 if shape == "batches" else batch):
                commit(_UPDATE, updates[first : first + (1 if shape == "batches" else batch)])
            if shape == "idle":
                clock.step()
    if shape == "first":
        clock.step()
        for update in updates:
            commit(_UPDATE, [update])
    clock.step()
    synchronous = raw.execute("PRAGMA synchronous").fetchone()[0]
    if shape == "idle":
        return _spread([after - before for before, after in pairwise(clock.times[:-1])], synchronous)
    return clock.sample(synchronous)


# -- those who run jobs --------------------------------------------------------------------------------------------


@contextmanager
def _huey(durability: str, folder: Path, workers: int, body: Body, *, results: bool = False) -> Iterator[Engine]:
    """Yield huey on SQLite; its default is FULL, and without fsync it is OFF."""
    from huey import SqliteHuey

    fsync = {} if durability == FULL else {"fsync": False}
    huey = SqliteHuey(filename=str(folder / "huey.db"), results=results, **fsync)

    @huey.task()
    def idle(_config: Mapping[str, Any]) -> int | None:
        body.run()
        return 1 if results else None

    consumer = huey.create_consumer(
        workers=workers, periodic=False, initial_delay=POLL, max_delay=POLL, check_worker_health=False
    )

    def submit() -> Callable[[], object]:
        result = idle(CONFIG)
        # without results only the job itself can tell that it has run
        return (lambda: result.get(blocking=True, backoff=1, max_delay=POLL)) if results else body.each.acquire

    def synchronous() -> int:
        number: int = huey.storage.sql("PRAGMA synchronous", results=True)[0][0]
        return number

    yield Engine(submit, consumer.start, lambda: None, synchronous)
    consumer.stop(graceful=True)


class _Counted(Idle):
    """A worker whose jobs only count."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def execute(self, job: Any, context: Any) -> None:
        """Count."""
        self._body.run()


class _Gate(Idle):
    """A worker whose only job keeps the runner's thread until all others have been submitted."""

    worker_type = "gate"

    def __init__(self) -> None:
        self.open = threading.Event()

    def execute(self, job: Any, context: Any) -> None:
        """Wait."""
        _wait(self.open)


@contextmanager
def _pitstop(durability: str, folder: Path, workers: int, body: Body) -> Iterator[Engine]:
    """Yield Pitstop with threads; until it starts, a job keeps the only one."""
    from pitstop import Job, JobQuery, JobStatus, Orchestrator, Registry, ThreadRunner
    from pitstop.stores.sqlite.store import SQLiteStore

    store = SQLiteStore(folder / "pitstop.db", durability=durability)
    gate, registry = _Gate(), Registry()
    registry.add_worker(_Counted(body))
    registry.add_worker(gate)
    live = JobQuery(statuses=(JobStatus.PENDING, JobStatus.RUNNING))
    with Orchestrator(store, registry=registry, runner=ThreadRunner(workers)) as orchestrator:
        orchestrator.submit(Job(type="gate"))

        def submit() -> Callable[[], object]:
            job_id = orchestrator.submit(Job(type="idle", config=CONFIG)).id
            return lambda: orchestrator.wait(job_id)

        def settle() -> None:
            while store.count(live).total:
                time.sleep(POLL)

        def synchronous() -> int:
            # only the connection itself can tell; no public call asks it
            number: int = store._db.write(lambda transaction: transaction.run("PRAGMA synchronous"))[0][0]
            return number

        def submit_many(number: int) -> None:
            orchestrator.submit_many([Job(type="idle", config=CONFIG) for _ in range(number)])

        yield Engine(submit, gate.open.set, settle, synchronous, submit_many)
        check_completed(store, body.jobs + 1)


def _run(engine: Callable[..., Any], shape: str, jobs: int, durability: str, folder: Path) -> Sample:
    body, callers = Body(jobs), TOGETHER if shape == "together" else 1
    with engine(durability, folder, callers, body) as made:
        if shape != "first":
            made.start()
            made.settle()
        if shape == "idle":
            return _spread([_one(made) for _ in range(jobs)], made.synchronous())
        clock = Clock()
        if shape == "batches" and made.submit_many is not None:
            for first in range(0, jobs, BATCH):
                made.submit_many(min(BATCH, jobs - first))
        else:
            _submit(made, jobs, callers)
        if shape == "first":
            clock.step()
            made.start()
        _wait(body.last)
        made.settle()
        clock.step()
        return clock.sample(made.synchronous())


def _one(engine: Engine) -> float:
    began = time.perf_counter()
    engine.submit()()
    return time.perf_counter() - began


def _submit(engine: Engine, jobs: int, callers: int) -> None:
    def submit() -> None:
        for _ in range(jobs // callers):
            engine.submit()

    threads = [threading.Thread(target=submit) for _ in range(callers - 1)]
    for thread in threads:
        thread.start()
    submit()
    for thread in threads:
        thread.join()


def _spread(seconds: Sequence[float], synchronous: int) -> Sample:
    parts = statistics.quantiles(seconds, n=100)
    return {"p50": parts[49], "p99": parts[98], "total": sum(seconds), "synchronous": synchronous}


def _wait(event: threading.Event) -> None:
    if not event.wait(300):
        raise RuntimeError("the last job has not run within 300 s")


_ENGINES: dict[str, Callable[[str, int, str, Path], Sample]] = {
    LIMIT: _bare,
    HUEY: partial(_run, _huey),
    HUEY_RESULTS: partial(_run, partial(_huey, results=True)),
    OURS: partial(_run, _pitstop),
}
NAMES = tuple(_ENGINES)


def _take_one() -> None:
    name, shape, jobs, durability, folder = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=folder) as own:
        print(json.dumps(_ENGINES[name](shape, int(jobs), durability, Path(own))))


if __name__ == "__main__":
    _take_one()
