"""A map of a file: its pages from first to last in cells of equal size. Owns how pages become cells."""

from __future__ import annotations

from pitstop_database_maintenance.sqlite.surveyor.format import pages as p
from pitstop_database_maintenance.sqlite.surveyor.waste import sampling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS: dict[int | str, str] = {
    p.TABLE_LEAF: "table",
    p.TABLE_INTERIOR: "table",
    p.INDEX_LEAF: "index",
    p.INDEX_INTERIOR: "index",
    sampling.OVERFLOW: "overflow",
    sampling.FREE: "free",
    sampling.OTHER: "other",
}


def map_pages(taken: list[sampling.Sampled], pages: int, cells: int, page_size: int) -> list[list[Any]]:
    """Return kind and unused share of each cell.

    Args:
        taken: the pages that were looked at, at least one for each cell and evenly spread.
        pages: how many the file has.
        cells: how many to make of them.
        page_size: in bytes.
    """
    members: list[list[sampling.Sampled]] = [[] for _ in range(cells)]
    for one in taken:
        members[(one.number - 1) * cells // pages].append(one)
    last = ["other", 0.0]
    found = []
    for cell in members:
        if cell:
            kinds = [_KINDS[one.kind] for one in cell]
            unused = sum(1.0 if one.kind == sampling.FREE else one.unused / page_size for one in cell)
            last = [max(kinds, key=kinds.count), round(unused / len(cell), 4)]
        found.append(last)
    return found
