"""The orchestrator: trees from submission to their end, side by side and one after the other, cancelled and retried."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sampling import at_most

import pitstop.orchestration.job_runner
from pitstop.contracts import CompletionReceipt, JobQuery, JobStore
from pitstop.contracts.hooks import hookimpl
from pitstop.errors import (
    InvalidJobError,
    InvalidPlanError,
    JobCancelledError,
    OperationError,
    StoreError,
    TransientError,
)
from pitstop.jobs import Counts, Job, JobRecord, JobStatus, Plan, Result
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.submission import SubmitOptions
from pitstop.registry.registry import Registry
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore

from ..helpers import PATIENCE, Actor, FakeClock, Gate, Recorder, eventually, job, plan, statuses, wait_for

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


# -- one job ---------------------------------------------------------------------------------------------------------


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


# -- trees -----------------------------------------------------------------------------------------------------------


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


# -- resources -------------------------------------------------------------------------------------------------------


class Overlaps:
    """Notes which jobs of one resource were inside at the same time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside: set[str | None] = set()
        self.found: list[str] = []
        self.order: list[str] = []

    def __call__(self, context: Any) -> None:
        resource = context.job.resource
        with self.lock:
            if resource in self.inside and resource is not None:
                self.found.append(context.job.name)
            self.inside.add(resource)
            self.order.append(context.job.name)
        context.check_cancelled()
        with self.lock:
            self.inside.discard(resource)


def test_run_keeps_order_within_a_resource(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """Children that share a resource run one after the other, in plan order."""
    actor.acts["*"] = overlaps = Overlaps()
    children = [job(f"{name}{n}", resource=name) for n in range(5) for name in ("x", "y")]
    record = orchestrate(store, runner=ThreadRunner(4)).run(plan(*children))
    assert record.status is JobStatus.COMPLETED
    assert overlaps.found == []
    for name in ("x", "y"):
        assert [each for each in overlaps.order if each[0] == name] == [f"{name}{n}" for n in range(5)]


def test_run_does_others_side_by_side(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """Children with resources of their own, or none, really run at the same time."""
    barrier = threading.Barrier(3, timeout=PATIENCE)
    actor.acts["*"] = lambda context: (barrier.wait(), None)[1]
    tree = plan(job("a", resource="x"), job("b", resource="y"), job("c"))
    record = orchestrate(store, runner=ThreadRunner(3)).run(tree)
    assert record.status is JobStatus.COMPLETED


def test_two_trees_share_a_resource(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """The end of one tree's job wakes the other tree's."""
    gate = Gate()
    overlaps = Overlaps()
    actor.acts["*"] = overlaps
    actor.acts["first"] = gate
    orchestrator = orchestrate(store, runner=ThreadRunner(3))
    one = orchestrator.submit(plan(job("first", resource="db")))
    assert gate.reached.wait(PATIENCE)
    two = orchestrator.submit(plan(job("b", resource="db"), job("c", resource="db")))
    three = orchestrator.submit(job("d", resource="db"))
    assert statuses(store, two.id)["b"] == "pending"
    gate.open.set()
    for root in (one, two, three):
        assert wait_for(orchestrator, root.id).status is JobStatus.COMPLETED
    assert overlaps.found == []
    assert [name for name in overlaps.order if name in "bc"] == ["b", "c"]


@pytest.mark.parametrize("waiting", ["tree", "leaf"])
def test_two_orchestrators_share_a_resource(
    orchestrate: Orchestrate, actor: Actor, tmp_path: Path, waiting: str
) -> None:
    """What one process frees, the other gets within about a second, although nobody tells it."""
    stores = [SQLiteStore(tmp_path / "jobs.db", durability="process") for _ in range(2)]
    gate = Gate()
    actor.acts["first"] = gate
    one, two = (orchestrate(store, runner=ThreadRunner(1)) for store in stores)
    first = one.submit(plan(job("first", resource="db")))
    assert gate.reached.wait(PATIENCE)
    asked: Any = job("second", resource="db")
    second = two.submit(plan(asked) if waiting == "tree" else asked)
    assert two.wait(second.id, timeout=0.05).status is not JobStatus.COMPLETED
    gate.open.set()
    assert wait_for(one, first.id).status is JobStatus.COMPLETED
    ended = two.wait(second.id, timeout=3)
    assert ended.status is JobStatus.COMPLETED
    for orchestrator, store in zip((one, two), stores, strict=True):
        orchestrator.close(keep_store=True)
        store.close()


def test_many_jobs_of_another_process_do_not_hide_ours(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """A resource for which a hundred jobs of somebody else wait is still handed on to our own next job."""
    elsewhere = JobManager(store)
    for number in range(30):
        elsewhere.create([job(f"theirs{number}", resource="db")])
    orchestrator = orchestrate(store)
    root = orchestrator.submit(plan(job("a", resource="db"), job("b", resource="db")))
    assert wait_for(orchestrator, root.id).status is JobStatus.COMPLETED
    assert actor.ran == ["a", "b"]
    elsewhere.close(keep_store=True)


def test_a_job_inline_that_waited_keeps_its_lease(orchestrate: Orchestrate, actor: Actor, tmp_path: Path) -> None:
    """A job that starts late on the inline runner does not run in the thread that sends heartbeats."""
    stores = [SQLiteStore(tmp_path / "jobs.db", durability="process") for _ in range(2)]
    one, two = orchestrate(stores[0], runner=ThreadRunner(1)), orchestrate(stores[1])
    gate, second = Gate(), Gate()
    threads: list[str] = []
    actor.acts["first"] = gate

    def act(context: Any) -> None:
        threads.append(threading.current_thread().name)
        context.logger.info("waiting")
        second(context)

    actor.acts["second"] = act
    one.submit(job("first", resource="db"))
    assert gate.reached.wait(PATIENCE)
    late = two.submit(job("second", resource="db"))
    gate.open.set()
    assert second.reached.wait(PATIENCE)
    eventually(lambda: list(stores[0].lines(late.id)), "a line stored by the watcher")
    second.open.set()
    assert wait_for(two, late.id).status is JobStatus.COMPLETED
    assert threads != ["pitstop-monitor"]
    for orchestrator, store in zip((one, two), stores, strict=True):
        orchestrator.close(keep_store=True)
        store.close()


def test_a_cancelled_waiter_does_not_keep_the_resource(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """When the job whose turn it is was cancelled before it could start, the next tree gets the resource."""
    holder, busy = Gate(), Gate()
    actor.acts["holder"], actor.acts["busy"] = holder, busy
    orchestrator = orchestrate(store, runner=ThreadRunner(2))
    first = orchestrator.submit(job("holder", resource="db"))
    filler = orchestrator.submit(job("busy"))
    assert holder.reached.wait(PATIENCE)
    assert busy.reached.wait(PATIENCE)
    extra = Gate()
    actor.acts["extra"] = extra
    more = orchestrator.submit(job("extra"))  # takes the thread that the holder leaves
    turn = orchestrator.submit(plan(job("turn", resource="db"), name="t"))
    last = orchestrator.submit(plan(job("last", resource="db"), name="l"))
    holder.open.set()
    wait_for(orchestrator, first.id)
    assert extra.reached.wait(PATIENCE)
    orchestrator.cancel(turn.id)
    extra.open.set()
    busy.open.set()
    for root in (last, more, filler):
        assert wait_for(orchestrator, root.id).status is JobStatus.COMPLETED


# -- one transaction less, or many in one ----------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [0, 2])
def test_a_job_that_can_start_at_once_is_stored_running(
    orchestrate: Orchestrate, actor: Actor, store: JobStore, threads: int
) -> None:
    """Creation and claim are one transaction; the history still tells both."""
    calls: list[str] = []
    orchestrator = orchestrate(store, **({"runner": ThreadRunner(threads)} if threads else {}))
    orchestrator.manager.claim = calls.append  # type: ignore[method-assign,assignment]
    root = orchestrator.submit(job("one"))
    assert wait_for(orchestrator, root.id).attempt == 1
    assert calls == []
    assert [change.new.value for change in store.history(root.id)] == ["pending", "running", "completed"]


def test_a_job_whose_resource_is_in_use_is_stored_pending(
    orchestrate: Orchestrate, actor: Actor, store: JobStore
) -> None:
    """A free place in the runner is not enough; its turn comes with the end of the other."""
    gate = Gate()
    actor.acts["holder"] = gate
    orchestrator = orchestrate(store, runner=ThreadRunner(2))
    holder = orchestrator.submit(job("holder", resource="db"))
    assert gate.reached.wait(PATIENCE)
    turn = orchestrator.submit(job("turn", resource="db"))
    assert store.get(turn.id).status is JobStatus.PENDING
    gate.open.set()
    assert wait_for(orchestrator, holder.id).status is JobStatus.COMPLETED
    assert wait_for(orchestrator, turn.id).status is JobStatus.COMPLETED


def test_an_interruption_in_a_hook_leaves_no_job_running(registry: Registry, store: JobStore) -> None:
    """The job that was claimed with its creation is cancelled, and the runner's place is free again."""

    class Interrupting:
        armed = True

        @hookimpl
        def pitstop_job_created(self) -> None:
            if self.armed:
                raise KeyboardInterrupt

    hook = Interrupting()
    registry.add_hooks(hook)
    orchestrator = Orchestrator(store, registry=registry)
    with pytest.raises(KeyboardInterrupt):
        orchestrator.submit(job("one"))
    assert store.count(JobQuery()) == Counts(cancelled=1)
    hook.armed = False
    assert orchestrator.run(job("two")).status is JobStatus.COMPLETED
    orchestrator.close(keep_store=True)


def test_a_job_may_wait_for_another_on_the_inline_runner(orchestrate: Orchestrate, actor: Actor) -> None:
    """It runs there and then, inside the one that waits for it."""
    orchestrator = orchestrate()
    actor.acts["outer"] = lambda context: {"inner": orchestrator.run(job("inner")).status.value}
    record = orchestrator.run(job("outer"))
    assert record.result is not None
    assert record.result.data == {"inner": "completed"}
    assert actor.ran == ["outer", "inner"]


def test_the_first_job_finds_what_a_dead_process_held(orchestrate: Orchestrate, tmp_path: Path) -> None:
    """Nobody has to ask for a rescue before a resource is free again."""
    store = SQLiteStore(tmp_path / "jobs.db")
    gone = JobManager(store)
    held = job("held", resource="db")
    gone.create([held])
    assert gone.claim(held.id) is not None
    gone.close(keep_store=True)  # its lock is free, as after a kill
    orchestrator = orchestrate(store)
    assert orchestrator.run(job("next", resource="db")).status is JobStatus.COMPLETED
    lost = store.get(held.id)
    assert lost.status is JobStatus.FAILED
    assert lost.error is not None
    assert "lost" in lost.error.message
    orchestrator.close()


def test_submit_many_stores_all_in_one_transaction(orchestrate: Orchestrate, store: JobStore) -> None:
    """Actions, worker types with and without a config, jobs and plans, in the order that was given."""
    creations: list[int] = []
    create = store.create
    store.create = lambda records, **more: (creations.append(len(records)), create(records, **more))[1]  # type: ignore[method-assign]
    orchestrator = orchestrate(store, runner=ThreadRunner(2))
    requests = ["act", ("act", {"a": 1}), job("j"), plan(job("x"), job("y"), name="p"), plan(name="empty")]
    roots = orchestrator.submit_many(requests)
    assert creations == [7]
    assert [root.job.name for root in roots] == ["act", "act", "j", "p", "empty"]
    assert roots[1].job.config == {"a": 1}
    assert [wait_for(orchestrator, root.id).status for root in roots] == [JobStatus.COMPLETED] * 5
    assert statuses(store, roots[3].id) == {"p": "completed", "x": "completed", "y": "completed"}


def test_submit_many_refuses_all_for_one(orchestrate: Orchestrate, store: JobStore) -> None:
    """Each that is wrong is told with its number, and nothing is stored."""
    orchestrator = orchestrate(store)
    with pytest.raises(InvalidPlanError, match=r"(?s)request 2.*acct.*request 4") as raised:
        orchestrator.submit_many(["act", "acct", job("fine"), ("nothing", {})])
    assert len(raised.value.problems) == 2
    assert store.count(JobQuery()).total == 0
    assert orchestrator.submit_many([]) == []


# -- the store fails -------------------------------------------------------------------------------------------------


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


# -- hooks, progress and logs ----------------------------------------------------------------------------------------


def test_hooks_are_called_in_order(
    orchestrate: Orchestrate, actor: Actor, recorder: Recorder, registry: Registry, store: JobStore
) -> None:
    """Created for all first, then each job's start, progress and end, and its parents' end last."""
    registry.add_hooks(recorder)
    actor.acts["*"] = lambda context: context.progress(1, 1)
    orchestrate(store).run(plan(job("a"), plan(job("b"), name="inner")))
    assert [(kind, name) for kind, name, _ in recorder.calls] == [
        *(("created", name) for name in ("root", "a", "inner", "b")),
        *((kind, "a") for kind in ("started", "progress", "finished")),
        *((kind, "b") for kind in ("started", "progress", "finished")),
        ("finished", "inner"),
        ("finished", "root"),
    ]


def test_hooks_hear_of_what_was_cancelled(
    orchestrate: Orchestrate, actor: Actor, recorder: Recorder, registry: Registry
) -> None:
    """Jobs that a stop or a cancel ended get their end told once."""
    registry.add_hooks(recorder)
    actor.acts["a"] = failing
    orchestrate().run(plan(job("a"), plan(job("b"), name="inner"), on_error="stop"))
    assert [call for call in recorder.calls if call[0] == "finished"] == [
        ("finished", "a", "failed"),
        ("finished", "b", "cancelled"),
        ("finished", "inner", "cancelled"),
        ("finished", "root", "failed"),
    ]


@pytest.mark.parametrize("error", [ValueError("hook"), SystemExit(1)])
def test_a_hook_that_raises_costs_no_job(
    orchestrate: Orchestrate, registry: Registry, recorder: Recorder, error: BaseException
) -> None:
    """Neither an exception nor an exit in any hook stops a job or another plugin."""

    class Bad:
        @hookimpl
        def pitstop_job_created(self, record: JobRecord) -> None:
            raise error

        @hookimpl
        def pitstop_job_started(self, record: JobRecord) -> None:
            raise error

        @hookimpl
        def pitstop_job_finished(self, record: JobRecord) -> None:
            raise error

    registry.add_hooks(Bad())
    registry.add_hooks(recorder)
    assert orchestrate().run(plan(job("a"))).status is JobStatus.COMPLETED
    assert recorder.of("a") == ["created", "started", "finished"]


def test_a_log_is_stored_in_order_with_the_correlation_id(
    orchestrate: Orchestrate, actor: Actor, store: JobStore
) -> None:
    """Each line stands under its job, and the tree's log reads in order."""

    def act(context: Any) -> None:
        for number in range(3):
            context.logger.info(f"{context.job.name} {number}")

    actor.acts["*"] = act
    root = orchestrate(store).run(plan(job("a"), job("b")))
    lines = list(store.lines(root.id, tree=True))
    assert [line.message for line in lines] == [f"{name} {number}" for name in "ab" for number in range(3)]
    assert {line.correlation_id for line in lines} == {root.id}
    (first, _second) = store.select(JobQuery(parent_id=root.id, oldest_first=True))
    assert [line.message for line in store.lines(first.id)] == ["a 0", "a 1", "a 2"]


def test_a_log_is_visible_before_the_job_ends(orchestrate: Orchestrate, actor: Actor, store: JobStore) -> None:
    """Somebody who looks at a long job sees what it has written so far, and later each line once."""
    gate = Gate()

    def act(context: Any) -> None:
        context.logger.info("early")
        gate(context)
        context.logger.info("late")

    actor.acts["*"] = act
    orchestrator = orchestrate(store, runner=ThreadRunner(1))
    root = orchestrator.submit("act")
    eventually(lambda: [line.message for line in store.lines(root.id)] == ["early"], "the early line")
    gate.open.set()
    wait_for(orchestrator, root.id)
    assert [line.message for line in store.lines(root.id)] == ["early", "late"]


def test_the_watcher_survives_a_store_that_fails(orchestrate: Orchestrate, actor: Actor) -> None:
    """Whatever the store raises while jobs are looked after, it is tried again."""
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


@pytest.mark.parametrize("submitted_here", [True, False])
def test_wait_is_known_before_the_store_is_polled(
    orchestrate: Orchestrate, actor: Actor, monkeypatch: pytest.MonkeyPatch, *, submitted_here: bool
) -> None:
    """A poll that finds nobody waiting is the last one for long, and the end would be noticed as late."""
    store, gate = MemoryStore(), Gate()
    actor.acts["*"] = gate
    here = orchestrate(store, runner=ThreadRunner(1))
    root = (here if submitted_here else orchestrate(store, runner=ThreadRunner(1))).submit("act")
    assert gate.reached.wait(PATIENCE)
    awaited: list[bool] = []
    for name in ("start", "poll_soon"):
        monkeypatch.setattr(here._jobs.monitor, name, lambda: awaited.append(here._waiters.has_waiters))
    here.wait(root.id, timeout=0)
    monkeypatch.undo()
    assert awaited == [True]
    gate.open.set()
    wait_for(here, root.id)


# -- the end ---------------------------------------------------------------------------------------------------------


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


# -- many of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_many_jobs_in_threads_all_end(
    orchestrate: Orchestrate, actor: Actor, registry: Registry, recorder: Recorder, seed: int
) -> None:
    """Two hundred jobs of several trees, with resources at random: none is lost, none overlaps."""
    choose = random.Random(seed)
    registry.add_hooks(recorder)
    actor.acts["*"] = overlaps = Overlaps()
    orchestrator = orchestrate(runner=ThreadRunner(4))
    roots = []
    for tree in range(10):
        children = [job(f"{tree}-{n}", resource=choose.choice([None, "x", "y", "z"])) for n in range(20)]
        roots.append(orchestrator.submit(plan(*children, name=f"tree{tree}")))
    for root in roots:
        assert wait_for(orchestrator, root.id).status is JobStatus.COMPLETED
    orchestrator.close(keep_store=True)
    assert overlaps.found == []
    assert len(actor.ran) == len(set(actor.ran)) == 200
    assert sum(kind == "finished" for kind, _, _ in recorder.calls) == 210


OUTCOMES = st.sampled_from(["completes", "fails", "raises", "transient"])
LEAF = st.tuples(OUTCOMES, st.sampled_from([None, "x", "y"]))
TOLERANCE = st.tuples(st.sampled_from(["continue", "stop"]), st.integers(0, 2))
TREES = st.recursive(
    LEAF, lambda inner: st.tuples(TOLERANCE, st.lists(inner, max_size=3)).map(lambda t: ("plan", *t)), max_leaves=8
)
ROOTS = st.tuples(st.just("plan"), TOLERANCE, st.lists(TREES, max_size=4))


def built(tree: Any, names: list[str]) -> Plan | Job:
    """Return the plan that a drawn tree stands for."""
    if tree[0] != "plan":
        names.append(f"{tree[0]}-{len(names)}")
        return job(names[-1], resource=tree[1], max_attempts=1)
    (on_error, max_failures), children = tree[1], tree[2]
    return plan(*(built(child, names) for child in children), on_error=on_error, max_failures=max_failures)


def model(records: dict[str | None, list[JobRecord]], record: JobRecord) -> str:
    """Return a record's status by the parent rule, worked out from the leaves alone."""
    if record.job.tolerance is None:
        return record.status.value
    below = [model(records, child) for child in records.get(record.id, [])]
    if "pending" in below or "running" in below:
        return "running"
    if below and all(status == "cancelled" for status in below):
        return "cancelled"
    # a child of a stopped tree that has also completed ones counts as cancelled only if the stop reached it
    if record.cancel_requested_at is not None and "cancelled" in below:
        return "cancelled"
    return "failed" if below.count("failed") > record.job.tolerance.max_failures else "completed"


@at_most(40)
@given(tree=ROOTS)
def test_any_tree_ends_as_the_rule_says(tree: Any) -> None:
    """Whatever its shape, outcomes, tolerances and resources, every leaf ends and every parent agrees with the rule."""
    actor = Actor()

    def act(context: Any) -> None:
        outcome = context.job.name.partition("-")[0]
        if outcome == "fails":
            raise OperationError(reason="broken")
        if outcome == "raises":
            raise ZeroDivisionError
        if outcome == "transient":
            raise TransientError(reason="busy")

    actor.acts["*"] = act
    registry = Registry(path=[])
    registry.add_worker(actor)
    with Orchestrator(MemoryStore(), registry=registry, runner=ThreadRunner(3)) as orchestrator:
        root = wait_for(orchestrator, orchestrator.submit(built(tree, [])).id)
        records = orchestrator.store.select(JobQuery(correlation_id=root.id, oldest_first=True, limit=None))
    children: dict[str | None, list[JobRecord]] = {}
    for record in records:
        children.setdefault(record.job.parent_id, []).append(record)
    for record in records:
        assert record.status.terminal
        assert record.status.value == model(children, record)
        if record.job.is_parent:
            counted = [child.status.value for child in children.get(record.id, [])]
            assert record.counts == Counts(**{status: counted.count(status) for status in set(counted)})
            tolerance = record.job.tolerance
            assert tolerance is not None
            if tolerance.on_error == "continue" and record.cancel_requested_at is None and "cancelled" not in counted:
                assert "pending" not in counted
        else:
            outcome = record.job.name.partition("-")[0]
            expected = "completed" if outcome == "completes" else "failed"
            assert record.status.value in (expected, "cancelled")
            assert (record.attempt == 0) == (record.status is JobStatus.CANCELLED)


def test_options_reach_the_records(orchestrate: Orchestrate, store: JobStore) -> None:
    """What is said beside the config is stored with the jobs."""
    options = SubmitOptions(name="nightly", timeout=9, metadata={"definition": "nightly"})
    record = orchestrate(store).run("act", {}, options=options)
    assert (record.job.name, record.job.timeout) == ("nightly", 9)
    assert record.job.metadata == {"definition": "nightly"}
    assert store.get(record.id).job.tolerance is None
