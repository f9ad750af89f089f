"""The rollback journal beside a database (sqlite.org/fileformat2.html, 3). Owns its format, and SQLite's rule for when
it has to be rolled back; rolls nothing back.

A journal holds pages as they were before a transaction. Where a crash left one, the next connection writes them back
and cuts the file to its former size, whatever file that is: a journal that was left beside a restored backup makes it
unsound. What it holds is told from the change counter on page 1, which every transaction raises by one: the file has
that of the page in the journal, or the next one. A journal without page 1 is of a transaction that had not got so far,
so that the file has still as many pages, by its own count, as the journal says that it had.
"""

from __future__ import annotations

import os
import time
from struct import Struct

from pitstop_database_maintenance.sqlite.surveyor.processes import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.surveyor.format.header import Header

_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
#: Behind the magic: records, nonce, pages of the database before, bytes of a sector, bytes of a page.
_HEAD = Struct(">5I")
_NUMBER = Struct(">I")
#: What stands for the number of records in a journal that is never synced: as many as there is room for.
_ALL = 0xFFFFFFFF
#: A byte in so many counts for the checksum of a page (pager.c, pager_cksum).
_CHECKED = 200
#: The end of a journal that names a super-journal: its length, the sum of its bytes, and the magic.
_SUPER = Struct(">II8s")
#: The longest name of a super-journal that is looked at.
_LONGEST = 4096
#: Seconds after which a journal that seems hot is looked at again. A writer that commits between the look at its
#: journal and the question for its lock would else be taken for a crash.
_AGAIN = 0.005


class Journal:
    """A journal that the next connection rolls back.

    Attributes:
        bytes: its size.
        page_size: of the database then.
        pages: how many pages the database had.
        before: where in the journal each page stands as it was.
        super_journal: the name of the journal of a transaction over several databases; "" if it is of this one alone.
        counter: the change counter on page 1 as it was; None if that page is not in the journal.
    """

    def __init__(self, size: int) -> None:
        self.bytes = size
        self.page_size = 0
        self.pages = 0
        self.before: dict[int, int] = {}
        self.super_journal = ""
        self.counter: int | None = None

    def find_doubt(self, own: Header, size: int) -> str:
        """Return what speaks for its being another file's, or of an earlier state: "older" or "newer" for a file whose
        change counter is lower or higher than it may be, "page_size", "pages"; "" if nothing does.

        Args:
            own: the header in the file itself.
            size: how many bytes that has.
        """
        if self.counter is not None:
            if own.change_counter not in (self.counter, self.counter + 1 & 0xFFFFFFFF):
                return "newer" if own.change_counter < self.counter else "older"
        elif self.pages != (own.pages or size // own.page_size):
            return "pages"
        if self.page_size != own.page_size:
            return "page_size"
        in_file = size // own.page_size
        there = sum(in_file < number <= self.pages for number in self.before)
        lost = max(self.pages - in_file, 0) - (in_file < own.lock_page <= self.pages)
        return "pages" if there < lost else ""


def find_hot_journal(path: str, file: int) -> Journal | None:
    """Return the journal that the next connection would roll back: it has a header, and nobody writes now.

    The rule is that of sqlite.org/lockingv3.html, section 4.1. One whose super-journal is gone is not rolled back: the
    transaction was committed.

    Args:
        path: the database.
        file: a descriptor of it.
    """
    first = _read_start(path)
    if first is None or proc.probe_lock(file, proc.RESERVED) is not None:
        return None
    time.sleep(_AGAIN)
    if _read_start(path) != first or proc.probe_lock(file, proc.RESERVED) is not None:
        return None
    journal = _read(f"{path}-journal")
    if journal is None or not journal.super_journal:
        return journal
    return journal if os.path.exists(os.path.join(os.path.dirname(path), journal.super_journal)) else None


def explain_emptiness(path: str) -> str:
    """Return what there is to say of a database without a byte: SQLite brings its pages back if a journal has them."""
    if _read_start(path) is None:
        return "is empty: no database was ever written to it"
    return (
        "is empty, and beside it lies a journal, from which SQLite brings back what it holds when the file is opened; "
        "copy both, then open it once with its application, or 'sqlite3'"
    )


def _read_start(path: str) -> tuple[int, int, int] | None:
    """Return which journal is there, and when it was written to; None if there is none, or one that is over."""
    try:
        journal = os.open(f"{path}-journal", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # a journal that was ended by overwriting its header, or that is empty, is over
        if not os.pread(journal, 1, 0).strip(b"\0"):
            return None
        found = os.fstat(journal)
        return found.st_ino, found.st_size, found.st_mtime_ns
    finally:
        os.close(journal)


def _read(path: str) -> Journal | None:
    """Return what is in a journal; None if it is gone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        journal = Journal(os.fstat(file).st_size)
        journal.super_journal = _super_journal(file, journal.bytes)
        at: int | None = 0
        while at is not None:
            at = _read_part(file, journal, at)
        return journal
    finally:
        os.close(file)


def _read_part(file: int, journal: Journal, at: int) -> int | None:
    """Read a header and the records behind it, up to the first that is not whole, which SQLite leaves out as well;
    return where the next header is, or None if that was all. Of records that were never synced, which SQLite does not
    roll back, only the change counter is of interest."""
    head = os.pread(file, 8 + _HEAD.size, at)
    # a further part gets its magic, and its number of records, when it is synced
    if len(head) < 8 + _HEAD.size or not (head.startswith(_MAGIC) or (at and not any(head[:12]))):
        return None
    records, nonce, pages, sector, size = _HEAD.unpack_from(head, 8)
    if not at:
        journal.page_size, journal.pages = size, pages
    size = journal.page_size
    if not 512 <= size <= 65536 or size & (size - 1) or not 32 <= sector <= 65536 or sector & (sector - 1):
        return None
    place = at + sector
    room = max(journal.bytes - place, 0) // (size + 8)
    counted = room if records == _ALL else records
    for done in range(room if not records else min(counted, room)):
        record = os.pread(file, size + 8, place)
        (number,), (expected,) = _NUMBER.unpack_from(record), _NUMBER.unpack_from(record, size + 4)
        # the bytes at the page's end minus 200, minus 400 and so on, but never the first one
        found = nonce + sum(record[4 + size - _CHECKED : 4 : -_CHECKED])
        if not number or found & 0xFFFFFFFF != expected:
            return None
        if number == 1 and journal.counter is None:
            (journal.counter,) = _NUMBER.unpack_from(record, 4 + 24)
        if number <= journal.pages and done < counted:
            journal.before.setdefault(number, place + 4)
        place += size + 8
    following: int = -(-place // sector) * sector
    return following if counted <= room else None


def _super_journal(file: int, size: int) -> str:
    """Return the name of the super-journal that a journal ends with, or "" (pager.c, readSuperJournal)."""
    end = os.pread(file, _SUPER.size, size - _SUPER.size) if size > _SUPER.size else b""
    if len(end) < _SUPER.size:
        return ""
    length, expected, magic = _SUPER.unpack(end)
    if magic != _MAGIC or not 0 < length <= min(_LONGEST, size - _SUPER.size):
        return ""
    name = os.pread(file, length, size - _SUPER.size - length)
    signed = sum(byte - 256 if byte > 127 else byte for byte in name)
    return os.fsdecode(name) if signed & 0xFFFFFFFF == expected else ""
