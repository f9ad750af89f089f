"""`StoredJob`: all that a store keeps of one job, apart from its log. Knows one job, and neither rules nor others."""

from __future__ import annotations

from typing import Any

from attrs import Factory, define, evolve

from pitstop.contracts.job_history import AttemptEnd, CurrentState, JobHistory, expand_history
from pitstop.contracts.parent_rules import LIVE, check_transition
from pitstop.contracts.store import Running
from pitstop.jobs import JobRecord, JobStatus


@define(eq=False)
class StoredJob:
    """A record and what else a store keeps of its job.

    Args:
        record: the current record. It is frozen, and replaced by every change.
        submitter: the owner that the job was created with.
        cancel_reason: why somebody asked to cancel it while it was running.
        ends: the ends of its attempts, the oldest first.
    """

    record: JobRecord
    submitter: str | None = None
    cancel_reason: str | None = None
    ends: list[AttemptEnd] = Factory(list)

    @property
    def is_parent(self) -> bool:
        """Whether its status follows from its children, and no worker carries it out."""
        return self.record.job.tolerance is not None

    @property
    def is_live(self) -> bool:
        """Whether it may still change."""
        return self.record.status in LIVE

    def may_start(self, now: float) -> bool:
        """Return whether a worker may carry it out now, as far as this does not depend on other jobs."""
        record = self.record
        return (
            record.status is JobStatus.PENDING
            and record.job.tolerance is None
            and record.cancel_requested_at is None
            and (record.not_before is None or record.not_before <= now)
        )

    def is_running(self, attempt: int) -> bool:
        """Return whether a worker is carrying out this attempt."""
        record = self.record
        return record.status is JobStatus.RUNNING and record.attempt == attempt and record.job.tolerance is None

    def update(self, **changes: Any) -> None:
        """Replace fields of the record, all but its status."""
        # a quarter of the time of attrs.evolve, and a record validates nothing
        record = JobRecord.__new__(JobRecord)
        object.__setattr__(record, "__dict__", vars(self.record) | changes)
        self.record = record

    def change_status(self, status: JobStatus, now: float, **changes: Any) -> None:
        """Change the status, with other fields of the record, and keep what the history needs.

        Raises:
            TransitionError: the current status cannot be followed by this one. Nothing has changed then.
        """
        before = self.record
        check_transition(before.job.id, before.status, status)
        self.update(status=status, **changes)
        if status is not JobStatus.RUNNING:  # a start is part of the record until the attempt ends
            began = before.started_at if before.status is JobStatus.RUNNING else None
            self.ends.append(
                AttemptEnd(before.attempt, before.status, status, now, began, before.owner, self._change_reason())
            )

    def _change_reason(self) -> str:
        """Return why it has the status that it has now."""
        if self.record.status is JobStatus.COMPLETED:
            return ""
        if self.record.error is not None:
            return self.record.error.message
        return (self.cancel_reason or "") if self.record.status is JobStatus.CANCELLED else ""

    def count_child(self, old: JobStatus, new: JobStatus) -> None:
        """Count a child of a parent under another status."""
        counts = self.record.counts
        self.update(counts=evolve(counts, **{old: getattr(counts, old) - 1, new: getattr(counts, new) + 1}))

    def request_cancel(self, now: float, reason: str) -> None:
        """Mark it as one that somebody asked to cancel; only the first request counts."""
        if self.record.cancel_requested_at is None:
            self.update(cancel_requested_at=now)
            self.cancel_reason = reason

    def running(self) -> Running:
        """Return what its owner needs to know of it."""
        return Running(job_id=self.record.id, attempt=self.record.attempt, stop=self.cancel_reason)

    def history(self) -> JobHistory:
        """Return every change of its status."""
        now = self.record
        created = (now.seq, now.id, self.is_parent, now.created_at, self.submitter)
        return expand_history(CurrentState(*created, now.status, now.attempt, now.started_at, now.owner), self.ends)
