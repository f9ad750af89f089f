"""Sentences, and names in a row within them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


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
