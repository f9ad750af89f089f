"""What every store must decide alike: which moves are legal, when a parent closes, and when it stops its children.

Owns the order in which parents are settled. Keeps no record and reads none: a store hands itself in as a `Family`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from pitstop.errors import TransitionError
from pitstop.jobs import TRANSITIONS, Counts, ErrorRecord, JobRecord, JobStatus, OnError, Tolerance, parent_status

#: What is live may still change; all that is below a job that is not live has ended too.
LIVE = (JobStatus.PENDING, JobStatus.RUNNING)
#: For jobs without children, which is most of them.
NO_COUNTS = Counts()


class Standing(NamedTuple):
    """What the rules ask of a parent.

    Args:
        id, seq, parent_id: which it is; a parent has a lower `seq` than all that is below it.
        name: how a reason refers to it.
        status, counts, tolerance: where it stands, its children's statuses, and how many of them may fail.
        cancel_requested: whether it was told to end.
    """

    id: str
    seq: int
    parent_id: str | None
    name: str
    status: JobStatus
    counts: Counts
    tolerance: Tolerance
    cancel_requested: bool


class Stopped(NamedTuple):
    """A pending job that was cancelled, and whose child it was."""

    seq: int
    id: str
    parent_id: str | None


class Family(Protocol):
    """What a store offers to `settle`, all within the transaction that it has open."""

    def standing(self, parent_id: str) -> Standing | None:
        """Return how a parent stands now, or None if there is no parent of this id."""

    def close_parent(self, parent_id: str, status: JobStatus, now: float) -> JobRecord:
        """End a running parent, at `now` but not before any of its children, and move its own parent's counts."""

    def stop_below(self, parent_id: str, now: float, reason: str) -> list[Stopped]:
        """Cancel all that is pending below a parent, in order of `seq`, and mark the parents among it."""


class Settled(NamedTuple):
    """What came of settling: the parents that closed, innermost first, and the ids of jobs that were stopped."""

    closed: tuple[JobRecord, ...]
    cancelled: tuple[str, ...]


def check_move(job_id: str, current: JobStatus, asked: JobStatus) -> None:
    """Refuse a status that cannot follow the current one.

    Raises:
        TransitionError: `TRANSITIONS` has no such move.
    """
    if asked not in TRANSITIONS[current]:
        raise TransitionError(id=job_id, current=current.value, asked=asked.value)


@lru_cache(maxsize=256)
def tolerance_of(on_error: OnError, max_failures: int) -> Tolerance:
    """Return the tolerance with these values; cached, because its checks cost more than a look-up."""
    return Tolerance(on_error=on_error, max_failures=max_failures)


def cancellation(reason: str) -> ErrorRecord:
    """Return what the record of a cancelled job says."""
    return ErrorRecord(type="JobCancelledError", message=reason)


def stop_reason(standing: Standing) -> str | None:
    """Return why a parent's pending descendants must not start any more, or None if they may."""
    tolerance, counts = standing.tolerance, standing.counts
    open_children = counts.pending + counts.running
    if tolerance.on_error != "stop" or not open_children or counts.failed <= tolerance.max_failures:
        return None
    jobs = "job" if counts.failed == 1 else "jobs"
    return f"{standing.name} stops: {counts.failed} {jobs} failed, and it tolerates {tolerance.max_failures}"


def settle(family: Family, parent_ids: Iterable[str | None], now: float, *, climb: bool = False) -> Settled:
    """Bring parents to the status that their children give them, as far up as that changes anything.

    Args:
        family: the store, within a transaction in which the children have changed and the counts with them.
        parent_ids: the parents of what changed; None stands for no parent.
        now: the time, in seconds since 1970.
        climb: look at every ancestor, also above a parent that stays open. A job that goes back to pending needs it: an
            ancestor may have stopped meanwhile.

    Returns:
        What closed and what was cancelled on the way.
    """
    queue = _Queue(family, parent_ids)
    closed: list[JobRecord] = []
    cancelled: list[Stopped] = []
    while (standing := queue.innermost()) is not None:
        if standing.status is not JobStatus.RUNNING:
            continue
        reason = stop_reason(standing)
        stopped = family.stop_below(standing.id, now, reason) if reason else []
        if stopped:
            cancelled += stopped
            queue.add({job.parent_id for job in stopped} | {standing.id})
            continue
        status = parent_status(standing.counts, standing.tolerance, cancel_requested=standing.cancel_requested)
        if status is not JobStatus.RUNNING:
            check_move(standing.id, standing.status, status)
            closed.append(family.close_parent(standing.id, status, now))
        if standing.parent_id is not None and (climb or status is not JobStatus.RUNNING):
            queue.add((standing.parent_id,))
    return Settled(tuple(closed), tuple(job.id for job in sorted(cancelled)))


class _Queue:
    """Parents that wait to be settled. Parents are created before their children, so the highest `seq` is innermost."""

    def __init__(self, family: Family, parent_ids: Iterable[str | None]) -> None:
        self._family = family
        self._heap: list[tuple[int, str]] = []
        self._fresh: Standing | None = None
        self._queued: set[str] = set()
        self.add(parent_ids)

    def add(self, parent_ids: Iterable[str | None]) -> None:
        for parent_id in parent_ids:
            if parent_id is None or parent_id in self._queued:
                continue
            standing = self._family.standing(parent_id)
            if standing is not None:
                # nothing happens between adding the only one and taking it, which is nearly always: no second look
                self._fresh = standing
                self._queued.add(parent_id)
                heappush(self._heap, (-standing.seq, parent_id))

    def innermost(self) -> Standing | None:
        if not self._heap:
            return None
        _, parent_id = heappop(self._heap)
        self._queued.discard(parent_id)
        fresh, self._fresh = self._fresh, None
        return fresh if fresh is not None and fresh.id == parent_id else self._family.standing(parent_id)
