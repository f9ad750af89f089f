"""Anything in any order: managers and each store against a plain model, compared whole after every step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from pitstop.contracts import CompletionReceipt, JobQuery, JobStore
from pitstop.errors import StoreError, UnknownJobError
from pitstop.jobs import (
    AttemptResult,
    Counts,
    ErrorRecord,
    Job,
    JobRecord,
    JobStatus,
    LogLine,
    Progress,
    Result,
)
from pitstop.orchestration.manager import JobManager
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore

from ..helpers import FakeClock
from .model import JITTER, LEASE, LEGAL, C, End, F, Model, Node, P, R, X
from .shapes import Shape, beside, ends, forests, kinds, leaves, pick, queries, who

#: How many random lives each store goes through; more of them, and other ones each time, with PITSTOP_EXAMPLES=5000.
EXAMPLES = {"memory": 180, "process": 70, "full": 20}
#: Of these, in the usual tests.
FEW = {"memory": 12, "process": 6, "full": 2}
ASKED = os.environ.get("PITSTOP_EXAMPLES")
STEPS = 50
#: So many jobs are enough for everything that can happen; with more of them each step takes longer.
MANY = 20

STORES: dict[str, Callable[[Path], tuple[JobStore, JobStore]]] = {
    "memory": lambda folder: (MemoryStore(),) * 2,
    # each manager has a connection of its own, as two processes would
    "process": lambda folder: (_sqlite(folder, "process"), _sqlite(folder, "process")),
    "full": lambda folder: (_sqlite(folder, "full"), _sqlite(folder, "full")),
}


def _sqlite(folder: Path, durability: str) -> JobStore:
    return SQLiteStore(folder / "jobs.db", durability=durability)


class Life(RuleBasedStateMachine):
    """Two managers that look after one store, and the model of what they do to it."""

    make_stores: Callable[[Path], tuple[JobStore, JobStore]]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.stores = type(self).make_stores(Path(self.folder.name))
        self.clock = FakeClock()
        self.managers = [self._manager(number) for number in (0, 1)]
        self.model = Model()
        self.claimed: list[tuple[int, JobRecord]] = []
        self.made = self.steps = 0
        self.gone: list[str] = []

    def _manager(self, number: int) -> JobManager:
        return JobManager(self.stores[number], clock=self.clock, jitter=lambda: JITTER)

    @property
    def now(self) -> float:
        return self.clock.now()

    @property
    def nodes(self) -> list[Node]:
        return list(self.model.nodes.values())

    def any_id(self, number: int, among: Callable[[Node], object] = bool) -> str:
        """Return the id of one of the jobs that fit, now and then of any other, or of one that is gone."""
        fitting = [node.id for node in self.nodes if among(node)]
        ids = (fitting if number % 5 else None) or [node.id for node in self.nodes] + self.gone[-1:]
        return ids[number % len(ids)]

    # -- jobs come -------------------------------------------------------------------------------------------------

    def _jobs(self, forest: list[list[Shape]]) -> list[Job]:
        jobs: list[Job] = []
        for root, *below in forest:
            parents = [root.job(self._new_id())]
            jobs.append(parents[0])
            for shape in below:
                jobs.append(shape.job(self._new_id(), parents[shape.above % len(parents)]))
                parents += [jobs[-1]] if jobs[-1].is_parent else []
        return jobs

    def _new_id(self) -> str:
        self.made += 1
        return f"j{self.made:02}"

    def _learn(self, nodes: list[Node]) -> None:
        """Take over the places that the store gave to new jobs, which must come after all others."""
        for node in nodes:
            node.seq = self.stores[0].get(node.id).seq
        assert all(one.seq < other.seq for one, other in pairwise(self.nodes))

    @initialize(forest=forests)
    def begin(self, forest: list[list[Shape]]) -> None:
        self.submit(forest, 0, False, None)

    @rule(forest=forests, who=who, shared=st.booleans(), taken=st.none() | pick)
    def submit(self, forest: list[list[Shape]], who: int, shared: bool, taken: int | None) -> None:
        """Store whole trees; where one id is taken, nothing of them is stored."""
        if len(self.nodes) > MANY:
            return
        manager, jobs = self.managers[who], self._jobs(forest)
        if taken is not None and self.nodes:
            with pytest.raises(StoreError, match=r"id.* is taken"):
                manager.create([*jobs, self.nodes[taken % len(self.nodes)].job], shared=shared)
        records = manager.create(jobs, shared=shared)
        nodes = self.model.create(jobs, None if shared else manager.process_lock.id, self.now)
        assert records == [node.record() for node in nodes]
        self._learn(nodes)

    @rule(shape=leaves, who=who)
    def submit_running(self, shape: Shape, who: int) -> None:
        if len(self.nodes) > MANY:
            return
        manager, job = self.managers[who], shape.job(self._new_id())
        created, claimed = manager.create_running(job)
        [node] = self.model.create([job], manager.process_lock.id, self.now)
        assert created == node.record()
        self._learn([node])
        self._took(who, claimed, self.model.claim(job.id, manager.process_lock.id, self.now))

    @rule(step=beside)
    def look_after(self, step: tuple[Any, ...]) -> None:
        """One of the things that happen beside the work."""
        name, *arguments = step
        getattr(self, name)(*arguments)

    # -- attempts --------------------------------------------------------------------------------------------------

    def _took(self, who: int, record: JobRecord | None, node: Node | None) -> None:
        assert record == (node and node.record())
        if record is not None:
            self.claimed.append((who, record))

    @rule(pick=pick, who=who)
    def claim(self, pick: int, who: int) -> None:
        self._claim(self.any_id(pick, lambda node: node.status is P), who)

    def _claim(self, job_id: str, who: int) -> JobRecord | None:
        record = self.managers[who].claim(job_id)
        self._took(who, record, self.model.claim(job_id, self.managers[who].process_lock.id, self.now))
        return record

    @rule(pick=pick, who=who, ends=ends)
    def run(self, pick: int, who: int, ends: list[Any]) -> None:
        """Start jobs that are ready, and so can be had; leave each running, or end it at once in one of many ways."""
        for number, kind in enumerate(ends):
            roots = [node for node in self.nodes if node.parent is None and node.is_open]
            ready = [job_id for root in roots for job_id in self.stores[who].ready(root.id, now=self.now)]
            if not ready:
                return
            record = self._claim(ready[(pick + number) % len(ready)], who)
            assert record is not None
            if kind == "overtaken":  # there are two now who believe that the job is theirs
                self._finish(who, record, "transient")
                self.clock.sleep(4.0)
                self._claim(record.id, 1 - who)
            elif kind == "killed":
                self.die(who, True)
                self.rescue(1 - who)
            elif kind == "told":
                self._cancel(record.id, who, "enough")
                self._finish(who, record, "transient")
            elif kind:
                self._finish(who, record, kind)

    @rule(picks=st.lists(st.tuples(pick, kinds), min_size=1, max_size=4), then=st.none() | pick, shared=st.booleans())
    def finish(self, picks: list[tuple[int, Any]], then: int | None, shared: bool) -> None:
        """Tell how far attempts are and end them, now and then one that is over."""
        for picked, kind in picks if self.claimed else ():
            who, record = self._attempt(picked)
            self._progress(who, record, Progress(done=picked, total=30, unit="steps", message=f"before it is {kind}"))
            following = None if then is None else self.any_id(then, lambda node: node.status is P)
            self._finish(who, record, kind, following, shared=shared)

    def _finish(
        self, who: int, record: JobRecord, kind: Any, following: str | None = None, *, shared: bool = False
    ) -> None:
        owner, text = self.managers[who].process_lock.id, f"{kind} at {self.now}"
        line = LogLine(
            job_id=record.id, correlation_id=record.job.correlation_id, at=self.now, level="INFO", message=text
        )
        then = (following, owner) if following else None
        finished = self.managers[who].finish(record, _result(kind), lines=[line], then=following, shared=shared)
        end = self.model.finish(record, _result(kind), self.now, line=text, then=then, shared=shared)
        self._ended(finished, end)
        if finished is not None and end is not None:
            self._took(who, finished.claimed, end.claimed)

    def _progress(self, who: int, record: JobRecord, progress: Progress) -> None:
        self.managers[who].progress(record, progress)
        self.model.progress(record, progress)

    def _attempt(self, number: int) -> tuple[int, JobRecord]:
        """Return an attempt that goes on, now and then one whose job has been started again, or any."""
        running = [(who, record) for who, record in self.claimed if self._status(record) is R]
        going = [each for each in running if self.model.nodes[each[1].id].attempt == each[1].attempt]
        stale = [each for each in running if each not in going]
        attempts = (going if number % 3 else stale) or going or self.claimed
        return attempts[number % len(attempts)]

    def _status(self, record: JobRecord) -> JobStatus | None:
        node = self.model.nodes.get(record.id)
        return node and node.status

    def _ended(self, finished: CompletionReceipt | None, end: End | None) -> None:
        assert (finished is None) is (end is None), f"{finished} instead of {end}"
        if finished is not None and end is not None:
            assert finished.record == end.node.record()
            self._followed(finished.cancelled, end.effects.cancelled)
            self._closed(finished.closed, end.effects.closed)

    def _followed(self, ids: tuple[str, ...], nodes: list[Node]) -> None:
        assert sorted(ids) == sorted(node.id for node in nodes)

    def _closed(self, records: tuple[JobRecord, ...], nodes: list[Node]) -> None:
        """Compare what closed, and that no parent closed before one below it."""
        assert {record.id: record for record in records} == {node.id: node.record() for node in nodes}
        order = [record.id for record in records]
        assert len(order) == len(nodes)
        for node in nodes:
            if node.parent is not None and node.parent.id in order:
                assert order.index(node.id) < order.index(node.parent.id)

    def cancel(self, pick: int, who: int, reason: str) -> None:
        self._cancel(self.any_id(pick, lambda node: node.is_open), who, reason)

    def _cancel(self, job_id: str, who: int, reason: str) -> None:
        effects = self.model.cancel(job_id, self.now, reason)
        if effects is None:
            with pytest.raises(UnknownJobError, match=job_id):
                self.managers[who].cancel(job_id, reason=reason)
            return
        done = self.managers[who].cancel(job_id, reason=reason)
        self._followed(done.cancelled, effects.cancelled)
        self._followed(done.stopping, effects.told)
        self._closed(done.closed, effects.closed)

    # -- owners come and go, time passes ---------------------------------------------------------------------------

    def heartbeat(self, who: int) -> None:
        owner = self.managers[who].process_lock.id
        assert self.managers[who].heartbeat() == self.model.heartbeat(owner, self.now)

    def adopt(self, picks: list[int], who: int) -> None:
        ids = [self.any_id(pick, lambda node: node.is_open) for pick in picks]
        self.managers[who].adopt(ids)
        self.model.adopt(ids, self.managers[who].process_lock.id, self.now)
        self.heartbeat(who)

    def die(self, who: int, killed: bool) -> None:
        """One process ends, or is killed, and another takes its place."""
        owner = self.managers[who].process_lock
        if killed and owner.descriptor is not None:
            owner._leave_to_parent()  # the lock goes and its file stays, as when the kernel ends a process
        else:
            owner.release()
        self.model.dead.add(owner.id)
        self.claimed = [each for each in self.claimed if each[0] != who]
        self.managers[who] = self._manager(who)

    @rule(who=who)
    def rescue(self, who: int) -> None:
        manager = self.managers[who]
        rescued = manager.rescue(on_crash=lambda kind: "retry" if kind == "again" else "fail")
        lost, orphans = self.model.rescue(
            manager.process_lock.id, self.now, lambda kind: "retry" if kind == "again" else "fail"
        )
        assert len(rescued.lost) == len(lost)
        assert list(rescued.orphans) == orphans

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 4.0, LEASE - 1.0, LEASE, LEASE + 1.0]))
    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def purge(self, ago: float, statuses: list[JobStatus], who: int) -> None:
        gone = self.model.purge(self.now - ago, [status for status in statuses if status in (C, F, X)])
        assert self.stores[who].purge(before=self.now - ago, statuses=statuses) == len(gone)
        self.gone += [node.id for node in gone]
        for node in gone:
            for tree in (False, True):
                assert not list(self.stores[1 - who].lines(node.id, tree=tree))
                assert not list(self.stores[1 - who].history(node.id, tree=tree))

    def rest(self, who: int) -> None:
        """Cancel all there is and let it end: nothing stays open, and nothing of it is left to what comes later."""
        for node in self.nodes:
            if node.parent is None:
                self._cancel(node.id, who, "the end")
        for node in self.nodes:
            if node.is_leaf and node.status is R:
                self._finish(who, self.stores[who].get(node.id), "cancelled")
        assert not any(node.is_open for node in self.nodes)
        self.is_as_the_model_says()
        self.purge(-1.0, [C, F, X], who)
        assert not self.nodes

    # -- what is there ---------------------------------------------------------------------------------------------

    @rule(query=queries, narrow=st.sampled_from([None, "parent_id", "correlation_id", "owner"]), pick=pick, who=who)
    def look(self, query: JobQuery, narrow: str | None, pick: int, who: int) -> None:
        """Listings and their counts, page by page."""
        one = self.model.nodes.get(self.any_id(pick))
        if one is None:
            return
        values = {"parent_id": one.job.parent_id, "correlation_id": one.root.id, "owner": one.owner}
        query = evolve(query, **{narrow: values[narrow]}) if narrow else query
        fitting = self.model.select(query)
        assert self.stores[who].count(query) == Counts(
            **{s.value: sum(n.status is s for n in fitting) for s in JobStatus}
        )
        expected = [node.id for node in (fitting if query.oldest_first else reversed(fitting))]
        found: list[str] = []
        while page := self.stores[who].select(query):
            assert query.limit is None or len(page) <= query.limit
            found += [record.id for record in page]
            query = evolve(query, beyond=page[-1].seq)
        assert found == expected

    @invariant()
    def is_as_the_model_says(self) -> None:
        """Every record, every history, and every answer to what comes next."""
        self.steps += 1
        store, nodes = self.stores[self.steps % 2], self.nodes
        records = store.select(JobQuery(oldest_first=True, limit=None))
        assert records == [node.record() for node in nodes]
        assert store.count(JobQuery()) == Counts(**{s.value: sum(n.status is s for n in nodes) for s in JobStatus})
        for node in nodes:
            if node.parent is None:
                self._has_its_history(store, node)
            if not node.is_leaf or not self.steps % 7:
                assert store.ready(node.id, now=self.now) == self.model.ready(node.id, self.now)
        for resource in ("x", "y"):
            assert [record.id for record in store.waiting(resource)] == self.model.waiting(resource)[:10]
        for manager in self.managers:
            assert manager.running() == self.model.running(manager.process_lock.id)

    def _has_its_history(self, store: JobStore, root: Node) -> None:
        """Compare each job's changes, and follow the tree's: what has ended stays so, and so does all below it."""
        changes = list(store.history(root.id, tree=True))
        tree = {node.id: node for node in (root, *root.below())}
        assert {change.job_id for change in changes} == set(tree)
        for node in tree.values():
            assert [change for change in changes if change.job_id == node.id] == node.history
        one = list(tree.values())[self.steps % len(tree)]
        assert list(store.history(one.id)) == one.history
        status: dict[str, JobStatus] = {}
        for change in changes:
            node = tree[change.job_id]
            assert status.get(node.id) is change.old
            assert change.old is None or (change.old, change.new) in LEGAL
            if change.old is not None and node.parent is not None:
                assert status[node.parent.id] is R, f"{node.id} became {change.new} below what had ended"
            status[node.id] = change.new
        assert all(before.at <= after.at for before, after in pairwise(changes))

    def teardown(self) -> None:
        """Compare the logs, and let go of everything."""
        try:
            for node in self.nodes:
                assert [line.message for line in self.stores[0].lines(node.id)] == node.lines
        finally:
            for manager in self.managers:
                manager.close(keep_store=True)
            for store in self.stores:
                store.close()
            self.folder.cleanup()


def _result(kind: Any) -> AttemptResult:
    if kind == "completed":
        return AttemptResult(kind=kind, result=Result.changed("done", rows=3))
    return AttemptResult(kind=kind, error=ErrorRecord(type="OSError", message=f"{kind}:\nbroken", traceback="line 1"))


@pytest.mark.parametrize("examples", [FEW, pytest.param(EXAMPLES, marks=pytest.mark.slow)], ids=["few", "all"])
@pytest.mark.parametrize("store", STORES)
def test_stores_and_managers_do_what_the_model_does(store: str, examples: Mapping[str, int]) -> None:
    """Whatever is asked for in whatever order, records, histories and answers are what the rules say."""
    machine = type(f"Life_{store}", (Life,), {"make_stores": staticmethod(STORES[store])})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(ASKED) if ASKED else examples[store],
            stateful_step_count=STEPS,
            derandomize=ASKED is None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
