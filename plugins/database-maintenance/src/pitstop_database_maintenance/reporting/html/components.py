"""The shapes that the page is made of: sections, tables, lists of facts. Knows no database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from attrs import frozen

from pitstop.text import local_time, moment_text, time_text
from pitstop_database_maintenance.reporting.html.elements import Content, Markup, element, escape

_ADDRESS: Final = re.compile(r"(https://[^\s;,()]+)")
#: What a cell shows that has nothing to show.
NOTHING: Final = element("span", "\u2013", class_="nothing")


@frozen
class Column:
    """A column of a table: its heading, and how its cells stand."""

    heading: str
    kind: Literal["name", "number", "measure", "text"] = "text"

    @classmethod
    def several(cls, kind: Literal["number", "measure"], *headings: str) -> tuple[Column, ...]:
        """Return columns of one kind."""
        return tuple(cls(heading, kind) for heading in headings)


def section(anchor: str, heading: str, *content: Content) -> Markup:
    """Return a section of the page under its heading."""
    inside = element("h2", heading, id=f"{anchor}-heading")
    return element("section", inside, content, id=anchor, aria_labelledby=f"{anchor}-heading")


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Content]], *, kind: str = "") -> Markup:
    """Return a table of which, on a narrow page, each row becomes a block with the headings before its cells.

    The roles say again what the elements mean, because a browser forgets it of elements that are shown otherwise.

    Args:
        caption: what it shows, said to those who do not see it.
        columns: the first one heads its rows.
        rows: a cell for each column; an empty one shows that there is nothing.
        kind: a class of its own.
    """
    head = [element("th", c.heading, class_=c.kind, scope="col", role="columnheader") for c in columns]
    body = [element("tr", _cells(columns, row), role="row") for row in rows]
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", head, role="row"), role="rowgroup"),
        element("tbody", body, role="rowgroup"),
        class_=f"rows {kind}".strip(),
        role="table",
    )


def facts(pairs: Iterable[tuple[str, Content]]) -> Markup:
    """Return names with what is to be said of each; what has nothing to say is left out."""
    return element("dl", [element("div", element("dt", name), element("dd", text)) for name, text in pairs if text])


def note(*content: Content) -> Markup:
    """Return a remark in smaller letters."""
    return element("p", content, class_="note")


def name(text: str) -> Markup:
    """Return a name from the database, kept apart from the sentence that it is in, whatever it holds."""
    return element("bdi", text, class_="called")


def operation(text: str) -> Markup:
    """Return the name of an operation, which may be broken after an underscore if the column is narrow."""
    return element("span", Markup(escape(text).replace("_", "_<wbr>")))


def source(text: str) -> Content:
    """Return where something comes from, with links for the addresses in it."""
    parts = _ADDRESS.split(text)  # every second one is an address
    return [element("a", part, href=part, rel="noreferrer") if at % 2 else part for at, part in enumerate(parts)]


def moment(at: float, *, by_day: bool = False) -> Markup:
    """Return a point in time as an element that says it exactly to a program."""
    shown = moment_text(at)
    return element("time", shown[:10] if by_day else shown, datetime=local_time(at).isoformat(timespec="seconds"))


def wait(seconds: float) -> str:
    """Return how long others wait."""
    return time_text(seconds) if seconds > 0 else "no wait"


def badge(text: str, kind: str) -> Markup:
    """Return a word that says how something went or how much it matters."""
    return element("span", text, class_=f"badge {kind}")


def _cells(columns: Sequence[Column], row: Sequence[Content]) -> list[Markup]:
    (head, name), *others = zip(columns, row, strict=True)
    cells = [element("th", name, class_=head.kind, scope="row", role="rowheader")]
    for column, content in others:
        # one element, so that a narrow page has the heading on one side and all of this on the other
        shown = element("div", NOTHING if content is None or content == "" else content)
        cells.append(element("td", shown, class_=column.kind, data_label=column.heading, role="cell"))
    return cells
