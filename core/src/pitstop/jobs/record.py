"""What a store keeps: the record of a job, each change of its status, and the lines of its log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, frozen

from pitstop.jobs.job import Job
from pitstop.jobs.progress import Progress
from pitstop.jobs.result import ErrorRecord, Result
from pitstop.jobs.status import Counts, JobStatus

_NO_COUNTS = Counts()


@frozen(kw_only=True)
class StatusChange:
    """One step in the life of a job.

    Args:
        job_id: whose.
        at: when, in seconds since 1970, UTC.
        old: the status before; None for the creation.
        new: the status after.
        attempt: how often it had been started by then.
        owner: who made it run or looked after it; None if nobody did.
        reason: why it failed, was cancelled or was put back, in a few words; "" for what needs none.
    """

    job_id: str
    at: float
    old: JobStatus | None
    new: JobStatus
    attempt: int = 0
    owner: str | None = None
    reason: str = ""


@frozen(
    kw_only=True, slots=False
)  # a frozen class with slots takes half as long again to make, and each job makes some
class JobRecord:
    """What the store knows of a job. Times are seconds since 1970, UTC.

    Args:
        job: the request.
        status: where it stands.
        attempt: how often it was started; the fencing token of a running job.
        seq: its place in the order of creation, set by the store.
        created_at, not_before, started_at, finished_at: when it was created, may start at the earliest (a delayed
            retry), was last started, and ended.
        owner: who looks after it: while pending the process that submitted it (None if any may take it), while running
            the process that runs it.
        lease_until: when a running job counts as lost unless its owner has extended the lease.
        cancel_requested_at: when somebody asked to cancel it.
        progress, result, error: the latest of each. A pending job that waits for a retry has the last error.
        counts: its children by status, for a parent.
    """

    job: Job
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    seq: int = 0
    created_at: float = 0.0
    not_before: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    owner: str | None = None
    lease_until: float | None = None
    cancel_requested_at: float | None = None
    progress: Progress | None = None
    result: Result | None = None
    error: ErrorRecord | None = None
    counts: Counts = _NO_COUNTS

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took, or None if it has not ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, self.finished_at - self.started_at)


@frozen(kw_only=True)
class LogLine:
    """One line of a job's log.

    Args:
        job_id, correlation_id: whose line it is, and of which tree.
        at: when, in seconds since 1970, UTC.
        level: "DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL".
        message: the text, secrets masked.
        source: the logger's name: "pitstop", or the module that logged.
        extra: what the caller bound to it, and the job's worker type and operation; a JSON object.
    """

    job_id: str
    correlation_id: str
    at: float
    level: str
    message: str
    source: str = "pitstop"
    extra: Mapping[str, Any] = Factory(dict)
