"""The pages of the file as pictures: before and after the last maintenance, and now. Knows no kind of database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pitstop.text import share_text, size_text
from pitstop_database_maintenance.databases.description import Cell, PageKind
from pitstop_database_maintenance.reporting.html.components import Column, moment, note, section, table
from pitstop_database_maintenance.reporting.html.elements import Content, Markup, element
from pitstop_database_maintenance.reporting.report_model import PageMap, Report

#: How many cells the largest map has, and how many of them are in a row.
CELLS_SHOWN: Final = 1200
COLUMNS: Final = 48
#: A cell of a map with its gap, and without, in units of the picture.
_STEP: Final = 10
_SIDE: Final = 9
KINDS: Final[tuple[tuple[PageKind, str], ...]] = (
    ("table", "pages of tables"),
    ("index", "pages of indexes"),
    ("overflow", "overflow pages (long values)"),
    ("other", "other pages"),
    ("free", "free pages"),
)


def show_page_maps(report: Report) -> Content:
    """Return the pages before and after the last maintenance, and now."""
    now, before, after = report.now, report.past.before, report.past.after
    shown = [("Before", before), ("After", after), ("Now", now)]
    if now is not None and after is not None and (now.bytes, now.cells) == (after.bytes, after.cells):
        shown = [("Before", before), ("After, and unchanged since", after)]
    maps = [(title, found) for title, found in shown if found is not None and found.cells]
    if not maps:
        return None
    largest = max(found.bytes for _, found in maps)
    places = min(CELLS_SHOWN, max(len(found.cells) for _, found in maps))
    figures = [_show_map(title, found, largest=largest, places=places) for title, found in maps]
    gone = any(found.bytes < largest for _, found in maps)
    return section(
        "pages",
        "The pages of the file",
        element(
            "p",
            f"From the first page to the last, row by row. A square is about {size_text(largest / places)} of the file "
            "and filled as far as its pages are. ",
            "Each picture has the same scale. " if len(maps) > 1 else None,
        ),
        element("div", figures, class_=f"maps maps-{len(figures)}"),
        _show_legend(maps, gone=gone),
        note("No run has left a picture of the pages before and after it yet.") if len(maps) == 1 else None,
    )


def _show_map(title: str, found: PageMap, *, largest: int, places: int) -> Markup:
    count = max(1, min(places, round(places * found.bytes / largest))) if largest else 1
    waste = "" if found.waste is None else f", {share_text(found.waste)} waste"
    shares = found.shares()
    kinds = ", ".join(f"{share_text(shares[kind])} {label}" for kind, label in KINDS if kind in shares)
    columns = min(COLUMNS, places)
    caption = [
        element("strong", title),
        " ",
        moment(found.at),
        element("span", f"{size_text(found.bytes)}{waste}, {size_text(found.free_bytes)} in free pages"),
    ]
    picture = _draw_cells(
        found.resize(count), places=places, columns=columns, title=f"{title}: {size_text(found.bytes)}{waste}; {kinds}"
    )
    return element("figure", element("figcaption", caption), picture)


def _show_legend(maps: list[tuple[str, PageMap]], *, gone: bool) -> Markup:
    """Return what the colours mean, with the figures, so that nobody has to tell the colours apart."""
    shares = [found.shares() for _, found in maps]
    columns = [Column("Pages", "name"), *(Column(title.partition(",")[0], "number") for title, _ in maps)]
    rows: list[list[Content]] = [
        [_draw_swatch(kind, label), *(share_text(share.get(kind, 0.0)) for share in shares)]
        for kind, label in KINDS
        if any(kind in share for share in shares)
    ]
    if gone:
        largest = max(found.bytes for _, found in maps)
        back = [size_text(largest - found.bytes) if found.bytes < largest else None for _, found in maps]
        rows.append([_draw_swatch("gone", "not in the file"), *back])
    return table("What the squares mean, and their share of the pages", columns, rows, kind="legend-table")


def _draw_cells(cells: Sequence[Cell], *, places: int, columns: int, title: str) -> Markup:
    """Return cells in rows, each filled from below by as much as it is used.

    Args:
        cells: in the file's order.
        places: how many cells the picture has room for; those after the last one are drawn as empty places, so that
            pictures of the same file at different sizes can be compared.
        columns: how many are in a row.
        title: what it shows, in words.
    """
    layers: dict[str, list[str]] = {}
    for place, cell in enumerate(cells):
        x, y = place % columns * _STEP, place // columns * _STEP
        square = f"M{x} {y}h{_SIDE}v{_SIDE}h-{_SIDE}z"
        if cell.kind == "free":
            layers.setdefault("page-free", []).append(f"M{x + 1} {y + 1}h7v7h-7z")
            continue
        layers.setdefault(f"page-{cell.kind} back", []).append(square)
        used = round(_SIDE * (1 - cell.unused), 1)
        if used:
            layers.setdefault(f"page-{cell.kind}", []).append(f"M{x} {y + _SIDE}v-{used:g}h{_SIDE}v{used:g}z")
    corners = ((place % columns * _STEP + 3.5, place // columns * _STEP + 3.5) for place in range(len(cells), places))
    gone = [f"M{x:g} {y:g}h2v2h-2z" for x, y in corners]
    rows = -(-places // columns)
    return element(
        "svg",
        element("title", title),
        [element("path", class_=name, d="".join(parts)) for name, parts in sorted(layers.items(), reverse=True)],
        element("path", class_="page-gone", d="".join(gone)) if gone else None,
        class_="map",
        viewBox=f"0 0 {columns * _STEP - 1} {rows * _STEP - 1}",
        role="img",
    )


def _draw_swatch(kind: PageKind | Literal["gone"], label: str) -> Markup:
    """Return one cell for a legend, two thirds used, and what it means."""
    cells = [] if kind == "gone" else [Cell(kind=kind, unused=0.33)]
    picture = _draw_cells(cells, places=1, columns=1, title=kind)
    swatch = element("span", picture, class_="swatch", aria_hidden="true")
    return element("span", swatch, element("span", label), class_="with-swatch")
