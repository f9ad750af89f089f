"""Mutators of the header, of b-tree pages, of the lists of free pages and overflow pages, and of the pointer map.

All choices are the given `random.Random`'s. A mutator that finds nothing of its kind in the image flips a byte instead,
so that no case is a healthy file by accident of its shape.
"""

from __future__ import annotations

from random import Random

from hostile.pages import INTERIOR_INDEX, INTERIOR_TABLE, KINDS, LEAF_TABLE, Image

#: Offset and width of the header's fields.
_HEADER = {
    "magic": (0, 16),
    "page size": (16, 2),
    "write version": (18, 1),
    "read version": (19, 1),
    "reserved bytes": (20, 1),
    "largest fraction": (21, 1),
    "least fraction": (22, 1),
    "leaf fraction": (23, 1),
    "change counter": (24, 4),
    "pages": (28, 4),
    "first free page": (32, 4),
    "free pages": (36, 4),
    "schema cookie": (40, 4),
    "schema format": (44, 4),
    "cache size": (48, 4),
    "largest root": (52, 4),
    "encoding": (56, 4),
    "user version": (60, 4),
    "incremental": (64, 4),
    "expansion": (72, 20),
    "valid for": (92, 4),
    "version": (96, 4),
}


def one_of(chance: Random, of: list[int]) -> int | None:
    """Return one of these, or None if there is none."""
    return chance.choice(of) if of else None


def number(chance: Random, image: Image, width: int = 4) -> int:
    """Return a number that is likely to hurt: at an edge, a page that there is, or any."""
    pages = image.count
    edges = [0, 1, 2, pages - 1, pages, pages + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, image.size, image.size - 1]
    value = chance.choice([chance.choice(edges), chance.randint(1, pages), chance.getrandbits(8 * width)])
    return int(value & (1 << 8 * width) - 1)


def flip(image: Image, chance: Random) -> str:
    """Change some bytes anywhere."""
    places = [chance.randrange(len(image.main)) for _ in range(chance.choice((1, 1, 2, 8, 64)))]
    for at in places:
        image.main[at] = chance.getrandbits(8)
    return f"bytes at {places[:4]}"


def header(image: Image, chance: Random) -> str:
    """Give one field of the file's header another value."""
    name = chance.choice(list(_HEADER))
    at, width = _HEADER[name]
    value = chance.randbytes(width) if width > 4 else number(chance, image, width).to_bytes(width, "big")
    image.put(at, value)
    return f"header: {name} = {value.hex()}"


def page_header(image: Image, chance: Random) -> str:
    """Give a b-tree page another kind, count of cells, first free block, start of content or fragment count."""
    page = one_of(chance, image.trees())
    if page is None:
        return flip(image, chance)
    at = image.start(page)
    offset, width = chance.choice(((0, 1), (1, 2), (3, 2), (5, 2), (7, 1)))
    value = chance.choice(KINDS) if offset == 0 else number(chance, image, width)
    if offset == 3 and chance.random() < 0.7:
        value = max(0, image.u16(at + 3) + chance.choice((-1, 1, -3)))
    image.put(at + offset, (value & (1 << 8 * width) - 1).to_bytes(width, "big"))
    return f"page {page}: header byte {offset} = {value}"


def cell_pointer(image: Image, chance: Random) -> str:
    """Let a cell pointer point elsewhere: at another cell, or anywhere."""
    page = one_of(chance, [page for page in image.trees() if len(image.pointers(page))])
    if page is None:
        return flip(image, chance)
    pointers = image.pointers(page)
    at = chance.choice(pointers)
    value = chance.choice((image.u16(chance.choice(pointers)), number(chance, image, 2), image.u16(at) + 1))
    image.put16(at, value)
    return f"page {page}: cell pointer at {at} = {value}"


def swapped_cells(image: Image, chance: Random) -> str:
    """Bring two cells of a page out of order."""
    page = one_of(chance, [page for page in image.trees() if len(image.pointers(page)) > 1])
    if page is None:
        return flip(image, chance)
    one, other = chance.sample(image.pointers(page), 2)
    first, second = image.u16(one), image.u16(other)
    image.put16(one, second)
    image.put16(other, first)
    return f"page {page}: cells at {first} and {second} swapped"


def cell_content(image: Image, chance: Random) -> str:
    """Change a cell's first bytes: its child, its size, its rowid, its record's header."""
    page = one_of(chance, [page for page in image.trees() if image.cells(page)])
    if page is None:
        return flip(image, chance)
    at = chance.choice(image.cells(page)) + chance.randrange(12)
    value = chance.choice((bytes([chance.getrandbits(8)]), b"\xff" * 9, b"\0", b"\x8f\xff\xff\x7f", b"\x7f"))
    image.put(at, value)
    return f"page {page}: cell bytes at {at} = {value.hex()}"


def same_rowid(image: Image, chance: Random) -> str:
    """Give a row the rowid of its neighbour."""
    page = one_of(chance, [page for page in image.trees(LEAF_TABLE) if len(image.cells(page)) > 1])
    if page is None:
        return flip(image, chance)
    cells = image.cells(page)
    place = chance.randrange(len(cells) - 1)
    (_, one), (_, other) = image.varint(cells[place]), image.varint(cells[place + 1])
    (_, one_end), (_, other_end) = image.varint(one), image.varint(other)
    if one_end - one == other_end - other:
        image.put(other, bytes(image.main[one:one_end]))
    return f"page {page}: row {place + 1} has the rowid of row {place}"


def child(image: Image, chance: Random) -> str:
    """Let an interior page lead to another page: itself, an ancestor, one of another tree, one that is not there."""
    page = one_of(chance, image.trees(INTERIOR_TABLE, INTERIOR_INDEX))
    if page is None:
        return flip(image, chance)
    at = chance.choice(image.children(page))
    value = chance.choice((page, chance.choice(image.trees()), chance.choice(image.trees()), number(chance, image)))
    image.put32(at, value)
    return f"page {page}: child at {at} = {value}"


def all_children(image: Image, chance: Random) -> str:
    """Let every child of an interior page be the same page, at two levels if there are two."""
    pages = image.trees(INTERIOR_TABLE, INTERIOR_INDEX)
    page = one_of(chance, pages)
    if page is None:
        return flip(image, chance)
    value = chance.choice((page, chance.choice(pages), chance.choice(image.trees())))
    for at in image.children(page):
        image.put32(at, value)
    return f"page {page}: all children = {value}"


def free_list(image: Image, chance: Random) -> str:
    """Change the list of free pages: next trunk, count of leaves, a leaf; also into a cycle or a page in use."""
    trunks = list(image.trunks())
    trunk = one_of(chance, trunks)
    if trunk is None:
        image.put32(32, chance.choice(image.trees() or [2]))
        image.put32(36, 1)
        return "free pages: a page in use is the first"
    at = (trunk - 1) * image.size
    leaves = min(image.u32(at + 4), image.size // 4 - 2)
    offset = chance.choice((0, 4, *(8 + 4 * n for n in range(min(leaves, 6)))))
    value = chance.choice((number(chance, image), chance.choice(trunks), chance.choice(image.trees() or [1])))
    if offset == 4 and chance.random() < 0.5:
        value = image.u32(at + 4) + chance.choice((-1, 1))
    image.put32(at + offset, value)
    return f"free pages: trunk {trunk}, byte {offset} = {value}"


def pointer_map(image: Image, chance: Random) -> str:
    """Change an entry of the pointer map: the kind of a page or its parent."""
    page = one_of(chance, image.pointer_maps())
    if page is None:
        return header(image, chance)
    entry = chance.randrange(min(image.size // 5, max(1, image.count - page)))
    at = (page - 1) * image.size + 5 * entry
    if chance.random() < 0.5:
        value = chance.choice((0, 1, 2, 3, 4, 5, 6, 255))
        image.put(at, bytes([value]))
        return f"pointer map {page}: kind of entry {entry} = {value}"
    value = number(chance, image)
    image.put32(at + 1, value)
    return f"pointer map {page}: parent in entry {entry} = {value}"


def overflow(image: Image, chance: Random) -> str:
    """Change a chain of overflow pages: where it begins, or where one of its pages leads."""
    chains = image.overflows()
    if not chains:
        return flip(image, chance)
    at, page = chance.choice(chains)
    pages = [page for _, page in chains]
    value = chance.choice((0, number(chance, image), chance.choice(pages), page, chance.choice(image.trees() or [1])))
    for _ in range(chance.randrange(3)):
        if not 0 < page <= image.count:
            break
        at = (page - 1) * image.size
        page = image.u32(at)
    image.put32(at, value)
    return f"overflow: at {at} = {value}"
