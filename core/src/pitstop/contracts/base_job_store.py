"""`BaseJobStore`: a job store of which only the storage is missing. Owns every rule, and keeps nothing itself.

A subclass says how a job is inserted, loaded, saved, found and removed within a transaction. Where that is too slow, it
overrides single methods of `JobStore` with statements of its own; `parent_rules` and `job_history` help with that.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

from pitstop.contracts.job_history import merge_histories
from pitstop.contracts.parent_rules import LIVE, CancelledJob, Settlement, check_transition, settle_parents
from pitstop.contracts.store import (
    Cancelled,
    Claim,
    Completion,
    CompletionReceipt,
    JobQuery,
    JobStore,
    Running,
    ends_with_process,
)
from pitstop.contracts.stored_job import StoredJob
from pitstop.errors import StoreError, UnknownJobError
from pitstop.jobs import JobRecord, JobStatus, LogLine, Progress, StatusChange, cancellation

_PENDING, _RUNNING = JobStatus.PENDING, JobStatus.RUNNING


class BaseJobStore(JobStore):
    """The base of a `JobStore`. A subclass implements `url`, `close` and the eight methods below that are abstract.

    All but `transaction` are called within a transaction, so that none of them begins one. What they return belongs to
    the caller until the transaction ends: it is changed in place, and given to `save_job` then.
    """

    # -- what a subclass implements --------------------------------------------------------------------------------

    @abstractmethod
    def transaction(self) -> AbstractContextManager[object]:
        """Begin a transaction; it is committed at the end of the `with`, and rolled back if an error leaves it.

        Transactions of several threads and processes must have the same effect as one after the other. One thread
        never begins one within another. Errors of the storage leave it as a `StoreError`.
        """

    @abstractmethod
    def insert_job(self, job: StoredJob) -> None:
        """Add a job, with an id that no other has. It gets the next `seq`, whatever its record says."""

    @abstractmethod
    def load_job(self, job_id: str) -> StoredJob | None:
        """Return the job with exactly this id, or None."""

    @abstractmethod
    def find_jobs(self, query: JobQuery) -> Iterable[StoredJob]:
        """Return the jobs that fit, in the order of the query and not more than its limit; see `JobQuery.fits`."""

    @abstractmethod
    def save_job(self, job: StoredJob) -> None:
        """Store the changes of a job that was loaded or found."""

    @abstractmethod
    def remove_jobs(self, job_ids: Sequence[str]) -> None:
        """Remove jobs and their log lines."""

    @abstractmethod
    def insert_lines(self, lines: Sequence[LogLine]) -> None:
        """Add log lines, also of jobs that do not exist. An `extra` may hold values that are not JSON."""

    @abstractmethod
    def find_lines(self, job_id: str, *, tree: bool) -> Iterable[LogLine]:
        """Return the lines of a job, or of a correlation id, in order of time, and those of one time as inserted."""

    # -- records ---------------------------------------------------------------------------------------------------

    def create(self, records: Sequence[JobRecord], *, then: Claim | None = None) -> JobRecord | None:
        """Add records, and claim one of them. See `JobStore.create`."""
        with self.transaction():
            self._check_new(records)
            for record in records:
                self.insert_job(StoredJob(record, submitter=record.owner))
            return None if then is None else self._claim(then)

    def get(self, job_id: str) -> JobRecord:
        """Return one record. See `JobStore.get`."""
        with self.transaction():
            return self._load(job_id).record

    def select(self, query: JobQuery) -> list[JobRecord]:
        """Return the records that fit. See `JobStore.select`."""
        with self.transaction():
            return [job.record for job in self.find_jobs(query)]

    # -- the life of a job -----------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> JobRecord | None:
        """Make a pending job running, if it can be had. See `JobStore.claim`."""
        with self.transaction():
            return self._claim(claim)

    def finish(self, completion: Completion, *, then: Claim | None = None) -> CompletionReceipt | None:
        """End an attempt, settle its parents, and claim the next job. See `JobStore.finish`.

        Raises:
            TransitionError: a running job cannot come to the status that is asked for.
        """
        check_transition(completion.job_id, _RUNNING, completion.status)
        with self.transaction():
            job = self.load_job(completion.job_id)
            if job is None or not job.is_running(completion.attempt):
                return None
            self._end(job, completion)
            retry = completion.status is _PENDING
            parent_id, settlement = job.record.job.parent_id, Settlement()
            if parent_id is not None:
                settlement = settle_parents(self, (parent_id,), completion.now, climb=retry)
            if completion.lines:
                self.insert_lines(completion.lines)
            record = self._load(completion.job_id).record if settlement.cancelled else job.record
            return CompletionReceipt(record, *settlement, claimed=None if then is None else self._claim(then))

    def cancel(self, job_id: str, *, now: float, reason: str) -> Cancelled:
        """Cancel a job and its descendants. See `JobStore.cancel`."""
        with self.transaction():
            top = self._load(job_id)
            live = [top, *self._live_below(top)] if top.is_live else []
            cancelled = [job for job in live if job.record.status is _PENDING]
            running = [job for job in live if job.record.status is _RUNNING]
            self._request_cancel(running, now, reason)
            self._cancel_pending(cancelled, now, reason)
            closed, stopped = settle_parents(self, {job.record.job.parent_id for job in cancelled}, now)
            return Cancelled(
                cancelled=(*(job.record.id for job in cancelled), *stopped),
                stopping=tuple(job.record.id for job in running if not job.is_parent),
                closed=closed,
            )

    def adopt(self, job_ids: Sequence[str], *, owner: str, lease_until: float) -> None:
        """Make `owner` responsible for pending jobs and running parents. See `JobStore.adopt`."""
        with self.transaction():
            for job in filter(None, map(self.load_job, job_ids)):
                status, lease = job.record.status, job.record.lease_until
                if status is _PENDING or (status is _RUNNING and job.is_parent):
                    keeps_none = status is _PENDING and lease is None
                    job.update(owner=owner, lease_until=None if keeps_none else lease_until)
                    self.save_job(job)

    def heartbeat(self, owner: str, *, lease_until: float) -> list[Running]:
        """Extend an owner's leases; return the leaf jobs that it runs. See `JobStore.heartbeat`."""
        by_lease = self.path is None and not ends_with_process(self)
        statuses = (_PENDING, _RUNNING) if by_lease else (_RUNNING,)
        with self.transaction():
            for job in self.find_jobs(JobQuery(owner=owner, statuses=statuses, limit=None)):
                job.update(lease_until=lease_until)
                self.save_job(job)
            return self._running(owner)

    def running(self, owner: str) -> list[Running]:
        """Return the leaf jobs that an owner runs. See `JobStore.running`."""
        with self.transaction():
            return self._running(owner)

    def progress(self, job_id: str, attempt: int, progress: Progress) -> None:
        """Note how far a job is. See `JobStore.progress`."""
        with self.transaction():
            job = self.load_job(job_id)
            if job is not None and job.is_running(attempt):
                job.update(progress=progress)
                self.save_job(job)

    def ready(self, parent_id: str, *, now: float) -> list[str]:
        """Return the ids of the leaf jobs that may start. See `JobStore.ready`."""
        with self.transaction():
            top = self.load_job(parent_id)
            if top is None:
                return []
            firsts: dict[tuple[str, str], int | None] = {}
            jobs = self._live_below(top) if top.is_parent else [top]
            return [job.record.id for job in jobs if job.may_start(now) and self._is_next(job.record, firsts)]

    # -- logs and histories ----------------------------------------------------------------------------------------

    def add_lines(self, lines: Sequence[LogLine]) -> None:
        """Store log lines. See `JobStore.add_lines`."""
        with self.transaction():
            self.insert_lines(lines)

    def lines(self, job_id: str, *, tree: bool = False) -> Iterable[LogLine]:
        """Return the lines of a job or of a tree, in order of time. See `JobStore.lines`."""
        with self.transaction():
            return iter(list(self.find_lines(job_id, tree=tree)))

    def history(self, job_id: str, *, tree: bool = False) -> Iterable[StatusChange]:
        """Return the changes of a job's status, or of a tree's, in order. See `JobStore.history`."""
        with self.transaction():
            query = JobQuery(correlation_id=job_id, oldest_first=True, limit=None)
            jobs = self.find_jobs(query) if tree else filter(None, [self.load_job(job_id)])
            return iter(merge_histories([job.history() for job in jobs]))

    def purge(self, *, before: float, statuses: Sequence[JobStatus]) -> int:
        """Remove whole trees that ended before a time. See `JobStore.purge`."""
        ended = tuple(status for status in statuses if status.terminal)
        roots = self.select(JobQuery(roots=True, statuses=ended, oldest_first=True, limit=None))
        return sum(self._purge_tree(root.id, before, ended) for root in roots if _has_ended_before(root, before))

    # -- what `settle_parents` asks for ----------------------------------------------------------------------------

    def load_parent(self, parent_id: str) -> JobRecord | None:
        """Return the record of a parent. See `ParentStore.load_parent`."""
        parent = self.load_job(parent_id)
        return None if parent is None else parent.record

    def close_parent(self, parent_id: str, status: JobStatus, now: float) -> JobRecord:
        """End a running parent. See `ParentStore.close_parent`."""
        parent = self._load(parent_id)
        # a thread that waited for the transaction read the clock before, so another child's end may be later
        ends = [child.record.finished_at for child in self._children(parent)]
        now = max(now, *(at for at in ends if at is not None), now)
        self._change_status(parent, status, now, finished_at=now, lease_until=None)
        return parent.record

    def cancel_descendants(self, parent_id: str, now: float, reason: str) -> list[CancelledJob]:
        """Cancel the pending jobs below a parent. See `ParentStore.cancel_descendants`."""
        live = self._live_below(self._load(parent_id))
        pending = [job for job in live if job.record.status is _PENDING]
        if pending:  # a parent below which nothing was cancelled may still end as usual
            parents = [job for job in live if job.record.status is _RUNNING and job.is_parent]
            self._request_cancel(parents, now, reason)
        self._cancel_pending(pending, now, reason)
        return [CancelledJob(job.record.seq, job.record.id, job.record.job.parent_id) for job in pending]

    # -- steps within a transaction --------------------------------------------------------------------------------

    def _load(self, job_id: str) -> StoredJob:
        job = self.load_job(job_id)
        if job is None:
            raise UnknownJobError(id=job_id)
        return job

    def _check_new(self, records: Sequence[JobRecord]) -> None:
        ids: set[str] = set()
        held: set[str] = set()
        for record in records:
            if record.id in ids or self.load_job(record.id) is not None:
                hint = "each job needs an id of its own"
                raise StoreError(url=self.url, problem=f"a job id is taken: {record.id}", hint=hint)
            ids.add(record.id)
            resource = record.job.resource
            if record.status is _RUNNING and resource is not None and record.job.tolerance is None:
                if resource in held or self._holder(resource) is not None:
                    problem = "two running jobs would share a resource"
                    raise StoreError(url=self.url, problem=problem, hint="create jobs as pending")
                held.add(resource)

    def _change_status(self, job: StoredJob, status: JobStatus, now: float, **changes: object) -> None:
        """Change the status of a job, and with it its parent's counts."""
        old = job.record.status
        job.change_status(status, now, **changes)
        self.save_job(job)
        parent_id = job.record.job.parent_id
        parent = None if parent_id is None else self.load_job(parent_id)
        if parent is not None and parent.is_parent:
            parent.count_child(old, status)
            self.save_job(parent)

    def _claim(self, claim: Claim) -> JobRecord | None:
        job = self.load_job(claim.job_id)
        if job is None or not job.may_start(claim.now):
            return None
        resource = job.record.job.resource
        if resource is not None and self._holder(resource) is not None:
            return None
        self._change_status(
            job,
            _RUNNING,
            claim.now,
            attempt=job.record.attempt + 1,
            owner=claim.owner,
            lease_until=claim.lease_until,
            started_at=claim.now,
        )
        return job.record

    def _end(self, job: StoredJob, completion: Completion) -> None:
        status, result, error, owner = completion.status, completion.result, completion.error, job.record.owner
        if status is _PENDING:
            result, error, owner = result or job.record.result, error or job.record.error, completion.owner
            if job.record.cancel_requested_at is not None:
                status = JobStatus.CANCELLED  # a cancelled job is never retried
        self._change_status(
            job,
            status,
            completion.now,
            result=result,
            error=error,
            owner=owner,
            lease_until=None,
            not_before=completion.not_before if status is _PENDING else None,
            finished_at=None if status is _PENDING else completion.now,
        )

    def _request_cancel(self, jobs: Iterable[StoredJob], now: float, reason: str) -> None:
        for job in jobs:
            job.request_cancel(now, reason)
            self.save_job(job)

    def _cancel_pending(self, jobs: Iterable[StoredJob], now: float, reason: str) -> None:
        for job in jobs:
            self._change_status(job, JobStatus.CANCELLED, now, finished_at=now, error=cancellation(reason))

    def _running(self, owner: str) -> list[Running]:
        query = JobQuery(owner=owner, statuses=(_RUNNING,), leaves=True, oldest_first=True, limit=None)
        return [job.running() for job in self.find_jobs(query)]

    def _holder(self, resource: str) -> StoredJob | None:
        """Return the running job that has a resource."""
        return next(iter(self.find_jobs(JobQuery(resource=resource, statuses=(_RUNNING,), leaves=True, limit=1))), None)

    def _is_next(self, record: JobRecord, firsts: dict[tuple[str, str], int | None]) -> bool:
        """Return whether a job's resource is free and no earlier job of its tree waits for it."""
        resource, tree = record.job.resource, record.job.correlation_id
        if resource is None:
            return True
        if (tree, resource) not in firsts:
            query = JobQuery(resource=resource, correlation_id=tree, statuses=(_PENDING,), oldest_first=True, limit=1)
            free = self._holder(resource) is None
            firsts[tree, resource] = next((job.record.seq for job in self.find_jobs(query) if free), None)
        return firsts[tree, resource] == record.seq

    def _children(self, parent: StoredJob, statuses: tuple[JobStatus, ...] | None = None) -> Iterable[StoredJob]:
        query = JobQuery(parent_id=parent.record.id, statuses=statuses, oldest_first=True, limit=None)
        return self.find_jobs(query)

    def _live_below(self, top: StoredJob) -> list[StoredJob]:
        """Return the live jobs below a job, in order of creation; below a parent that has ended there are none."""
        return sorted(self._below(top, LIVE), key=lambda job: job.record.seq)

    def _below(self, top: StoredJob, statuses: tuple[JobStatus, ...] | None = None) -> Iterator[StoredJob]:
        parents = [top]
        while parents:
            children = [job for parent in parents for job in self._children(parent, statuses)]
            yield from children
            parents = [job for job in children if job.is_parent]

    def _purge_tree(self, root_id: str, before: float, statuses: Sequence[JobStatus]) -> int:
        with self.transaction():
            root = self.load_job(root_id)  # it was found in another transaction
            if root is None or root.record.status not in statuses or not _has_ended_before(root.record, before):
                return 0
            tree = [root_id, *(job.record.id for job in self._below(root))]
            self.remove_jobs(tree)
            return len(tree)


def _has_ended_before(record: JobRecord, time: float) -> bool:
    return record.finished_at is not None and record.finished_at < time
