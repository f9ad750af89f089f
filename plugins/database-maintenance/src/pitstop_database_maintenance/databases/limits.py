"""What a run may take from those who use the database meanwhile: until when, and for how long it may make them wait."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from attrs import Attribute, field, frozen

from pitstop.errors import InvalidValueError, PitstopError

#: The key of a job's config, and its own keys.
KEY: Final = "limits"
#: By how much longer than predicted a step is reckoned with that cannot be stopped: what predictions are held to.
MARGIN: Final = 1.3
#: For how many seconds, in a run, locks of others on one database are waited for, by all steps and their attempts;
#: after that each step tries once. Three waits of the five seconds that Python's own connections wait.
LOCK_WAIT: Final = 15.0


class TimeLimitReachedError(PitstopError, TimeoutError):
    """The time for the whole run is over. No failure: what is left is for the next run."""

    reason: str = "the time limit was reached"

    def text(self) -> str:
        """Return the reason."""
        return self.reason


def _check_seconds(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0):
        raise ValueError(f"{attribute.name} is {value!r}, not a number of seconds")


def _check_given(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is None:
        raise ValueError(f"{attribute.name} is None, not a number of seconds")


def _check_flag(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name} is {value!r}, neither true nor false")


@frozen(kw_only=True)
class Limits:
    """The limits of one job. Stored in its config, so that they hold wherever it runs.

    Args:
        until: when the whole run must have ended, in seconds since 1970, UTC; None for no limit.
        max_stall: seconds for which a writer may be kept waiting at a stretch; None for no limit.
        predicted: what the plan expects of this step, in seconds; None if it does not know.
        cancellable: whether the step can be stopped at any time within about a second.
        lock_wait: seconds for which locks of others may still be waited for, of those that all steps on one database
            and all their attempts have together in a run; see `LOCK_WAIT`.
    """

    until: float | None = field(default=None, validator=_check_seconds)
    max_stall: float | None = field(default=None, validator=_check_seconds)
    predicted: float | None = field(default=None, validator=_check_seconds)
    cancellable: bool = field(default=True, validator=_check_flag)
    lock_wait: float = field(default=LOCK_WAIT, validator=[_check_given, _check_seconds])

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Limits:
        """Return what a job's config says.

        Raises:
            InvalidValueError: it is no object of these keys with numbers.
        """
        given = config.get(KEY, {})
        try:
            return cls(**given)
        except (TypeError, ValueError):
            problem = (
                "expected an object of until, max_stall and predicted (numbers of seconds) and cancellable (true or "
                f"false), got {given!r}"
            )
            raise InvalidValueError(where="a maintenance job", name=KEY, problem=problem) from None

    def time_left(self) -> float:
        """Return how many seconds are left; infinity without a limit, never less than 0."""
        return float("inf") if self.until is None else max(0.0, self.until - time.time())

    def check(self) -> None:
        """Return at once, or raise if the time is over.

        Raises:
            TimeLimitReachedError: it is.
        """
        if self.until is not None and time.time() >= self.until:
            raise TimeLimitReachedError

    def check_start(self) -> None:
        """Return at once, or raise if the step must not begin any more.

        Raises:
            TimeLimitReachedError: the time is over, or the step cannot be stopped and may take longer than is left.
        """
        self.check()
        if self.cancellable or self.fits(None if self.predicted is None else MARGIN * self.predicted):
            return
        takes = "may take any time" if self.predicted is None else f"is expected to take {self.predicted:.1f} s"
        reason = f"it cannot be stopped, {takes}, and {self.time_left():.1f} s of the time limit are left"
        raise TimeLimitReachedError(reason=reason)

    def fits(self, seconds: float | None) -> bool:
        """Return whether something that takes so long, and cannot be stopped, may begin now; not if nobody knows."""
        return self.until is None or (seconds is not None and seconds <= self.time_left())
