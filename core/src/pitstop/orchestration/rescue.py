"""What a rescue found, and what came of it: two records."""

from __future__ import annotations

from attrs import frozen

from pitstop.contracts import CompletionReceipt
from pitstop.jobs import JobRecord, JobStatus


@frozen(kw_only=True)
class RescueReport:
    """What a rescue found.

    Args:
        lost: the ends of jobs whose process died under them, by failure or for another attempt, and of jobs that
            nobody can run because their records cannot be read.
        orphans: ids of roots that are not finished and that nobody alive looks after.
        left: ids of jobs whose process died, and of which nobody here knows what they want then: they are left to a
            process that knows their worker.
    """

    lost: tuple[CompletionReceipt, ...] = ()
    orphans: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


@frozen(kw_only=True)
class Rescue:
    """What came of a rescue.

    Args:
        lost: jobs whose process died under them, as they are now: failed, or pending for another attempt.
        roots: ids of the trees that nobody else looks after; they go on here, if they were to be adopted.
        left: ids of jobs whose process died too, and that a process must see to which knows their worker.
    """

    lost: tuple[JobRecord, ...] = ()
    roots: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[JobRecord, ...]:
        """Those of the lost that will not be tried again."""
        return tuple(record for record in self.lost if record.status is JobStatus.FAILED)

    def __bool__(self) -> bool:
        """Whether anything was left behind."""
        return bool(self.lost or self.roots or self.left)
