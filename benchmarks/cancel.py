"""How fast a job ends whose time is over, that another process cancels, or that is in the middle of a real VACUUM.

What a cancel in the same process takes is measured in `process`. There is no peer: those measured elsewhere cannot stop
a statement that runs. The limit is SQLite's own interrupt.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.idle import CONFIG, Idle
from benchmarks.measure import ROOT, Contender, Samples, Settings, disk_folder, interleave, simple_table, verdict
from benchmarks.process import CANCEL_MS, GONE_MS, GRACE, UNDER_WAY, Begun, Endless
from pitstop import Job, JobRecord, JobStore, Orchestrator, Registry, hookimpl
from pitstop.runners.process.runner import ProcessRunner
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore

THREAD, PROCESS, LIMIT = "a thread", "a child process", "SQLite's own interrupt"
#: Seconds that a job has until its deadline.
TIMEOUT = 0.5
#: The other process: cancels the job that it reads, and says when it began to.
CANCELLER = """
import sys, time
from pitstop import Orchestrator
from pitstop.stores.sqlite.store import SQLiteStore
with Orchestrator(SQLiteStore(sys.argv[1], durability="process")) as orchestrator:
    print("ready", flush=True)
    for line in sys.stdin:
        moment = time.time()
        orchestrator.cancel(line.strip())
        print(moment, flush=True)
"""


class Started(Begun):
    """A hook plugin that tells when a job has started, whether it says so itself or not."""

    @hookimpl
    def pitstop_job_started(self) -> None:
        """Note it."""
        self.event.set()


def main(settings: Settings) -> None:
    """Measure and print."""
    runs = settings.choose(15, 3)
    _deadlines(runs=runs)
    with disk_folder() as folder:
        _from_elsewhere(folder, runs=runs)
        _vacuum(folder, rows=settings.choose(1_000_000, 300_000), runs=runs)


# -- deadlines -------------------------------------------------------------------------------------------------------


def _deadlines(*, runs: int) -> None:
    with (
        _orchestrator(MemoryStore(), ThreadRunner(1)) as (thread, _),
        _orchestrator(MemoryStore(), ProcessRunner(1, grace=GRACE)) as (process, _),
    ):
        taken = interleave(
            [
                Contender(LIMIT, _interrupt),
                Contender(f"a statement in {THREAD}", lambda: _overdue(thread, stuck=False)),
                Contender(f"a statement in {PROCESS}", lambda: _overdue(process, stuck=False)),
                Contender(
                    "a job that does not listen, beyond its grace period",
                    lambda: _overdue(process, stuck=True) - GRACE * 1e3,
                ),
            ],
            runs=runs,
        )
    names = list(taken)
    simple_table("From the deadline to the recorded end, ms", taken, unit="ms", limit=LIMIT)
    for name in names[1:3]:
        verdict(f"{name} whose time is over, the slowest", _worst(taken[name]), at_most=CANCEL_MS, unit="ms")
    verdict("one that does not listen, beyond grace, the slowest", _worst(taken[names[3]]), at_most=GONE_MS, unit="ms")


def _overdue(orchestrator: Orchestrator, *, stuck: bool) -> float:
    orchestrator.run(Job(type="idle", config=CONFIG))  # one that had to be killed has left no child behind
    job = Job(type="endless", config={"stuck": stuck}, timeout=TIMEOUT)
    record = orchestrator.run(job)
    if record.status.value != "failed" or record.error is None or record.error.type != "DeadlineExceededError":
        raise RuntimeError(f"the job was to run out of time, but is {record.status}: {record.error}")
    if record.seconds is None:
        raise RuntimeError("the job has no times")
    return (record.seconds - TIMEOUT) * 1e3


# -- another process -------------------------------------------------------------------------------------------------


def _from_elsewhere(folder: Path, *, runs: int) -> None:
    path = folder / "jobs.db"
    with (
        _orchestrator(SQLiteStore(path, durability="process"), ThreadRunner(1)) as (orchestrator, started),
        subprocess.Popen(
            [sys.executable, "-c", CANCELLER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as other,
    ):
        _line(other)
        taken = interleave(
            [
                Contender(LIMIT, _interrupt),
                Contender(f"a statement in {THREAD}", lambda: _cancelled_elsewhere(orchestrator, started, other)),
            ],
            runs=runs,
        )
        if other.stdin is not None:
            other.stdin.close()
    simple_table("From a cancel in another process to the recorded end, ms", taken, unit="ms", limit=LIMIT)
    worst = _worst(taken[f"a statement in {THREAD}"])
    verdict("a statement that another process cancels, the slowest", worst, at_most=2 * CANCEL_MS, unit="ms")


def _cancelled_elsewhere(orchestrator: Orchestrator, started: Begun, other: subprocess.Popen[str]) -> float:
    record = _begun(orchestrator, started, Job(type="endless", config={"stuck": False}))
    if other.stdin is None:
        raise RuntimeError("the other process has no stdin")
    other.stdin.write(f"{record.id}\n")
    other.stdin.flush()
    moment = float(_line(other))
    return (_end_of_cancelled(orchestrator, record.id) - moment) * 1e3


def _line(other: subprocess.Popen[str]) -> str:
    line = other.stdout.readline() if other.stdout is not None else ""
    if not line:
        raise RuntimeError("the other process has ended")
    return line


# -- a real operation ------------------------------------------------------------------------------------------------


def _vacuum(folder: Path, *, rows: int, runs: int) -> None:
    database = folder / "app.db"
    _build(database, rows)
    config = {"operation": "vacuum", "database": str(database)}

    def cancelled(orchestrator: Orchestrator, started: Begun) -> float:
        record = _begun(orchestrator, started, Job(type="database_maintenance_operation", config=config))
        moment = time.time()
        orchestrator.cancel(record.id)
        return (_end_of_cancelled(orchestrator, record.id) - moment) * 1e3

    with (
        _orchestrator(MemoryStore(), ThreadRunner(1)) as (thread, in_thread),
        _orchestrator(MemoryStore(), ProcessRunner(1)) as (process, in_process),
    ):
        taken = interleave(
            [
                Contender(LIMIT, _interrupt),
                Contender(f"VACUUM in {THREAD}", lambda: cancelled(thread, in_thread)),
                Contender(f"VACUUM in {PROCESS}", lambda: cancelled(process, in_process)),
            ],
            runs=runs,
        )
    size = f"{database.stat().st_size / 1e6:.0f} MB"
    simple_table(f"From the cancel of a job that vacuums {size} to the recorded end, ms", taken, unit="ms", limit=LIMIT)
    for name in list(taken)[1:]:
        verdict(f"cancel of {name}, the slowest", _worst(taken[name]), at_most=CANCEL_MS, unit="ms")


def _build(path: Path, rows: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"""
            CREATE TABLE item (id INTEGER PRIMARY KEY, label TEXT, note TEXT);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
              INSERT INTO item SELECT i, 'label ' || i, hex(randomblob(30)) FROM n;
            CREATE INDEX by_note ON item (note);
            DELETE FROM item WHERE id % 3 = 0;
            """
        )


# -- what all of them share ------------------------------------------------------------------------------------------


@contextmanager
def _orchestrator(store: JobStore, runner: ThreadRunner) -> Iterator[tuple[Orchestrator, Started]]:
    registry, started = Registry(), Started()
    registry.add_worker(Endless)
    registry.add_worker(Idle)
    registry.add_hooks(started)
    with Orchestrator(store, registry=registry, runner=runner) as orchestrator:
        yield orchestrator, started


def _begun(orchestrator: Orchestrator, started: Begun, job: Job) -> JobRecord:
    """Submit a job, and return when it is certainly at work."""
    started.event.clear()
    record = orchestrator.submit(job)
    if not started.event.wait(60):
        raise RuntimeError("the job did not begin")
    time.sleep(UNDER_WAY)
    return record


def _end_of_cancelled(orchestrator: Orchestrator, job_id: str) -> float:
    """Return when a job that was told to stop had ended."""
    record = orchestrator.wait(job_id)
    if record.status.value != "cancelled" or record.finished_at is None:
        raise RuntimeError(f"the job was to be cancelled, but is {record.status}: {record.error or record.result}")
    return record.finished_at


def _interrupt() -> float:
    """Interrupt a statement with nothing of Pitstop around it."""
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:
        moments: list[float] = []

        def interrupt() -> None:
            moments.append(time.perf_counter())
            connection.interrupt()

        timer = threading.Timer(UNDER_WAY, interrupt)
        timer.start()
        try:
            connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_INTERRUPT":
                raise
        ended = time.perf_counter()
        timer.join()
        return (ended - moments[0]) * 1e3


def _worst(samples: Samples) -> float:
    return max(samples.values)
