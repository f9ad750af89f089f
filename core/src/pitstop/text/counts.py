"""Numbers with their nouns, and shares."""

from __future__ import annotations


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
