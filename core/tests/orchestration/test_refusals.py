"""A store or a runner that refuses for a while, or for good: nothing hangs, and nothing is lost."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest

import pitstop.orchestration.job_runner
import pitstop.orchestration.supervisor
from pitstop import logs
from pitstop.contracts import Cancelled, CompletionReceipt, JobStore
from pitstop.errors import (
    JobCancelledError,
    OperationError,
    StoreError,
)
from pitstop.jobs import Job, JobRecord, JobStatus, Plan
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore

from ..helpers import PATIENCE, Actor, FakeClock, Gate, eventually, job, plan, statuses, wait_for

Orchestrate = Callable[..., Orchestrator]


def failing(context: object) -> None:
    raise OperationError(reason="broken")


class Brittle(MemoryStore):
    """A store that fails in the methods that a test names."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: dict[str, Exception] = {}

    def _check(self, method: str) -> None:
        if method in self.broken:
            raise self.broken[method]

    def finish(self, completion: Any, *, then: Any = None) -> CompletionReceipt | None:
        self._check("finish")
        return super().finish(completion, then=then)

    def claim(self, claim: Any) -> JobRecord | None:
        self._check("claim")
        return super().claim(claim)

    def progress(self, job_id: str, attempt: int, progress: Any) -> None:
        self._check("progress")
        super().progress(job_id, attempt, progress)

    def add_lines(self, lines: Any) -> None:
        self._check("add_lines")
        super().add_lines(lines)


DISK_FULL = StoreError(url="memory:", problem="the disk is full")


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("method", ["finish", "claim"])
@pytest.mark.parametrize("error", [DISK_FULL, RuntimeError("a foreign store")], ids=["ours", "foreign"])
def test_wait_raises_what_the_store_raised(
    orchestrate: Orchestrate, threads: int, method: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails under a running job is told to whoever waits, and nothing hangs."""
    store = Brittle()
    monkeypatch.setattr(pitstop.orchestration.job_runner, "END_PATIENCE", 0.1)
    orchestrator = orchestrate(store, **({"runner": ThreadRunner(threads)} if threads else {}))
    store.broken[method] = error
    with pytest.raises(type(error), match=r"disk is full|foreign store"):
        orchestrator.wait(orchestrator.submit(plan(job("a"), job("b"))).id, timeout=PATIENCE)


def test_the_other_jobs_run_after_the_store_failed_once(
    orchestrate: Orchestrate, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that was taken together with an end that could not be stored is not lost, and neither is that end."""
    monkeypatch.setattr(pitstop.orchestration.job_runner, "END_PATIENCE", 0.1)
    store = Brittle()

    def act(context: object) -> None:
        store.broken["finish"] = DISK_FULL
        orchestrator.submit(job("b"))

    actor.acts["a"] = act
    actor.acts["b"] = lambda context: store.broken.clear()
    orchestrator = orchestrate(store)
    first = orchestrator.submit(job("a"))
    assert actor.ran == ["a", "b"]
    eventually(lambda: store.get(first.id).status is JobStatus.COMPLETED, "the end that was late")
    assert orchestrator.wait(first.id).status is JobStatus.COMPLETED


@pytest.mark.parametrize("request_", [job("one"), plan(job("one"))], ids=["job", "plan"])
def test_a_job_that_the_runner_refuses_is_handed_over_again(orchestrate: Orchestrate, request_: Job | Plan) -> None:
    """It is stored, so that its submitter hears of no error; an engine that was away is asked again."""
    refusals = [ConnectionError("no broker"), ConnectionError("no broker")]

    class Away(ThreadRunner):
        def reserve(self) -> bool:
            return False

        def submit(self, job_id: str, *, not_before: float | None = None) -> None:
            if refusals:
                raise refusals.pop()
            super().submit(job_id, not_before=not_before)

    orchestrator = orchestrate(MemoryStore(), runner=Away())
    assert wait_for(orchestrator, orchestrator.submit(request_).id).status is JobStatus.COMPLETED
    assert refusals == []


def test_nothing_is_tried_again_for_a_job_that_is_gone(
    orchestrate: Orchestrate, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody purges what was cancelled before those behind it are handed over: that never gets better."""
    store, gate = MemoryStore(), Gate()
    actor.acts["*"] = gate
    orchestrator = orchestrate(store, runner=ThreadRunner(1))
    orchestrator.submit(job("first"))
    assert gate.reached.wait(PATIENCE)
    second, cancel = orchestrator.submit(job("second")), store.cancel

    def cancel_and_purge(job_id: str, **options: Any) -> Cancelled:
        done = cancel(job_id, **options)
        assert store.purge(before=float("inf"), statuses=[JobStatus.CANCELLED]) == 1
        return done

    monkeypatch.setattr(store, "cancel", cancel_and_purge)
    assert orchestrator.cancel(second.id).cancelled == (second.id,)
    assert orchestrator._jobs._deferred == []
    gate.open.set()


def test_what_a_runner_refused_until_the_end_is_reported(orchestrate: Orchestrate) -> None:
    """Nobody here asks it again: the job stays pending, and whoever looks is told what takes it up."""

    class Gone(ThreadRunner):
        shared = True

        def reserve(self) -> bool:
            return False

        def submit(self, job_id: str, *, not_before: float | None = None) -> None:
            raise ConnectionError("no broker")

    shown = io.StringIO()
    logs.enable(shown, level="warning")
    orchestrator = orchestrate(MemoryStore(), runner=Gone())
    root = orchestrator.submit(job("one"))
    orchestrator.close(keep_store=True)
    logs.disable()
    told = f"handing over the first jobs of {root.id} is left undone; Orchestrator.rescue() takes it up"
    assert shown.getvalue().count(told) == 1
    assert orchestrator.store.get(root.id).status is JobStatus.PENDING


def test_an_end_is_stored_when_the_store_works_again(orchestrate: Orchestrate, store: JobStore) -> None:
    """A store that is full for a moment costs that moment, and no end."""
    finish, broken = store.finish, [DISK_FULL, DISK_FULL]

    def sometimes(ending: object, **more: object) -> object:
        if broken:
            raise broken.pop()
        return finish(ending, **more)  # type: ignore[arg-type]

    store.finish = sometimes  # type: ignore[method-assign,assignment]
    record = orchestrate(store).run(job("one"))
    assert record.status is JobStatus.COMPLETED
    assert broken == []


def test_an_end_that_can_never_be_stored_becomes_a_failure(orchestrate: Orchestrate, store: JobStore) -> None:
    """The job has ended, and says why its result is not there; it does not stay running."""
    finish = store.finish

    def no_results(ending: Any, **more: Any) -> Any:
        if ending.result is not None:
            raise StoreError(url="here", problem="a value is too big", lasting=True)
        return finish(ending, **more)

    store.finish = no_results  # type: ignore[method-assign]
    record = orchestrate(store).run(job("one"))
    assert record.status is JobStatus.FAILED
    assert record.error is not None
    assert "it completed, but its end cannot be stored" in record.error.message
    assert "too big" in record.error.message


def test_progress_that_cannot_be_stored_is_no_failure(orchestrate: Orchestrate, actor: Actor) -> None:
    """What is only shown does not make the work fail."""
    store = Brittle()
    store.broken["progress"] = DISK_FULL
    actor.acts["*"] = lambda context: context.progress(1, 1)
    record = orchestrate(store).run("act")
    assert record.status is JobStatus.COMPLETED
    assert any("progress was not stored" in line.message for line in store.lines(record.id))


def test_a_rescued_job_ends_its_stale_attempt_quietly(orchestrate: Orchestrate, actor: Actor) -> None:
    """A stale end changes nothing, and what waits for its resource, or was taken with it, still runs."""
    store = MemoryStore()
    clock = FakeClock()
    gate = Gate()
    actor.acts["a"] = gate
    orchestrator = orchestrate(JobManager(store, clock=clock), runner=ThreadRunner(1))
    root = orchestrator.submit(plan(job("a", resource="db"), job("b", resource="db"), job("c")))
    assert gate.reached.wait(PATIENCE)
    other = JobManager(store, clock=clock)
    orchestrator.manager.process_lock.release()  # as if its process had died, in the eyes of others
    (lost,) = other.rescue().lost
    gate.open.set()
    record = wait_for(orchestrator, root.id)
    assert record.status is JobStatus.FAILED
    assert statuses(store, root.id) == {"root": "failed", "a": "failed", "b": "completed", "c": "completed"}
    assert store.get(lost.record.id).error == lost.record.error
    other.close(keep_store=True)


def test_the_watcher_survives_a_store_that_fails(
    orchestrate: Orchestrate, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the store raises while jobs are looked after, it is tried again."""
    monkeypatch.setattr(pitstop.orchestration.supervisor, "HEARTBEAT_INTERVAL", 0.1)  # which hears of the cancel
    store = Brittle()
    gate = Gate()
    tries = threading.Event()

    class CountingError(RuntimeError):
        def __str__(self) -> str:
            tries.set()
            return "no"

    store.broken["add_lines"] = CountingError()
    actor.acts["*"] = lambda context: (context.logger.info("x"), gate(context))[1]
    orchestrator = orchestrate(store, runner=ThreadRunner(1))
    root = orchestrator.submit("act")
    assert tries.wait(PATIENCE)
    store.broken.clear()
    store.cancel(root.id, now=0, reason="as another process does")
    attempt = orchestrator._jobs.supervisor._attempts[root.id, 1]
    eventually(lambda: attempt.scope.error is not None, "the telling")
    assert isinstance(attempt.scope.error, JobCancelledError)
    gate.open.set()
    wait_for(orchestrator, root.id)
