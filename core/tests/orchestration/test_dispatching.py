"""Which job runs next: side by side and one after the other, with as few transactions as can be."""

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

from pitstop.contracts import JobQuery, JobStore
from pitstop.contracts.hooks import hookimpl
from pitstop.errors import (
    InvalidPlanError,
    OperationError,
    TransientError,
)
from pitstop.jobs import Counts, Job, JobRecord, JobStatus, Plan
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.submission import SubmitOptions
from pitstop.registry.registry import Registry
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore

from ..helpers import PATIENCE, Actor, Gate, Recorder, eventually, job, plan, statuses, wait_for

Orchestrate = Callable[..., Orchestrator]


def failing(context: object) -> None:
    raise OperationError(reason="broken")


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
