"""What a job store promises, and the records that its calls take and return."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from attrs import evolve, frozen

from pitstop.jobs import (
    Counts,
    ErrorRecord,
    JobRecord,
    JobStatus,
    LogLine,
    Progress,
    Result,
    StatusChange,
)

# Tuples, where other records are attrs classes: each job makes several of these, and a frozen attrs class takes three
# times as long to make.


class Claim(NamedTuple):
    """Who asks to run a job.

    Args:
        job_id: which job.
        owner: the id of the asking process.
        now: the time, in seconds since 1970.
        lease_until: until when the job is the owner's unless extended.
    """

    job_id: str
    owner: str
    now: float
    lease_until: float


class Completion(NamedTuple):
    """How one attempt of a running job ended, for `JobStore.finish`.

    Args:
        job_id, attempt: whose end it is; an end of an older attempt changes nothing.
        status: completed, failed or cancelled, or pending for another attempt.
        now: the time, in seconds since 1970.
        result, error: what came of it.
        not_before: when another attempt may start at the earliest.
        owner: the process that is responsible for it until then; None if any process may take it.
        lines: log lines that have not been stored yet.
    """

    job_id: str
    attempt: int
    status: JobStatus
    now: float
    result: Result | None = None
    error: ErrorRecord | None = None
    not_before: float | None = None
    owner: str | None = None
    lines: tuple[LogLine, ...] = ()


class CompletionReceipt(NamedTuple):
    """What `JobStore.finish` did.

    Args:
        record: the job after its end.
        closed: the parents that ended with it, innermost first.
        cancelled: ids of pending jobs that were cancelled because their parent stops at the first failures.
        claimed: the job that was claimed in the same transaction, if one was asked for and free.
        unreadable: that job, if it cannot be run because its record cannot be read. The caller ends it with
            `JobStore.fail_unreadable`.
    """

    record: JobRecord
    closed: tuple[JobRecord, ...] = ()
    cancelled: tuple[str, ...] = ()
    claimed: JobRecord | None = None
    unreadable: Unreadable | None = None


@frozen(kw_only=True)
class Cancelled:
    """What `JobStore.cancel` did.

    Args:
        cancelled: ids of pending jobs that are cancelled now.
        stopping: ids of running jobs that were asked to stop.
        closed: the parents that ended with it, innermost first.
    """

    cancelled: tuple[str, ...] = ()
    stopping: tuple[str, ...] = ()
    closed: tuple[JobRecord, ...] = ()


class Running(NamedTuple):
    """A job that an owner runs, as its store sees it.

    Args:
        job_id, attempt: which attempt of which job; the owner's own older attempts of it are stale.
        stop: why it is to stop, or None if it may go on.
    """

    job_id: str
    attempt: int
    stop: str | None = None


class Unreadable(NamedTuple):
    """A record that cannot be read, because its store is input and holds there what no record can hold.

    Args:
        id: the job's id, or another text that identifies the record.
        seq: its place in the order of creation.
        problem: what is wrong with it, such as "config is no JSON object".
        owner: the process that is responsible for it or runs it, as far as that can be read.
        lease_until: until when it is the owner's, as far as that can be read.
    """

    id: str
    seq: int
    problem: str
    owner: str | None = None
    lease_until: float | None = None


@frozen(kw_only=True)
class JobQuery:
    """Which jobs to list, newest first. A field that is None does not restrict.

    Args:
        statuses, types: any of these.
        parent_id: children of this job.
        correlation_id: jobs of this tree.
        resource: jobs that need this resource.
        owner: jobs that this process is responsible for.
        roots: only jobs without a parent.
        leaves: only jobs that a worker carries out, no parents.
        oldest_first: the other way round.
        beyond: go on after the job with this `seq`, for paging.
        limit: how many at most.
    """

    statuses: tuple[JobStatus, ...] | None = None
    types: tuple[str, ...] | None = None
    parent_id: str | None = None
    correlation_id: str | None = None
    resource: str | None = None
    owner: str | None = None
    roots: bool = False
    leaves: bool = False
    oldest_first: bool = False
    beyond: int | None = None
    limit: int | None = 100

    def fits(self, record: JobRecord) -> bool:
        """Return whether a record is one of these; only the limit and the order are left to the store."""
        job = record.job
        return (
            (self.statuses is None or record.status in self.statuses)
            and (self.types is None or job.type in self.types)
            and (self.parent_id is None or job.parent_id == self.parent_id)
            and (self.correlation_id is None or job.correlation_id == self.correlation_id)
            and (self.resource is None or job.resource == self.resource)
            and (self.owner is None or record.owner == self.owner)
            and not (self.roots and job.parent_id is not None)
            and not (self.leaves and job.tolerance is not None)
            and (self.beyond is None or (record.seq > self.beyond if self.oldest_first else record.seq < self.beyond))
        )


class JobStore(Protocol):
    """Keeps job records and log lines. Used by many threads; one that is durable also by many processes.

    Every method but `purge` is one transaction: it happens whole or not at all, also when the process dies in it.
    Callers in several threads may share one commit; each still succeeds or fails alone. The store enforces what only it
    can see: a status changes by compare-and-set on status and attempt; two running jobs never share a resource; with
    each child's change the parent's counts, and with the last child's end the parent's status (by
    `pitstop.jobs.parent_status`), change in the same transaction, up to the root; and every change of a status is
    appended to the job's history in that transaction too. It makes no other decision, reads no clock and runs nothing.

    Every method raises `StoreError` when the store cannot be read or written.

    A class that has it as its base inherits the methods that are not abstract here. `BaseJobStore` implements all of
    it, up to the storage.
    """

    @property
    @abstractmethod
    def url(self) -> str:
        """How to open it again, passwords included; "memory:" for one that ends with the process."""

    @property
    def path(self) -> Path | None:
        """The file, if it is one; processes keep their lock files beside it, so that the death of one is seen at once.

        Without a file, the jobs of a process that died are lost only when their leases end. The
        default is None.
        """
        return None

    @abstractmethod
    def create(self, records: Sequence[JobRecord], *, then: Claim | None = None) -> JobRecord | None:
        """Add records, parents before their children, whose counts are already right. `seq` is given here.

        Args:
            records: the records.
            then: a claim of one of them, in the same transaction.

        Returns:
            The running record, if `then` was given and the job can be had; as `claim`.

        Raises:
            StoreError: one has an id that is taken; then none was added.
        """

    @abstractmethod
    def get(self, job_id: str) -> JobRecord:
        """Return one record.

        Raises:
            UnknownJobError: there is none with exactly this id.
            UnreadableRecordError: there is, and it cannot be read.
        """

    def ids(self, prefix: str, *, limit: int = 10) -> list[str]:
        """Return the ids that begin with `prefix`, sorted."""
        found = (record.id for record in self.select(JobQuery(limit=None)))
        return sorted(job_id for job_id in found if job_id.startswith(prefix))[:limit]

    @abstractmethod
    def select(self, query: JobQuery) -> list[JobRecord]:
        """Return the records that fit. Those that cannot be read are left out; `unreadable` lists them."""

    def unreadable(self, query: JobQuery) -> list[Unreadable]:
        """Return the records that fit and cannot be read; none, for a store that nobody else can write to.

        Whether a record fits follows from what of it can be read.
        """
        return []

    def fail_unreadable(self, unreadable: Unreadable, *, now: float) -> CompletionReceipt | None:
        """End a job that is pending or running and cannot be read as failed, and settle its parents.

        So it keeps no resource, and no parent waits for it for ever. A parent ends with its children: what follows from
        them, such as how many have failed, is counted again, and the parent is settled. That is done also for a parent
        that can be read, but whose counts are not those of its children.

        Returns:
            What was done, with a record in which defaults stand for what cannot be read; None if nothing ended.
        """
        return None

    def count(self, query: JobQuery) -> Counts:
        """Return how many records fit, by status; `limit` and `beyond` do not count."""
        records = self.select(evolve(query, beyond=None, limit=None))
        return Counts(**Counter(record.status.value for record in records))

    @abstractmethod
    def claim(self, claim: Claim) -> JobRecord | None:
        """Make a pending job running, with a new attempt, if its time has come and no running job has its resource.

        Returns:
            The running record, or None if it cannot be had now. Never raises for an unknown job: it may be purged.

        Raises:
            UnreadableRecordError: it was claimed, and nobody can run it, because its record cannot be read. The
                caller ends it with `fail_unreadable`.
        """

    @abstractmethod
    def finish(self, completion: Completion, *, then: Claim | None = None) -> CompletionReceipt | None:
        """End an attempt, settle its parents, store its lines and, in the same transaction, claim the next job.

        A pending status puts the job back for another attempt, with the given owner and without a lease. When a
        parent that stops at failures has more of them than it tolerates, its pending descendants are cancelled.

        Returns:
            What was done, or None if the job is not running this attempt; then nothing was changed but `then` claimed
            nothing either.
        """

    @abstractmethod
    def cancel(self, job_id: str, *, now: float, reason: str) -> Cancelled:
        """Cancel a job and its descendants: pending ones at once, running ones by marking them.

        Raises:
            UnknownJobError: there is no such job.
        """

    @abstractmethod
    def adopt(self, job_ids: Sequence[str], *, owner: str, lease_until: float) -> None:
        """Make `owner` responsible for these pending jobs and running parents.

        Running parents get the lease, and pending jobs that have one.
        """

    @abstractmethod
    def heartbeat(self, owner: str, *, lease_until: float) -> list[Running]:
        """Extend the lease of all that `owner` runs, and return the leaf jobs among it.

        A store without a path gives the lease to the owner's pending jobs too: there, nothing but a lease shows that
        a process is alive.
        """

    @abstractmethod
    def running(self, owner: str) -> list[Running]:
        """Return the leaf jobs that `owner` runs; changes nothing."""

    def version(self) -> int:
        """Return a number that is another one after another process has changed something. Cheap: it is asked often.

        A store that no other process can use always returns the same, which is the default.
        """
        return 0

    @abstractmethod
    def progress(self, job_id: str, attempt: int, progress: Progress) -> None:
        """Note how far a job is, if it is still running this attempt."""

    @abstractmethod
    def ready(self, parent_id: str, *, now: float) -> list[str]:
        """Return the ids of leaf jobs below a parent (or the job itself, if it is one) that may start, in plan order.

        Such a job is pending, its resource is free, and no earlier pending job of the tree needs the same resource.
        """

    def waiting(self, resource: str, *, limit: int = 10) -> list[JobRecord]:
        """Return pending jobs that need a resource, in order of creation, whatever tree they are in."""
        query = JobQuery(resource=resource, statuses=(JobStatus.PENDING,), oldest_first=True, limit=limit)
        return self.select(query)

    @abstractmethod
    def add_lines(self, lines: Sequence[LogLine]) -> None:
        """Store log lines."""

    @abstractmethod
    def lines(self, job_id: str, *, tree: bool = False) -> Iterable[LogLine]:
        """Return the lines of a job, or of all jobs with this correlation id, in order of time."""

    @abstractmethod
    def history(self, job_id: str, *, tree: bool = False) -> Iterable[StatusChange]:
        """Return every change of status of a job, or of all jobs with this correlation id, in the order they happened.

        The first change of each job is its creation.
        """

    @abstractmethod
    def purge(self, *, before: float, statuses: Sequence[JobStatus]) -> int:
        """Remove whole trees whose root ended in one of `statuses` before a time, with their logs and histories.

        Each tree goes in one transaction, but not all trees in one: others may write in between.

        Returns:
            How many jobs were removed.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what is held; afterwards nothing else may be called."""


def ends_with_process(store: JobStore) -> bool:
    """Whether what a store keeps ends with this process, so that no other one can ever use it."""
    return store.url == "memory:"
