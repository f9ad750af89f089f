"""`SQLiteDatabase`: a connection of a job's own to one file. Owns opening, cancelling and measuring; does nothing."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, ClassVar, Self

from attrs import frozen

from pitstop.contracts import JobContext
from pitstop.errors import InvalidJobError, InvalidValueError, PitstopError
from pitstop_database_maintenance.database import Database, Measure
from pitstop_database_maintenance.sqlite.check import check_file
from pitstop_database_maintenance.sqlite.errors import code_of, explained
from pitstop_database_maintenance.sqlite.uri import connection_uri
from pitstop_database_maintenance.urls import absolute_path, parse


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


class SQLiteDatabase(Database):
    """One connection to one file, in autocommit: what an operation does not put into a transaction is its own."""

    #: How long a lock of somebody else is waited for, in seconds: Python's own default for a connection.
    BUSY_SECONDS: ClassVar[float] = 5.0
    #: How often, in instructions of SQLite's virtual machine, it is asked whether to go on. 50 000 take about a
    #: millisecond, in which asking costs nothing that can be measured.
    STEPS: ClassVar[int] = 50_000

    def __init__(self, path: str, connection: sqlite3.Connection, context: JobContext) -> None:
        """Take over an open connection; see `connect`."""
        self.path = path
        self.context = context
        self._connection = connection
        self._told: Exception | None = None
        self._open = True
        self._closing = threading.Lock()

    @classmethod
    def check(cls, url: str) -> None:
        """Refuse a file that is missing, unfit or damaged. A lock that somebody holds now is no reason.

        Raises:
            InvalidJobError: what is wrong with it, and the next step.
        """
        check_file(_path(url))

    @classmethod
    def resource(cls, url: str) -> str:
        """Return "sqlite:" and the file's real path; two spellings of one file, or a link to it, are one resource."""
        parsed = parse(url)
        return f"sqlite:{parsed.path if parsed.has_variables else os.path.realpath(_path(url))}"

    @classmethod
    @contextmanager
    def connect(cls, url: str, context: JobContext) -> Iterator[Self]:
        """Open the file, which must be there, and close it on leaving.

        Args:
            url: a path or a `sqlite:///` URL.
            context: is asked, while a statement runs, whether the job must stop.

        Raises:
            OperationError: it cannot be opened.
        """
        path = _path(url)
        try:
            # autocommit: Python begins no transaction of its own, in which VACUUM would be refused
            connection = sqlite3.connect(
                connection_uri(path, mode="rw"), uri=True, isolation_level=None, timeout=cls.BUSY_SECONDS
            )
        except sqlite3.Error as error:
            raise explained(error, path=path, waited=cls.BUSY_SECONDS) from error
        with closing(connection):
            database = cls(path, connection, context)
            connection.set_progress_handler(database._stop_wanted, cls.STEPS)
            try:
                yield database
            finally:
                database._closed()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open on this connection."""
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises:
            JobCancelledError, DeadlineExceededError: the job was told to stop while it ran.
            TransientError: somebody else held a lock for longer than `BUSY_SECONDS`.
            OperationError: it failed; see `pitstop_database_maintenance.sqlite.errors`.
        """
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def pragma(self, name: str) -> int:
        """Return the whole number that a PRAGMA of the main schema has.

        Raises:
            OperationError: as `execute`.
        """
        return int(self.execute(f"PRAGMA main.{name}")[0][0])

    def quote(self, name: str) -> str:
        """Return a name as an identifier: in double quotes, with those inside doubled.

        Raises:
            InvalidValueError: it holds a NUL character, at which SQLite's parser would stop reading.
        """
        if "\0" in name:
            raise InvalidValueError(where="sqlite", name="identifier", problem=f"{name!r} holds a NUL character")
        return '"' + name.replace('"', '""') + '"'

    def measure(self) -> SQLiteMeasure:
        """Return how big the database is: by its own count of pages, and on disk."""
        pages, free, size = self.pragma("page_count"), self.pragma("freelist_count"), self.pragma("page_size")
        return SQLiteMeasure(
            bytes=pages * size,
            free_bytes=free * size,
            pages=pages,
            free_pages=free,
            page_size=size,
            file_bytes=_size(self.path),
            wal_bytes=_size(f"{self.path}-wal"),
        )

    def interrupt(self) -> None:
        """Stop the statement that runs now; does nothing when none runs or the connection is closed."""
        with self._closing:
            if self._open:
                self._connection.interrupt()

    def _closed(self) -> None:
        # an interrupt from another thread must not meet a connection that is just being freed
        with self._closing:
            self._open = False

    def _stop_wanted(self) -> int:
        """Tell SQLite whether to abort; an interrupt that comes between two statements goes nowhere, this does not."""
        try:
            self.context.check_cancelled()
        except Exception as told:
            # raised through SQLite it would be lost: it is kept, and raised where the statement was asked for
            self._told = told
            return 1
        return 0

    def _explained(self, error: sqlite3.Error) -> Exception:
        told, self._told = self._told, None
        code = code_of(error)
        if code == sqlite3.SQLITE_INTERRUPT and told is not None:
            return told
        if code in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY):
            # whoever was told to stop while waiting for a lock is to stop, not to try again
            try:
                self.context.check_cancelled()
            except PitstopError as stop:
                return stop
        return explained(error, path=self.path, waited=self.BUSY_SECONDS)


def _path(url: str) -> str:
    path = parse(url).path
    if path is None:
        raise InvalidJobError(reason=f"{url!r} is not a SQLite database", hint="give a path or a sqlite:/// URL")
    return absolute_path(path)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0  # there is no write-ahead log
