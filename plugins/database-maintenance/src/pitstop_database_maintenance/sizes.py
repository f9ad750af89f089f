"""Sizes for a person to read. Knows no database."""

from __future__ import annotations

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def size_text(size: float) -> str:
    """Return a number of bytes in decimal units with one digit after the point, such as "81.2 MB"."""
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in _UNITS:
        size /= 1000
        # what would round to 1000.0 belongs to the next unit
        if size < 999.95 or unit == _UNITS[-1]:
            break
    return f"{size:.1f} {unit}"


def change_text(before: int, after: int) -> str:
    """Return what became of a size, such as "81.2 MB -> 54.0 MB, 27.2 MB given back"."""
    if before == after:
        return f"{size_text(after)} as before"
    verb = "given back" if after < before else "more"
    return f"{size_text(before)} -> {size_text(after)}, {size_text(abs(before - after))} {verb}"
