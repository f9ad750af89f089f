"""What a child process costs a job, and how fast one ends that is told to stop or does not listen.

The peer is the standard library's `ProcessPoolExecutor` with one spawned process: a call there and back, without a
record, a log, a deadline or a way to stop it. The limit is the same job in a thread.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.idle import CONFIG, Idle, check_completed, nothing
from benchmarks.measure import (
    Contender,
    Samples,
    Settings,
    disk_folder,
    interleave,
    program,
    simple_table,
    timed,
    verdict,
)
from pitstop import Job, Orchestrator, Registry, hookimpl
from pitstop.runners.process.runner import ProcessRunner
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore

THREAD, PROCESS, EXECUTOR = "a thread", "a child process", "ProcessPoolExecutor, a bare call"
EXTRA_MS, CANCEL_MS, GONE_MS = 5.0, 100.0, 200.0
#: Seconds that a stuck job is given here; the default is more than a benchmark wants to wait.
GRACE = 0.3
#: Seconds until a statement that was just announced is certainly running.
UNDER_WAY = 0.05


class Endless:
    """A worker whose jobs never end by themselves."""

    worker_type = "endless"

    def validate(self, job: Any) -> None:
        """Accept every job."""

    def execute(self, job: Any, context: Any) -> None:
        """Run a statement that can be interrupted, or sleep and hear nothing."""
        with closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:
            context.progress(1, message=str(os.getpid()))
            if job.config["stuck"]:
                time.sleep(60)
            with context.on_cancel(connection.interrupt):
                connection.execute(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
                )


class Begun:
    """A hook plugin that tells when a job has begun, and in which process."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.process = 0

    @hookimpl
    def pitstop_job_progress(self, progress: Any) -> None:
        """Note it."""
        self.process = int(progress.message)
        self.event.set()


def main(settings: Settings) -> None:
    """Measure and print."""
    _warm(jobs=settings.choose(500, 100), runs=settings.choose(9, 3))
    _cold(runs=settings.choose(9, 3))
    _program(runs=settings.choose(11, 3))
    _stopping(runs=settings.choose(15, 3))


def _warm(*, jobs: int, runs: int) -> None:
    with _orchestrator(ThreadRunner(1)) as thread, _orchestrator(ProcessRunner(1)) as process, _executor() as executor:
        contenders = [
            Contender(THREAD, lambda: _per_job(lambda: _idle_job(thread), jobs)),
            Contender(EXECUTOR, lambda: _per_job(lambda: executor.submit(nothing, None, number=7).result(), jobs)),
            Contender(PROCESS, lambda: _per_job(lambda: _idle_job(process), jobs)),
        ]
        for contender in contenders:
            contender.sample()  # imports and the start of the process are measured below
        taken = interleave(contenders, runs=runs)
        for orchestrator in (thread, process):
            check_completed(orchestrator.store, jobs * (runs + 1))
    title = f"One job that does nothing, submitted and waited for, in memory, us per job ({jobs:,} jobs a sample)"
    simple_table(title, taken, unit="us", limit=THREAD)
    extra = (taken[PROCESS].median - taken[THREAD].median) / 1e3
    verdict("what a warm child adds to a job", extra, at_most=EXTRA_MS, unit="ms")


def _cold(*, runs: int) -> None:
    def first(make: Callable[[], ThreadRunner]) -> float:
        began = time.perf_counter()
        with _orchestrator(make()) as orchestrator:
            _idle_job(orchestrator)
            return (time.perf_counter() - began) * 1e3

    def first_call() -> float:
        began = time.perf_counter()
        with _executor() as executor:
            executor.submit(nothing, None, number=7).result()
            return (time.perf_counter() - began) * 1e3

    contenders = [
        Contender(THREAD, lambda: first(lambda: ThreadRunner(1))),
        Contender(EXECUTOR, first_call),
        Contender(PROCESS, lambda: first(lambda: ProcessRunner(1))),
    ]
    taken = interleave(contenders, runs=runs)
    simple_table("From nothing to the end of the first job, in memory, ms", taken, unit="ms", limit=THREAD)


def _program(*, runs: int) -> None:
    with disk_folder() as folder:
        database = folder / "app.db"
        _build(database)
        command = [program("pitstop"), "maintain", str(database), "--store", str(folder / "jobs.db"), "--runner"]
        contenders = [
            Contender(name, lambda runner=runner: timed([*command, runner]).wall * 1e3)  # type: ignore[misc]
            for name, runner in ((THREAD, "thread"), (PROCESS, "process"))
        ]
        for contender in contenders:
            contender.sample()
        taken = interleave(contenders, runs=runs)
    simple_table("`pitstop maintain` of a small file, the whole program, ms", taken, unit="ms", limit=THREAD)


def _stopping(*, runs: int) -> None:
    begun = Begun()
    with (
        _orchestrator(ThreadRunner(1), begun) as thread,
        _orchestrator(ProcessRunner(1, grace=GRACE), begun) as process,
    ):
        _idle_job(process)
        taken = interleave(
            [
                Contender(f"a statement in {THREAD}", lambda: _until_ended(thread, begun, stuck=False)),
                Contender(f"a statement in {PROCESS}", lambda: _until_ended(process, begun, stuck=False)),
                Contender(
                    "a job that does not listen, until its process is gone, beyond its grace period",
                    lambda: _until_ended(process, begun, stuck=True) - GRACE * 1e3,
                ),
            ],
            runs=runs,
        )
    names = list(taken)
    simple_table("From cancel to the recorded end, ms", taken, unit="ms", limit=names[0])
    for name in names[:2]:
        verdict(f"cancel of {name}, the slowest", _worst(taken[name]), at_most=CANCEL_MS, unit="ms")
    verdict("a stuck child is gone, beyond grace, the slowest", _worst(taken[names[2]]), at_most=GONE_MS, unit="ms")


def _until_ended(orchestrator: Orchestrator, begun: Begun, *, stuck: bool) -> float:
    begun.event.clear()
    record = orchestrator.submit(Job(type="endless", config={"stuck": stuck}))
    if not begun.event.wait(60):
        raise RuntimeError("the job did not begin")
    time.sleep(UNDER_WAY)
    began = time.perf_counter()
    orchestrator.cancel(record.id)
    ended = orchestrator.wait(record.id)
    while stuck and _lives(begun.process):
        time.sleep(0.001)
    took = (time.perf_counter() - began) * 1e3
    if ended.status.value != "cancelled":
        raise RuntimeError(f"the job was to be cancelled, but is {ended.status}: {ended.error}")
    return took


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _orchestrator(runner: ThreadRunner, *hooks: object) -> Iterator[Orchestrator]:
    registry = Registry()
    registry.add_worker(Idle)
    registry.add_worker(Endless)
    for plugin in hooks:
        registry.add_hooks(plugin)
    with Orchestrator(MemoryStore(), registry=registry, runner=runner) as orchestrator:
        yield orchestrator


def _executor() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _idle_job(orchestrator: Orchestrator) -> None:
    orchestrator.run(Job(type="idle", config=CONFIG))


def _per_job(call: Callable[[], object], jobs: int) -> float:
    began = time.perf_counter()
    for _ in range(jobs):
        call()
    return (time.perf_counter() - began) / jobs * 1e6


def _build(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, label TEXT)")
        connection.executemany("INSERT INTO item (label) VALUES (?)", ((f"label {n}",) for n in range(5000)))
        connection.execute("CREATE INDEX by_label ON item (label)")
        connection.commit()


def _worst(samples: Samples) -> float:
    return max(samples.values)
