"""Why a step of a plan is run, or is not: a cause with its figures, from which the sentence follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from attrs import frozen

from pitstop.text import moment_text, size_text, time_text
from pitstop_database_maintenance.databases.causes import Cause


@frozen(kw_only=True)
class Decision:
    """A decision on one step.

    Args:
        cause: why, as a code.
        detail: what its assessment, its database, a policy or an error says of it, in words; "" if nothing.
        affected: who would be kept waiting for longer than allowed.
        seconds: how long that would be, or how long the step would take; None if that is not known.
        allowed: how many seconds are.
        before: seconds of other work that comes before it.
        instead: the operation that is run in its place.
        gain, gain_instead: bytes that each would give back, where that decided.
        left_at: when an earlier run left it, in seconds since 1970, UTC; None if none did.
        left_because: what ended that run.
    """

    cause: Cause
    detail: str = ""
    affected: Literal["", "writers", "readers"] = ""
    seconds: float | None = None
    allowed: float | None = None
    before: float = 0.0
    instead: str = ""
    gain: int | None = None
    gain_instead: int | None = None
    left_at: float | None = None
    left_because: str = ""

    def __str__(self) -> str:
        return _SENTENCES.get(self.cause, _format_detail)(self)


def _format_detail(decision: Decision) -> str:
    return decision.detail


def _format_run(decision: Decision) -> str:
    asked = "asked for" if decision.cause is Cause.ASKED_FOR else ""
    left = ""
    if decision.left_at is not None:
        left = f"left over on {moment_text(decision.left_at)} ({decision.left_because})"
    return "; ".join(part for part in (asked, left, decision.detail) if part)


def _format_stall(decision: Decision) -> str:
    allowed = time_text(decision.allowed or 0.0)
    if decision.seconds is None:
        return f"nothing tells how long it would keep writers waiting, and {allowed} are allowed"
    waiting = time_text(decision.seconds)
    return f"it would keep {decision.affected} waiting for {waiting}, more than the {allowed} allowed"


def _format_time(decision: Decision) -> str:
    if decision.seconds is None:
        return "it cannot be stopped once it runs, and nothing tells how long it takes"
    after = f" after {time_text(decision.before)} of other work" if decision.before else ""
    return (
        f"it would take {time_text(decision.seconds)} and cannot be stopped, which does not fit into the "
        f"{time_text(decision.allowed or 0.0)} allowed{after}"
    )


def _format_served(decision: Decision) -> str:
    chosen = f"{decision.instead} is chosen"
    if decision.gain is None or decision.gain_instead is None:
        return chosen
    return f"{chosen}, which gives back {size_text(decision.gain_instead)} instead of {size_text(decision.gain)}"


#: How a cause is put into words, where it is more than what somebody else says of it.
_SENTENCES: Final[Mapping[Cause, Callable[[Decision], str]]] = {
    Cause.ASKED_FOR: _format_run,
    Cause.LEFT_OVER: _format_run,
    Cause.STALL: _format_stall,
    Cause.TIME: _format_time,
    Cause.PUT_OFF: _format_time,
    Cause.SERVED: _format_served,
}
