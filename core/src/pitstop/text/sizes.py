"""Numbers of bytes."""

from __future__ import annotations

_UNITS = ("kB", "MB", "GB", "TB", "PB")


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
