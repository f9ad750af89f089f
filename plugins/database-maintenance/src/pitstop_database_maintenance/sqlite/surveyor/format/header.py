"""The 100 bytes with which a SQLite database begins (sqlite.org/fileformat2.html, section 1.3). Owns what they say."""

from __future__ import annotations

from struct import Struct

MAGIC = b"SQLite format 3\x00"
LENGTH = 100
_ENCODINGS = {1: "UTF-8", 2: "UTF-16le", 3: "UTF-16be"}
#: page size, version for writing, version for reading, reserved bytes, payload fractions | change counter, pages, first
#: trunk, free pages, schema cookie, schema format | largest root page | encoding | incremental | counter for which the
#: pages are valid, SQLite's version
_FIELDS = Struct(">16xHBBB3sIIIIII4xII4xI4x20xII").unpack_from
#: The only payload fractions that there are, and the newest schema format; SQLite opens no file that has others.
_FRACTIONS, _SCHEMA_FORMAT = bytes((64, 32, 32)), 4
_PENDING_BYTE = 0x40000000


class Header:
    """What the header says.

    Attributes:
        page_size, usable: bytes of a page, and how many of them SQLite uses.
        wal: whether the database is in WAL mode.
        pages: how many pages there are; 0 if the header does not know, as after a write by a SQLite before 3.7.
        free_pages, trunk: how many of them are free, and the first page that lists them.
        auto_vacuum: "none", "full" or "incremental".
        change_counter, schema_cookie: as they stand there.
        encoding: such as "UTF-8".
        written_by: the SQLite version that wrote last, or "".
    """

    def __init__(self, content: bytes) -> None:
        """Parse it.

        Raises:
            ValueError: it is none; the text says why.
        """
        if len(content) < LENGTH or not content.startswith(MAGIC):
            raise ValueError("its beginning is not SQLite's")
        size, _, reading, reserved, fractions, *counts, largest_root, encoding, incremental, valid_for, version = (
            _FIELDS(content)
        )
        self.change_counter, pages, self.trunk, self.free_pages, self.schema_cookie, schema_format = counts
        self.page_size: int = 65536 if size == 1 else size
        self.usable: int = self.page_size - reserved
        if self.page_size < 512 or self.page_size & (self.page_size - 1) or self.usable < 480:
            raise ValueError(f"its header gives pages of {size} bytes, of which {reserved} are reserved")
        if reading > 2:
            raise ValueError(f"it is of format {reading}, which needs a newer SQLite")
        if fractions != _FRACTIONS:
            raise ValueError("its header gives payload fractions that are not SQLite's")
        if schema_format > _SCHEMA_FORMAT:
            raise ValueError(f"its schema is of format {schema_format}, which needs a newer SQLite")
        self.wal = reading == 2
        self.pages = pages if valid_for == self.change_counter else 0
        self.encoding = _ENCODINGS.get(encoding, "UTF-8")
        self.auto_vacuum = ("incremental" if incremental else "full") if largest_root else "none"
        self.written_by = f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}" if version else ""

    @property
    def lock_page(self) -> int:
        """The page at 1 GiB, which holds locks and never content."""
        return _PENDING_BYTE // self.page_size + 1

    def find_pointer_map(self, number: int) -> int:
        """Return the pointer-map page that covers a page (btree.c, `ptrmapPageno`)."""
        if number < 2:
            return 0
        covered = self.usable // 5 + 1
        page = (number - 2) // covered * covered + 2
        return page + 1 if page == self.lock_page else page

    def list_pointer_maps(self, pages: int) -> list[int]:
        """Return the numbers of the pointer-map pages of a file of so many pages, which has auto_vacuum."""
        numbers = map(self.find_pointer_map, range(2, pages + 1, self.usable // 5 + 1))
        return [number for number in numbers if number <= pages]

    def count_pointer_maps(self, pages: int) -> int:
        """Return how many pointer-map pages a file of so many pages has."""
        return 0 if self.auto_vacuum == "none" or pages < 2 else -(-(pages - 1) // (self.usable // 5 + 1))
