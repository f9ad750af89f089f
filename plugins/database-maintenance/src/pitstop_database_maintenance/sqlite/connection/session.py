"""`Session`: transactions and measures of one connection. Owns what an operation does with it beside its statements."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from pitstop.contracts import JobContext
from pitstop.errors import InvalidValueError, OperationError
from pitstop_database_maintenance.databases.database import Measure
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, damage_error
from pitstop_database_maintenance.sqlite.connection.lock_waits import Stalls
from pitstop_database_maintenance.sqlite.connection.opening import file_bytes, is_valid_utf8
from pitstop_database_maintenance.sqlite.connection.statements import StatementRunner
from pitstop_database_maintenance.sqlite.files.paths import companion_path
from pitstop_database_maintenance.sqlite.surveyor.schema.missing_features import register_stub


@frozen(kw_only=True)
class SQLiteMeasure(Measure):
    """How big a SQLite database is.

    Args:
        pages, free_pages: as its header counts them.
        page_size: in bytes.
        file_bytes: the file's size on disk; in WAL mode not the same as the pages until the next checkpoint.
        wal_bytes: the size of its write-ahead log; 0 if there is none.
    """

    pages: int
    free_pages: int
    page_size: int
    file_bytes: int
    wal_bytes: int


class Session(StatementRunner):
    """One connection, in autocommit: what an operation does not put into a transaction is its own.

    Attributes:
        stalls: for how long writers and readers were kept waiting; see `transaction` and `blocking`.
    """

    def __init__(self, path: str, connection: sqlite3.Connection, context: JobContext) -> None:
        """Take over an open connection."""
        super().__init__(path, connection, context)
        self.stalls = Stalls()

    def pragma(self, name: str) -> int:
        """Return the whole number that a PRAGMA of the main schema has.

        Raises:
            OperationError: as `execute`.
        """
        return int(self.execute(f"PRAGMA main.{name}")[0][0])

    def quote(self, name: str) -> str:
        """Return a name as an identifier: in double quotes, with those inside doubled.

        Raises:
            InvalidValueError: it holds a NUL character, at which SQLite's parser would stop reading, or half of a
                character, which no UTF-8 has.
        """
        if "\0" in name:
            raise InvalidValueError(where="sqlite", name="identifier", problem=f"{name!r} holds a NUL character")
        if not is_valid_utf8(name):
            problem = f"{name!r} holds half of a character: it is not valid UTF-8, and no statement can name it"
            raise InvalidValueError(where="sqlite", name="identifier", problem=problem)
        return '"' + name.replace('"', '""') + '"'

    def measure(self) -> SQLiteMeasure:
        """Return how big the database is: by its own count of pages, and on disk.

        Raises:
            SQLiteFailure: its counts contradict each other.
        """
        pages, free, size = self.pragma("page_count"), self.pragma("freelist_count"), self.pragma("page_size")
        if not 0 <= free < max(pages, 1):
            raise damage_error(self.path, f"its header counts {free} free pages of {pages}")
        return SQLiteMeasure(
            bytes=pages * size,
            free_bytes=free * size,
            pages=pages,
            free_pages=free,
            page_size=size,
            file_bytes=file_bytes(self.path),
            wal_bytes=file_bytes(companion_path(self.path, "-wal")),
        )

    def take_any_text(self) -> None:
        """From now on take texts that are no UTF-8 too, with what cannot be read written as backslashes and digits.

        For who has to look at a file in spite of them; such a name is nobody's to ask for.
        """
        self._connection.text_factory = lambda given: given.decode("utf-8", "backslashreplace")

    def register_stub(self, missing: MissingFeature) -> None:
        """Register an empty function or collation, so that a statement that does not run it can be compiled.

        Not on the connection that does the work: an index that is built with it would be wrong.
        """
        register_stub(self._connection, missing.kind, missing.name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Have all that is executed within happen whole or not at all; writers are kept out from the beginning.

        Raises:
            TransientError: somebody else held a lock for longer than `BUSY_SECONDS`.
        """
        self.execute("BEGIN IMMEDIATE")
        with self.stalls.measure():
            try:
                yield
                self.execute("COMMIT")
            finally:
                self.rollback()  # which does nothing after a commit

    @contextmanager
    def blocking(self, *, readers: bool = False) -> Iterator[None]:
        """Measure a statement that keeps writers out by itself, such as VACUUM or REINDEX.

        What it waits for the lock does not count: that somebody else made others wait.

        Args:
            readers: whether readers wait as well.
        """
        began = self.clock()
        try:
            yield
        finally:
            self.stalls.add(self.clock() - began, readers=readers)

    def clock(self) -> float:
        """Return a time in seconds that never goes back, and stands still while somebody else's lock is waited for."""
        return time.monotonic() - self.waited

    @contextmanager
    def busy_timeout(self) -> Iterator[None]:
        """Have SQLite wait within a statement that would be undone by giving up, such as VACUUM at its commit."""
        self.execute(f"PRAGMA busy_timeout = {int(self.BUSY_SECONDS * 1000)}")
        try:
            yield
        finally:
            self.execute("PRAGMA busy_timeout = 0")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Measure a long read: without a write-ahead log writers cannot commit meanwhile, and keep readers out then."""
        if self.has_wal:
            yield
        else:
            with self.blocking(readers=True):
                yield

    @contextmanager
    def read_transaction(self) -> Iterator[None]:
        """Have all that is read within be of one moment; what others write meanwhile is not seen."""
        self.execute("BEGIN")
        try:
            self.execute("SELECT 1 FROM main.sqlite_master LIMIT 1")
            yield
        finally:
            self.rollback()

    def rollback(self) -> None:
        """Take back the open transaction, if there is one: after some errors SQLite has done so by itself.

        Raises:
            OperationError: the journal could not be read; the next connection tries again.
        """
        if self.in_transaction:
            self.execute("ROLLBACK")

    def require_no_transaction(self) -> None:
        """Refuse to end with a transaction open: what was done in it is lost when the connection closes.

        Raises:
            OperationError: one is open.
        """
        if self.in_transaction:
            raise OperationError(
                reason="the operation left a transaction open, and what it did there was undone",
                hint="end it with COMMIT, or use db.transaction(); tell the makers of the operation",
            )

    @property
    def has_wal(self) -> bool:
        """Whether the database has a write-ahead log: `PRAGMA journal_mode` is "wal"."""
        return self.execute("PRAGMA main.journal_mode") == [("wal",)]

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open on this connection."""
        return self._connection.in_transaction
