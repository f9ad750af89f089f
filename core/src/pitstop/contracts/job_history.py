"""The history of jobs: expanded from what is stored of it, and merged into one order. Runs no SQL.

A job's current state says when it was created and, while it runs, when and by whom it was started. Whatever is about to
be overwritten there is kept: each end of an attempt is stored as one `AttemptEnd`, which also says how the attempt
began. So a job that is started once costs one more row, and no past change depends on a state that has changed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from attrs import field, frozen

from pitstop.jobs import JobStatus, StatusChange

#: A reason is cut to so many characters.
REASON_LENGTH = 200


class JobHistory(NamedTuple):
    """The changes of one job, in order, its creation first.

    Args:
        seq: its place in the order of creation.
        is_parent: whether its status follows from its children.
        changes: what happened to it.
    """

    seq: int
    is_parent: bool
    changes: list[StatusChange]


class CurrentState(NamedTuple):
    """What a job's current state says of its history."""

    seq: int
    id: str
    is_parent: bool
    created_at: float
    submitter: str | None
    status: JobStatus
    attempt: int
    started_at: float | None
    owner: str | None


def shorten_reason(text: str) -> str:
    """Return the beginning of a text's first line."""
    return text[:REASON_LENGTH].partition("\n")[0]


@frozen
class AttemptEnd:
    """How an attempt ended, or a job that was pending; `began` is when the attempt was started."""

    attempt: int
    old: JobStatus
    new: JobStatus
    at: float
    began: float | None
    owner: str | None
    reason: str = field(converter=shorten_reason)


def expand_history(job: CurrentState, ends: Iterable[AttemptEnd]) -> JobHistory:
    """Return the history of a job from its current state and the ends of its attempts."""
    # after an attempt was given back, the job may be cancelled before there is another
    ends = sorted(ends, key=lambda end: (end.attempt, end.old is JobStatus.PENDING))
    before = ends[0].old if ends else job.status
    started = not job.is_parent and (job.attempt > 0 or before is JobStatus.PENDING)
    created = JobStatus.PENDING if started else before
    changes = [StatusChange(job_id=job.id, at=job.created_at, old=None, new=created, owner=job.submitter)]

    def add(attempt: int, old: JobStatus, new: JobStatus, at: float, owner: str | None, reason: str = "") -> None:
        change = StatusChange(job_id=job.id, at=at, old=old, new=new, attempt=attempt, owner=owner, reason=reason)
        changes.append(change)

    def add_start(attempt: int, at: float | None, owner: str | None) -> None:
        if started and attempt:
            add(attempt, JobStatus.PENDING, JobStatus.RUNNING, changes[-1].at if at is None else at, owner)

    for end in ends:
        if end.old is JobStatus.RUNNING:
            add_start(end.attempt, end.began, end.owner)
        add(end.attempt, end.old, end.new, end.at, end.owner, end.reason)
    if job.status is JobStatus.RUNNING:
        add_start(job.attempt, job.started_at, job.owner)
    return JobHistory(job.seq, job.is_parent, changes)


def merge_histories(histories: Sequence[JobHistory]) -> list[StatusChange]:
    """Return the changes of several jobs in the order they happened.

    Those of one job keep their order whatever the clock says. At the same time, jobs are created before anything
    happens to one of them, and parents end after their children.
    """
    if len(histories) == 1:
        return histories[0].changes
    keyed = []
    for history in histories:
        latest = float("-inf")
        for number, change in enumerate(history.changes):
            latest = max(latest, change.at)
            rank = 0 if change.old is None else 1 + history.is_parent
            place = -history.seq if rank == 2 else history.seq
            keyed.append((latest, rank, place, number, change))
    keyed.sort(key=lambda entry: entry[:4])
    return [entry[4] for entry in keyed]
