"""What one page of a SQLite file holds, told from its bytes. Owns the format of b-tree pages; reads no file.

The format is that of sqlite.org/fileformat2.html, section 1.6. Nothing here trusts a page: one whose figures do not
agree is no b-tree page, which is also how the stale content of a free page, or an overflow page, is told.
"""

from __future__ import annotations

from operator import sub
from struct import Struct

INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF = 2, 5, 10, 13
#: How long the header of each kind of b-tree page is.
HEADER = {INDEX_INTERIOR: 12, TABLE_INTERIOR: 12, INDEX_LEAF: 8, TABLE_LEAF: 8}
INTERIOR = (INDEX_INTERIOR, TABLE_INTERIOR)
#: The file's own header, which comes first on page 1.
FILE_HEADER = 100

_HEAD = Struct(">BHHHB").unpack_from
_BLOCK = Struct(">HH").unpack_from
_NUMBER = Struct(">I").unpack_from
_OFFSETS: dict[int, Struct] = {}

#: kind, cells, the bytes that the cells take (without their pointers), the bytes that hold nothing.
Page = tuple[int, int, int, int]


def parse_page(page: bytes, usable: int, begin: int = 0) -> Page | None:
    """Return what a b-tree page holds; None if it is none.

    Args:
        page: its bytes.
        usable: how many of them SQLite uses; the rest is reserved for extensions.
        begin: where it begins: behind the file's header on page 1.
    """
    kind, block, cells, content, fragments = _HEAD(page, begin)
    header = HEADER.get(kind)
    if header is None:
        return None
    top = begin + header + 2 * cells
    content = content or 65536
    unused = content - top + fragments
    if content < top or content > usable or fragments > 60:
        return None
    last = content
    while block:
        if block < last or block > usable - 4:
            return None
        following, size = _BLOCK(page, block)
        unused += size
        last = block + size
        block = following
    used = usable - top - unused
    if used < 0 or last > usable:
        return None
    return kind, cells, used, unused


def sizes(page: bytes, usable: int, begin: int = 0) -> list[int]:
    """Return how many bytes each cell takes, in the order in which they lie, the pointers to them not included.

    A cell reaches to the next one or to the next free block; fragments of up to three bytes count for the cell before.
    The page must be one that `parse_page` takes.
    """
    kind, block, cells, _, _ = _HEAD(page, begin)
    starts = list(pointers(page, begin + HEADER[kind], cells))
    blocks = set()
    while block:
        blocks.add(block)
        (block, _) = _BLOCK(page, block)
    starts.extend(blocks)
    starts.sort()
    ends = starts[1:]
    ends.append(usable)
    if not blocks:
        return list(map(sub, ends, starts))
    return [end - start for start, end in zip(starts, ends, strict=True) if start not in blocks]


def pointers(page: bytes, at: int, cells: int) -> tuple[int, ...]:
    """Return where the cells begin, in the order of their keys."""
    offsets = _OFFSETS.get(cells)
    if offsets is None:
        if cells > len(page) // 2:
            raise ValueError(f"{cells} cells do not fit on a page")
        offsets = _OFFSETS[cells] = Struct(f">{cells}H")
    return offsets.unpack_from(page, at)


def children(page: bytes, begin: int = 0) -> list[int]:
    """Return the pages below an interior one, in the order of their keys."""
    cells = _HEAD(page, begin)[2]
    last = len(page) - 4
    found = [_NUMBER(page, offset)[0] for offset in pointers(page, begin + 12, cells) if offset <= last]
    found.append(_NUMBER(page, begin + 8)[0])
    return found


def varint(page: bytes, at: int) -> tuple[int, int]:
    """Return the number of variable length at an offset, and the offset behind it."""
    value = 0
    for place in range(at, at + 8):
        byte = page[place]
        value = value << 7 | byte & 127
        if byte < 128:
            return value, place + 1
    return value << 8 | page[at + 8], at + 9


def largest_local(kind: int, usable: int) -> int:
    """Return how many bytes of a payload a page of this kind keeps before the rest goes to overflow pages."""
    return usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23


def smallest_local(usable: int) -> int:
    """Return how many bytes of a payload that overflows stay on the page at least."""
    return (usable - 12) * 32 // 255 - 23


def measure_overflow(page: bytes, at: int, kind: int, usable: int) -> tuple[int, int]:
    """Return how many overflow pages the cell at an offset has, and how many bytes of the last one hold nothing.

    Args:
        page, at: the cell.
        kind: of the page: in an interior page of an index, a cell begins with its child.
        usable: bytes of a page.
    """
    if kind == TABLE_INTERIOR:
        return 0, 0
    payload, _ = varint(page, at + 4 if kind == INDEX_INTERIOR else at)
    if payload <= largest_local(kind, usable):
        return 0, 0
    rest = payload - _local(payload, kind, usable)
    chain = -(-rest // (usable - 4))
    return chain, chain * (usable - 4) - rest


def locate_overflow(page: bytes, at: int, kind: int, usable: int) -> tuple[int, int]:
    """Return how many overflow pages the cell at an offset has, and where on the page the number of the first stands.

    Args:
        page, at, kind, usable: as for `measure_overflow`.
    """
    chain, _ = measure_overflow(page, at, kind, usable)
    if not chain:
        return 0, 0
    payload, begin = varint(page, at + 4 if kind == INDEX_INTERIOR else at)
    if kind == TABLE_LEAF:
        _, begin = varint(page, begin)
    return chain, begin + _local(payload, kind, usable)


def _local(payload: int, kind: int, usable: int) -> int:
    """Return how many bytes of a payload that overflows stay on its page."""
    smallest = smallest_local(usable)
    fitting = smallest + (payload - smallest) % (usable - 4)
    return fitting if fitting <= largest_local(kind, usable) else smallest
