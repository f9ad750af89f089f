"""`SQLiteDatabase`: a connection of a job's own to one file. Owns opening, cancelling and measuring; does nothing."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import chain, repeat
from typing import Any, ClassVar, Literal, Self

from attrs import frozen

from pitstop.contracts import JobContext
from pitstop.errors import InvalidJobError, InvalidValueError, OperationError, PitstopError
from pitstop_database_maintenance.database import Measure
from pitstop_database_maintenance.sqlite import known
from pitstop_database_maintenance.sqlite.check import check_file
from pitstop_database_maintenance.sqlite.errors import (
    MissingFeature,
    SQLiteFailure,
    code_of,
    damaged,
    explained,
    what_it_tells,
)
from pitstop_database_maintenance.sqlite.inspected import Inspected
from pitstop_database_maintenance.sqlite.leftovers import sweep
from pitstop_database_maintenance.sqlite.on_connect import NOTHING, Setup
from pitstop_database_maintenance.sqlite.options import KNOWN, Options
from pitstop_database_maintenance.sqlite.stalls import Stalls
from pitstop_database_maintenance.sqlite.uri import connection_uri
from pitstop_database_maintenance.urls import absolute_path, file_identity, parse

#: How many pages are copied at a stretch: some milliseconds, in which nobody can stop it.
_PAGES = 2000
#: How long it sleeps between two tries for a lock, in seconds, the last again and again: as SQLite does (main.c,
#: sqliteDefaultBusyCallback), but here a job that is told to stop meanwhile stops.
_SLEEPS = tuple(ms / 1000 for ms in (1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100))
#: How often `SQLiteDatabase.first` is asked before it gives up: it may be once before, and once within, the first step.
_ASKED = 3


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


class SQLiteDatabase(Inspected):
    """One connection to one file, in autocommit: what an operation does not put into a transaction is its own.

    Attributes:
        path: the file, absolute.
        context: the job's.
        known_sound: set by an operation that has found, or made, the file sound in its structure.
        looked: how many seconds it took to find that; see `soundness`.
        waited: how many seconds went to waiting for locks of others.
        stalls: for how long writers and readers were kept waiting; see `transaction` and `blocking`.
        handles: how many handles on the file this job keeps, between two statements.
        setup: what the application registers on each connection to the file.
    """

    options: ClassVar[Mapping[str, str]] = KNOWN
    example: ClassVar[str] = "app.db"
    #: How long a lock of somebody else is waited for, in seconds: Python's own default for a connection. It is waited
    #: here and not within SQLite, where nothing could end it, and nothing would tell how long it took.
    BUSY_SECONDS: ClassVar[float] = 5.0
    #: How often, in instructions of SQLite's virtual machine, it is asked whether to go on. 50 000 take about a
    #: millisecond, in which asking costs nothing that can be measured.
    STEPS: ClassVar[int] = 50_000

    def __init__(self, path: str, connection: sqlite3.Connection, context: JobContext, setup: Setup = NOTHING) -> None:
        """Take over an open connection; see `connect`."""
        self.path = path
        self.context = context
        self.known_sound = False
        self.looked = 0.0
        self.waited = 0.0
        self.stalls = Stalls()
        self.setup = setup
        self._connection = connection
        self._told: Exception | None = None
        self._open = True
        self._second: SQLiteDatabase | None = None
        self._patient = True
        self._unstoppable = False
        self.handles = 1
        self._keeper = ExitStack()
        self._closing = threading.Lock()

    @classmethod
    def check(cls, url: str, **options: Any) -> None:
        """Refuse a file that is missing, unfit or damaged. A lock that somebody holds now is no reason.

        What `on_connect` names is not imported: the process that checks need not be the one that runs the job.

        Raises:
            InputError: what is wrong with it or with an option, and the next step.
        """
        check_file(_path(url), force=Options.of(options).force)

    @classmethod
    def resource(cls, url: str) -> str:
        """Return "sqlite:" and which file it is: two spellings of one file, or links to it, are one resource."""
        parsed = parse(url)
        return f"sqlite:{parsed.path if parsed.has_variables else file_identity(_path(url))}"

    @classmethod
    @contextmanager
    def connect(cls, url: str, context: JobContext, **options: Any) -> Iterator[Self]:
        """Open the file, which must be there, and close it on leaving.

        Args:
            url: a path or a `sqlite:///` URL.
            context: is asked, while a statement runs, whether the job must stop.
            options: those of `options`.

        Raises:
            OperationError: it cannot be opened, or the application's `on_connect` failed.
        """
        path = _path(url)
        setup = Setup.of(Options.of(options).on_connect)
        sweep(path, fresh=False)
        with ExitStack() as stack:
            keeper = stack.enter_context(ExitStack())
            has_log = bool(_size(f"{path}-wal"))
            if has_log:
                keeper.enter_context(closing(_log_keeper(path, cls.BUSY_SECONDS)))
            connection = stack.enter_context(closing(_opened(path, "rw", 0)))
            setup.apply(connection)
            database = stack.enter_context(cls(path, connection, context, setup)._used())
            database._keeper, database.handles = keeper, 1 + has_log
            stack.callback(database.disconnect)  # whichever connection it has by then
            database.execute(f"PRAGMA trusted_schema = {setup.trust}")
            yield database
            database.require_no_transaction()
            database.release_log()
        if database.known_sound:
            known.remember(path)

    @contextmanager
    def second(self, mode: Literal["ro", "rw"], *, path: str = "") -> Iterator[SQLiteDatabase]:
        """Open a second connection to the file, to look with; what stops this one's statements stops its too.

        Args:
            mode: "ro" or "rw".
            path: another file instead, such as a copy of this one.

        Raises:
            OperationError: it cannot be opened.
        """
        path = path or self.path
        with ExitStack() as stack:
            connection = stack.enter_context(closing(_opened(path, mode, 0)))
            self.setup.apply(connection)
            second = stack.enter_context(SQLiteDatabase(path, connection, self.context, self.setup)._used())
            second.limits = self.limits
            second.stalls = self.stalls
            second._unstoppable = self._unstoppable
            self._second = second
            try:
                yield second
            finally:
                self._second = None
                self.waited += second.waited

    @contextmanager
    def scratch(self) -> Iterator[SQLiteDatabase]:
        """Open an empty database in memory that knows what this connection knows, to try statements on.

        Raises:
            OperationError: the application's `on_connect` failed.
        """
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            self.setup.apply(connection)
            with SQLiteDatabase(self.path, connection, self.context, self.setup)._used() as scratch:
                scratch.execute(f"PRAGMA trusted_schema = {self.setup.trust}")
                yield scratch

    def release_log(self) -> None:
        """From now on let whoever closes the last connection move the write-ahead log into the file, as usual.

        For an operation that has found the file sound, and needs to be the only one who has it open.
        """
        self._keeper.close()
        self.handles = 1

    def disconnect(self) -> None:
        """Close the connection, but not the job with the file; `reconnect` goes on. Does nothing a second time."""
        with self._closing:
            was_open, self._open = self._open, False
        if was_open:
            self._forget_interrupt()
        self._connection.close()

    def _forget_interrupt(self) -> None:
        """Have an interrupt that came after the last statement forgotten, as SQLite does when the next one begins.

        Else it would stop the checkpoint at closing, and the write-ahead log would stay beside the file.
        """
        self._connection.set_progress_handler(None, 0)
        with suppress(sqlite3.Error):
            self._connection.execute("SELECT 1").fetchall()

    def reconnect(self) -> None:
        """Open a connection to the file that has the database's name now, which may be another one than before.

        Raises:
            OperationError: it cannot be opened.
        """
        connection = _opened(self.path, "rw", 0)
        self.setup.apply(connection)
        connection.set_progress_handler(self._stop_wanted, self.STEPS)
        with self._closing:
            self._connection, self._open = connection, True
        self.execute(f"PRAGMA trusted_schema = {self.setup.trust}")

    def copy(self, path: str, *, told: Callable[[int, int], object]) -> None:
        """Copy the database, page by page, into an empty file; within a transaction all of it as of one moment.

        The copy is complete and has not reached the disk yet: whoever believes in it syncs it first.

        Args:
            path: the file, which nobody else uses.
            told: is called with the pages copied and all pages, some hundred times a second; what it raises ends it.

        Raises:
            OperationError: it failed.
        """
        with self._telling(), closing(_opened(path, "rw", self.BUSY_SECONDS)) as target:
            target.execute("PRAGMA synchronous = OFF")
            self._connection.backup(target, pages=_PAGES, progress=lambda _, left, all_: told(all_ - left, all_))

    def stand_in(self, missing: MissingFeature) -> None:
        """Register an empty function or collation, so that a statement that does not run it can be compiled.

        Not on the connection that does the work: an index that is built with it would be wrong.
        """
        if missing.kind == "collation":
            self._connection.create_collation(missing.name, lambda one, other: (one > other) - (one < other))
        else:
            self._connection.create_function(missing.name, -1, lambda *_: None, deterministic=True)

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

    def clock(self) -> float:
        """Return a time in seconds that never goes back, and stands still while somebody else's lock is waited for."""
        return time.monotonic() - self.waited

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Have statements within wait for no lock, for who decides by itself when to try again."""
        before, self._patient = self._patient, False
        try:
            yield
        finally:
            self._patient = before

    def go_on_to_the_end(self) -> None:
        """From now on let nothing stop the operation: what cannot be undone is done, and is to be told as it is."""
        self._unstoppable = True

    def check_stop(self) -> None:
        """As `Database.check_stop`, until `go_on_to_the_end`."""
        if not self._unstoppable:
            super().check_stop()

    def was_told_to_stop(self) -> bool:
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
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises:
            JobCancelledError, DeadlineExceededError: the job was told to stop while it ran.
            TransientError: somebody else held a lock for longer than `BUSY_SECONDS`.
            OperationError: it failed; see `pitstop_database_maintenance.sqlite.errors`.
        """
        with self._telling():
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except sqlite3.OperationalError as error:
                if not self._patient or code_of(error) != sqlite3.SQLITE_BUSY:
                    raise
            return self._when_free(sql, parameters)

    def _when_free(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement that met a lock of somebody else, as soon as that is gone; raise if it takes too long."""
        began, waited = time.monotonic(), 0.0
        try:
            for sleep in chain(_SLEEPS, repeat(_SLEEPS[-1])):
                self.check_stop()
                time.sleep(sleep)
                try:
                    waited = time.monotonic() - began
                    return self._connection.execute(sql, parameters).fetchall()
                except sqlite3.OperationalError as error:
                    if code_of(error) != sqlite3.SQLITE_BUSY or waited >= self.BUSY_SECONDS:
                        raise
        finally:
            self.waited += waited
        raise AssertionError("the sleeps never end")

    def first(self, sql: str, *, steps: int) -> str | None:
        """Return the first thing that a statement says; None if it says nothing in more than twice so many steps.

        Raises:
            JobCancelledError, DeadlineExceededError, TransientError, OperationError: as `execute`.
        """
        asked = 0

        def enough() -> int:
            nonlocal asked
            asked += 1
            return int(asked > _ASKED) or self._stop_wanted()

        self._connection.set_progress_handler(enough, steps)
        try:
            return str(self.execute(sql)[0][0])
        except SQLiteFailure as failure:
            if failure.code == sqlite3.SQLITE_INTERRUPT and asked > _ASKED:
                return None
            raise
        finally:
            self._connection.set_progress_handler(self._stop_wanted, self.STEPS)

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
        if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
            raise InvalidValueError(where="sqlite", name="identifier", problem=f"{name!r} holds half of a character")
        return '"' + name.replace('"', '""') + '"'

    def measure(self) -> SQLiteMeasure:
        """Return how big the database is: by its own count of pages, and on disk.

        Raises:
            SQLiteFailure: its counts contradict each other.
        """
        pages, free, size = self.pragma("page_count"), self.pragma("freelist_count"), self.pragma("page_size")
        if not 0 <= free < max(pages, 1):
            raise damaged(self.path, f"its header counts {free} free pages of {pages}")
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
            if self._open and not self._unstoppable:
                self._connection.interrupt()
        second = self._second
        if second is not None:
            second.interrupt()

    @contextmanager
    def _used(self) -> Iterator[Self]:
        self._connection.set_progress_handler(self._stop_wanted, self.STEPS)
        try:
            yield self
        finally:
            # an interrupt from another thread must not meet a connection that is just being freed
            with self._closing:
                self._open = False

    def _stop_wanted(self) -> int:
        """Tell SQLite whether to abort; an interrupt that comes between two statements goes nowhere, this does not."""
        try:
            self.check_stop()
        except Exception as told:
            # raised through SQLite it would be lost: it is kept, and raised where the statement was asked for
            self._told = told
            return 1
        return 0

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn what Python's library raises within into what an operator can read."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._explained(error) from error
        except UnicodeEncodeError as error:
            reason = f"a text that was given to {self.path} holds half of a character, which UTF-8 has not"
            raise OperationError(reason=reason, hint="give another one") from error
        except (UnicodeDecodeError, MemoryError) as error:
            raise damaged(self.path, what_it_tells(error)) from error

    def _explained(self, error: sqlite3.Error) -> Exception:
        told, self._told = self._told, None
        code = code_of(error)
        if code == sqlite3.SQLITE_INTERRUPT and told is not None:
            return told
        if code in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY):
            # whoever was told to stop while waiting for a lock is to stop, not to try again
            try:
                self.check_stop()
            except PitstopError as stop:
                return stop
        return explained(error, path=self.path, waited=self.BUSY_SECONDS)


def _path(url: str) -> str:
    path = parse(url).path
    if path is None:
        raise InvalidJobError(reason=f"{url!r} is not a SQLite database", hint="give a path or a sqlite:/// URL")
    return absolute_path(path)


def _opened(path: str, mode: Literal["ro", "rw"], seconds: float) -> sqlite3.Connection:
    uri = connection_uri(path, mode=mode)
    try:
        # autocommit: Python begins no transaction of its own, in which VACUUM would be refused
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=seconds)
    except sqlite3.Error as error:
        raise explained(error, path=path, waited=seconds) from error


def _log_keeper(path: str, seconds: float) -> sqlite3.Connection:
    """Return a connection that, while it is open, keeps the write-ahead log from being moved into the file.

    The last connection to close moves it, if it may write. After a failure this one is the last, and it may not: the
    file and its log stay as they were.
    """
    connection = _opened(path, "ro", seconds)
    # whatever fails here, the connection that is to work meets it too, and tells it
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA schema_version").fetchall()  # only now is the log open
    return connection


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0  # there is no write-ahead log
