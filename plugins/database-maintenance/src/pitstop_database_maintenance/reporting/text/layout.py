"""Text for a terminal of any width: prose in lines, and tables whose columns give way when there is no room."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import click

from pitstop.text.escaping import printable

#: So many characters of a sentence are shown: what is longer was made so by somebody's names.
LONGEST_PROSE: Final = 4000
#: No line of prose is longer, however wide the terminal is.
_WIDEST: Final = 120
_NARROWEST: Final = 40
#: What a line of a table is indented by, and what stands between two columns.
_MARGIN: Final = "  "


def terminal_width() -> int:
    """Return how many columns there are: those of the terminal, or what COLUMNS says, or 80; never less than 40."""
    return max(_NARROWEST, shutil.get_terminal_size((80, 24)).columns)


def wrap(text: str, width: int, *, first: str = "", indent: int | None = None, colour: str | None = None) -> list[str]:
    """Return a text in lines of at most `width` columns.

    Args:
        text: it; what a terminal would obey in it is written out.
        width: of the terminal.
        first: what stands before it in the first line; may be styled. If it leaves too little room, the text begins in
            the next line.
        indent: of the other lines, in columns; by default as wide as `first`.
        colour: of the text.
    """
    begins = len(click.unstyle(first))
    deeper = begins if indent is None else indent
    if begins > width // 2 and text:
        below = min(deeper, 2 * len(_MARGIN))
        return [first.rstrip(), *wrap(text, width, first=" " * below, colour=colour)]
    lines = textwrap.wrap(
        printable(text, at_most=LONGEST_PROSE),
        min(width, _WIDEST),
        initial_indent=" " * begins,
        subsequent_indent=" " * deeper,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if not lines:
        return [first.rstrip()]
    head = lines[0][begins:]
    styled = [first + (click.style(head, fg=colour) if colour else head)]
    return styled + [click.style(line, fg=colour) if colour else line for line in lines[1:]]


def list_reasons(heading: str, reasons: Mapping[str, str], width: int) -> Iterator[str]:
    """Return names with a reason each under a heading; nothing if there are none."""
    if reasons:
        yield click.style(f"  {heading}", dim=True)
    widest = max(map(len, reasons), default=0)
    for name, reason in reasons.items():
        yield from wrap(reason, width, first=f"  {name:<{widest}}  ")


class Table:
    """A table as far as a terminal has room for it.

    Args:
        headings: of the columns.
        rows: the cells.
        width: of the terminal.
        spare: the columns that may give way, the first to go first. A column without a cell is not shown either.
        words: what to call a column that there is no room for; by default its heading.
    """

    def __init__(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        width: int,
        *,
        spare: Sequence[int],
        words: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self._headings, self._rows, self._width, self._words = headings, rows, width, words
        self._widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        self._shown = [at for at in range(len(headings)) if at == 0 or any(row[at] for row in rows)]
        for column in spare:
            if sum(len(_MARGIN) + self._widths[at] for at in self._shown) > width and column in self._shown:
                self._shown.remove(column)

    def format_heading(self) -> str:
        """Return the first line."""
        return click.style(self.format_row(self._headings), dim=True)

    def format_row(self, row: Sequence[str], colours: Mapping[int, str | None] = MappingProxyType({})) -> str:
        """Return a row as a line, some of its columns in a colour."""
        cells = []
        for column in self._shown:
            cell = f"{row[column]:<{self._widths[column]}}"
            cells.append(click.style(cell, fg=colours[column]) if column in colours else cell)
        return (_MARGIN + _MARGIN.join(cells)).rstrip()

    def list_hidden(self, row: Sequence[str]) -> Iterator[str]:
        """Yield in words what a row has in the columns that gave way, such as "took 1.2 s"."""
        for column, heading in enumerate(self._headings):
            if column not in self._shown and row[column] and heading:
                yield f"{self._words.get(column, heading.lower())} {row[column]}"

    def format(self) -> Iterator[str]:
        """Return all of it; what a row has no room for is below it in words."""
        yield self.format_heading()
        for row in self._rows:
            yield self.format_row(row)
            for text in self.list_hidden(row):
                yield from wrap(text, self._width, first=_MARGIN + _MARGIN)
