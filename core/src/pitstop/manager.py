"""`JobManager`: the only writer of job status. It decides what an attempt's end leads to, and never executes anything.

It brings the clock, the owner and the policies (leases, retries, rescue) to a store that has none of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal

from attrs import evolve, frozen

from pitstop.clock import Clock, SystemClock
from pitstop.contracts import Cancelled, Claim, Ending, Finished, JobQuery, JobStore, Running, ends_with_process
from pitstop.jobs import (
    Conclusion,
    Counts,
    ErrorRecord,
    Job,
    JobRecord,
    JobStatus,
    Progress,
    Tolerance,
    parent_status,
)
from pitstop.logs import LogLine
from pitstop.owners import LEASE as LEASE
from pitstop.owners import Owner

#: A retry waits a random time up to BACKOFF * 2 ** (attempt - 1) seconds, at most BACKOFF_LIMIT: exponential backoff
#: with full jitter, as in M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
BACKOFF = 1.0
BACKOFF_LIMIT = 60.0

#: So many jobs that were created here are remembered until they are claimed, which saves reading them back.
KNOWN_JOBS = 10_000

OnCrash = Literal["fail", "retry"]


@frozen(kw_only=True)
class Rescued:
    """What a rescue found.

    Args:
        lost: the ends of jobs whose process died under them, by failure or for another attempt.
        orphans: ids of roots that are not finished and that nobody alive looks after.
    """

    lost: tuple[Finished, ...] = ()
    orphans: tuple[str, ...] = ()


class JobManager:
    """Creates, claims, finishes, cancels and rescues jobs in one store.

    Args:
        store: where the records are.
        clock: the time.
        jitter: returns a number in [0, 1), for the wait before a retry.
        owner: who this process is; made anew for the store if not given.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
        owner: Owner | None = None,
    ) -> None:
        self.store = store
        self.clock = clock or SystemClock()
        self.owner = owner or Owner(store.path, alone=ends_with_process(store))
        self._jitter = jitter
        self._known: dict[str, Job] = {}

    def create(self, jobs: Sequence[Job], *, shared: bool = False) -> list[JobRecord]:
        """Store jobs in one transaction, parents before their children.

        Args:
            jobs: whole trees; `parent_id` and `correlation_id` already say where each belongs.
            shared: whether any process may take them, as with an engine; otherwise this one looks after them.

        Returns:
            Their records. A parent is running from the start, or completed at once if it has no children.

        Raises:
            StoreError: they could not be stored; then none was.
        """
        self.owner.announce()
        now = self.clock.now()
        owner = None if shared else self.owner.id
        records = _with_counts([JobRecord(job=job, created_at=now, owner=owner) for job in jobs], now=now)
        self.store.create(records)
        for record in records[: KNOWN_JOBS - len(self._known)]:
            self._known[record.id] = record.job
        return records

    def create_running(self, job: Job) -> tuple[JobRecord, JobRecord | None]:
        """Store a job without relatives and claim it, in one transaction, because it starts at once.

        Returns:
            The record as it was created, and as it was claimed; None for the latter if its resource is in use.

        Raises:
            StoreError: it could not be stored.
        """
        self.owner.announce()
        claim = self._claim(job.id, job)
        record = JobRecord(job=job, created_at=claim.now, owner=claim.owner)
        return record, self.store.create((record,), then=claim)

    def claim(self, job_id: str) -> JobRecord | None:
        """Make a pending job this process's to run. Returns its record, or None if it cannot be had now."""
        self.owner.announce()
        return self.store.claim(self._claim(job_id))

    def finish(
        self,
        record: JobRecord,
        conclusion: Conclusion,
        *,
        lines: Sequence[LogLine] = (),
        then: str | None = None,
        shared: bool = False,
    ) -> Finished | None:
        """Store how an attempt ended: for good, or for another attempt if it may succeed and attempts remain.

        Args:
            record: the claimed record.
            conclusion: how it ended.
            lines: log lines to store with it.
            then: the id of a job to claim in the same transaction.
            shared: whether any process may take another attempt, as with an engine.

        Returns:
            What was done, or None if the job was no longer this attempt's, because it was rescued meanwhile.
        """
        retry = conclusion.kind == "transient" and record.attempt < record.job.max_attempts
        now = self.clock.now()
        ending = Ending(
            job_id=record.id,
            attempt=record.attempt,
            status=JobStatus.PENDING if retry else _STATUS_OF[conclusion.kind],
            now=now,
            result=conclusion.result,
            error=conclusion.error,
            not_before=now + self._wait_before(record.attempt + 1) if retry else None,
            owner=None if shared else record.owner,
            lines=tuple(lines),
            record=record,
        )
        return self.store.finish(ending, then=self._claim(then) if then else None)

    def progress(self, record: JobRecord, progress: Progress) -> None:
        """Note how far a job is."""
        self.store.progress(record.id, record.attempt, progress)

    def cancel(self, job_id: str, *, reason: str) -> Cancelled:
        """Cancel a job and all below it. Raises UnknownJobError if there is none of this id."""
        done = self.store.cancel(job_id, now=self.clock.now(), reason=reason)
        for cancelled in done.cancelled:
            self._known.pop(cancelled, None)
        return done

    def heartbeat(self) -> list[Running]:
        """Give a sign of life: extend the leases of what this process runs. Returns what that is."""
        now = self.clock.now()
        self.owner.beat(now)
        return self.store.heartbeat(self.owner.id, lease_until=now + LEASE)

    def running(self) -> list[Running]:
        """Return what this process runs, as the store sees it."""
        return self.store.running(self.owner.id)

    def adopt(self, root_ids: Sequence[str]) -> None:
        """Look after trees that nobody looks after."""
        self.owner.announce()
        self.store.adopt(root_ids, owner=self.owner.id, lease_until=self.clock.now() + LEASE)

    def rescue(self, *, on_crash: Callable[[str], OnCrash] = lambda _type: "fail") -> Rescued:
        """Bring jobs whose process died to the right place.

        A lost job counts as an attempt. It goes back to pending if its worker type says "retry" and attempts remain;
        otherwise it has failed, because work that died half way may not be repeatable.

        Args:
            on_crash: returns what a worker type says.

        Returns:
            The ends of lost jobs, and the roots that nobody looks after any more (their status is left alone).
        """
        lost = []
        running = JobQuery(statuses=(JobStatus.RUNNING,), leaves=True, limit=None)
        for record in self.store.select(running):
            if not self._is_lost(record):
                continue
            conclusion = _lost(record, on_crash(record.job.type))
            finished = self.finish(record, conclusion, lines=[_lost_line(record, conclusion, self.clock.now())])
            if finished is not None:
                lost.append(finished)
        open_roots = JobQuery(statuses=(JobStatus.PENDING, JobStatus.RUNNING), roots=True, limit=None)
        orphans = [r for r in self.store.select(open_roots) if r.owner and self._is_orphan(r)]
        self.owner.forget_dead(now=self.clock.now())
        return Rescued(lost=tuple(lost), orphans=tuple(r.id for r in reversed(orphans)))

    def close(self, *, keep_store: bool = False) -> None:
        """Say that this process looks after nothing any more, and, unless told otherwise, close the store."""
        self.owner.withdraw()
        if not keep_store:
            self.store.close()

    def _is_lost(self, record: JobRecord) -> bool:
        if record.owner is None or record.owner == self.owner.id:
            return False
        expired = record.lease_until is not None and record.lease_until < self.clock.now()
        return expired or self._is_dead(record.owner)

    def _is_orphan(self, record: JobRecord) -> bool:
        # where a death is seen, one that is late with its signs of life keeps its trees
        return self._is_dead(str(record.owner)) or (self.store.path is None and self._is_lost(record))

    def _is_dead(self, owner_id: str) -> bool:
        return self.owner.is_dead(owner_id, now=self.clock.now())

    def _claim(self, job_id: str, job: Job | None = None) -> Claim:
        now = self.clock.now()
        job = job or self._known.pop(job_id, None)
        return Claim(job_id=job_id, owner=self.owner.id, now=now, lease_until=now + LEASE, job=job)

    def _wait_before(self, attempt: int) -> float:
        # the exponent is bounded too: 2.0 ** 1100 is an OverflowError
        return self._jitter() * min(BACKOFF_LIMIT, BACKOFF * 2.0 ** min(attempt - 2, 30))


_STATUS_OF = {
    "completed": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
    "transient": JobStatus.FAILED,
    "cancelled": JobStatus.CANCELLED,
}


def _lost(record: JobRecord, on_crash: OnCrash) -> Conclusion:
    message = f"lost: the process that ran it ({record.owner}) died or gave no sign of life"
    kind: Literal["transient", "failed"] = "transient" if on_crash == "retry" else "failed"
    return Conclusion(kind=kind, error=ErrorRecord(type="LostError", message=message))


def _lost_line(record: JobRecord, conclusion: Conclusion, now: float) -> LogLine:
    return LogLine(
        job_id=record.id,
        correlation_id=record.job.correlation_id,
        at=now,
        level="ERROR",
        message=conclusion.error.message if conclusion.error else "lost",
        extra={"worker_type": record.job.type},
    )


def _with_counts(records: list[JobRecord], *, now: float) -> list[JobRecord]:
    """Return records in which each parent has its children's counts and the status that follows from them."""
    # from the last to the first, so that a parent inside a tree is settled before its own parent counts it
    counts: dict[str, Counts] = {}
    settled = []
    for record in reversed(records):
        if record.job.is_parent:
            own = counts.get(record.id, Counts())
            status = parent_status(own, record.job.tolerance or Tolerance())
            record = evolve(
                record,
                counts=own,
                status=status,
                started_at=now,
                finished_at=now if status.terminal else None,
            )
        if record.job.parent_id is not None:
            parent = record.job.parent_id
            counts[parent] = counts.get(parent, Counts()).plus(record.status)
        settled.append(record)
    settled.reverse()
    return settled
