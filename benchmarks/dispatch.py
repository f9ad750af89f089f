"""What Pitstop itself costs a job: a job that does nothing, in memory, run by the inline runner.

The limit is the bare call with the config's way to JSON and back, which any record of a job takes. The peer is huey's
immediate mode, which calls the task at once and keeps no record of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.idle import CONFIG, Idle, check_completed, nothing
from benchmarks.measure import Contender, Settings, interleave, simple_table, verdict

TARGET_US = 150.0
LIMIT, HUEY = "bare call, JSON there and back", "huey, immediate, in memory"
WORKER, OPERATION = "Pitstop, a worker", "Pitstop, an operation with a checked parameter"


def main(settings: Settings) -> None:
    """Measure and print."""
    jobs = settings.choose(2000, 300)
    contenders = [
        Contender(LIMIT, lambda: _bare(jobs)),
        Contender(HUEY, lambda: _huey(jobs)),
        Contender(WORKER, lambda: _pitstop("idle", jobs)),
        Contender(OPERATION, lambda: _pitstop("idle_operation", jobs)),
    ]
    for contender in contenders:
        contender.sample()  # imports and first calls are not a job's cost
    taken = interleave(contenders, runs=settings.choose(9, 3))
    title = f"One job that does nothing, in memory, us per job ({jobs:,} jobs a sample)"
    simple_table(title, taken, unit="us", limit=LIMIT)
    verdict("a job through the inline runner", taken[WORKER].median, at_most=TARGET_US, unit="us")
    verdict("an operation through the inline runner", taken[OPERATION].median, at_most=TARGET_US, unit="us")


def _per_job(call: Callable[[], object], jobs: int) -> float:
    began = time.perf_counter()
    for _ in range(jobs):
        call()
    return (time.perf_counter() - began) / jobs * 1e6


def _bare(jobs: int) -> float:
    def take(config: Mapping[str, Any]) -> None:
        nothing(None, **config["parameters"])

    return _per_job(lambda: take(json.loads(json.dumps(CONFIG))), jobs)


def _huey(jobs: int) -> float:
    from huey import MemoryHuey

    huey = MemoryHuey(immediate=True)

    @huey.task()
    def task(config: Mapping[str, Any]) -> None:
        nothing(None, **config["parameters"])

    return _per_job(lambda: task(CONFIG), jobs)


def _pitstop(worker_type: str, jobs: int) -> float:
    from pitstop import Job, OperationWorker, Orchestrator, Registry
    from pitstop.runners.inline import InlineRunner
    from pitstop.stores.memory import MemoryStore

    class Operations(OperationWorker):
        """A worker made of operations."""

        worker_type = "idle_operation"

    registry = Registry()
    registry.add_worker(Idle)
    registry.add_worker(Operations)
    registry.add_operation("idle_operation", "nothing", nothing)
    with Orchestrator(MemoryStore(), registry=registry, runner=InlineRunner()) as orchestrator:
        cost = _per_job(lambda: orchestrator.submit(Job(type=worker_type, config=CONFIG)), jobs)
        check_completed(orchestrator.store, jobs)
    return cost
