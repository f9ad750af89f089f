"""Figures of what was done, beside what was predicted of them. Knows no database."""

from __future__ import annotations

from pitstop.text import size_text, time_text


def with_prediction(actual: str, expected: str) -> str:
    """Return a figure with what was predicted in brackets."""
    return f"{actual or '-'} ({expected})" if expected else actual


def time_or_nothing(seconds: float | None) -> str:
    """Return a time, or "" if there is none."""
    return time_text(seconds) if seconds else ""


def size_or_nothing(size: int | None) -> str:
    """Return a number of bytes, or "" if there are none."""
    return size_text(size) if size else ""


def amount_text(given_back: int) -> str:
    """Return how much smaller something has become, "4.1 kB more" if it grew, and "" if neither."""
    return f"{size_text(-given_back)} more" if given_back < 0 else size_or_nothing(given_back)


def change_text(given_back: int) -> str:
    """Return how much was given back, such as "1.2 MB given back" or "4.1 kB more than before"."""
    return f"{size_text(-given_back)} more than before" if given_back < 0 else f"{size_text(given_back)} given back"
