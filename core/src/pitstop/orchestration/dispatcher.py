"""Handing jobs to the runner: which of those that wait is next, and when. Runs nothing and writes no status.

Of the jobs that need one resource only the first is handed over; the end of one wakes the next. What no end in this
process shows (a resource that another process freed, a delay that is over) is checked by `dispatch_waiting`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from attrs import evolve

from pitstop import logs
from pitstop.contracts import JobQuery, Runner
from pitstop.errors import UnknownJobError
from pitstop.jobs import JobRecord, JobStatus
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.supervisor import WATCH_INTERVAL

#: So many jobs that wait for one resource are looked at first; mostly the first of them is the one.
WAITING = 10


class Dispatcher:
    """What waits in one process, and its way to the runner. Safe to use from any thread.

    Args:
        manager: brings the store, the clock and the owner.
        runner: where jobs go.
        on_waiting: called when something here waits for what nobody will notify, so that `dispatch_waiting` is called.
    """

    def __init__(self, manager: JobManager, runner: Runner, *, on_waiting: Callable[[], None]) -> None:
        self._store = manager.store
        self._now = manager.clock.now
        self._owner_id = manager.process_lock.id
        self._runner = runner
        self._on_wait = on_waiting
        self._trees: set[str] = set()
        self._lock = threading.Lock()  # around the next two
        self._busy: set[str] = set()  # resources that jobs here wait for, and that may be free before anybody tells
        self._early: set[str] = set()  # jobs whose time had not come when they were handed over

    @property
    def has_waiting(self) -> bool:
        """Whether anything waits for what nobody will notify."""
        return bool(self._busy or self._early)

    @property
    def owns_trees(self) -> bool:
        """Whether this process has trees of its own that have not ended."""
        return bool(self._trees)

    def own_tree(self, root_id: str) -> None:
        """Take a tree as this process's own."""
        if not self._runner.shared:
            self._trees.add(root_id)

    def disown_tree(self, root_id: str) -> None:
        """Look after a tree no longer: it has ended."""
        self._trees.discard(root_id)

    def is_ours(self, root_id: str) -> bool:
        """Whether this process may run a tree's jobs: with an engine any may, else who submitted or adopted it."""
        return self._runner.shared or root_id in self._trees

    def pending(self, root_id: str) -> list[JobRecord]:
        """Return the jobs of a tree that have not started, in plan order."""
        statuses = (JobStatus.PENDING,)
        return self._store.select(
            JobQuery(correlation_id=root_id, statuses=statuses, leaves=True, oldest_first=True, limit=None)
        )

    def find_engine_trees(self) -> list[str]:
        """Return the roots that only the engine looks after, if our runner is one: no process misses what it loses."""
        if not self._runner.shared:
            return []
        live = JobQuery(statuses=(JobStatus.PENDING, JobStatus.RUNNING), roots=True, oldest_first=True, limit=None)
        return [root.id for root in self._store.select(live) if root.owner is None]

    def dispatch_next(self, resource: str, *, soonest: float = 0.0) -> None:
        """Hand over the first job that waits for a resource which is free now, or may be at `soonest`.

        A runner of this process takes only jobs of trees that were submitted here: another process may have workers
        that this one does not know.
        """
        delayed = set()
        now = self._now()
        for waiting in self._find_waiting(resource):
            tree = waiting.job.correlation_id
            if tree in delayed or not self.is_ours(tree):
                continue
            self._runner.submit(waiting.id, not_before=max(waiting.not_before or 0.0, soonest) or None)
            if waiting.not_before is None or waiting.not_before <= now:
                return
            delayed.add(tree)  # until then another tree may have it, but no later job of this one

    def _find_waiting(self, resource: str) -> Iterator[JobRecord]:
        found = self._store.waiting(resource, limit=WAITING)
        yield from found
        if self._runner.shared or len(found) < WAITING:
            return
        # more than one answer holds, perhaps all of another process: ask for those of this one
        me = self._owner_id
        query = JobQuery(statuses=(JobStatus.PENDING,), resource=resource, owner=me, leaves=True, oldest_first=True)
        while found:
            found = self._store.select(evolve(query, beyond=found[-1].seq))
            yield from found

    def dispatch_tree(self, root_id: str, records: Iterable[JobRecord]) -> None:
        """Hand over what may start, and see to what waits: for its time, or for what another tree holds."""
        ready = self._store.ready(root_id, now=self._now())
        may_start = set(ready)
        pending = [record for record in records if record.status is JobStatus.PENDING]
        free = {record.job.resource for record in pending if record.id in may_start}
        self.recheck(*{record.job.resource for record in pending} - free)
        for record in pending:
            if record.not_before is not None and record.id not in may_start:
                self._runner.submit(record.id, not_before=record.not_before)
        for job_id in ready:
            self._runner.submit(job_id)

    def on_claim_refused(self, job_id: str) -> None:
        """See to a job that a runner brought and that could not be had.

        It was purged, cancelled or taken by another process; or its time has not come, or its resource is in use, and
        then its turn comes later.
        """
        try:
            record = self._store.get(job_id)
        except UnknownJobError:
            return
        now = self._now()
        early = record.status is JobStatus.PENDING and record.not_before is not None and record.not_before > now
        if early and not self._runner.shared:
            self.dispatch_later(job_id)
        elif early:
            # an engine whose clock is ahead of ours would bring it back at once
            self._runner.submit(job_id, not_before=max(record.not_before or now, now + WATCH_INTERVAL))
        self.recheck(record.job.resource)

    def dispatch_later(self, job_id: str) -> None:
        """Hand over a job a little later, whatever it is that it waits for."""
        if self._runner.shared:
            self._runner.submit(job_id, not_before=self._now() + WATCH_INTERVAL)
            return
        with self._lock:
            self._early.add(job_id)
        self._on_wait()

    def recheck_after_cancel(self, correlation_id: str) -> None:
        """See to those who waited behind cancelled jobs of a tree: nobody's end wakes them."""
        cancelled = JobQuery(correlation_id=correlation_id, statuses=(JobStatus.CANCELLED,), leaves=True, limit=None)
        self.recheck(*{record.job.resource for record in self._store.select(cancelled)})

    def recheck(self, *resources: str | None) -> None:
        """See to it that a job gets a resource here although nobody may tell when it is free."""
        named = {resource for resource in resources if resource is not None}
        if self._runner.shared:
            # not now: the engine would bring the id back at once, again and again, for as long as the resource is held
            for resource in named:
                self.dispatch_next(resource, soonest=self._now() + WATCH_INTERVAL)
        elif named:
            with self._lock:
                self._busy |= named
            self._on_wait()

    def dispatch_waiting(self, *, held: set[str | None]) -> None:
        """Hand over what has waited and may start by now.

        Args:
            held: resources that jobs here hold; their ends hand them on.
        """
        with self._lock:
            busy, self._busy = self._busy, set()
            early, self._early = self._early, set()
        try:
            for resource in busy - held:
                self.dispatch_next(resource)
            for job_id in early:
                self._runner.submit(job_id)
        except Exception as error:  # also what a foreign store or runner raises: it must not cost the rest its turn
            with self._lock:
                self._busy |= busy
                self._early |= early
            logs.warn(f"jobs that wait could not be handed over, and are again later: {error}")
