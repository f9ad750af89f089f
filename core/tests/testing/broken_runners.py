"""Runners that break one promise each, and an engine that keeps them all. Collected by the tests of this folder."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any

from pitstop.contracts import JobStore, RunJob, Runner
from pitstop.errors import InvalidJobError
from pitstop.jobs import Job
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.run import open_store
from pitstop.registry.registry import Registry
from pitstop.runners.inline import InlineRunner
from pitstop.runners.thread import ThreadRunner
from pitstop.testing.contracts.runner import RunnerContract

#: Seconds after which a broken runner is believed to have lost a job. A sound one has all the time in the world.
SHORT = 0.25


class DropsSome(ThreadRunner):
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        if not job_id.endswith("7"):
            super().submit(job_id, not_before=not_before)


class Misspells(ThreadRunner):
    def chekc(self, job: Job) -> None:
        raise InvalidJobError("it does not run here")


class DropsRepeats(ThreadRunner):
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        seen = self.__dict__.setdefault("seen", set())
        if job_id not in seen:
            seen.add(job_id)
            super().submit(job_id, not_before=not_before)


class RunsTooOften(ThreadRunner):
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        super().submit(job_id, not_before=not_before)
        super().submit(job_id, not_before=not_before)


class Nests(ThreadRunner):
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        assert self._run_job is not None
        self._run_job(job_id)


class HoldsUpWhoSubmits(ThreadRunner):
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        super().submit(job_id, not_before=not_before)
        with self._changed:
            self._changed.wait_for(lambda: not self._queue and not self._busy, 2 * SHORT)


class LosesWakeUps(ThreadRunner):
    def _wake_one(self) -> None:
        if not self._threads:
            super()._wake_one()


class ComesEarly(ThreadRunner):
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        super().submit(job_id)


class StandsInLine(ThreadRunner):
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        latest = max((entry[0] for entry in self._queue), default=0.0)
        super().submit(job_id, not_before=max(latest, not_before or 0.0))


class OffersTwice(ThreadRunner):
    def __init__(self) -> None:
        super().__init__(1)

    def _pop_following(self) -> str | None:
        with self._changed:
            following = super()._pop_following()
            if following is not None:
                heapq.heappush(self._queue, (0.0, 0, following))
            return following


class DiesOfAnInterruption(ThreadRunner):
    def start(self, run_job: RunJob) -> None:
        def run(job_id: str, following: Any = None) -> None:
            try:
                run_job(job_id, following)
            except KeyboardInterrupt:
                self.stop(wait=False)

        super().start(run)


class WaitsForTheCancelled(ThreadRunner):
    def cancel(self, job_id: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, 2 * SHORT)


class DoesNotWait(ThreadRunner):
    def stop(self, *, wait: bool = True) -> None:
        super().stop(wait=False)


class AlwaysWaits(ThreadRunner):
    def stop(self, *, wait: bool = True) -> None:
        super().stop(wait=True)


class WaitsForItself(ThreadRunner):
    def stop(self, *, wait: bool = True) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, 2 * SHORT)
        super().stop(wait=wait)


class RunsOn(ThreadRunner):
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        if self._stopped and self._run_job is not None:
            self._run_job(job_id)
        super().submit(job_id, not_before=not_before)


class SharesAnything(InlineRunner):
    shared = "no"  # type: ignore[assignment]


class Engine:
    """A broker and its workers: a queue that outlives runners, and threads with an orchestrator of their own each.

    Args:
        kind: the runners of the workers' orchestrators.
    """

    def __init__(self, kind: type[EngineRunner]) -> None:
        self.kind = kind
        self.registry = Registry(path=[])
        self.ids: queue.Queue[str | None] = queue.Queue()
        self.given = 0

    def put(self, job_id: str, delay: float) -> None:
        """Deliver an id, after a delay in seconds."""
        timer = threading.Timer(delay, self.ids.put, [job_id])
        timer.daemon = True
        timer.start()

    @contextmanager
    def run_workers(self, store: JobStore) -> Iterator[None]:
        """Run workers meanwhile."""
        threads = [threading.Thread(target=self._work, args=(store.url,), daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        yield
        for _ in threads:
            self.ids.put(None)
        for thread in threads:
            thread.join()

    def _work(self, url: str) -> None:
        with Orchestrator(open_store(url), registry=self.registry, runner=self.kind(self)) as orchestrator:
            while (job_id := self.ids.get()) is not None:
                orchestrator.run_job(job_id)


class EngineRunner:
    """Hands ids to an engine."""

    shared = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self, run_job: RunJob) -> None:
        """Nothing: the engine's workers run jobs."""

    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        """Put an id into the queue, now or later."""
        self._engine.put(job_id, max(0.0, (not_before or 0.0) - time.time()))

    def cancel(self, job_id: str) -> None:
        """Nothing: there is nothing to claim when the id comes."""

    def stop(self, *, wait: bool = True) -> None:
        """Nothing: the workers stop by themselves."""


class DropsRetries(EngineRunner):
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        if not_before is None:
            super().submit(job_id)


class DropsEverySecond(EngineRunner):
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        self._engine.given += 1
        if self._engine.given % 2:
            super().submit(job_id, not_before=not_before)


#: What must be noticed by which test of the contract.
BROKEN: dict[type[Any], str] = {
    DropsSome: "test_runner_runs_every_submitted_job",
    DropsRepeats: "test_runner_takes_a_job_from_within_itself",
    RunsTooOften: "test_runner_offers_the_following_job",
    Nests: "test_runner_takes_a_job_from_within_a_job",
    HoldsUpWhoSubmits: "test_runner_may_run_a_job_while_another_is_submitted",
    LosesWakeUps: "test_runner_wakes_for_each_job",
    ComesEarly: "test_runner_starts_no_job_before_its_time",
    StandsInLine: "test_runner_lets_others_pass_a_job_that_waits",
    OffersTwice: "test_runner_offers_the_following_job",
    DiesOfAnInterruption: "test_runner_goes_on_after_an_interrupted_job",
    WaitsForTheCancelled: "test_runner_cancel_leaves_a_running_job_alone",
    DoesNotWait: "test_runner_stop_waits_for_the_running_job",
    AlwaysWaits: "test_runner_stop_without_waiting_returns",
    WaitsForItself: "test_runner_can_be_stopped_from_within_a_job",
    RunsOn: "test_runner_starts_nothing_after_it_was_stopped",
    SharesAnything: "test_runner_says_whether_it_is_shared",
    Misspells: "test_runner_misspells_no_optional_member",
    DropsRetries: "test_retry_runs_when_its_time_has_come",
    DropsEverySecond: "test_plan_is_carried_through",
}


class Makes(RunnerContract):
    """Makes what is broken; each class of `BROKEN` gets a subclass below."""

    __test__ = False
    kind: type[Any]

    def make_runner(self) -> Runner:
        runner: Runner = self.kind(self.engine) if issubclass(self.kind, EngineRunner) else self.kind()
        return runner

    @cached_property
    def engine(self) -> Engine:
        return Engine(self.kind)

    def make_registry(self) -> Registry:
        return self.engine.registry

    def run_workers(self, store: JobStore) -> AbstractContextManager[object]:
        return self.engine.run_workers(store) if issubclass(self.kind, EngineRunner) else nullcontext()


for _kind in (*BROKEN, InlineRunner, ThreadRunner, EngineRunner):
    _name, _patience = f"Test{_kind.__name__}", SHORT if _kind in BROKEN else RunnerContract.patience
    globals()[_name] = type(_name, (Makes,), {"kind": _kind, "patience": _patience, "__module__": __name__})
