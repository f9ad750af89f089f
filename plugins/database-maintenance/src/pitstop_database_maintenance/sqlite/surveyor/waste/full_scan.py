"""Every page of every b-tree: what is unused by table and index, and what a rebuild would leave. Owns that walk.

It holds the children of one path from a root to a leaf, and nothing else, so that its memory does not grow with the
file. Free pages are never read: no b-tree leads to them.
"""

from __future__ import annotations

from pitstop_database_maintenance.sqlite.surveyor.format import pages as p
from pitstop_database_maintenance.sqlite.surveyor.format.btrees import DEPTH
from pitstop_database_maintenance.sqlite.surveyor.waste import packing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.surveyor.format.btrees import Tree
    from pitstop_database_maintenance.sqlite.surveyor.format.page_source import Source


class Walked:
    """What a walk found of one b-tree.

    Attributes:
        pages: how many, overflow pages included.
        unused: bytes in them that hold nothing.
        rebuilt: about how many pages it will have after VACUUM.
        damaged: how many pages could not be read as what they should be.
    """

    __slots__ = ("damaged", "pages", "rebuilt", "unused")

    def __init__(self) -> None:
        self.pages, self.unused, self.rebuilt, self.damaged = 0, 0, 0, 0


def scan_tree(source: Source, tree: Tree) -> Walked:
    """Look at every page of a b-tree but its overflow pages, which its cells tell of."""
    found = Walked()
    usable = source.usable
    #: interior cells of a table hold keys only, which a rebuild makes anew; those of an index are entries like others
    overflow = interior_cells = interior_bytes = content = own_pages = 0
    packer: packing.Packer | None = None
    smallest = p.smallest_local(usable)
    waiting = [(tree.root, 0)]
    while waiting:
        number, depth = waiting.pop()
        parsed = None
        if depth <= DEPTH and own_pages + found.damaged <= source.pages:
            parsed = source.parse(number)
        if parsed is None:
            found.damaged += 1
            continue
        page, begin, (kind, cells, used, unused) = parsed
        own_pages += 1
        found.unused += unused
        interior = kind in p.INTERIOR
        if packer is None:
            packer = packing.Packer(usable, lifted=kind in (p.INDEX_INTERIOR, p.INDEX_LEAF))
        if interior:
            interior_cells += cells
            interior_bytes += used
            waiting.extend((child, depth + 1) for child in reversed(p.children(page, begin)))
        if kind == p.TABLE_INTERIOR or not cells:
            continue
        try:
            lengths = p.sizes(page, usable, begin)
            if max(lengths) >= smallest:
                for at in p.pointers(page, begin + p.HEADER[kind], cells):
                    chain, rest = p.measure_overflow(page, at, kind, usable)
                    overflow += min(chain, source.pages)
                    found.unused += rest
        except IndexError:
            found.damaged += 1
            continue
        if kind == p.INDEX_INTERIOR:
            lengths = [length - 4 for length in lengths]
            used -= 4 * cells
        content += used
        packer.add(lengths)
    found.pages = own_pages + overflow
    if packer is None:
        return found
    overflow = min(overflow, source.pages)
    found.rebuilt = overflow + (
        own_pages if tree.root == 1 else _estimate_pages(packer, usable, content, interior_bytes, interior_cells)
    )
    return found


def _estimate_pages(packer: packing.Packer, usable: int, content: int, interior_bytes: int, interior_cells: int) -> int:
    packed = packer.bytes - packing.POINTER * packer.cells
    # what counted for a cell but was a fragment is not copied
    leaves = packer.pages if packed == content else 1 + (packer.pages - 1) * content / packed
    if leaves <= 1:
        return 1
    if packer.lifted_cells:
        entry = packer.lifted_bytes / packer.lifted_cells + 4
    else:
        entry = (interior_bytes / interior_cells if interior_cells else packing.TABLE_ENTRY) + packing.POINTER
    return round(leaves + packing.count_interior_pages(leaves, (usable - 12) // entry + 1))
