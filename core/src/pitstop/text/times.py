"""Time spans and points in time, which are seconds and seconds since 1970, UTC. Knows the local time zone."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime


def time_text(seconds: float | None) -> str:
    """Return a time span, such as "0.4 ms", "85 ms", "1.2 s", "3 min 20 s" or "2 h 5 min"; "" for None."""
    if seconds is None:
        return ""
    if seconds < 0.0095:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def local_time(at: float) -> datetime:
    """Return a point in time in the local time zone."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).astimezone()


def moment_text(at: float | None, *, seconds: bool = False) -> str:
    """Return a point in time in the local time zone, such as "2026-11-24 03:50", or to the second; "" for None."""
    return "" if at is None else local_time(at).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def iso_text(at: float | None) -> str | None:
    """Return a point in time in ISO 8601 and UTC, for programs; None for None."""
    from datetime import UTC, datetime

    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
