"""`Session`: statements, transactions and measures of one connection. Owns what an operation does with it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from attrs import frozen

from pitstop.contracts import JobContext
from pitstop.errors import InvalidValueError, OperationError, PitstopError
from pitstop_database_maintenance.databases.database import Database, Measure
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, damage_error
from pitstop_database_maintenance.sqlite.connection.lock_waits import Stalls
from pitstop_database_maintenance.sqlite.connection.opening import file_bytes
from pitstop_database_maintenance.sqlite.connection.statements import Statements
from pitstop_database_maintenance.sqlite.connection.text_encoding import is_valid_utf8
from pitstop_database_maintenance.sqlite.connection.uri import beside
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


class Session(Database):
    """One connection, in autocommit: what an operation does not put into a transaction is its own.

    Attributes:
        path: the file, absolute.
        context: the job's.
        waited: how many seconds went to waiting for locks of others.
        stalls: for how long writers and readers were kept waiting; see `transaction` and `blocking`.
    """

    #: How long a lock of somebody else is waited for, in seconds: Python's own default for a connection.
    BUSY_SECONDS: ClassVar[float] = 5.0
    #: How often, in instructions of SQLite's virtual machine, it is asked whether to go on. 50 000 take about a
    #: millisecond, in which asking costs nothing that can be measured.
    STEPS: ClassVar[int] = 50_000

    def __init__(self, path: str, connection: sqlite3.Connection, context: JobContext) -> None:
        """Take over an open connection."""
        self.path = path
        self.context = context
        self.waited = 0.0
        self.stalls = Stalls()
        self._statements = Statements(self, path, connection, steps=self.STEPS)
        self._unstoppable = False

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises:
            JobCancelledError, DeadlineExceededError: the job was asked to stop while it ran.
            TransientError: somebody else held a lock for longer than `BUSY_SECONDS`.
            OperationError: it failed; see `pitstop_database_maintenance.sqlite.connection.errors`.
        """
        return self._statements.execute(sql, parameters, busy_seconds=self.BUSY_SECONDS)

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement that only reads, one at a time, for answers that need not fit into memory.

        Raises:
            JobCancelledError, DeadlineExceededError, TransientError, OperationError: as `execute`; a lock is not
                waited for.
        """
        return self._statements.each(sql)

    def execute_with_step_budget(self, sql: str, *, steps: int) -> str | None:
        """Return the first thing that a statement says; None if it says nothing in more than twice so many steps.

        Raises:
            JobCancelledError, DeadlineExceededError, TransientError, OperationError: as `execute`.
        """
        return self._statements.execute_with_step_budget(sql, steps=steps, busy_seconds=self.BUSY_SECONDS)

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
            wal_bytes=file_bytes(beside(self.path, "-wal")),
        )

    def take_any_text(self) -> None:
        """From now on take texts that are no UTF-8 too, with what cannot be read written as backslashes and digits.

        For who has to look at a file in spite of them; such a name is nobody's to ask for.
        """
        self._statements.connection.text_factory = lambda given: given.decode("utf-8", "backslashreplace")

    def register_stub(self, missing: MissingFeature) -> None:
        """Register an empty function or collation, so that a statement that does not run it can be compiled.

        Not on the connection that does the work: an index that is built with it would be wrong.
        """
        register_stub(self._statements.connection, missing.kind, missing.name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Have all that is executed within happen whole or not at all; writers are kept out from the beginning.

        Raises:
            TransientError: somebody else held a lock for longer than `BUSY_SECONDS`.
        """
        self.execute("BEGIN IMMEDIATE")
        with self.stalls.held():
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

    @property
    def patience(self) -> float:
        """For how many seconds a lock of somebody else may be waited for now: `BUSY_SECONDS`, or what is left of them.

        Not less than 0, and with 0 it is tried once.
        """
        return max(0.0, min(self.BUSY_SECONDS, self.limits.lock_wait - self.waited))

    def clock(self) -> float:
        """Return a time in seconds that never goes back, and stands still while somebody else's lock is waited for."""
        return time.monotonic() - self.waited

    @contextmanager
    def no_lock_wait(self) -> Iterator[None]:
        """Have statements within wait for no lock, for who decides by itself when to try again."""
        before, self._statements.patient = self._statements.patient, False
        try:
            yield
        finally:
            self._statements.patient = before

    def disable_cancellation(self) -> None:
        """From now on let nothing stop the operation: what cannot be undone is done, and is to be told as it is."""
        self._unstoppable = True

    def check_stop(self) -> None:
        """As `Database.check_stop`, until `disable_cancellation`."""
        if not self._unstoppable:
            super().check_stop()

    def cancel_requested(self) -> bool:
        """Return whether the operation would have been stopped by now."""
        try:
            super().check_stop()
        except PitstopError:
            return True
        return False

    @contextmanager
    def waiting_within(self) -> Iterator[None]:
        """Have SQLite wait within a statement that would be undone by giving up, such as VACUUM at its commit."""
        self.execute(f"PRAGMA busy_timeout = {int(self.BUSY_SECONDS * 1000)}")
        try:
            yield
        finally:
            self.execute("PRAGMA busy_timeout = 0")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Measure a long read: without a write-ahead log writers cannot commit meanwhile, and keep readers out then."""
        if str(self.execute("PRAGMA main.journal_mode")[0][0]) == "wal":
            yield
        else:
            with self.blocking(readers=True):
                yield

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
    def in_transaction(self) -> bool:
        """Whether a transaction is open on this connection."""
        return self._statements.connection.in_transaction

    def interrupt(self) -> None:
        """Stop the statement that runs now; does nothing when none runs or the connection is closed."""
        if not self._unstoppable:
            self._statements.interrupt()
