"""Whether the list of free pages and SQLite's own map of the file agree. Owns that look; runs as a child process.

A file whose auto_vacuum is not none keeps, for each page, what it is and which page points at it (the pointer map,
sqlite.org/fileformat2.html#ptrmap_pages). To give free pages back SQLite overwrites what the list of free pages names.
If everything that the list names is free by the map as well, and nothing else is, no page in use is overwritten.

The map and the list are a small part of the file: at most two pages in 820 of the usual 4096 bytes. No function of
SQLite reads them alone, and closing a plain handle on a database drops the locks of its process
(sqlite.org/howtocorrupt.html, 2.2): so a child process reads them, which has no other handle on the file, while its
parent holds the lock for writing. The protocol: the child sends a message when it has read all of it once, so that it
is in memory; at the next message from its parent it reads it again, and sends another; then the parent lets go of the
lock, and the child sends what is wrong, or "".

The child imports little, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import os
from itertools import pairwise
from struct import Struct

from pitstop_database_maintenance.sqlite.surveyor.format.header import LENGTH, Header
from pitstop_database_maintenance.sqlite.surveyor.format.page_source import PageMissingError, Source
from pitstop_database_maintenance.sqlite.surveyor.format.wal import read_log

#: What the pointer map says of a page: that it is free, or any of this: the root of a b-tree, the first or a further
#: page of an overflow, another page of a b-tree.
_FREE, _KINDS = 2, frozenset((1, 2, 3, 4, 5))
_TRUNK = Struct(">II").unpack_from


class DamageError(Exception):
    """The list or the map is wrong; the text says how."""


class FreePages:
    """The map of a file and its list of free pages, as a connection sees them that holds the lock for writing.

    Args:
        path: the file.

    Raises:
        DamageError: they cannot be followed.
        OSError: they cannot be read.
    """

    def __init__(self, path: str) -> None:
        file = os.open(path, os.O_RDONLY)
        try:
            header = Header(os.pread(file, LENGTH, 0))
            # a header, and a page of the list, is never read past the log
            log = read_log(path, header.page_size)
            if log.frames is None:
                raise OSError("the write-ahead log could not be looked through")
            log_file = os.open(f"{path}-wal", os.O_RDONLY) if log.in_log else -1
            first = Source(file, header, 1, log=log_file, in_log=log.in_log).read(1)
            self.header = Header(first)
            self.count = self.header.pages or log.pages or os.fstat(file).st_size // header.page_size
            source = Source(file, self.header, self.count, log=log_file, in_log=log.in_log)
            self.maps = {number: source.read(number) for number in self.header.list_pointer_maps(self.count)}
            self.trunks = self._read_trunks(source)
        except ValueError as error:
            raise DamageError(str(error)) from error
        except PageMissingError as error:
            raise DamageError(f"page {error} is behind the end of the file") from error

    def _read_trunks(self, source: Source) -> list[tuple[int, bytes]]:
        trunks: list[tuple[int, bytes]] = []
        trunk = self.header.trunk
        while trunk:
            if not 2 <= trunk <= self.count or len(trunks) > self.header.free_pages:
                raise DamageError(f"the list of free pages leads to page {trunk}")
            trunks.append((trunk, source.read(trunk)))
            trunk, _ = _TRUNK(trunks[-1][1])
        return trunks

    def find_problem(self) -> str:
        """Return in what the list and the map disagree, or ""."""
        listed: list[int] = []
        for number, page in self.trunks:
            _, leaves = _TRUNK(page)
            if leaves > self.header.usable // 4 - 2:
                return f"page {number} of the list of free pages claims to name {leaves} of them"
            listed += (number, *Struct(f">{leaves}I").unpack_from(page, 8))
        if len(listed) != self.header.free_pages:
            return f"the list of free pages names {len(listed)} pages, and the header says {self.header.free_pages}"
        kinds = self._kinds()
        if len(kinds) < self.count - 2 - len(self.maps):
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

    def _kinds(self) -> dict[int, int]:
        """Return what each page is by the map; its own pages, the first one and that of the locks are not in it."""
        kinds: dict[int, int] = {}
        for number, following in pairwise([*sorted(self.maps), self.count + 1]):
            kinds.update(zip(range(number + 1, following), self.maps[number][0 : self.header.usable : 5], strict=False))
        kinds.pop(self.header.lock_page, None)
        return kinds


def main(path: str) -> None:
    """Do one look, as the parent says."""
    with contextlib.suppress(DamageError, OSError):  # it is told when it is read in earnest
        FreePages(path)
    _send("")
    os.read(0, 1)
    try:
        pages = FreePages(path)
    except DamageError as error:
        _send("")
        _send(str(error))
        return
    _send("")
    _send(pages.find_problem())


def _send(problem: str) -> None:
    os.write(0, json.dumps({"problem": problem}).encode() + b"\n")
