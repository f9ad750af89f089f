"""A SQLite file as bytes, with as much of the format as is needed to damage it where it hurts.

The names and offsets are those of sqlite.org/fileformat2.html. Nothing here opens a file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

LEAF_TABLE, LEAF_INDEX, INTERIOR_TABLE, INTERIOR_INDEX = 0x0D, 0x0A, 0x05, 0x02
KINDS = (LEAF_TABLE, LEAF_INDEX, INTERIOR_TABLE, INTERIOR_INDEX)


@dataclass
class Image:
    """The files of one database.

    Attributes:
        main: the database file.
        beside: what lies beside it, by suffix, such as "-wal".
        told: what was done to it.
    """

    main: bytearray
    beside: dict[str, bytearray] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The page size that the header gives, or 4096 if it gives none that can be."""
        size = self.u16(16)
        size = 65536 if size == 1 else size
        return size if 512 <= size <= 65536 and size & (size - 1) == 0 else 4096

    @property
    def count(self) -> int:
        """How many whole pages there are; at least one."""
        return max(1, len(self.main) // self.size)

    def u16(self, at: int) -> int:
        """Read two bytes; nought beyond the end."""
        return int.from_bytes(self.main[at : at + 2].ljust(2, b"\0"), "big")

    def u32(self, at: int) -> int:
        """Read four bytes; nought beyond the end."""
        return int.from_bytes(self.main[at : at + 4].ljust(4, b"\0"), "big")

    def put(self, at: int, content: bytes) -> None:
        """Write over what is there; what would lie beyond the end is left out."""
        content = content[: max(0, len(self.main) - at)]
        self.main[at : at + len(content)] = content

    def put16(self, at: int, value: int) -> None:
        """Write two bytes."""
        self.put(at, struct.pack(">H", value & 0xFFFF))

    def put32(self, at: int, value: int) -> None:
        """Write four bytes."""
        self.put(at, struct.pack(">I", value & 0xFFFFFFFF))

    def start(self, page: int) -> int:
        """Return where a page's b-tree header is; that of page 1 comes after the file's."""
        return (page - 1) * self.size + (100 if page == 1 else 0)

    def kind(self, page: int) -> int:
        """Return a page's kind, if it looks like one of a b-tree; else 0."""
        at = self.start(page)
        kind = self.main[at] if at < len(self.main) else 0
        return kind if kind in KINDS else 0

    def trees(self, *kinds: int) -> list[int]:
        """Return the pages that look like those of b-trees, of these kinds or all."""
        return [page for page in range(1, self.count + 1) if self.kind(page) in (kinds or KINDS)]

    def header_bytes(self, page: int) -> int:
        """Return how long a b-tree page's header is."""
        return 12 if self.kind(page) in (INTERIOR_TABLE, INTERIOR_INDEX) else 8

    def pointers(self, page: int) -> range:
        """Return where a page's cell pointers are."""
        at = self.start(page)
        first = at + self.header_bytes(page)
        count = min(self.u16(at + 3), self.size // 4)
        return range(first, first + 2 * count, 2)

    def cells(self, page: int) -> list[int]:
        """Return where a page's cells are."""
        base = (page - 1) * self.size
        return [base + self.u16(at) for at in self.pointers(page) if self.u16(at) < self.size]

    def children(self, page: int) -> list[int]:
        """Return where an interior page's child pointers are, the right-most one last."""
        return [*self.cells(page), self.start(page) + 8]

    def overflows(self) -> list[tuple[int, int]]:
        """Return where the first overflow page of a cell is noted, and that page's number."""
        return [found for page in self.trees() for cell in self.cells(page) if (found := self._overflow(page, cell))]

    def trunks(self) -> Iterator[int]:
        """Yield the trunk pages of the list of free pages, as far as it can be followed."""
        page, seen = self.u32(32), set[int]()
        while 0 < page <= self.count and page not in seen:
            seen.add(page)
            yield page
            page = self.u32((page - 1) * self.size)

    def pointer_maps(self) -> list[int]:
        """Return the pages of the pointer map; none without auto_vacuum."""
        step = self.size // 5 + 1
        return list(range(2, self.count + 1, step)) if self.u32(52) else []

    def _overflow(self, page: int, cell: int) -> tuple[int, int] | None:
        kind, usable = self.kind(page), self.size
        if kind == INTERIOR_TABLE:
            return None
        at = cell + (4 if kind == INTERIOR_INDEX else 0)
        payload, at = self.varint(at)
        if kind == LEAF_TABLE:
            _, at = self.varint(at)
        most = usable - 35 if kind == LEAF_TABLE else (usable - 12) * 64 // 255 - 23
        if payload <= most:
            return None
        least = (usable - 12) * 32 // 255 - 23
        local = least + (payload - least) % (usable - 4)
        at += local if local <= most else least
        return (at, self.u32(at)) if at + 4 <= page * self.size else None

    def varint(self, at: int) -> tuple[int, int]:
        """Return a variable-length integer and where it ends."""
        value = 0
        for place in range(at, at + 8):
            byte = self.main[place] if place < len(self.main) else 0
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, place + 1
        return value << 8 | self.main[at + 8] if at + 8 < len(self.main) else value, at + 9
