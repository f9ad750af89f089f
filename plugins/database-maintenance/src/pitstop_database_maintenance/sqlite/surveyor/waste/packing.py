"""How many pages the cells of a b-tree take once VACUUM has rebuilt it. Owns that rule; reads no file.

VACUUM copies each table, and then each of its indexes, in the order of the keys, and SQLite fills a page until the next
cell does not fit: btree.c, `balance_quick` for tables, `balance_nonroot` with BTREE_BULKLOAD for the rest. So what a
rebuild leaves free is on each page what was too small for the next cell, which is half a cell for small ones, and much
for large ones; and what it gives back is less than what is unused. Measured against VACUUM: benchmarks/waste.py.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: What a cell takes beside its own bytes: the pointer to it.
POINTER = 2
#: An entry of a table's interior page, where none is known: a child's number and a rowid of up to 35 bits.
TABLE_ENTRY = 9


class Packer:
    """Packs cells as they come, in the order of their keys.

    Args:
        usable: bytes of a page.
        lifted: whether the cell between two pages goes to the page above, as in an index.
    """

    def __init__(self, usable: int, *, lifted: bool) -> None:
        self._capacity = usable - 8
        self._lifted = lifted
        self._on_page = 0
        self.pages = 1
        self.bytes = 0
        self.cells = 0
        self.lifted_bytes = 0
        self.lifted_cells = 0

    def add(self, sizes: Iterable[int]) -> None:
        """Pack cells of these sizes, pointers not included."""
        reached = list(accumulate(sizes))
        if not reached:
            return
        reached = [total + POINTER * (number + 1) for number, total in enumerate(reached)]
        self.cells += len(reached)
        self.bytes += reached[-1]
        done, begin, capacity = 0, 0, self._capacity
        while begin < len(reached):
            end = bisect_right(reached, done + capacity - self._on_page, begin)
            if end > begin:
                self._on_page += reached[end - 1] - done
                done = reached[end - 1]
                begin = end
            if begin == len(reached):
                break
            self.pages += 1
            size = reached[begin] - done
            done = reached[begin]
            begin += 1
            if self._lifted:
                # it goes up, and the next one begins the new page
                self.lifted_bytes += size
                self.lifted_cells += 1
                self._on_page = 0
            else:
                self._on_page = size

    @property
    def filling(self) -> float:
        """The share of a page's room for cells that is taken on a page that is full; 1 if nothing is known."""
        full = self.pages - 1
        if not full:
            return 1.0
        # on a damaged page cells may overlap
        return max(0.05, min(1.0, (self.bytes - self.lifted_bytes - self._on_page) / (full * self._capacity)))

    def pages_a_byte(self, entry: float) -> float:
        """Return how many pages a byte of such cells will take, with its share of the pages above.

        Args:
            entry: bytes that a leaf of a table takes in the page above, the pointer included. Those of an index are
                its own cells.
        """
        leaf = 1 / (self.filling * self._capacity)
        if not self.cells:
            return leaf
        inner = self._capacity - 4
        if not self._lifted:
            return leaf * (1 + 1 / (inner // entry))
        mean = self.bytes / self.cells
        lifted = 1 / (self.filling * self._capacity / mean + 1)
        return leaf * (1 - lifted) + lifted / mean / max(inner // (mean + 4), 1)


def count_interior_pages(leaves: float, per_page: float) -> float:
    """Return how many interior pages stand above so many leaves, at so many children a page."""
    pages, per_page = 0.0, max(per_page, 2.0)
    while leaves > 1:
        leaves = leaves / per_page
        # the last page of a level is as full as it comes; the root is whole
        pages += max(leaves, 1.0)
    return pages
