"""One SQLite connection: opening the file safely, transactions, and errors in words. Knows no table.

A database file is never opened with a plain `open()` once a connection of this process may hold it: closing any handle
on a file drops all POSIX locks that the process has on it. So a new file is made with O_EXCL, which succeeds only while
nobody can hold it, and what is inside a file is read through SQLite.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import unquote

from pitstop.errors import StoreError
from pitstop.stores import schema

Row = tuple[Any, ...]
#: Seconds that a statement waits for another process's lock.
BUSY_TIMEOUT = 10.0
#: A file system with less room than this, in bytes, counts as full: SQLite's shared memory alone takes 32 kB.
FULL_BELOW = 65_536
#: How SQLite calls the two promises.
SYNCHRONOUS = {"full": "FULL", "process": "NORMAL"}
_RELAXED = "PRAGMA synchronous = NORMAL"

# From the creation of a file to the first connection on it, no other thread may connect: see above.
_opening = Lock()


class Connection:
    """A connection that many threads may use, one at a time.

    Args:
        path: the file; it and its folders are made if they do not exist.
        url: how errors call it.
        durability: "full" or "process".

    Raises:
        StoreError: the file cannot be used.
    """

    def __init__(self, path: Path, *, url: str, durability: str) -> None:
        schema.check_library(url)
        self._path = path
        self._url = url
        self._strict = f"PRAGMA synchronous = {SYNCHRONOUS[durability]}"
        self._lock = Lock()
        self._words = _InWords(url)
        self._raw: sqlite3.Connection | None = None
        with self._words, _opening:
            _make_file(path)
            self._check_header()
            self._raw = self._connect()

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Run one statement as a transaction of its own and return its rows."""
        with self._lock, self._words:
            return self._open.execute(sql, values).fetchall()

    def transaction(self) -> Transaction:
        """Return what holds the write lock in a `with`, and commits at its end or, after any error, rolls back."""
        return Transaction(self)

    def relaxed(self, sql: str, values: Sequence[object]) -> list[Row]:
        """Run one statement that may be lost with the power: the next full commit makes it durable too."""
        with self._lock, self._words:
            raw = self._open
            if self._strict == _RELAXED:
                return raw.execute(sql, values).fetchall()
            raw.execute(_RELAXED)  # it cannot be changed within a transaction
            try:
                return raw.execute(sql, values).fetchall()
            finally:
                raw.execute(self._strict)

    def close(self) -> None:
        """Close the connection; does nothing the second time."""
        with self._lock, self._words:
            raw, self._raw = self._raw, None
            if raw is not None:
                raw.close()

    @property
    def _open(self) -> sqlite3.Connection:
        if self._raw is None:
            raise StoreError(url=self._url, problem="it is closed", hint="open it again")
        return self._raw

    # -- opening ---------------------------------------------------------------------------------------------------

    def _check_header(self) -> None:
        """Refuse a foreign file before anything could change it: no lock, no WAL recovery, no journal."""
        if self._path.is_dir():
            raise StoreError(url=self._url, problem="it is a folder", hint="name a file in it")
        if not self._path.stat().st_size:
            return
        try:
            application = _application_id(self._path)
        except sqlite3.DatabaseError:
            # Perhaps another process is writing the tables at this moment, or died at it: then there is a journal,
            # and the lock decides. If there is none, that process has finished, or this is no database.
            if self._path.with_name(f"{self._path.name}-journal").exists():
                return
            application = _application_id(self._path)
        if application != schema.APPLICATION_ID:
            raise schema.foreign(self._url)

    def _connect(self) -> sqlite3.Connection:
        raw = sqlite3.connect(
            # without mode=rw SQLite would make a file that is missing, readable by everybody
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            schema.prepare(raw, self._url)
            self._use_wal(raw)
            raw.execute(self._strict)
        except BaseException:
            raw.close()
            raise
        return raw

    def _use_wal(self, raw: sqlite3.Connection) -> None:
        mode = raw.execute("PRAGMA journal_mode").fetchone()[0]
        # Another process that switches at this moment makes this fail at once, without waiting, so wait for it by a
        # lock; after that the file is in WAL mode, or free.
        for _ in range(10):
            if mode == "wal":
                return
            try:
                mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                if _name(error) != "SQLITE_BUSY":
                    raise
                raw.execute("BEGIN EXCLUSIVE")
                raw.execute("COMMIT")
        if mode != "wal":
            raise StoreError(
                url=self._url,
                problem=f"its file system gives no shared memory for a write-ahead log (journal mode {mode})",
                hint="keep the job store on a local disk",
            )


class Transaction:
    """A write transaction, and what may be done in it. It begins and ends with its `with` block.

    No generator stands behind it, because entering and leaving one costs a tenth of what a commit does.
    """

    __slots__ = ("_connection", "_raw")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._raw: sqlite3.Connection

    def __enter__(self) -> Transaction:
        connection = self._connection
        connection._lock.acquire()
        try:
            with connection._words:
                self._raw = connection._open
                self._raw.execute("BEGIN IMMEDIATE")
        except BaseException:
            connection._lock.release()
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        connection = self._connection
        try:
            with connection._words:
                try:
                    if error is None:
                        self._raw.execute("COMMIT")
                finally:
                    # SQLite has rolled back by itself after some errors, such as a full disk
                    if self._raw.in_transaction:
                        self._raw.execute("ROLLBACK")
                if error is not None:
                    raise error
        finally:
            connection._lock.release()

    def run(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        return self._raw.execute(sql, values).fetchall()

    def change(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        return self._raw.execute(sql, values).rowcount

    def run_each(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of values."""
        self._raw.executemany(sql, rows)


class _InWords:
    """Turns what SQLite, the system or the conversion of a value raises into a `StoreError`. Holds no state."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (sqlite3.Error, OSError, OverflowError, UnicodeEncodeError)):
            raise problem(self._url, error) from error


_PROBLEMS = (
    ("SQLITE_FULL", "the disk is full", "free some space; nothing was changed"),
    ("SQLITE_BUSY", f"another process has locked it for {BUSY_TIMEOUT:.0f} s", "find out who writes for so long"),
    ("SQLITE_LOCKED", "another connection has locked it", "try again"),
    ("SQLITE_NOTADB", "it is not a database", "name another file"),
    ("SQLITE_CORRUPT", "it is damaged", "restore a copy, or save what can be read with: sqlite3 FILE .recover"),
    ("SQLITE_READONLY", "it is read-only", "check who may write to the file and to its folder"),
    ("SQLITE_PERM", "it is not permitted to use it", "check who may write to the file and to its folder"),
    ("SQLITE_CANTOPEN", "it cannot be opened", "check the path, and who may write to the file and to its folder"),
    ("SQLITE_IOERR", "the disk cannot be read or written", "check the disk and the system's log"),
    ("SQLITE_CONSTRAINT_UNIQUE", "a job id or a resource is taken", "each job needs an id of its own"),
    ("SQLITE_CONSTRAINT", "a value is not allowed", ""),
    ("SQLITE_TOOBIG", "a value is too big", "keep large data in a file and store its name"),
    ("SQLITE_NOMEM", "there is not enough memory", ""),
    ("SQLITE_SCHEMA", "its tables were changed", "name another file, or restore a copy"),
)


def problem(url: str, error: Exception) -> StoreError:
    """Return in words what went wrong with a store.

    Args:
        url: the store.
        error: what SQLite, the system or the conversion of a value raised.
    """
    name = _name(error)
    # on a full disk SQLite cannot make what it needs to read, and says that the file is damaged
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_IOERR", "SQLITE_CANTOPEN")) and _is_full(url):
        name = "SQLITE_FULL"
    for prefix, words, hint in _PROBLEMS:
        if name.startswith(prefix):
            return StoreError(url=url, problem=f"{words} ({name}: {error})", hint=hint)
    if isinstance(error, OSError):
        return StoreError(url=url, problem=f"it cannot be opened ({error.strerror})", hint="check the path")
    if isinstance(error, OverflowError):
        return StoreError(url=url, problem=f"a number is too large to be stored ({error})")
    return StoreError(url=url, problem=f"{error} ({name or type(error).__name__})")


def _is_full(url: str) -> bool:
    folder = os.path.dirname(unquote(url.removeprefix("sqlite:///").partition("?")[0]))
    try:
        return shutil.disk_usage(folder or ".").free < FULL_BELOW
    except OSError:
        return False  # the folder is gone, which is another problem


def _name(error: Exception) -> str:
    # errors of the sqlite3 module itself have none
    return getattr(error, "sqlite_errorname", None) or ""


def _application_id(path: Path) -> int:
    # immutable: SQLite takes no lock and reads no journal
    header = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        application: int = header.execute("PRAGMA application_id").fetchone()[0]
        return application
    finally:
        header.close()


def _make_file(path: Path) -> None:
    """Make the file and its folders, for the owner alone, if it does not exist."""
    if path.exists():
        return
    _make_folder(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return  # another process was quicker, or it is a link to nowhere, which SQLite will say


def _make_folder(folder: Path) -> None:
    # makedirs would give its mode to the last folder only
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
