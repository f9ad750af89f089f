"""How things are printed: tables, times, statuses. Plain text with a little colour; no rich, which costs 80 ms.

Click is imported only for what has colour in it, because listings do without it: see `listings.answer`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

COLOURS = {
    "pending": "bright_black",
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings, each column as wide as its widest cell. The last one is not padded."""
    lines = [tuple(headings), *(tuple(row) for row in rows)]
    lengths = [[_width(cell) for cell in line] for line in lines]
    widths = [max(column) for column in zip(*lengths, strict=True)]
    texts = [
        "  ".join(
            [cell + " " * (width - length) for cell, width, length in zip(line, widths, of, strict=True)]
        ).rstrip()
        for line, of in zip(lines, lengths, strict=True)
    ]
    if wants_colour():
        texts[0] = f"\x1b[1m{texts[0]}\x1b[0m"
    _echo("\n".join(texts))


def _width(cell: str) -> int:
    if "\x1b" not in cell:
        return len(cell)
    import click

    return len(click.unstyle(cell))


def _echo(text: str) -> None:
    if "\x1b" in text and not wants_colour():
        import click

        text = click.unstyle(text)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def wants_colour() -> bool:
    """Whether what is printed may have colour: in a terminal, unless the user wants none (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(document: Any) -> None:
    """Print one JSON document."""
    import json

    _echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_json_lines(document: list[Any] | dict[str, list[Any]]) -> None:
    """Print one JSON document with a line for each element of a list, or of each list of an object."""
    if isinstance(document, list):
        _echo(_lines(document))
    else:
        _echo("{" + ",\n".join([f"{_json(key)}: {_lines(value)}" for key, value in document.items()]) + "}")


def _lines(elements: list[Any]) -> str:
    return "[\n" + ",\n".join([_json(element) for element in elements]) + "\n]" if elements else "[]"


def _json(value: Any) -> str:
    """Return JSON. The module json takes as long to import as a thousand declarations to read, and is rarely needed."""
    if isinstance(value, dict):
        return "{" + ", ".join([f"{_json(key)}: {_json(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, list):
        return f"[{', '.join([_json(item) for item in value])}]"
    if isinstance(value, str) and value.isprintable():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    import json

    return json.dumps(value, ensure_ascii=False)


def status(name: str) -> str:
    """Return a status in its colour."""
    import click

    return click.style(name, fg=COLOURS.get(name))


def seconds(value: float | None) -> str:
    """Return a time span for a person: "850 ms", "1.2 s", "3 min 20 s", "2 h 5 min"."""
    if value is None:
        return ""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, left = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {left} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(value: float) -> str:
    """Return a number of bytes in decimal units with one digit after the point, such as "81.2 MB"."""
    if value < 1000:
        return f"{value:.0f} bytes"
    units = ["kB", "MB", "GB", "TB", "PB"]
    value /= 1000
    # what would round to 1000.0 belongs to the next unit
    while value >= 999.95 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}"


def moment(value: float | None) -> str:
    """Return a point in time in the local time zone, to the second; "" for None."""
    from datetime import UTC, datetime

    return "" if value is None else f"{datetime.fromtimestamp(value, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
