"""Pages of one database as it was last committed, read without a lock. Owns where a page is found, in file or log."""

from __future__ import annotations

import os

from pitstop_database_maintenance.sqlite.surveyor.format.pages import FILE_HEADER, parse_page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pitstop_database_maintenance.sqlite.surveyor.format.header import Header
    from pitstop_database_maintenance.sqlite.surveyor.format.pages import Page


class PageMissingError(Exception):
    """A page that should be there lies behind the end of the file."""


class Source:
    """The pages of a database.

    Args:
        file: a descriptor of the database file.
        header: what it begins with.
        pages: how many there are.
        log: a descriptor of the write-ahead log, or -1.
        in_log: where in the log the newest version of a page is, for pages that have one there.

    Attributes:
        reads: how many pages were read.
    """

    def __init__(
        self, file: int, header: Header, pages: int, *, log: int = -1, in_log: Mapping[int, int] | Any = None
    ) -> None:
        self.header = header
        self.pages = pages
        self.usable = header.usable
        self.in_log = in_log or {}
        self.reads = 0
        self._file = file
        self._log = log
        self._size = header.page_size

    def read(self, number: int) -> bytes:
        """Return a page.

        Raises:
            PageMissingError: there is no such page.
        """
        self.reads += 1
        place = self.in_log.get(number) if self.in_log else None
        if place is not None:
            page = os.pread(self._log, self._size, place)
        else:
            page = os.pread(self._file, self._size, (number - 1) * self._size) if number > 0 else b""
        if len(page) < self._size:
            raise PageMissingError(number)
        return page

    def parse(self, number: int) -> tuple[bytes, int, Page] | None:
        """Return a page of a b-tree, where in it that begins, and what it holds; None if it is none, or not there."""
        begin = FILE_HEADER if number == 1 else 0
        try:
            page = self.read(number)
        except PageMissingError:
            return None
        parsed = parse_page(page, self.usable, begin)
        return None if parsed is None else (page, begin, parsed)
