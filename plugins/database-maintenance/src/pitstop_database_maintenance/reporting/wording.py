"""Shares, counts and moments for a person to read; sizes and times are in the modules of that name."""

from __future__ import annotations

from datetime import UTC, datetime

from pitstop_database_maintenance.reporting.html import Markup, element
from pitstop_database_maintenance.times import moment_text, time_text


def share_text(share: float) -> str:
    """Return a share from 0 to 1 in per cent with one digit after the point, such as "32.4 %"."""
    return f"{share * 100:.1f} %"


def moment(at: float) -> Markup:
    """Return a point in time as an element that says it exactly to a program."""
    return element("time", moment_text(at), datetime=_local(at).isoformat(timespec="seconds"))


def ends_of(first: float, last: float) -> tuple[Markup, Markup]:
    """Return the two ends of a time span as elements: by the day if it is longer than a few of them."""
    if last - first < 3 * 86_400:
        return moment(first), moment(last)
    days = [
        element("time", f"{_local(at):%Y-%m-%d}", datetime=_local(at).isoformat(timespec="seconds"))
        for at in (first, last)
    ]
    return days[0], days[1]


def zone_text(at: float) -> str:
    """Return the local time zone's difference from UTC, such as "UTC+01:00"."""
    return f"UTC{_local(at).isoformat()[-6:]}" if _local(at).utcoffset() else "UTC"


def wait_text(seconds: float) -> str:
    """Return how long others wait."""
    return time_text(seconds) if seconds > 0 else "no wait"


def count_text(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun, such as "1 step" or "1,200 steps"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: list[str] | tuple[str, ...], *, at_most: int = 5) -> str:
    """Return names in a row with commas, the first ones only: "a, b and 3 more"."""
    shown, more = names[:at_most], len(names) - at_most
    if more > 0:
        return f"{', '.join(shown)} and {more:,} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone()
