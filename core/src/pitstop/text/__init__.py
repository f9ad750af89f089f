"""Texts for a person to read, whatever they are about. Knows nothing of jobs, and imports nothing of Pitstop.

Points in time are seconds since 1970, UTC, and shown in the local time zone.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def count_noun(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun, such as "1 page", "12,000 pages", "7 indexes".

    Args:
        number: how many.
        one: the noun for one.
        many: the noun for several, where that is not the same with an "s".
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def share_text(share: float) -> str:
    """Return a share from 0 to 1 in per cent with one digit after the point, such as "32.4 %"."""
    return f"{share * 100:.1f} %"


def size_text(size: float) -> str:
    """Return a number of bytes in decimal units with one digit after the point, such as "81.2 MB"."""
    if size < 1000:
        return f"{size:.0f} byte{'' if round(size) == 1 else 's'}"
    for unit in _UNITS:
        size /= 1000
        # what would round to 1000.0 belongs to the next unit
        if size < 999.95 or unit == _UNITS[-1]:
            break
    return f"{size:.1f} {unit}"


def resize_text(before: int, after: int, *, pending: int = 0, less: str = "given back") -> str:
    """Return what became of a size, such as "81.2 MB -> 54.0 MB, 27.2 MB given back".

    Args:
        before, after: bytes.
        pending: how much of the difference the file will only lose at the next checkpoint.
        less: what to call it where something became smaller.
    """
    if before == after:
        return f"{size_text(after)} as before"
    change = f"{size_text(before)} -> {size_text(after)}"
    if pending:
        return f"{change}; {size_text(pending)} will go back at the next checkpoint"
    return f"{change}, {size_text(abs(before - after))} {less if after < before else 'more'}"


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


def join_names(names: Iterable[str], *, at_most: int = 3) -> str:
    """Return the first names in a row: "a and b", or "a, b and 3 more"."""
    every = list(names)
    more = len(every) - at_most
    last = f"{more:,} more" if more > 0 else every.pop() if every else ""
    return f"{', '.join(every[:at_most])} and {last}" if every else last


def capitalise(text: str) -> str:
    """Return a text whose first letter is a capital one; the others stay as they are."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Return a text as a sentence, with a capital letter and a full stop."""
    text = text.strip()
    return capitalise(text) + ("" if not text or text.endswith((".", "!", "?")) else ".")


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name closest to `name`, or None if none is close enough, from 0 to 1, to suggest.

    Capital letters and small ones count as the same, unless there is a name that has them just so.
    """
    from difflib import get_close_matches

    by_letters: dict[str, str] = {}
    for one in known:
        by_letters.setdefault(one if one == name else one.casefold(), one)
    close = [name] if name in by_letters else get_close_matches(name.casefold(), by_letters, n=1, cutoff=cutoff)
    return by_letters[close[0]] if close else None


def suggest(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'vacuum'?" with the known name closest to `name`; "" if none is close."""
    close = nearest(name, known)
    return "" if close is None else f"did you mean {close!r}?"
