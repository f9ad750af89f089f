"""Which file it is: what is known of a database belongs to a file, not to a path. Owns what tells one from another.

A file is known by its device, its inode and when it was made, so that what is known of it goes with it when it is
renamed (see `identity`). But a backup may be written into the file that was there. So the counters of the header tell
too, which only rise in the life of a database (sqlite.org/fileformat2.html, 1.3.7 and 1.3.9): in a file of which one is
lower than it was, another database is. Where the change counter is what it was, nothing was written by SQLite, and in
rollback mode the time of change is the same. Not told is a file into which a later state of the same database was
copied.

The header is read through the descriptor that SQLite has itself: to open the file and close it would drop its locks
(sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from pitstop.files import open_descriptors
from pitstop_database_maintenance.sqlite.files.identity import identify
from pitstop_database_maintenance.sqlite.files.paths import resolve_link
from pitstop_database_maintenance.sqlite.surveyor.format.header import LENGTH, Header

if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection


@frozen(kw_only=True)
class FileState:
    """A file, and how far it had come.

    Args:
        device, inode: it.
        birth: when it was made, in words; "" if that is not to be known.
        counter, cookie: the header's change counter and schema cookie; what is still in the log does not count.
        modified: its time of change in nanoseconds.
        wal: whether it is in WAL mode.
    """

    device: int
    inode: int
    birth: str
    counter: int
    cookie: int
    modified: int
    wal: bool

    @property
    def key(self) -> str:
        """Under which the history keeps what is known of the file."""
        return file_key(self.device, self.inode)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def follows(self, document: Mapping[str, Any]) -> bool:
        """Return whether this can be a later state, or the same, of the file that a document tells of."""
        try:
            then = FileState(**document)
            if (then.device, then.inode) != (self.device, self.inode):
                return False
            if then.birth and self.birth and then.birth != self.birth:
                return False
            if self.counter == then.counter:
                untouched = self.modified >= then.modified if self.wal else self.modified == then.modified
                return untouched and self.cookie == then.cookie
            return self.counter > then.counter and self.cookie >= then.cookie
        except TypeError:
            return False  # it was written by somebody else


def file_key(device: int, inode: int) -> str:
    """Return under which name the history keeps what is known of a file."""
    return f"file {device}:{inode}"


def read_state(db: SQLiteConnection) -> FileState | None:
    """Return which file a connection is to; None if the system does not tell, or another has its name by now."""
    try:
        named = os.stat(db.path)
    except OSError:
        return None
    for number, file in (open_descriptors() or {}).items():
        if os.path.samestat(file, named):
            found = _read(number, db.path, named)
            if found is not None:
                return found
    return None


def _read(descriptor: int, path: str, named: os.stat_result) -> FileState | None:
    """Return which file a descriptor is of, if it is the one that is named. Others may close it at any moment.

    Of one without a header of SQLite's nothing is kept: no statement gets as far as to find something in it.
    """
    with suppress(OSError, ValueError):
        content = os.pread(descriptor, LENGTH, 0)
        after = os.fstat(descriptor)
        if (after.st_dev, after.st_ino) == (named.st_dev, named.st_ino):
            header = Header(content)
            return FileState(
                device=after.st_dev,
                inode=after.st_ino,
                birth=_birth(path, after.st_ino),
                counter=header.change_counter,
                cookie=header.schema_cookie,
                modified=after.st_mtime_ns,
                wal=header.wal,
            )
    return None


@lru_cache(maxsize=1)
def birth_at_inspection(path: str, inode: int, _look_at: float) -> str:
    """Return when the file of one look was made: several assessments ask of it after another."""
    return _birth(path, inode)


def _birth(path: str, inode: int) -> str:
    """Return when the file was made; "" if that is not to be known, or another file has the name by now."""
    try:
        number, _, birth = identify(resolve_link(path)).partition(":")
    except (OSError, ValueError):
        return ""
    return birth if number == str(inode) else ""
