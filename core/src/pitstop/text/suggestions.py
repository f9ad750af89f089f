"""What was probably meant by a name that is not known."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


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
