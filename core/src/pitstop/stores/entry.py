"""`Entry`: a record of the memory store while it can still change. Owns no rule and no index."""

from __future__ import annotations

from collections.abc import Callable

from pitstop.contracts import JobQuery, Running
from pitstop.jobs import Counts, JobRecord, JobStatus
from pitstop.stores.family import LIVE, NO_COUNTS, Standing
from pitstop.stores.history import Creation, End, Past, reason_of, unfold


class Entry:
    """What `JobRecord` holds, but mutable, because a change by `attrs.evolve` costs twice as much as a new record.

    Args:
        record: what to start from.
        seq: its place in the order of creation.
    """

    __slots__ = (
        "attempt",
        "cancel_reason",
        "cancel_requested_at",
        "changes",
        "children",
        "created_at",
        "error",
        "finished_at",
        "job",
        "lease_until",
        "not_before",
        "owner",
        "progress",
        "result",
        "seq",
        "started_at",
        "status",
        "submitter",
        "tolerance",
    )

    def __init__(self, record: JobRecord, seq: int) -> None:
        self.job = record.job
        self.tolerance = record.job.tolerance
        self.status = record.status
        self.attempt = record.attempt
        self.seq = seq
        self.created_at = record.created_at
        self.not_before = record.not_before
        self.started_at = record.started_at
        self.finished_at = record.finished_at
        self.owner = self.submitter = record.owner
        self.lease_until = record.lease_until
        self.cancel_requested_at = record.cancel_requested_at
        self.cancel_reason: str | None = None
        self.progress = record.progress
        self.result = record.result
        self.error = record.error
        self.changes: list[End] = []
        counts = record.counts
        self.children = {status: getattr(counts, status.value) for status in JobStatus} if self.tolerance else None

    def record(self) -> JobRecord:
        """Return a frozen copy."""
        return JobRecord(
            job=self.job,
            status=self.status,
            attempt=self.attempt,
            seq=self.seq,
            created_at=self.created_at,
            not_before=self.not_before,
            started_at=self.started_at,
            finished_at=self.finished_at,
            owner=self.owner,
            lease_until=self.lease_until,
            cancel_requested_at=self.cancel_requested_at,
            progress=self.progress,
            result=self.result,
            error=self.error,
            counts=self.counts(),
        )

    def counts(self) -> Counts:
        """Return the children by status."""
        children = self.children
        if children is None:
            return NO_COUNTS
        return Counts(
            pending=children[JobStatus.PENDING],
            running=children[JobStatus.RUNNING],
            completed=children[JobStatus.COMPLETED],
            failed=children[JobStatus.FAILED],
            cancelled=children[JobStatus.CANCELLED],
        )

    def standing(self) -> Standing | None:
        """Return how a parent stands, or None for a job that is none."""
        if self.tolerance is None:
            return None
        return Standing(
            id=self.job.id,
            seq=self.seq,
            parent_id=self.job.parent_id,
            name=self.job.name,
            status=self.status,
            counts=self.counts(),
            tolerance=self.tolerance,
            cancel_requested=self.cancel_requested_at is not None,
        )

    def may_start(self, now: float) -> bool:
        """Tell whether a worker may carry it out now, as far as it alone can tell."""
        return (
            self.status is JobStatus.PENDING
            and self.tolerance is None
            and self.cancel_requested_at is None
            and (self.not_before is None or self.not_before <= now)
        )

    def runs(self, attempt: int) -> bool:
        """Tell whether a worker is carrying out this attempt."""
        return self.status is JobStatus.RUNNING and self.attempt == attempt and self.tolerance is None

    @property
    def live(self) -> bool:
        """Whether it may still change."""
        return self.status in LIVE

    def mark(self, now: float, reason: str) -> None:
        """Note that it is to stop, and why; the first time counts."""
        if self.cancel_requested_at is None:
            self.cancel_requested_at, self.cancel_reason = now, reason

    def past(self) -> Past:
        """Return its history."""
        job = Creation(
            self.seq,
            self.job.id,
            self.tolerance is not None,
            self.created_at,
            self.submitter,
            self.status,
            self.attempt,
            self.started_at,
            self.owner,
        )
        return unfold(job, self.changes)

    def note(self, status: JobStatus, now: float) -> None:
        """Add to the history that it is about to come to a status; a start needs nothing, see `history`."""
        if status is not JobStatus.RUNNING:
            began = self.started_at if self.status is JobStatus.RUNNING else None
            reason = reason_of(status, self.error, self.cancel_reason)
            self.changes.append(End(self.attempt, self.status, status, now, began, self.owner, reason))

    def running(self) -> Running:
        """Return what its owner wants to know of it."""
        return Running(job_id=self.job.id, attempt=self.attempt, stop=self.cancel_reason)

    def move_child(self, old: JobStatus, new: JobStatus) -> None:
        """Count a child under another status."""
        if self.children is not None:
            self.children[old] -= 1
            self.children[new] += 1


def matcher(query: JobQuery, *, paged: bool = True) -> Callable[[Entry], bool]:
    """Return what tells whether an entry fits a query; without `paged`, `beyond` does not count."""
    beyond = query.beyond if paged else None

    def fits(entry: Entry) -> bool:
        job = entry.job
        return (
            (query.statuses is None or entry.status in query.statuses)
            and (query.types is None or job.type in query.types)
            and (query.parent_id is None or job.parent_id == query.parent_id)
            and (query.correlation_id is None or job.correlation_id == query.correlation_id)
            and (query.resource is None or job.resource == query.resource)
            and (query.owner is None or entry.owner == query.owner)
            and not (query.roots and job.parent_id is not None)
            and not (query.leaves and entry.tolerance is not None)
            and (beyond is None or (entry.seq > beyond if query.oldest_first else entry.seq < beyond))
        )

    return fits
