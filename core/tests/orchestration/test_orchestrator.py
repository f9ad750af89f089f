"""The orchestrator: jobs and trees from submission to their end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pitstop.contracts import JobQuery, JobStore
from pitstop.errors import (
    InvalidJobError,
    OperationError,
    StoreError,
    TransientError,
)
from pitstop.jobs import Counts, JobStatus, Result
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.registry.registry import Registry
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore

from ..helpers import PATIENCE, Actor, FakeClock, Gate, Recorder, eventually, job, plan, statuses, wait_for

Orchestrate = Callable[..., Orchestrator]


def failing(context: object) -> None:
    raise OperationError(reason="broken")


def test_run_records_what_a_worker_returns(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """The record that comes back is the store's, with the result, the attempt and the times."""
    actor.acts["*"] = lambda context: Result.unchanged("nothing to do", pages=0)
    record = orchestrate(store).run("act", {"x": [1, None]})
    assert record == store.get(record.id)
    assert (record.status, record.attempt) == (JobStatus.COMPLETED, 1)
    assert record.result == Result.unchanged("nothing to do", pages=0)
    assert record.seconds is not None
    assert record.lease_until is None


def test_run_retries_on_the_given_clock(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """A transient failure is tried again after its backoff, without any real waiting, and then fails."""
    clock = FakeClock()
    actor.acts["*"] = lambda context: (_ for _ in ()).throw(TransientError(reason="busy"))
    record = orchestrate(JobManager(store, clock=clock, jitter=lambda: 0.5)).run(job("one", max_attempts=3))
    assert (record.status, record.attempt) == (JobStatus.FAILED, 3)
    assert sum(clock.slept) == pytest.approx(0.5 * 1 + 0.5 * 2)
    assert actor.ran == ["one"] * 3


def test_run_succeeds_at_a_later_attempt(orchestrate: Orchestrate, actor: Actor, recorder: Recorder) -> None:
    """An attempt that completes forgets the error of the one before, and hooks hear of one end."""

    def act(context: Any) -> None:
        if context.attempt == 1:
            raise TransientError(reason="busy")

    actor.acts["*"] = act
    actor_registry = Registry(path=[])
    actor_registry.add_worker(actor)
    actor_registry.add_hooks(recorder)
    record = orchestrate(JobManager(MemoryStore(), clock=FakeClock()), registry=actor_registry).run("act")
    assert (record.status, record.attempt, record.error) == (JobStatus.COMPLETED, 2, None)
    assert recorder.of("act") == ["created", "started", "started", "finished"]


def test_run_raises_an_interruption_again(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """Ctrl-C in a job cancels it and its tree, and then reaches the caller."""

    def act(context: object) -> None:
        raise KeyboardInterrupt

    actor.acts["b"] = act
    orchestrator = orchestrate(store)
    tree = plan(job("a"), job("b"), job("c"))
    with pytest.raises(KeyboardInterrupt):
        orchestrator.run(tree)
    assert statuses(store, tree.parent.id) == {
        "root": "cancelled",
        "a": "completed",
        "b": "cancelled",
        "c": "cancelled",
    }
    assert orchestrator.run(job("next")).status is JobStatus.COMPLETED


def test_run_survives_an_interruption_in_a_thread(orchestrate: Orchestrate, actor: Actor) -> None:
    """A worker that raises KeyboardInterrupt costs its tree, and not the runner's only thread."""

    def act(context: object) -> None:
        raise KeyboardInterrupt

    actor.acts["bad"] = act
    orchestrator = orchestrate(runner=ThreadRunner(1))
    assert wait_for(orchestrator, orchestrator.submit(job("bad")).id).status is JobStatus.CANCELLED
    assert wait_for(orchestrator, orchestrator.submit(job("good")).id).status is JobStatus.COMPLETED


def test_cancel_tells_a_running_job(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """A job that runs here is told at once, with the reason."""
    gate = Gate()
    actor.acts["*"] = gate.until_cancelled
    orchestrator = orchestrate(store, runner=ThreadRunner(1))
    root = orchestrator.submit("act")
    assert gate.reached.wait(PATIENCE)
    assert orchestrator.cancel(root.id, reason="the user said so").stopping == (root.id,)
    record = wait_for(orchestrator, root.id)
    assert record.status is JobStatus.CANCELLED
    assert record.error is not None
    assert record.error.message == "the user said so"


def test_cancel_that_loses_the_race_reports_completed(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """A job that completes although it was told has completed."""
    gate = Gate()
    actor.acts["*"] = gate
    orchestrator = orchestrate(store, runner=ThreadRunner(1))
    root = orchestrator.submit("act")
    assert gate.reached.wait(PATIENCE)
    orchestrator.cancel(root.id)
    gate.open.set()
    assert wait_for(orchestrator, root.id).status is JobStatus.COMPLETED


def test_wait_returns_what_there_is_when_time_is_over(orchestrate: Orchestrate, actor: Actor) -> None:
    """A timeout is no error."""
    gate = Gate()
    actor.acts["*"] = gate
    orchestrator = orchestrate(runner=ThreadRunner(1))
    root = orchestrator.submit("act")
    assert gate.reached.wait(PATIENCE)
    assert orchestrator.wait(root.id, timeout=0.01).status is JobStatus.RUNNING
    assert orchestrator.wait(root.id, timeout=0).status is JobStatus.RUNNING
    gate.open.set()
    wait_for(orchestrator, root.id)


def test_submit_completes_an_empty_plan_at_once(
    orchestrate: Orchestrate, recorder: Recorder, registry: Registry
) -> None:
    """A parent without children, inside a tree too, has completed when `submit` returns, and hooks hear of it."""
    registry.add_hooks(recorder)
    root = orchestrate().submit(plan(plan(name="inner")))
    assert root.status is JobStatus.COMPLETED
    assert recorder.calls == [
        ("created", "root", "completed"),
        ("created", "inner", "completed"),
        ("finished", "inner", "completed"),
        ("finished", "root", "completed"),
    ]


def test_submit_tells_of_an_empty_plan_inside_a_tree(
    orchestrate: Orchestrate, recorder: Recorder, registry: Registry
) -> None:
    """An inner parent without children ends although its root goes on."""
    registry.add_hooks(recorder)
    orchestrate().run(plan(plan(name="empty"), job("a")))
    assert recorder.of("empty") == ["created", "finished"]


def test_run_carries_out_nested_plans_in_order(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """A tree of plans runs depth first in plan order when it runs inline, and its counts roll up."""
    inner = plan(job("b"), plan(job("c"), name="deep"), name="inner")
    record = orchestrate(store).run(plan(job("a"), inner, job("d")))
    assert actor.ran == ["a", "b", "c", "d"]
    assert (record.status, record.counts) == (JobStatus.COMPLETED, Counts(completed=3))
    assert record.finished_at is not None


def test_run_stops_pending_siblings(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """`stop` really cancels what has not started, below inner parents too, and says why."""
    actor.acts["a"] = failing
    tree = plan(job("a"), job("b"), plan(job("c"), name="inner"), on_error="stop")
    record = orchestrate(store).run(tree)
    assert record.status is JobStatus.FAILED
    assert actor.ran == ["a"]
    expected = {"root": "failed", "a": "failed", "b": "cancelled", "inner": "cancelled", "c": "cancelled"}
    assert statuses(store, record.id) == expected
    (second,) = (r for r in store.select(JobQuery(parent_id=record.id)) if r.job.name == "b")
    assert second.error is not None
    assert "root stops: 1 job failed" in second.error.message


@pytest.mark.parametrize(("failures", "status"), [(1, "completed"), (2, "failed")])
def test_run_tolerates_so_many_failures(
    orchestrate: Orchestrate, actor: Actor, store: JobStore, failures: int, status: str
) -> None:
    """With max_failures=1 one failure is tolerated and the second is not."""
    for name in "abc"[:failures]:
        actor.acts[name] = failing
    record = orchestrate(store).run(plan(job("a"), job("b"), job("c"), max_failures=1))
    assert record.status == status
    assert actor.ran == ["a", "b", "c"]


def test_run_goes_on_after_a_failure(orchestrate: Orchestrate, actor: Actor) -> None:
    """`continue` runs the other children all the same, and the parent fails."""
    actor.acts["a"] = failing
    record = orchestrate().run(plan(job("a"), job("b")))
    assert (record.status, record.counts) == (JobStatus.FAILED, Counts(completed=1, failed=1))


def test_cancel_of_a_tree_takes_all_of_it(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """Pending jobs are cancelled at once, running ones are told, and the root ends cancelled."""
    gate = Gate()
    actor.acts["a"] = gate.until_cancelled
    orchestrator = orchestrate(store, runner=ThreadRunner(1))
    root = orchestrator.submit(plan(job("a"), job("b"), plan(job("c"), name="inner")))
    assert gate.reached.wait(PATIENCE)
    done = orchestrator.cancel(root.id)
    assert (len(done.cancelled), len(done.stopping)) == (2, 1)
    assert [parent.job.name for parent in done.closed] == ["inner"]
    assert wait_for(orchestrator, root.id).status is JobStatus.CANCELLED
    assert set(statuses(store, root.id).values()) == {"cancelled"}
    assert actor.ran == ["a"]


def test_cancel_of_one_child_leaves_the_others(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """Only that one is cancelled; the rest runs, and the parent completes."""
    gate = Gate()
    actor.acts["a"] = gate
    orchestrator = orchestrate(store, runner=ThreadRunner(1))
    tree = plan(job("a"), job("b"), job("c"))
    root = orchestrator.submit(tree)
    assert gate.reached.wait(PATIENCE)
    orchestrator.cancel(tree.children[1].id)  # type: ignore[union-attr]
    gate.open.set()
    assert wait_for(orchestrator, root.id).status is JobStatus.COMPLETED
    assert actor.ran == ["a", "c"]
    assert statuses(store, root.id)["b"] == "cancelled"


def test_cancel_of_the_first_in_line_wakes_the_next(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """A job that waits for its retry holds back the later ones of its resource; its cancellation lets them go."""
    actor.acts["a"] = lambda context: (_ for _ in ()).throw(TransientError(reason="busy"))
    manager = JobManager(store, jitter=lambda: 60.0)
    orchestrator = orchestrate(manager, runner=ThreadRunner(2))
    tree = plan(job("a", resource="db", max_attempts=9), job("b", resource="db"))
    root = orchestrator.submit(tree)
    first: Any = tree.children[0]
    eventually(lambda: store.get(first.id).attempt == 1 and store.get(first.id).status is JobStatus.PENDING, "a retry")
    assert actor.ran.count("b") == 0, "plan order"
    orchestrator.cancel(first.id)
    assert wait_for(orchestrator, root.id).status is JobStatus.COMPLETED
    assert statuses(store, root.id) == {"root": "completed", "a": "cancelled", "b": "completed"}


def test_retry_takes_only_what_is_left(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """A new tree has what failed or was cancelled, in its old shape, and says of what it is the retry."""
    actor.acts["b"] = actor.acts["d"] = failing
    orchestrator = orchestrate(store)
    done = plan(job("x"), name="done")
    first = orchestrator.run(plan(job("a"), job("b"), plan(job("c"), job("d"), name="inner"), done, max_failures=0))
    actor.acts.clear()
    actor.ran.clear()
    record = wait_for(orchestrator, orchestrator.retry(first.id).id)
    assert record.status is JobStatus.COMPLETED
    assert record.job.metadata["retry_of"] == first.id
    assert actor.ran == ["b", "d"]
    assert statuses(store, record.id) == dict.fromkeys(("root", "b", "inner", "d"), "completed")
    assert statuses(store, first.id)["b"] == "failed"
    assert record.id != first.id


def test_retry_keeps_what_a_job_asked_for(orchestrate: Orchestrate, actor: Actor) -> None:
    """Config, limits, resource and tolerance are those of the first time."""
    actor.acts["*"] = failing
    orchestrator = orchestrate()
    asked = job("a", config={"x": 1}, timeout=5.0, max_attempts=2, resource="db", metadata={"by": "me"})
    again = orchestrator.retry(orchestrator.run(asked).id).job
    assert (again.config, again.timeout, again.max_attempts) == ({"x": 1}, 5.0, 2)
    assert (again.resource, again.metadata["by"]) == ("db", "me")


def test_retry_refuses_what_has_not_ended_or_completed(orchestrate: Orchestrate, actor: Actor) -> None:
    """A running job is not run a second time, and a completed one never again."""
    gate = Gate()
    actor.acts["slow"] = gate
    orchestrator = orchestrate(runner=ThreadRunner(1))
    slow = orchestrator.submit(plan(job("slow")))
    assert gate.reached.wait(PATIENCE)
    with pytest.raises(InvalidJobError, match="is running; wait for its end, or cancel it"):
        orchestrator.retry(slow.id)
    gate.open.set()
    wait_for(orchestrator, slow.id)
    with pytest.raises(InvalidJobError, match="a completed job never runs again"):
        orchestrator.retry(slow.id)


def test_close_ends_a_wait(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """Whoever waits for a job that will not run any more is told, and nothing new is taken."""
    gate = Gate()
    actor.acts["a"] = gate
    orchestrator = orchestrate(store, runner=ThreadRunner(1))
    root = orchestrator.submit(plan(job("a"), job("b")))
    assert gate.reached.wait(PATIENCE)
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            orchestrator.wait(root.id)
        except StoreError as error:
            raised.append(error)

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    gate.open.set()
    orchestrator.close(keep_store=True)
    waiter.join(PATIENCE)
    assert [str(error) for error in raised] == [f"job store {store.url}: this orchestrator is closed; make another one"]
    with pytest.raises(StoreError, match="this orchestrator is closed"):
        orchestrator.submit(job("late"))
    assert store.count(JobQuery()).total == 3


def test_orchestrator_is_a_context_manager(registry: Registry, tmp_path: Path) -> None:
    """Leaving the block closes the store and gives the lock file back."""
    path = tmp_path / "jobs.db"
    with Orchestrator(SQLiteStore(path), registry=registry) as orchestrator:
        record = orchestrator.run("act")
    with pytest.raises(StoreError, match="it is closed"):
        orchestrator.store.get(record.id)
    assert list((tmp_path / "jobs.db-runners").iterdir()) == []
