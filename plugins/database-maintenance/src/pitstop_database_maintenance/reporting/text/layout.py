"""Text for a terminal of any width: prose in lines, and tables whose columns give way when there is no room."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import click
from attrs import frozen

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


@frozen(kw_only=True)
class Table:
    """A table as far as a terminal has room for it.

    Args:
        headings: of the columns.
        kept: which of them are shown.
        widths: of all columns.
        words: what to call a column that there is no room for; by default its heading.
    """

    headings: tuple[str, ...]
    kept: tuple[int, ...]
    widths: tuple[int, ...]
    words: Mapping[int, str] = MappingProxyType({})

    @classmethod
    def of(
        cls,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        width: int,
        *,
        spare: Sequence[int],
        words: Mapping[int, str] = MappingProxyType({}),
    ) -> Table:
        """Return the table for rows.

        Args:
            headings: of the columns.
            rows: the cells.
            width: of the terminal.
            spare: the columns that may give way, the first to go first. A column without a cell is not shown either.
            words: what to call a column that there is no room for; by default its heading.
        """
        widths = tuple(max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings)))
        kept = [column for column in range(len(headings)) if column == 0 or any(row[column] for row in rows)]
        for column in spare:
            if sum(len(_MARGIN) + widths[c] for c in kept) > width and column in kept:
                kept.remove(column)
        return cls(headings=tuple(headings), kept=tuple(kept), widths=widths, words=words)

    def heading(self) -> str:
        """Return the first line."""
        return self.line(self.headings)

    def line(self, row: Sequence[str], colours: dict[int, str | None] | None = None) -> str:
        """Return a row as a line, some of its columns in a colour."""
        cells = []
        for column in self.kept:
            cell = f"{row[column]:<{self.widths[column]}}"
            cells.append(click.style(cell, fg=colours[column]) if colours and column in colours else cell)
        return (_MARGIN + _MARGIN.join(cells)).rstrip()

    def without_room(self, row: Sequence[str]) -> Iterator[str]:
        """Yield in words what a row has in the columns that gave way, such as "took 1.2 s"."""
        for column, heading in enumerate(self.headings):
            if column not in self.kept and row[column] and heading:
                yield f"{self.words.get(column, heading.lower())} {row[column]}"
