"""The history of jobs: what is stored of it, put together and in order. Runs no SQL.

A row says when its job was created and, while it runs, when it was started and by whom. What would be overwritten there
is kept: with every end of an attempt one row that also says how it had begun. So a job that is started once costs one
more row, and nothing that happened is ever told by the job's row alone once that row has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pitstop.jobs import ErrorRecord, JobStatus, StatusChange

#: So many characters of a reason are kept.
REASON_LENGTH = 200


class Past(NamedTuple):
    """The changes of one job, in order, its creation first.

    Args:
        seq: its place in the order of creation.
        is_parent: whether it stands for its children.
        changes: what happened to it.
    """

    seq: int
    is_parent: bool
    changes: list[StatusChange]


class Creation(NamedTuple):
    """What a job's own row says of its history."""

    seq: int
    id: str
    is_parent: bool
    created_at: float
    submitter: str | None
    status: JobStatus
    attempt: int
    started_at: float | None
    owner: str | None


class End(NamedTuple):
    """How an attempt ended, or a job that was pending; `began` is when the attempt was started."""

    attempt: int
    old: JobStatus
    new: JobStatus
    at: float
    began: float | None
    owner: str | None
    reason: str


def unfold(job: Creation, ends: Iterable[End]) -> Past:
    """Return a job's changes from what is stored of them."""
    # after an attempt was given back, the job may be cancelled before there is another
    ends = sorted(ends, key=lambda end: (end.attempt, end.old is JobStatus.PENDING))
    before = ends[0].old if ends else job.status
    started = not job.is_parent and (job.attempt > 0 or before is JobStatus.PENDING)
    created = JobStatus.PENDING if started else before
    changes = [StatusChange(job_id=job.id, at=job.created_at, old=None, new=created, owner=job.submitter)]

    def start(attempt: int, at: float | None, owner: str | None) -> None:
        if started and attempt:
            pending, running = JobStatus.PENDING, JobStatus.RUNNING
            at = changes[-1].at if at is None else at
            changes.append(StatusChange(job_id=job.id, at=at, old=pending, new=running, attempt=attempt, owner=owner))

    for end in ends:
        if end.old is JobStatus.RUNNING:
            start(end.attempt, end.began, end.owner)
        changes.append(
            StatusChange(
                job_id=job.id,
                at=end.at,
                old=end.old,
                new=end.new,
                attempt=end.attempt,
                owner=end.owner,
                reason=short(end.reason),
            )
        )
    if job.status is JobStatus.RUNNING:
        start(job.attempt, job.started_at, job.owner)
    return Past(job.seq, job.is_parent, changes)


def in_order(pasts: Sequence[Past]) -> list[StatusChange]:
    """Return the changes of several jobs in the order they happened.

    Those of one job keep their order whatever the clock says. At the same time, jobs are created before anything
    happens to one of them, and parents end after their children.
    """
    if len(pasts) == 1:
        return pasts[0].changes
    keyed = []
    for past in pasts:
        latest = float("-inf")
        for number, change in enumerate(past.changes):
            latest = max(latest, change.at)
            rank = 0 if change.old is None else 1 + past.is_parent
            place = -past.seq if rank == 2 else past.seq
            keyed.append((latest, rank, place, number, change))
    keyed.sort(key=lambda entry: entry[:4])
    return [entry[4] for entry in keyed]


def reason_of(status: JobStatus, error: ErrorRecord | None, cancel_reason: str | None) -> str:
    """Return why a job came to a status.

    Args:
        status: the new one.
        error: the job's, as it is now.
        cancel_reason: why the job was told to stop, if it was.
    """
    if status is JobStatus.RUNNING or status is JobStatus.COMPLETED:
        return ""
    if error is not None:
        return short(error.message)
    return short(cancel_reason or "") if status is JobStatus.CANCELLED else ""


def short(text: str) -> str:
    """Return the beginning of a text's first line."""
    return text[:REASON_LENGTH].partition("\n")[0]
