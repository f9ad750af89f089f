"""The five statuses, which changes between them are allowed, and how a parent's follows from its children's."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal

from attrs import evolve, field, frozen

from pitstop.errors import InvalidJobError

OnError = Literal["continue", "stop"]
OnCrash = Literal["fail", "retry"]


class JobStatus(StrEnum):
    """The five statuses of a job."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether a job in this status has ended for good."""
        return not TRANSITIONS[self]


#: Which status may follow which. The only place that knows; terminal statuses lead nowhere.
#: `running -> pending` happens only through a retry or a rescue.
TRANSITIONS: Final[Mapping[JobStatus, frozenset[JobStatus]]] = {
    JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PENDING}),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}


@frozen(kw_only=True)
class Tolerance:
    """When a parent counts as failed. A job that has a tolerance is a parent: it has children and no worker.

    Args:
        on_error: "continue" runs the other children all the same; "stop" cancels the pending ones.
        max_failures: how many children may fail before the parent is failed (and, with "stop", before it stops).
    """

    on_error: OnError = field(default="continue")
    max_failures: int = field(default=0)

    @on_error.validator
    def _check_on_error(self, _: object, value: object) -> None:
        if value not in ("continue", "stop"):
            raise InvalidJobError(reason=f"on_error is {value!r}", hint="it is 'continue' or 'stop'")

    @max_failures.validator
    def _check_max_failures(self, _: object, value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidJobError(reason=f"max_failures is {value!r}", hint="it is a whole number from 0")


@frozen(kw_only=True)
class Counts:
    """How many children of a parent (or jobs of a store) are in each status."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """How many there are in all."""
        return self.pending + self.running + self.completed + self.failed + self.cancelled

    def plus(self, status: JobStatus, number: int = 1) -> Counts:
        """Return the counts with `number` more (or, if negative, fewer) in `status`."""
        return evolve(self, **{status.value: getattr(self, status.value) + number})

    def __str__(self) -> str:
        return f"{self.pending} pending, {self.running} running, {self.completed} completed, {self.failed} failed" + (
            f", {self.cancelled} cancelled" if self.cancelled else ""
        )


def parent_status(counts: Counts, tolerance: Tolerance, *, cancel_requested: bool = False) -> JobStatus:
    """Return a parent's status from its children's. This is the one rule, used everywhere.

    Args:
        counts: the children, by status.
        tolerance: how many of them may fail.
        cancel_requested: whether somebody asked to cancel the parent. Then it ends cancelled as soon as any child was
            really stopped by that, although others had completed; a cancel that came too late changes nothing.

    Returns:
        `RUNNING` while any child is pending or running. Then `CANCELLED` if all are (or as above), `FAILED` if more
        failed than are tolerated, and otherwise `COMPLETED`, also for a parent without children.
    """
    if counts.pending or counts.running:
        return JobStatus.RUNNING
    if counts.cancelled and (cancel_requested or counts.cancelled == counts.total):
        return JobStatus.CANCELLED
    if counts.failed > tolerance.max_failures:
        return JobStatus.FAILED
    return JobStatus.COMPLETED
