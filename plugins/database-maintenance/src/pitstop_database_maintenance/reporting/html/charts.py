"""The pictures: bars, what was predicted beside what was, sizes over time. Knows no database.

Each has a `title`, and says nothing that the text or the table beside it does not say too. Colours are classes of
`style.css`, so that they follow the reader's light or dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from attrs import frozen

from pitstop.text import size_text
from pitstop_database_maintenance.reporting.html.elements import Markup, element

#: What the pictures of a page refer to; it stands once in the page and shows nothing itself.
PATTERNS: Final = Markup(
    '<svg class="patterns" aria-hidden="true" width="0" height="0"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<rect class="pale" width="6" height="6"></rect><path class="stripes" d="M-1 1l2 -2M0 6l6 -6M5 7l2 -2"></path>'
    "</pattern></defs></svg>"
)
#: How far what really was may exceed what was predicted before its bar is cut off.
_MOST: Final = 2.5


@frozen(kw_only=True)
class Point:
    """A size at some time; `label` is said by the picture, `run` is whether a run had just changed it."""

    at: float
    bytes: int
    label: str
    after_run: bool = False


def draw_bar(parts: Iterable[tuple[str, float]], *, title: str) -> Markup:
    """Return a bar as wide as there is room, of parts after each other.

    Args:
        parts: the class of each and its share of the whole width.
        title: what it shows, in words.
    """
    drawn, at = [], 0.0
    for name, share in parts:
        if share > 0:
            drawn.append(element("rect", class_=name, x=_percent(at), width=_percent(share), y="0", height="100%"))
        at += share
    return element("svg", element("title", title), drawn, class_="bar", role="img")


def draw_key(name: str) -> Markup:
    """Return a part of a bar for a legend."""
    rect = element("rect", class_=name, width="100%", height="100%")
    return element("svg", rect, class_="key", aria_hidden="true")


def draw_comparison(actual: float, predicted: float, *, title: str) -> Markup:
    """Return a bar of what was, with a mark where it was predicted to end: the mark is always at the same place.

    Args:
        actual, predicted: in any one unit; the prediction is more than 0.
        title: what it shows, in words.
    """
    share = max(actual, 0.0) / predicted / _MOST
    mark = _percent(1 / _MOST)
    over = share > 1
    return element(
        "svg",
        element("title", title),
        element("rect", class_="track", width="100%", height="6", y="4", rx="3"),
        element("rect", class_="actual", width=_percent(0.92 if over else share), height="6", y="4", rx="3"),
        element("line", class_="predicted", x1=mark, x2=mark, y1="0", y2="14"),
        element("text", "»", class_="over", x="100%", y="11", text_anchor="end") if over else None,
        class_="against",
        role="img",
    )


def draw_sizes(points: Sequence[Point], *, title: str, ends: tuple[Markup, Markup]) -> Markup:
    """Return a line through sizes, the oldest first; a full dot is what a run left, a hollow one what it found.

    Args:
        points: two at least.
        title: what it shows, in words.
        ends: what is written below the beginning and the end.
    """
    top = _round_up(max(point.bytes for point in points))
    first, span = points[0].at, max(points[-1].at - points[0].at, 1e-9)
    places = [((point.at - first) / span, 1 - point.bytes / top) for point in points]
    lines = [_draw_line("size", start, end) for start, end in pairwise(places)]
    grid = [_draw_line("grid", (0, y), (1, y)) for y in (0, 0.5, 1)]
    dots = []
    for point, (x, y) in zip(points, places, strict=True):
        kind = "after" if point.after_run else "found"
        dots.append(
            element("circle", element("title", point.label), class_=kind, cx=_percent(x), cy=_percent(y), r="3.5")
        )
    scale = [element("span", size_text(top * share)) for share in (1, 0.5, 0)]
    return element(
        "div",
        element("div", scale, class_="scale", aria_hidden="true"),
        element("svg", element("title", title), grid, lines, dots, class_="plot", role="img"),
        element("div", ends, class_="ends"),
        class_="chart",
    )


def _draw_line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> Markup:
    (x1, y1), (x2, y2) = start, end
    return element("line", class_=kind, x1=_percent(x1), y1=_percent(y1), x2=_percent(x2), y2=_percent(y2))


def _round_up(size: int) -> float:
    """Return the next round number: 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten."""
    power = 10.0 ** (len(str(max(size, 1))) - 1)
    return next(power * factor for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if power * factor >= size)


def _percent(share: float) -> str:
    return f"{share * 100:.2f}%"
