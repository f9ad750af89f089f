"""Whether the list of free pages and SQLite's own map of the file agree. Owns that look; runs as a child process.

A file whose auto_vacuum is not none keeps, for each page, what it is and which page points at it (the pointer map,
sqlite.org/fileformat2.html#ptrmap_pages). To give free pages back SQLite overwrites what the list of free pages names.
If everything that the list names is free by the map as well, and nothing else is, no page in use is overwritten.

The map and the list are a four-hundredth of the file at most. No function of SQLite reads them alone, and closing a
plain handle on a database drops the locks of its process (sqlite.org/howtocorrupt.html, 2.2): so a child process reads
them, which has no other handle on the file, while its parent holds the lock for writing. The protocol: the child says
"ready" when it has read all of it once, so that it is in memory; told "read" it reads it again, and says "done"; then
the parent lets go of the lock, and the child says what is wrong, or an empty line.

This file is run by its path and imports the standard library only, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from itertools import pairwise

#: What the pointer map says of a page: that it is free, or any of this: the root of a b-tree, the first or a further
#: page of an overflow, another page of a b-tree.
_FREE, _KINDS = 2, frozenset((1, 2, 3, 4, 5))
#: Where SQLite takes its locks; the page that holds this byte is never used.
_LOCK_BYTE = 0x40000000
_LOG_HEADER, _FRAME_HEADER = 32, 24
_LOG_MAGIC = (0x377F0682, 0x377F0683)


class DamageError(Exception):
    """The list or the map is wrong; the text says how."""


class Pages:
    """Reads pages as a connection would see them that holds the lock for writing: from the log, else from the file."""

    def __init__(self, path: str) -> None:
        """Open the file and, if there is one, its log."""
        self.handle = os.open(path, os.O_RDONLY)
        try:
            self.log = os.open(f"{path}-wal", os.O_RDONLY)
        except FileNotFoundError:
            self.log = -1
        size = struct.unpack_from(">H", os.pread(self.handle, 100, 0), 16)[0]
        self.size = 65536 if size == 1 else size
        if self.size < 512:
            raise DamageError(f"its header says that pages have {self.size} bytes")
        self.frames = self._frames() if self.log >= 0 else {}

    def _frames(self) -> dict[int, int]:
        """Return where in the log the newest committed copy of each page is."""
        header = os.pread(self.log, _LOG_HEADER, 0)
        if len(header) < _LOG_HEADER or struct.unpack_from(">I", header)[0] not in _LOG_MAGIC:
            return {}
        salts, found, pending = header[16:24], {}, {}
        place, length = _LOG_HEADER, os.fstat(self.log).st_size
        while place + _FRAME_HEADER + self.size <= length:
            frame = os.pread(self.log, _FRAME_HEADER, place)
            page, committed = struct.unpack_from(">II", frame)
            if frame[8:16] != salts:
                break  # of an earlier generation
            pending[page] = place + _FRAME_HEADER
            if committed:
                found.update(pending)
                pending.clear()
            place += _FRAME_HEADER + self.size
        return found

    def read(self, number: int) -> bytes:
        """Return a page.

        Raises:
            DamageError: the file ends before it.
        """
        place = self.frames.get(number)
        if place is None:
            data = os.pread(self.handle, self.size, (number - 1) * self.size)
        else:
            data = os.pread(self.log, self.size, place)
        if len(data) < self.size:
            raise DamageError(f"page {number} is behind the end of the file")
        return data


def read_all(path: str) -> tuple[bytes, dict[int, bytes], list[tuple[int, bytes]]]:
    """Return the first page, the pages of the map, and those of the list, each by its number.

    Raises:
        DamageError: they cannot be followed.
        OSError: they cannot be read.
    """
    pages = Pages(path)
    first = pages.read(1)
    count, trunk, free = struct.unpack_from(">I", first, 28)[0], *struct.unpack_from(">II", first, 32)
    maps = {number: pages.read(number) for number in map_pages(count, pages.size - first[20], pages.size)}
    trunks: list[tuple[int, bytes]] = []
    while trunk:
        if not 2 <= trunk <= count or len(trunks) > free:
            raise DamageError(f"the list of free pages leads to page {trunk}")
        trunks.append((trunk, pages.read(trunk)))
        trunk = struct.unpack_from(">I", trunks[-1][1])[0]
    return first, maps, trunks


def map_pages(count: int, usable: int, size: int) -> list[int]:
    """Return the numbers of the pages of the map in a file of `count` pages (btree.c, ptrmapPageno)."""
    lock = _LOCK_BYTE // size + 1
    numbers = range(2, count + 1, usable // 5 + 1)
    return [found for found in (number + (number == lock) for number in numbers) if found <= count]


def problem(first: bytes, maps: dict[int, bytes], trunks: list[tuple[int, bytes]]) -> str:
    """Return in what the list and the map disagree, or ""."""
    size = struct.unpack_from(">H", first, 16)[0]
    size = 65536 if size == 1 else size
    usable, (count,), (free,) = (
        size - first[20],
        struct.unpack_from(">I", first, 28),
        struct.unpack_from(">I", first, 36),
    )
    listed: list[int] = []
    for number, page in trunks:
        (leaves,) = struct.unpack_from(">I", page, 4)
        if leaves > usable // 4 - 2:
            return f"page {number} of the list of free pages claims to name {leaves} of them"
        listed += (number, *struct.unpack_from(f">{leaves}I", page, 8))
    if len(listed) != free:
        return f"the list of free pages names {len(listed)} pages, and the header says {free}"
    kinds = _kinds(maps, count, usable, size)
    if len(kinds) < count - 2 - len(maps):
        return "the map of pages is too short"
    named = set(listed)
    for number in listed:
        if kinds.get(number) != _FREE:
            return f"page {number} is in the list of free pages, and not free by the map of pages"
    if len(named) != len(listed):
        return "a page is in the list of free pages twice"
    for number, kind in kinds.items():
        if kind == _FREE and number not in named:
            return f"page {number} is free by the map of pages, and not in the list of free pages"
        if kind not in _KINDS:
            return f"page {number} is of the unknown kind {kind} by the map of pages"
    return ""


def _kinds(maps: dict[int, bytes], count: int, usable: int, size: int) -> dict[int, int]:
    """Return what each page is by the map; the map's own pages, the first one and that of the locks are not in it."""
    kinds: dict[int, int] = {}
    for number, following in pairwise([*sorted(maps), count + 1]):
        kinds.update(zip(range(number + 1, following), maps[number][0:usable:5], strict=False))
    kinds.pop(_LOCK_BYTE // size + 1, None)
    return kinds


def main(path: str) -> None:
    """Do one look, as the parent says."""
    with contextlib.suppress(DamageError, OSError, struct.error):  # it is told when it is read in earnest
        read_all(path)
    _say("ready")
    sys.stdin.readline()
    try:
        found = read_all(path)
    except (DamageError, struct.error) as error:
        _say("done")
        _say(str(error))
        return
    _say("done")
    _say(problem(*found))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
