"""Whether a file is a SQLite database, or was one, and which names SQLite gives a meaning. Reads bytes; opens nothing.

A pattern leaves other kinds of files out without a word, and must not leave out a database whose first page is damaged.
"""

from __future__ import annotations

import os
import re
from typing import Final

from pitstop_database_maintenance.sqlite.surveyor.format.header import MAGIC

#: sqlite.org/fileformat2.html: a header of 100 bytes, whose bytes 21 to 23 are the same in every database.
_FRACTIONS: Final = slice(21, 24), bytes((64, 32, 32))
_SIZES: Final = (4096, 1024, 2048, 8192, 16384, 32768, 65536, 512)
#: What the first byte of a b-tree page is: of an index or a table, of its inside or its leaves.
_LEAVES: Final = (10, 13)
_PAGES: Final = (*_LEAVES, 2, 5)
#: So many pages after the first are looked at, and so many of them must be b-tree pages.
_LOOKED_AT: Final = 8
_ENOUGH: Final = 2


#: What SQLite looks for beside a database: it rolls back a journal, moves a log into the file, maps an index of the
#: log, and believes what a journal says of several databases (sqlite.org/tempfiles.html; "-mj" in pager.c).
_PARTS: Final = re.compile(r".-(?:journal|wal|shm|mj[0-9A-Fa-f]{8,9})$", re.DOTALL)


def is_part(name: str) -> bool:
    """Return whether SQLite would take a file of such a name for a part of the database beside it."""
    return _PARTS.search(name) is not None


def was_database(handle: int) -> bool:
    """Return whether an open file is, or was, a SQLite database.

    Args:
        handle: a file descriptor to read from.
    """
    header = os.pread(handle, 100, 0)
    if header.startswith(MAGIC):
        return True
    where, what = _FRACTIONS
    return header[where] == what or any(_has_pages(handle, size) for size in _SIZES)


def _has_pages(handle: int, size: int) -> bool:
    found = 0
    for number in range(1, 1 + _LOOKED_AT):
        found += _is_page(os.pread(handle, 12, number * size), size)
    return found >= _ENOUGH


def _is_page(header: bytes, size: int) -> bool:
    """Return whether bytes are the beginning of a b-tree page with cells, whose figures agree."""
    if len(header) < 12 or header[0] not in _PAGES:
        return False
    first_free, cells, content = (int.from_bytes(header[at : at + 2], "big") for at in (1, 3, 5))
    content = content or 65536
    begins = 8 if header[0] in _LEAVES else 12
    return 0 < cells <= size // 4 and begins + 2 * cells <= content <= size and first_free <= size - 4
