"""How much of a file a rebuild would give back, from a random sample of its pages. Owns the choice and the estimate.

One page at random is taken out of each of K equal parts of the file, so that the sample is spread evenly and is read in
order. Each page in use is weighed: how many pages of the rebuilt file its content will take. How many pages are free is
not estimated, the header counts them. So the size after VACUUM is the mean weight times the pages in use.

- A page of overflow weighs 1: a rebuild copies the chains as they are.
- The first page of a table or index weighs 1: there is no b-tree without one. If there are pages below it, half a page
  comes on top, because the last leaf of a tree is half empty in the mean.
- A leaf of a table weighs its content over what fits on a full page, see `packing`; interior pages of tables weigh
  nothing, what the new ones take is added to the leaves.
- Pages of an index hold entries on all levels; those that a full page lifts to the level above are counted there.

The interval is that of a sample of one unit per stratum (successive differences: Wolter, "Introduction to Variance
Estimation", 2007, chapter 8), and MODEL on either side for what the packing model does not know.
"""

from __future__ import annotations

from operator import attrgetter, mul, sub

from pitstop_database_maintenance.sqlite.surveyor.format import freelist
from pitstop_database_maintenance.sqlite.surveyor.format import pages as p
from pitstop_database_maintenance.sqlite.surveyor.random_numbers import Chance, strata
from pitstop_database_maintenance.sqlite.surveyor.waste import packing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pitstop_database_maintenance.sqlite.surveyor.format.page_source import Source

#: Measured with every page read, on eighteen schemas (tests/sqlite/surveyor/test_waste.py): the model was never
#: further from what VACUUM gave than half a point.
MODEL = 0.0075
#: How many cells are measured for each page with many small ones, where it hardly matters how they fill a page: those
#: of one page in fifty or so.
_SMALL_CELLS, _DUE = 1, 50
#: A page with room for fewer than this many of its cells has large ones.
_LARGE = 10
#: On a page of even cells the largest is no larger than this many times the smallest.
_EVEN = 1.05

FREE, OVERFLOW, OTHER = "free", "overflow", "other"


class Sampled:
    """One page that was looked at.

    Attributes:
        number: its place in the file.
        kind: one of the kinds of `pages`, or FREE, OVERFLOW, OTHER.
        root: whether a table or an index begins with it.
        cells, used, unused: see `pages.Page`.
        lengths: of its cells, if they were measured.
        weight: how many pages its content will take, once that is known.
    """

    __slots__ = ("cells", "kind", "lengths", "number", "root", "unused", "used", "weight")

    def __init__(self, number: int, kind: int | str, looked: p.Page = (0, 0, 0, 0), *, root: bool = False) -> None:
        self.number, self.kind, self.root = number, kind, root
        _, self.cells, self.used, self.unused = looked
        self.lengths: list[int] | None = None
        self.weight = 0.0


def sample(source: Source, roots: set[int], seed: int, count: int) -> tuple[list[Sampled], bool]:
    """Look at so many pages, or all if there are no more; return them and whether all free ones are known as such."""
    chosen = strata(Chance(seed), source.pages, min(count, source.pages))
    free, complete = freelist.find_free(source, chosen)
    header, usable = source.header, source.usable
    # of the chosen only: how many pages there are is what a log says, and may be any number
    maps = () if header.auto_vacuum == "none" else (page for page in chosen if header.find_pointer_map(page) == page)
    special = {header.lock_page, *maps}
    # this is the loop in which a survey of thousands of files spends its time
    taken: list[Sampled] = []
    read, parsed, large, add, due = source.read, p.parse_page, _large_cell(usable), taken.append, _DUE
    for number in chosen:
        if number in free:
            add(Sampled(number, FREE))
        elif number in special:
            add(Sampled(number, OTHER))
        else:
            # what is needed of a page is taken from it here: to keep the pages would cost more than to read them
            page = read(number)
            looked = parsed(page, usable, 0 if number > 1 else p.FILE_HEADER)
            if looked is None:
                add(Sampled(number, OVERFLOW))
                continue
            kind, cells, used, _ = looked
            one = Sampled(number, kind, looked)
            add(one)
            if number in roots:
                one.root = True
            elif cells and kind != p.TABLE_INTERIOR:
                due += _SMALL_CELLS
                if used > large * cells:
                    one.lengths = _measure_cells(page, usable, kind)
                elif due > 0:
                    due -= cells
                    one.lengths = _measure_cells(page, usable, kind)
    return taken, complete


def _large_cell(usable: int) -> float:
    """Return from what mean size on it matters how the cells of a page fill it."""
    return usable / _LARGE - packing.POINTER


def _measure_cells(page: bytes, usable: int, kind: int) -> list[int]:
    """Return the sizes of a page's cells; those of an interior page without the child's number."""
    lengths = p.sizes(page, usable)
    return [length - 4 for length in lengths] if kind == p.INDEX_INTERIOR else lengths


def estimate_pages(source: Source, taken: list[Sampled]) -> tuple[float, float]:
    """Return about how many pages the file will have after VACUUM, and the half width of the 95 % interval of that."""
    _weigh(taken, source.usable)
    header, total = source.header, source.pages
    maps, lock = header.count_pointer_maps(total), int(total >= header.lock_page)
    used = [one.weight for one in taken if one.kind not in (FREE, OTHER)]
    in_use = total - header.free_pages - maps - lock
    if not used or in_use <= 0:
        return float(max(in_use, 1)), MODEL * total
    mean = sum(used) / len(used)
    pages = mean * in_use
    margin = 1.96 * _standard_error(used, in_use) * in_use
    pages += header.count_pointer_maps(round(pages))
    # of small trees it matters where the last leaf ends, which half a page stands for
    small = sum(one.root and one.kind in p.INTERIOR for one in taken) / len(taken) * total
    margin += MODEL * total + 0.25 * small
    return min(pages + (lock if pages > header.lock_page else 0), total), margin


def _standard_error(values: list[float], of: int) -> float:
    number = len(values)
    if number < 2:
        return 1.0 if of > 1 else 0.0
    steps = list(map(sub, values[1:], values))
    differences = sum(map(mul, steps, steps))
    variance = differences / (2 * (number - 1)) / number
    return float((variance * max(0.0, 1 - number / of)) ** 0.5)


def _weigh(taken: list[Sampled], usable: int) -> None:
    tables: list[Sampled] = []
    indexes: list[Sampled] = []
    keys = cells = 0
    for one in taken:
        kind = one.kind
        if one.root:
            one.weight = 1.5 if kind in p.INTERIOR else 1.0
        elif kind == p.TABLE_LEAF:
            tables.append(one)
        elif kind in (p.INDEX_LEAF, p.INDEX_INTERIOR):
            indexes.append(one)
        elif kind == p.TABLE_INTERIOR:
            keys += one.used
            cells += one.cells
        elif kind == OVERFLOW:
            one.weight = 1.0
    entry = packing.POINTER + (keys / cells if cells else packing.TABLE_ENTRY)
    for members in (tables, indexes):
        for group, packer in _pack(members, usable, table=members is tables):
            share = packer.pages_a_byte(entry)
            for one in group:
                each = packing.POINTER - (4 if one.kind == p.INDEX_INTERIOR else 0)
                one.weight = (one.used + each * one.cells) * share


def _pack(members: list[Sampled], usable: int, *, table: bool) -> Iterator[tuple[list[Sampled], packing.Packer]]:
    """Yield the pages in groups, each with a packer that has packed its cells, or enough of them."""
    small: list[Sampled] = []
    even: list[Sampled] = []
    uneven: list[Sampled] = []
    large = _large_cell(usable)
    for one in members:
        if one.lengths is None or one.used <= large * one.cells:
            small.append(one)
        else:
            (even if max(one.lengths) <= _EVEN * min(one.lengths) else uneven).append(one)
    if len(uneven) * 4 > len(even):
        # a page with one cell only looks even
        uneven = sorted(even + uneven, key=attrgetter("number"))
        even = []
    # rows of one size each, in tables that may lie mixed in the file: those of one size belong together
    even.sort(key=lambda one: one.used / one.cells)
    for group in (small, even, uneven):
        packer = packing.Packer(usable, lifted=not table)
        for one in group:
            if one.lengths:
                packer.add(one.lengths)
        if group:
            yield group, packer
