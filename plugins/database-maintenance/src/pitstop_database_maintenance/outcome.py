"""What came of a maintenance: per step and per database, what was expected and what happened. Records only.

Made by `pitstop_database_maintenance.maintenance`. Sizes are bytes, times are seconds, shares are from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs
from attrs import Factory, frozen


class End(StrEnum):
    """How a step ended."""

    COMPLETED = "completed"
    #: The time for the whole run was over before it began, or in the middle of it; the next run goes on with it.
    TIME_LIMIT = "time limit"
    #: It was planned, and then found nothing that it could do; the reason says why.
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: It was not planned; the reason says why.
    NOT_PLANNED = "not planned"


@frozen(kw_only=True)
class State:
    """A database as it was found.

    Args:
        bytes: its size.
        free_bytes: how much of that is known to be unused as a whole; None if that is not known.
        waste: the share that a rebuild would give back; None if it is not known.
    """

    bytes: int
    free_bytes: int | None = None
    waste: float | None = None

    @classmethod
    def of(cls, inspection: Any) -> State | None:
        """Return what an inspection of any kind of database says; None if there was none."""
        if inspection is None or inspection.refused:
            return None
        waste: Any = getattr(inspection, "waste", None)
        return cls(
            bytes=inspection.bytes,
            free_bytes=getattr(inspection, "free_bytes", None),
            waste=None if waste is None else waste.share.value,
        )


@frozen(kw_only=True)
class StepOutcome:
    """One operation on one database.

    Args:
        operation: as the plan names it.
        end: how it ended.
        reason: why it was planned, or why it was not; or what stopped it.
        summary: what it says of itself, or its error.
        worth: what its assessment said: "yes", "no" or "impossible"; "" if it has none.
        left_out: whether it was not planned although it would pay, or was asked for; not if another one does the same.
        predicted: what the plan expected: `seconds`, `gain`, `writer_stall`, `reader_stall`, `written`, `disk`.
        seconds: how long it took.
        bytes_before, bytes_after: the database's size, as the operation measured it.
        writer_stall, reader_stall: for how long at most it kept writers, and readers, waiting at a stretch.
        wal_bytes: the size of the write-ahead log after it.
        warnings: what it wants known.
        continued: whether an earlier run had left it.
        job: the id of its job; "" if it had none of its own.
    """

    operation: str
    end: End
    reason: str = ""
    summary: str = ""
    worth: str = ""
    left_out: bool = False
    predicted: Mapping[str, Any] = Factory(dict)
    seconds: float | None = None
    bytes_before: int | None = None
    bytes_after: int | None = None
    writer_stall: float | None = None
    reader_stall: float | None = None
    wal_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    continued: bool = False
    job: str = ""

    @property
    def given_back(self) -> int | None:
        """How many bytes smaller the database was after it; negative if it grew."""
        if self.bytes_before is None or self.bytes_after is None:
            return None
        return self.bytes_before - self.bytes_after

    @property
    def ran(self) -> bool:
        """Whether it was begun; what was cancelled before has taken no time."""
        return self.end in (End.COMPLETED, End.FAILED) or self.seconds is not None

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**attrs.asdict(self), "end": self.end.value, "given_back": self.given_back}


@frozen(kw_only=True)
class DatabaseOutcome:
    """One database.

    Args:
        database: the URL.
        resource: which database it is.
        before, after: as it was found, and as it was left; None where that is not known.
        steps: in the order in which they ran; those that were not planned stand among them.
        refused: why nothing could be done with it; "" if something could.
        notes: what could not be known, one line each.
        run: the id of the root job; "" if nothing was run.
        seconds: how long its steps took together.
    """

    database: str
    resource: str = ""
    before: State | None = None
    after: State | None = None
    steps: tuple[StepOutcome, ...] = ()
    refused: str = ""
    notes: tuple[str, ...] = ()
    run: str = ""

    @property
    def given_back(self) -> int:
        """How many bytes smaller its steps have made it; negative if they made it larger.

        What it was before and after the run says that only where a step did not: others may have changed it meanwhile.
        """
        measured = [step.given_back for step in self.planned if step.ran]
        if None not in measured or self.before is None or self.after is None:
            return sum(back or 0 for back in measured)
        return self.before.bytes - self.after.bytes

    @property
    def seconds(self) -> float:
        """How long its steps took together."""
        return sum(step.seconds or 0.0 for step in self.steps)

    @property
    def planned(self) -> tuple[StepOutcome, ...]:
        """The steps that were to be run."""
        return tuple(step for step in self.steps if step.end is not End.NOT_PLANNED)

    @property
    def end(self) -> End:
        """How its maintenance ended: as the worst of its steps; `NOT_PLANNED` if nothing was due."""
        if self.refused:
            return End.FAILED
        ends = {step.end for step in self.planned}
        worst_first = (End.FAILED, End.CANCELLED, End.TIME_LIMIT, End.COMPLETED, End.SKIPPED)
        return next((end for end in worst_first if end in ends), End.NOT_PLANNED)

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "database": self.database,
            "resource": self.resource,
            "end": self.end.value,
            "before": None if self.before is None else attrs.asdict(self.before),
            "after": None if self.after is None else attrs.asdict(self.after),
            "given_back": self.given_back,
            "seconds": round(self.seconds, 3),
            "refused": self.refused,
            "notes": list(self.notes),
            "run": self.run,
            "steps": [step.to_document() for step in self.steps],
        }
