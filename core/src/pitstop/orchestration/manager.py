"""`JobManager`: the only writer of job status. It decides what an attempt's end leads to, and never executes anything.

It brings the clock, the owner and the policies (leases, retries, rescue) to a store that has none of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal

from attrs import evolve

from pitstop.clock import Clock, SystemClock
from pitstop.contracts import (
    Cancelled,
    Claim,
    Completion,
    CompletionReceipt,
    JobQuery,
    JobStore,
    Running,
    Unreadable,
    ends_with_process,
)
from pitstop.jobs import (
    AttemptResult,
    Counts,
    ErrorRecord,
    Job,
    JobRecord,
    JobStatus,
    LogLine,
    OnCrash,
    Progress,
    Tolerance,
    parent_status,
)
from pitstop.orchestration.liveness import LEASE as LEASE
from pitstop.orchestration.liveness import Liveness, ProcessLock
from pitstop.orchestration.rescue import RescueReport

#: A retry waits a random time up to BACKOFF * 2 ** (attempt - 1) seconds, at most BACKOFF_LIMIT: exponential backoff
#: with full jitter, as in M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
BACKOFF = 1.0
BACKOFF_LIMIT = 60.0


class JobManager:
    """Creates, claims, finishes, cancels and rescues jobs in one store.

    Args:
        store: where the records are.
        clock: the time.
        jitter: returns a number in [0, 1), for the wait before a retry.
        process_lock: says that this process is alive; one for the store if not given.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
        process_lock: ProcessLock | None = None,
    ) -> None:
        self.store = store
        self.clock = clock or SystemClock()
        alone = ends_with_process(store)
        self.process_lock = process_lock or ProcessLock(store.path, alone=alone, url=store.url)
        # beside a store that is no file nobody sees a lock: all that is looked after has a lease there
        self._needs_leases = store.path is None and not alone
        self._jitter = jitter

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
        self.process_lock.acquire()
        now = self.clock.now()
        owner = None if shared else self.process_lock.id
        lease = now + LEASE if self._needs_leases and not shared else None
        new = [JobRecord(job=job, created_at=now, owner=owner, lease_until=lease) for job in jobs]
        records = _count_children(new, now=now)
        self.store.create(records)
        return records

    def create_running(self, job: Job) -> tuple[JobRecord, JobRecord | None]:
        """Store a job without relatives and claim it, in one transaction, because it starts at once.

        Returns:
            The record as it was created, and as it was claimed; None for the latter if its resource is in use.

        Raises:
            StoreError: it could not be stored.
        """
        self.process_lock.acquire()
        claim = self._make_claim(job.id)
        record = JobRecord(job=job, created_at=claim.now, owner=claim.owner)
        return record, self.store.create((record,), then=claim)

    def claim(self, job_id: str) -> JobRecord | None:
        """Make a pending job this process's to run. Returns its record, or None if it cannot be had now.

        Raises:
            UnreadableRecordError: it was claimed, and nobody can run it: `fail_unreadable` ends it.
        """
        self.process_lock.acquire()
        return self.store.claim(self._make_claim(job_id))

    def fail_unreadable(self, unreadable: Unreadable) -> CompletionReceipt | None:
        """End a job that was claimed here and that nobody can run. See `JobStore.fail_unreadable`."""
        return self.store.fail_unreadable(unreadable, now=self.clock.now())

    def finish(
        self,
        record: JobRecord,
        attempt_result: AttemptResult,
        *,
        lines: Sequence[LogLine] = (),
        then: str | None = None,
        shared: bool = False,
    ) -> CompletionReceipt | None:
        """Store how an attempt ended: for good, or for another attempt if it may succeed and attempts remain.

        Args:
            record: the claimed record.
            attempt_result: how it ended.
            lines: log lines to store with it.
            then: the id of a job to claim in the same transaction.
            shared: whether any process may take another attempt, as with an engine.

        Returns:
            What was done, or None if the job was no longer this attempt's, because it was rescued meanwhile.
        """
        retry = attempt_result.kind == "transient" and record.attempt < record.job.max_attempts
        now = self.clock.now()
        ending = Completion(
            job_id=record.id,
            attempt=record.attempt,
            status=JobStatus.PENDING if retry else _STATUS_OF[attempt_result.kind],
            now=now,
            result=attempt_result.result,
            error=attempt_result.error,
            not_before=now + self._retry_delay(record.attempt + 1) if retry else None,
            owner=None if shared else record.owner,
            lines=tuple(lines),
        )
        return self.store.finish(ending, then=self._make_claim(then) if then else None)

    def progress(self, record: JobRecord, progress: Progress) -> None:
        """Note how far a job is."""
        self.store.progress(record.id, record.attempt, progress)

    def cancel(self, job_id: str, *, reason: str) -> Cancelled:
        """Cancel a job and all below it. Raises UnknownJobError if there is none of this id."""
        return self.store.cancel(job_id, now=self.clock.now(), reason=reason)

    def heartbeat(self) -> list[Running]:
        """Send a heartbeat: extend the leases of what this process runs. Returns what that is."""
        now = self.clock.now()
        self.process_lock.refresh(now)
        return self.store.heartbeat(self.process_lock.id, lease_until=now + LEASE)

    def running(self) -> list[Running]:
        """Return what this process runs, as the store sees it."""
        return self.store.running(self.process_lock.id)

    def adopt(self, root_ids: Sequence[str]) -> None:
        """Look after trees that nobody looks after."""
        self.process_lock.acquire()
        self.store.adopt(root_ids, owner=self.process_lock.id, lease_until=self.clock.now() + LEASE)

    def rescue(
        self, *, on_crash: Callable[[str], OnCrash | None] = lambda _: "fail", whole: bool = True
    ) -> RescueReport:
        """Bring jobs whose process died to the right place.

        A lost job counts as an attempt. It goes back to pending if it says "retry" for a crash and attempts remain;
        otherwise it has failed, because work that died half way may not be repeatable.

        Args:
            on_crash: returns what a worker type says, for jobs that do not say themselves; None if that is not known
                here, and then the job is left to others.
            whole: look at all that is pending too, which nobody may ever be able to claim because its record cannot be
                read, and count the children of each open parent.

        Returns:
            The ends of lost jobs, and the roots that nobody looks after any more (their status is left alone).
        """
        lost: list[CompletionReceipt | None] = []
        left: list[str] = []
        running = JobQuery(statuses=(JobStatus.RUNNING,), leaves=True, limit=None)
        for record in self.store.select(running):
            if not self._is_lost(record.owner, record.lease_until):
                continue
            wanted = record.job.on_crash or on_crash(record.job.type)
            if wanted is None:
                left.append(record.id)
                continue
            attempt_result = _conclude_lost(record, wanted)
            lost.append(
                self.finish(record, attempt_result, lines=[_make_lost_line(record, attempt_result, self.clock.now())])
            )
        lost += [self.fail_unreadable(bad) for bad in self._find_unreadable(whole=whole)]
        lost += [self.fail_unreadable(bad) for bad in (self._find_miscounted() if whole else ())]
        open_roots = JobQuery(statuses=(JobStatus.PENDING, JobStatus.RUNNING), roots=True, limit=None)
        orphans = [r for r in self.store.select(open_roots) if r.owner and self._is_orphan(r)]
        self.process_lock.remove_dead(now=self.clock.now())
        return RescueReport(
            lost=tuple(finished for finished in lost if finished is not None),
            orphans=tuple(r.id for r in reversed(orphans)),
            left=tuple(left),
        )

    def close(self, *, keep_store: bool = False) -> None:
        """Say that this process looks after nothing any more, and, unless told otherwise, close the store."""
        self.process_lock.release()
        if not keep_store:
            self.store.close()

    def _is_lost(self, owner: str | None, lease_until: float | None) -> bool:
        """Return whether what an owner runs runs no more.

        The one place that decides it: a lock that is held means alive, whatever the lease says and the clock shows.
        """
        now = self.clock.now()
        if owner is None:  # nobody runs it, which only somebody can have written who writes into the store's file
            return lease_until is None or lease_until < now
        liveness = self.process_lock.liveness(owner, now=now)
        if liveness in (Liveness.ALIVE, Liveness.DEAD):
            return liveness is Liveness.DEAD
        return lease_until is not None and lease_until < now

    def _find_unreadable(self, *, whole: bool) -> list[Unreadable]:
        """Return the jobs that cannot be read and that nobody runs."""
        running = JobQuery(statuses=(JobStatus.RUNNING,), leaves=not whole, limit=None)
        found = self.store.unreadable(running)
        lost = [bad for bad in found if self._is_lost(bad.owner, bad.lease_until)]
        pending = JobQuery(statuses=(JobStatus.PENDING,), limit=None)
        return [*lost, *(self.store.unreadable(pending) if whole else ())]

    def _find_miscounted(self) -> list[Unreadable]:
        """Return the open parents whose counts are not those of their children, so that they might never close.

        Only who writes into the store's file makes such; a job that ends meanwhile looks like one, which costs nothing.
        """
        running = JobQuery(statuses=(JobStatus.RUNNING,), limit=None)
        return [
            Unreadable(id=record.id, seq=record.seq, problem="its counts are not those of its children")
            for record in self.store.select(running)
            if record.job.is_parent and record.counts != self.store.count(JobQuery(parent_id=record.id, limit=None))
        ]

    def _is_orphan(self, record: JobRecord) -> bool:
        """Return whether a tree's owner looks after it no more. A mistake costs nothing: the claim decides who runs."""
        now = self.clock.now()
        liveness = self.process_lock.liveness(str(record.owner), now=now)
        if liveness is not Liveness.UNSEEN or not self._needs_leases:
            return liveness in (Liveness.DEAD, Liveness.ABSENT)
        if record.lease_until is not None:
            return record.lease_until < now
        # between the end of an attempt and the next heartbeat there is no lease
        return max(record.created_at, record.started_at or 0.0) + LEASE < now

    def _make_claim(self, job_id: str) -> Claim:
        now = self.clock.now()
        return Claim(job_id=job_id, owner=self.process_lock.id, now=now, lease_until=now + LEASE)

    def _retry_delay(self, attempt: int) -> float:
        # the exponent is bounded too: 2.0 ** 1100 is an OverflowError
        return self._jitter() * min(BACKOFF_LIMIT, BACKOFF * 2.0 ** min(attempt - 2, 30))


_STATUS_OF = {
    "completed": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
    "transient": JobStatus.FAILED,
    "cancelled": JobStatus.CANCELLED,
}


def _conclude_lost(record: JobRecord, on_crash: OnCrash) -> AttemptResult:
    message = f"lost: the process that ran it ({record.owner}) died or gave no sign of life"
    kind: Literal["transient", "failed"] = "transient" if on_crash == "retry" else "failed"
    return AttemptResult(kind=kind, error=ErrorRecord(type="LostError", message=message))


def _make_lost_line(record: JobRecord, attempt_result: AttemptResult, now: float) -> LogLine:
    return LogLine(
        job_id=record.id,
        correlation_id=record.job.correlation_id,
        at=now,
        level="ERROR",
        message=attempt_result.error.message if attempt_result.error else "lost",
        extra={"worker_type": record.job.type},
    )


def _count_children(records: list[JobRecord], *, now: float) -> list[JobRecord]:
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
