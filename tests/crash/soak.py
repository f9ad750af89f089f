"""`python -m tests.crash.soak N`: jobs that are submitted and waited for, with nothing but their end to wake who waits.

A wake-up that is lost leaves somebody waiting for ever, which is an error here. Prints how long each one took.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pitstop.contracts import JobStore
from pitstop.jobs import Job, JobStatus
from pitstop.orchestration import orchestrator
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore

#: Seconds after which somebody who still waits was never woken.
BOUND = 20.0


class Quick:
    """Does nothing."""

    worker_type = "quick"

    def validate(self, job: Job) -> None:
        """Take everything."""

    def execute(self, job: Job, context: object) -> None:
        """Do nothing."""


def remove_nets() -> None:
    """Have nothing wake who waits but what is there to wake him."""
    orchestrator.LEASE = threading.TIMEOUT_MAX


def soak(store: JobStore, number: int, *, callers: int = 1, threads: int = 2) -> list[float]:
    """Return the seconds from submit to done of each of so many jobs, shared by callers that wait for each.

    Raises:
        AssertionError: somebody waited in vain.
    """
    registry = Registry(path=[])
    registry.add_worker(Quick)
    with Orchestrator(store, registry=registry, runner=ThreadRunner(threads)) as opened:

        def call(_: int) -> float:
            began = time.perf_counter()
            record = opened.wait(opened.submit("quick", {}).id, timeout=BOUND)
            assert record.status is JobStatus.COMPLETED, f"{record.id} is {record.status}"
            seconds = time.perf_counter() - began
            assert seconds < BOUND, f"{record.id} completed, and nobody was woken"  # a wait looks once more at its end
            return seconds

        if callers == 1:
            return [call(turn) for turn in range(number)]
        with ThreadPoolExecutor(callers) as pool:
            return list(pool.map(call, range(number)))


def figures(seconds: Sequence[float]) -> str:
    """Return the figures of a list of durations."""
    times = sorted(seconds)
    at = {name: times[min(int(len(times) * part), len(times) - 1)] for name, part in (("p50", 0.5), ("p99", 0.99))}
    late = sum(each > 0.25 for each in times)
    shown = ", ".join(f"{name} {each * 1000:.2f} ms" for name, each in {**at, "max": times[-1]}.items())
    return f"{len(times)}: {shown}; {late} above 250 ms"


def main() -> None:
    """Parse the command line and soak."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.soak", description=__doc__)
    parser.add_argument("number", type=int, help="how many jobs")
    parser.add_argument("--callers", type=int, default=1, help="how many threads wait at a time")
    arguments = parser.parse_args()
    remove_nets()
    with tempfile.TemporaryDirectory(prefix="pitstop-soak-") as folder:
        stores: dict[str, JobStore] = {"memory": MemoryStore()}
        stores |= {name: SQLiteStore(Path(folder) / name, durability=name) for name in ("process", "full")}
        for name, store in stores.items():
            print(f"{name} {figures(soak(store, arguments.number, callers=arguments.callers))}", flush=True)


if __name__ == "__main__":
    main()
