"""Builders of records, claims, completions and log lines, and calls of a store that must succeed.

Times are plain numbers, because a store reads no clock: records are made at 1.0, claimed at 10.0, ended at 20.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitstop.contracts import Claim, Completion, CompletionReceipt, JobQuery, JobStore
from pitstop.jobs import Counts, ErrorRecord, Job, JobRecord, JobStatus, LogLine, Tolerance

P, R, C, F, X = JobStatus.PENDING, JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED
#: For a parent that cancels what is pending below it at the first failure.
STOP = Tolerance(on_error="stop")
#: What `end` gives as the error of an attempt that failed.
BROKEN = ErrorRecord(type="OSError", message="broken", traceback="line 1")
#: Fields of a record; all others that `leaf` is given are the job's.
_OF_RECORD = ("status", "created_at", "owner", "not_before", "finished_at")


def leaf(job_id: str, parent: str | None = None, *, root: str | None = None, **fields: Any) -> JobRecord:
    """Return a pending record of a job that a worker carries out.

    Args:
        job_id: its id; its type is "t".
        parent: its parent's id.
        root: its correlation id; the parent's id, or its own, if not given.
        fields: of `JobRecord` (status, created_at, owner, not_before, finished_at) or of `Job`.
    """
    record = {key: fields.pop(key) for key in _OF_RECORD if key in fields}
    job = Job(**{"id": job_id, "type": "t", "parent_id": parent, "correlation_id": root or parent or job_id, **fields})
    return JobRecord(job=job, **{"created_at": 1.0, **record})


def parent(
    job_id: str,
    parent: str | None = None,
    *,
    root: str | None = None,
    tolerance: Tolerance | None = None,
    **counts: int,
) -> JobRecord:
    """Return a running record of a parent.

    Args:
        job_id, parent, root: as for `leaf`; its type is "p".
        tolerance: how many failures it stands.
        counts: how many children it has, by status.
    """
    correlation = root or parent or job_id
    job = Job(id=job_id, type="p", parent_id=parent, correlation_id=correlation, tolerance=tolerance or Tolerance())
    return JobRecord(job=job, status=R, created_at=1.0, counts=Counts(**counts))


def tree(
    shape: Mapping[str, Any],
    above: str | None = None,
    *,
    root: str | None = None,
    tolerance: Tolerance | None = None,
    **fields: Any,
) -> list[JobRecord]:
    """Return running parents and the pending jobs below them, in the order of the shape.

    Args:
        shape: ids, each with what is below it: a shape, the ids of jobs without children, or None for such a job.
        above: the id of the parent of the outermost ones.
        root: their correlation id; the id of what is outermost if not given.
        tolerance: that of the outermost parents.
        fields: of the jobs, as for `leaf`.
    """
    records = []
    for job_id, below in shape.items():
        own = root or above or job_id
        if below is None:
            records.append(leaf(job_id, above, root=own, **fields))
            continue
        below = below if isinstance(below, Mapping) else dict.fromkeys(below)
        pending = sum(each is None for each in below.values())
        counts = {"pending": pending, "running": len(below) - pending}
        records += [
            parent(job_id, above, root=own, tolerance=tolerance, **counts),
            *tree(below, job_id, root=own, **fields),
        ]
    return records


def family(*ids: str, tolerance: Tolerance | None = None, **fields: Any) -> list[JobRecord]:
    """Return a parent `p` and pending children of it, with `fields` as for `leaf`."""
    return tree({"p": ids}, tolerance=tolerance, **fields)


def claim(job_id: str, *, owner: str = "me", now: float = 10.0) -> Claim:
    """Return a claim with a lease of 30 s."""
    return Claim(job_id=job_id, owner=owner, now=now, lease_until=now + 30)


def end(job_id: str, status: str = "completed", *, attempt: int = 1, now: float = 20.0, **fields: Any) -> Completion:
    """Return the end of an attempt, with `fields` of `Completion`; one that failed or is tried again gets an error."""
    if status in ("failed", "pending"):
        fields.setdefault("error", BROKEN)
    return Completion(job_id=job_id, attempt=attempt, status=JobStatus(status), now=now, **fields)


def line(job_id: str, message: str, *, at: float = 1.0, root: str | None = None, **extra: Any) -> LogLine:
    """Return a log line of a job; its correlation id is the job's id if no `root` is given."""
    correlation = root or job_id
    return LogLine(
        job_id=job_id, correlation_id=correlation, at=at, level="INFO", message=message, source="s", extra=extra
    )


def take(store: JobStore, job_id: str, *, owner: str = "me", now: float = 10.0) -> JobRecord:
    """Claim a job that can be had, and return its running record."""
    record = store.claim(claim(job_id, owner=owner, now=now))
    assert record is not None, f"claim() of the job {job_id!r} returned None, although it can be had"
    return record


def conclude(store: JobStore, completion: Completion, then: Claim | None = None) -> CompletionReceipt:
    """End an attempt that is running, and return what was done."""
    receipt = store.finish(completion, then=then)
    assert receipt is not None, (
        f"finish() returned None, although {completion.job_id!r} runs attempt {completion.attempt}"
    )
    return receipt


def run(store: JobStore, job_id: str, status: str = "completed", **fields: Any) -> CompletionReceipt:
    """Claim a job that can be had, and end it; `fields` as for `end`."""
    return conclude(store, end(job_id, status, attempt=take(store, job_id).attempt, **fields))


def statuses(store: JobStore, *ids: str) -> list[str]:
    """Return the statuses of jobs."""
    return [store.get(job_id).status.value for job_id in ids]


def get_error(store: JobStore, job_id: str) -> ErrorRecord:
    """Return the error of a job that has one."""
    error = store.get(job_id).error
    assert error is not None, f"the record of {job_id!r} has no error"
    return error


def list_records(store: JobStore) -> list[JobRecord]:
    """Return all records, the oldest first."""
    return store.select(JobQuery(oldest_first=True, limit=None))
