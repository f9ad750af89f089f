"""How things are printed: tables, JSON, statuses. Plain text with a little colour; no rich, which costs 80 ms."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from pitstop.text.escaping import json_text, one_line

COLOURS = {
    "pending": "bright_black",
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
}


#: A longer name, in characters, has a line to itself, as in click's help.
_LONGEST_NAME = 30
#: Of what a cell of a table holds, so many characters are shown.
LONGEST_CELL = 2000


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings, each column as wide as its widest cell. The last one is not padded."""
    lines = [tuple(headings), *(tuple(map(_cell, row)) for row in rows)]
    lengths = [[_width(cell) for cell in line] for line in lines]
    widths = [max(column) for column in zip(*lengths, strict=True)]
    texts = [
        "  ".join(
            [cell + " " * (width - length) for cell, width, length in zip(line, widths, of, strict=True)]
        ).rstrip()
        for line, of in zip(lines, lengths, strict=True)
    ]
    texts[0] = click.style(texts[0], bold=True)
    click.echo("\n".join(texts))


def _cell(text: str) -> str:
    """Return a text that stays within its cell; one that has a colour has been looked at by whoever gave it that."""
    return (
        text
        if (text.isprintable() and len(text) <= LONGEST_CELL) or "\x1b[" in text
        else one_line(text, at_most=LONGEST_CELL)
    )


def _width(cell: str) -> int:
    return len(click.unstyle(cell)) if "\x1b" in cell else len(cell)


def help_width() -> int:
    """Return how wide help and listings are, just as click finds out, but without its import of shutil."""
    columns = os.environ.get("COLUMNS", "")
    try:
        wide = int(columns) if columns.isdecimal() and int(columns) else os.get_terminal_size(1).columns
    except OSError:
        wide = 80  # it goes into a pipe
    return max(min(wide, 80) - 2, 50)


def print_sections(sections: Iterable[tuple[str, Sequence[tuple[str, str]]]]) -> None:
    """Print pairs of name and text under titles, as help shows commands: a text that is too long for a line wrapped."""
    lines: list[str] = []
    columns = help_width()
    for title, rows in sections:
        width = min(max([len(name) for name, _ in rows]), _LONGEST_NAME)
        room = max(columns - width - 4, 10)
        lines.append(f"{title}:")
        for name, text in rows:
            texts = [*_wrap(text, room)] if len(text) > room else [text]
            lines.append(f"  {name:<{width}}  {texts.pop(0)}" if len(name) <= width else f"  {name}")
            lines += [f"{'':{width + 4}}{more}" for more in texts]
        lines.append("")
    click.echo("\n".join(lines[:-1]))


def _wrap(text: str, width: int) -> Iterator[str]:
    # the module textwrap takes a tenth of the time in which click is imported
    line, *words = text.split(" ")
    for word in words:
        if len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}"
    yield line


def print_json(document: Any) -> None:
    """Print one JSON document."""
    import json

    click.echo(json_text(json.dumps(document, indent=2, ensure_ascii=False)))


def print_json_lines(document: list[Any] | dict[str, list[Any]]) -> None:
    """Print one JSON document with a line for each element of a list, or of each list of an object."""
    import json

    encode = json.JSONEncoder(ensure_ascii=False).encode

    def lines(elements: list[Any]) -> str:
        return "[\n" + ",\n".join(map(encode, elements)) + "\n]" if elements else "[]"

    if isinstance(document, list):
        click.echo(json_text(lines(document)))
    else:
        click.echo(json_text("{" + ",\n".join(f'"{key}": {lines(value)}' for key, value in document.items()) + "}"))


def colour_status(name: str) -> str:
    """Return a status in its colour."""
    return click.style(name, fg=COLOURS.get(name))
