"""What came of a job: its result or error, and what an attempt is concluded with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Literal

from attrs import Factory, field, frozen


class Outcome(StrEnum):
    """What came of a completed job."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"


def _outcome(value: Outcome | str) -> Outcome:
    return value if type(value) is Outcome else Outcome(value)


def as_texts(values: Iterable[str]) -> tuple[str, ...]:
    """Return several texts as a tuple; one text alone is a tuple of one."""
    if type(values) is tuple:
        return values
    # a text is iterable too, and one warning is not many of one letter
    return (values,) if isinstance(values, str) else tuple(values)


@frozen(kw_only=True)
class Result:
    """What a completed job says of itself.

    Args:
        outcome: `CHANGED`; `UNCHANGED`: looked, and there was nothing to do; `SKIPPED`: `summary` says why.
        summary: one line for a person.
        data: figures for a program; a JSON object.
        warnings: what went wrong without making the job fail, one line each.
    """

    outcome: Outcome = field(default=Outcome.CHANGED, converter=_outcome)
    summary: str = ""
    data: Mapping[str, Any] = Factory(dict)
    warnings: tuple[str, ...] = field(default=(), converter=as_texts)

    @classmethod
    def changed(cls, summary: str, *, warnings: Iterable[str] = (), **data: Any) -> Result:
        """Return a result that says that something was done; keyword arguments become its data."""
        return cls(outcome=Outcome.CHANGED, summary=summary, data=data, warnings=warnings)

    @classmethod
    def unchanged(cls, summary: str, *, warnings: Iterable[str] = (), **data: Any) -> Result:
        """Return a result that says that there was nothing to do."""
        return cls(outcome=Outcome.UNCHANGED, summary=summary, data=data, warnings=warnings)

    @classmethod
    def skipped(cls, reason: str, *, warnings: Iterable[str] = (), **data: Any) -> Result:
        """Return a result that says that nothing was done, and why."""
        return cls(outcome=Outcome.SKIPPED, summary=reason, data=data, warnings=warnings)


@frozen(kw_only=True)
class ErrorRecord:
    """Why a job failed or was cancelled, as it is stored.

    Args:
        type: the name of the error's class, such as "OperationError".
        message: its text, secrets masked.
        traceback: where it came from, for errors that no rule foresees; "" for those whose text says all.
    """

    type: str
    message: str
    traceback: str = ""


def cancellation(reason: str) -> ErrorRecord:
    """Return what the record of a cancelled job says."""
    return ErrorRecord(type="JobCancelledError", message=reason)


@frozen(kw_only=True)
class AttemptResult:
    """How an attempt ended.

    Args:
        kind: "completed", "failed", "cancelled", or "transient": failed, but another attempt may succeed.
        result: of a completed one.
        error: of any other.
        interrupted: whether the process itself was told to stop (Ctrl-C); the caller raises KeyboardInterrupt again.
    """

    kind: Literal["completed", "failed", "cancelled", "transient"]
    result: Result | None = None
    error: ErrorRecord | None = None
    interrupted: bool = False
