"""What came of a maintenance: per step and per database, what was expected and what happened. Records only.

Made by `pitstop_database_maintenance.maintenance.engine`. Sizes are bytes, times are seconds, shares are from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs
from attrs import Factory, frozen

from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.description import State
from pitstop_database_maintenance.databases.urls import shown_url


class StepStatus(StrEnum):
    """How a step ended."""

    COMPLETED = "completed"
    #: The time for the whole run was over before it began, or in the middle of it; the next run goes on with it.
    TIME_LIMIT = "time limit"
    #: It was planned, and then found nothing that it could do; the reason says why.
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: It failed and did no harm, and another operation has done its work.
    REPLACED = "replaced"
    #: It is due, or was asked for, and was not begun; the cause and the reason say why.
    LEFT_OUT = "left out"
    #: It is not due; the reason says why.
    NOT_PLANNED = "not planned"
    #: Of a database: it was not looked at, because nothing was due and nothing has changed since; or because the time
    #: was over, or somebody stopped the run.
    UNCHANGED = "unchanged"
    NOT_REACHED = "not reached"

    @property
    def is_done(self) -> bool:
        """Whether all is well with it: it is not due, or it is done, by itself or by another."""
        return self in (StepStatus.COMPLETED, StepStatus.REPLACED, StepStatus.NOT_PLANNED)


@frozen(kw_only=True)
class StepOutcome:
    """One operation on one database.

    Args:
        operation: as the plan names it.
        end: how it ended.
        reason: why it was planned, or why it was not; or what stopped it.
        summary: what it says of itself, or its error.
        error: of one that failed, the name of its error's class.
        cause: why it was planned, or was not, as a code.
        asked: whether somebody asked for it.
        worth: what its assessment said: "yes", "no" or "impossible"; "" if it has none.
        predicted: what the plan expected: `seconds`, `gain`, `writer_stall`, `reader_stall`, `written`, `disk`.
        seconds: how long it took.
        bytes_before, bytes_after: the database's size by its own count, as the operation measured it.
        disk_before, disk_after: what its files took on disk, its log included.
        writer_stall, reader_stall: for how long at most it kept writers, and readers, waiting at a stretch.
        wal_bytes: the size of the write-ahead log after it.
        warnings: what it wants known.
        continued: whether an earlier run had left it.
        job: the id of its job; "" if it had none of its own.
    """

    operation: str
    end: StepStatus
    reason: str = ""
    summary: str = ""
    error: str = ""
    cause: Cause = Cause.PAYS
    asked: bool = False
    worth: str = ""
    predicted: Mapping[str, Any] = Factory(dict)
    seconds: float | None = None
    bytes_before: int | None = None
    bytes_after: int | None = None
    disk_before: int | None = None
    disk_after: int | None = None
    writer_stall: float | None = None
    reader_stall: float | None = None
    wal_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    continued: bool = False
    job: str = ""

    @property
    def given_back(self) -> int | None:
        """How many bytes less its files took on disk after it; negative if they took more."""
        if self.disk_before is None or self.disk_after is None:
            return self.shrunk_by
        return self.disk_before - self.disk_after

    @property
    def shrunk_by(self) -> int | None:
        """How many bytes smaller the database was after it by its own count; negative if it grew."""
        if self.bytes_before is None or self.bytes_after is None:
            return None
        return self.bytes_before - self.bytes_after

    @property
    def left_out(self) -> bool:
        """Whether it is due, or was asked for, and was not begun."""
        return self.end is StepStatus.LEFT_OUT

    @property
    def denied(self) -> bool:
        """Whether somebody asked for it, and it was not done."""
        return self.asked and self.end in (
            StepStatus.LEFT_OUT,
            StepStatus.SKIPPED,
            StepStatus.TIME_LIMIT,
            StepStatus.CANCELLED,
        )

    @property
    def ran(self) -> bool:
        """Whether it was begun; what was cancelled before has taken no time."""
        return self.end in (StepStatus.COMPLETED, StepStatus.FAILED) or self.seconds is not None

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            **_collect_fields(self),
            "predicted": dict(self.predicted),
            "end": self.end.value,
            "cause": self.cause.value,
            "left_out": self.left_out,
            "given_back": self.given_back,
        }


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
        unlooked: of one that was not looked at, or not begun, `UNCHANGED` or `NOT_REACHED`.
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
    unlooked: StepStatus | None = None

    @property
    def given_back(self) -> int:
        """How many bytes less it takes on disk through its steps; negative if it takes more.

        What it was before and after the run says that only where a step did not: others may have changed it meanwhile.
        """
        measured = [step.given_back for step in self.planned if step.ran]
        if None not in measured or self.before is None or self.after is None:
            return sum(back or 0 for back in measured)
        return self.before.disk - self.after.disk

    @property
    def seconds(self) -> float:
        """How long its steps took together."""
        return sum(step.seconds or 0.0 for step in self.steps)

    @property
    def planned(self) -> tuple[StepOutcome, ...]:
        """The steps that were to be run."""
        return tuple(step for step in self.steps if step.end not in (StepStatus.NOT_PLANNED, StepStatus.LEFT_OUT))

    @property
    def left_out(self) -> tuple[StepOutcome, ...]:
        """The steps that are due, or were asked for, and were not begun."""
        return tuple(step for step in self.steps if step.end is StepStatus.LEFT_OUT)

    @property
    def is_incomplete(self) -> bool:
        """Whether something that is due was left out, by the plan, or by the operation itself when it was to begin."""
        return any(step.end in (StepStatus.LEFT_OUT, StepStatus.SKIPPED) for step in self.steps)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be done with it now: nothing failed, and all that was due or asked for is done.

        The one rule for what may be remembered as "nothing due": what could not be done is not among it.
        """
        return (
            not self.refused
            and self.unlooked is not StepStatus.NOT_REACHED
            and all(step.end.is_done for step in self.steps)
        )

    @property
    def denied(self) -> bool:
        """Whether something that was asked for was not done."""
        return any(step.denied for step in self.steps)

    @property
    def end(self) -> StepStatus:
        """How its maintenance ended: as the worst of its steps; `NOT_PLANNED` if nothing was due.

        What was left out is its end only if nothing else was done; `left_out` has it in any case.
        """
        if self.refused:
            return StepStatus.FAILED
        if self.unlooked is not None:
            return self.unlooked
        ends = {step.end for step in self.steps}
        worst_first = (
            StepStatus.FAILED,
            StepStatus.CANCELLED,
            StepStatus.TIME_LIMIT,
            StepStatus.COMPLETED,
            StepStatus.SKIPPED,
            StepStatus.LEFT_OUT,
        )
        return next((end for end in worst_first if end in ends), StepStatus.NOT_PLANNED)

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "database": shown_url(self.database),
            "resource": self.resource,
            "end": self.end.value,
            "before": None if self.before is None else _collect_fields(self.before),
            "after": None if self.after is None else _collect_fields(self.after),
            "given_back": self.given_back,
            "seconds": round(self.seconds, 3),
            "refused": self.refused,
            "settled": self.is_settled,
            "notes": list(self.notes),
            "run": self.run,
            "steps": [step.to_document() for step in self.steps],
        }


def _collect_fields(record: State | StepOutcome) -> dict[str, Any]:
    """Return the fields of a record of plain values by name: as `attrs.asdict`, which takes each apart."""
    return {field.name: getattr(record, field.name) for field in attrs.fields(type(record))}
