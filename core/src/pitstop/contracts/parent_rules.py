"""The rules that every store shares: which transitions are legal, when a parent ends, when it stops its children.

Owns the order in which parents are settled. It keeps no record and reads none: a store passes a `ParentStore`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple, Protocol

from pitstop.errors import TransitionError
from pitstop.jobs import TRANSITIONS, Counts, JobRecord, JobStatus, OnError, Tolerance, parent_status
from pitstop.text import count_noun

#: A live job may still change; everything below a job that is not live has ended too.
LIVE = (JobStatus.PENDING, JobStatus.RUNNING)
#: For jobs without children, which is most of them.
NO_COUNTS = Counts()


class CancelledJob(NamedTuple):
    """A pending job that was cancelled, and its parent."""

    seq: int
    id: str
    parent_id: str | None


class ParentStore(Protocol):
    """What a store offers to `settle_parents`, all within the transaction that it has open."""

    def load_parent(self, parent_id: str) -> JobRecord | None:
        """Return the record of a parent as it is now, or None if there is no job with this id."""

    def close_parent(self, parent_id: str, status: JobStatus, now: float) -> JobRecord:
        """End a running parent, at `now` but not before any of its children, and move its own parent's counts."""

    def cancel_descendants(self, parent_id: str, now: float, reason: str) -> list[CancelledJob]:
        """Cancel the pending jobs below a parent.

        If there were any, the running parents below it are marked as asked to cancel.

        Returns:
            The cancelled jobs, in order of `seq`.
        """


class Settlement(NamedTuple):
    """The parents that ended, innermost first, and the ids of the pending jobs that were cancelled."""

    closed: tuple[JobRecord, ...] = ()
    cancelled: tuple[str, ...] = ()


def check_transition(job_id: str, current: JobStatus, asked: JobStatus) -> None:
    """Check that a status may follow the current one.

    Raises:
        TransitionError: `TRANSITIONS` has no such move.
    """
    if asked not in TRANSITIONS[current]:
        raise TransitionError(id=job_id, current=current.value, asked=asked.value)


@lru_cache(maxsize=256)
def make_tolerance(on_error: OnError, max_failures: int) -> Tolerance:
    """Return the tolerance with these values; cached, because its checks cost more than a look-up."""
    return Tolerance(on_error=on_error, max_failures=max_failures)


def stop_reason(name: str, counts: Counts, tolerance: Tolerance) -> str | None:
    """Return why the pending jobs below a parent must not start any more, or None if they may."""
    open_children = counts.pending + counts.running
    if tolerance.on_error != "stop" or not open_children or counts.failed <= tolerance.max_failures:
        return None
    return f"{name} stops: {count_noun(counts.failed, 'job')} failed, and it tolerates {tolerance.max_failures}"


def settle_parents(
    store: ParentStore, parent_ids: Iterable[str | None], now: float, *, climb: bool = False
) -> Settlement:
    """Give parents the status that follows from their children, as far up the tree as that changes anything.

    Args:
        store: the store, within the transaction in which the children, and with them the parents' counts, have changed.
        parent_ids: the parents of the jobs that changed; None is ignored.
        now: the time, in seconds since 1970.
        climb: visit every ancestor, also above a parent that stays open. A job that goes back to pending needs it: an
            ancestor may have stopped while the job ran.

    Returns:
        The parents that ended and the jobs that were cancelled.
    """
    # parents are created before their children, so the highest `seq` is innermost
    queue: list[tuple[int, str, JobRecord]] = []
    queued: set[str] = set()
    closed: list[JobRecord] = []
    cancelled: list[CancelledJob] = []

    def add(parent_ids: Iterable[str | None], below: float = inf) -> None:
        """Add parents that were created before `below`; any other would make a cycle."""
        for parent_id in parent_ids:
            if parent_id is not None and parent_id not in queued:
                parent = store.load_parent(parent_id)
                if parent is not None and parent.seq < below:
                    queued.add(parent_id)
                    heappush(queue, (-parent.seq, parent_id, parent))

    add(parent_ids)
    while queue:
        _, parent_id, parent = heappop(queue)
        queued.remove(parent_id)
        if closed or cancelled:  # and with that the counts above it have changed
            parent = store.load_parent(parent_id) or parent
        tolerance = parent.job.tolerance
        if parent.status is not JobStatus.RUNNING or tolerance is None:
            continue
        reason = stop_reason(parent.job.name, parent.counts, tolerance)
        stopped = store.cancel_descendants(parent_id, now, reason) if reason else []
        if stopped:
            cancelled += stopped
            add({job.parent_id for job in stopped} | {parent_id})
            continue
        status = parent_status(parent.counts, tolerance, cancel_requested=parent.cancel_requested_at is not None)
        if status is not JobStatus.RUNNING:
            check_transition(parent_id, parent.status, status)
            closed.append(store.close_parent(parent_id, status, now))
        if climb or status is not JobStatus.RUNNING:
            add((parent.job.parent_id,), below=parent.seq)
    return Settlement(tuple(closed), tuple(job.id for job in sorted(cancelled)))
