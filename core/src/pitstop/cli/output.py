"""How things are printed: tables, times, statuses. Plain text with a little colour; no rich, which costs 80 ms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

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
    widths = [max(len(click.unstyle(line[column])) for line in lines) for column in range(len(headings))]
    for number, line in enumerate(lines):
        padded = [cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(line, widths, strict=True)]
        text = "  ".join(padded).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 else text)


def print_json(document: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def status(name: str) -> str:
    """Return a status in its colour."""
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
