"""The history's file: where it is, how it is opened, its tables, one statement or transaction at a time.

Owns a small SQLite file in the user's state folder, which nothing depends on: if it is lost, predictions are less good,
and everything is looked at again. So it is never the reason why anything else fails: one that is damaged is set aside
and started again, one that cannot be used now is done without, and both are told once. What is in it is `store`'s
business.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from platformdirs import user_state_path

from pitstop.logs import warn
from pitstop.text.escaping import one_line
from pitstop_database_maintenance.history.unusable_file import identify, looks_like, require_trusted, set_aside

#: Names the file; child processes get it too.
VARIABLE: Final = "PITSTOP_HISTORY"
#: Keeps nothing.
IN_MEMORY: Final = ":memory:"
#: What tells the file from every other: "PITH" (sqlite.org/pragma.html#pragma_application_id).
APPLICATION: Final = 0x50495448
#: Of the tables. Raised when an earlier version could no longer read or write them; then that one leaves them alone.
_FORM: Final = 1
#: How long another process's write is waited for, in seconds; and once that was in vain.
_PATIENCE: Final = 5.0
_NO_PATIENCE: Final = 0.05
#: No text is longer: the map of a large file's pages has some 50 kB.
_LONGEST: Final = 64 * 2**20
#: What SQLite answers when the file is not as it wrote it, or has not our tables; sqlite.org/rescode.html.
_DAMAGED: Final = frozenset(
    {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG}
)
#: What is raised of a file. Python cannot decode what SQLite says of a schema with bytes in it that are no UTF-8.
_ERRORS: Final = (sqlite3.DatabaseError, UnicodeDecodeError)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS step (
    id INTEGER PRIMARY KEY, database TEXT NOT NULL, operation TEXT NOT NULL, at REAL NOT NULL, seconds REAL,
    bytes INTEGER, outcome TEXT NOT NULL, summary TEXT NOT NULL, run TEXT NOT NULL, predicted TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS step_by_database ON step (database, operation, id);
CREATE INDEX IF NOT EXISTS step_by_operation ON step (operation, id);
CREATE TABLE IF NOT EXISTS checked (
    database TEXT NOT NULL, object TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, seconds REAL NOT NULL,
    problems INTEGER NOT NULL, state TEXT NOT NULL DEFAULT '{}', findings TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (database, object, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (
    id INTEGER PRIMARY KEY, database TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS kept_by_database ON kept (database, kind, id);
CREATE TABLE IF NOT EXISTS remainder (
    database TEXT NOT NULL, operation TEXT NOT NULL, at REAL NOT NULL, reason TEXT NOT NULL, parameters TEXT NOT NULL,
    asked TEXT NOT NULL DEFAULT 'null', PRIMARY KEY (database, operation)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
    database TEXT PRIMARY KEY, state TEXT NOT NULL, policy TEXT NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
"""
#: Columns that earlier versions did not have, with their defaults: whether somebody had asked for what was left; of
#: which file a check was, and what it found.
_NEWER: Final = {"remainder": {"asked": "null"}, "checked": {"state": "{}", "findings": "[]"}}
#: What a history holds, each as `sqlite_master` names it.
_OWN: Final = frozenset(
    (statement.split()[1].lower(), statement.split()[5]) for statement in _SCHEMA.split(";") if statement.strip()
)


class NotAHistoryError(sqlite3.DatabaseError):
    """The file is another application's, or a later version's. It is left as it is."""


class ForeignTablesError(sqlite3.DatabaseError):
    """The file says that it is a history, and holds what none does, such as a trigger that runs at each write."""


def history_path() -> Path:
    """Return where the history is: `PITSTOP_HISTORY`, or a file in the user's state folder."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else _usual_path(os.environ.get("XDG_STATE_HOME"), os.environ.get("HOME"))


@lru_cache(maxsize=1)
def _usual_path(*_: str | None) -> Path:
    return user_state_path("pitstop", appauthor=False) / "maintenance.db"


class HistoryFile:
    """The file, open. Safe to use from several threads and processes.

    Args:
        path: the file; by default as `history_path` says. ":memory:" keeps nothing.
        tell: is called with what is wrong with the file, once for each thing; by default `pitstop.logs.warn`.

    Raises:
        OSError, sqlite3.Error: it cannot be opened or made, or is none.
    """

    def __init__(self, path: Path | str | None = None, *, tell: Callable[[str], object] = warn) -> None:
        target = history_path() if path is None else path
        self.path: Path | None = None if str(target) == IN_MEMORY else Path(target)
        self._tell = tell
        self._told: set[str] = set()
        # reentrant: what is wrong with a row is found, and mended, while others are read
        self._lock = threading.RLock()
        self._identity: tuple[int, int] | None = None
        self._connection = self._open()

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a statement; none if the file cannot be read."""
        with self._lock:
            try:
                return self._connection.execute(sql, storable(parameters)).fetchall()
            except _ERRORS as error:
                self._recover(error)
                return []

    def write(self, *statements: tuple[str, Iterable[Sequence[Any]]]) -> None:
        """Carry out statements, each once for each of its rows, in one transaction; none if that cannot be done."""
        # made first: a value that SQLite cannot store is the caller's mistake, and no fault of the file
        prepared = [(sql, [storable(row) for row in rows]) for sql, rows in statements]
        with self._lock:
            for _ in range(2):  # once more in the new one, if a damaged file was set aside
                try:
                    with self._transaction() as connection:
                        for sql, rows in prepared:
                            connection.executemany(sql, rows)
                    return
                except _ERRORS as error:
                    if not self._recover(error):
                        return

    def remove(self, find: Callable[[], Sequence[tuple[str, Sequence[Sequence[Any]]]]]) -> None:
        """Remove rows that make no sense, and tell of it; if the file is damaged, set it aside instead.

        Args:
            find: returns statements that remove rows, and of which rows, as for `write`.
        """
        with self._lock:
            damage = self._damage()
            if damage is not None:
                self._recover(damage, damaged=True)
                return
            before = self._identity
            self.write(*find())
            if self._identity == before:  # and not set aside meanwhile
                self.tell_once(
                    f"rows of the history of past runs ({self._name}) hold what Pitstop does not write; they are left"
                    " out, and removed"
                )

    def _damage(self) -> sqlite3.DatabaseError | UnicodeDecodeError | None:
        try:
            found = self._connection.execute("PRAGMA integrity_check(1)").fetchall()
        except _ERRORS as error:
            return error
        return None if found == [("ok",)] else sqlite3.DatabaseError(str(found[0][0]))

    def refresh(self) -> None:
        """Go on with the file that is at the path now, if that is another one than was opened.

        Raises:
            OSError, sqlite3.Error: it cannot be opened or made; the one that was opened stays open.
        """
        with self._lock:
            if self._is_replaced():
                before, self._connection = self._connection, self._open()
                before.close()

    def tell_once(self, text: str) -> None:
        """Tell what is wrong with the file, unless that has been told."""
        if text not in self._told:
            self._told.add(text)
            self._tell(text)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    # -- opening ------------------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        if self.path is None:
            return self._connect(IN_MEMORY)
        require_trusted(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(self.path)
        self._identity = identify(self.path)
        try:
            return self._connect(self.path)
        except _ERRORS as error:
            if is_damage(error) and looks_like(self.path, APPLICATION, usual=VARIABLE not in os.environ):
                self._set_aside(error)
            elif not self._is_replaced():
                raise
        return self._open_new()

    def _is_replaced(self) -> bool:
        """Return whether the path names another file than was opened: another process has set that one aside."""
        return self.path is not None and identify(self.path) != self._identity

    def _open_new(self) -> sqlite3.Connection:
        """Open what is there after a damaged file was set aside: nothing, or what another process has begun."""
        assert self.path is not None
        _make(self.path)
        self._identity = identify(self.path)
        return self._connect(self.path)

    def _connect(self, target: Path | str) -> sqlite3.Connection:
        connection = sqlite3.connect(target, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            connection.text_factory = _text
            if hasattr(
                connection, "setlimit"
            ):  # Python's own has it from 3.11 on; another library in its place may not
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            # the last runs may go with the power; they are hints, and a sync would cost more than a small step
            connection.execute("PRAGMA synchronous = NORMAL")
            if not _is_complete(connection):
                _complete(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _recover(self, error: sqlite3.DatabaseError | UnicodeDecodeError, *, damaged: bool = False) -> bool:
        """Do what can be done about an error of the file, and tell of it. Returns whether to try once more.

        Args:
            error: what SQLite says.
            damaged: whether that is known to be damage.

        Raises:
            sqlite3.DatabaseError: it is no error of the file, but a mistake in how it is used.
        """
        if isinstance(error, (sqlite3.ProgrammingError, sqlite3.IntegrityError)) or self.path is None:
            raise error
        if not (damaged or is_damage(error)):
            if self._is_replaced():  # and while its log was moved, anything may have been said of it
                with suppress(OSError, sqlite3.Error):
                    self.refresh()
                    return True
            with suppress(sqlite3.Error):
                self._connection.execute(f"PRAGMA busy_timeout = {int(_NO_PATIENCE * 1000)}")
            self.tell_once(f"the history of past runs ({self._name}) is done without for now: {error}")
            return False
        try:
            self._connection.close()
            self._set_aside(error)
            self._connection = self._open_new()
        except (OSError, sqlite3.Error) as problem:
            self._connection = self._connect(IN_MEMORY)
            self.tell_once(f"the history of past runs ({self._name}) is done without: {error}; {problem}")
            return False
        return True

    def _set_aside(self, error: sqlite3.DatabaseError | UnicodeDecodeError) -> None:
        assert self.path is not None
        why = "a text in it is no UTF-8" if isinstance(error, UnicodeDecodeError) else one_line(str(error))
        name = set_aside(self.path, self._identity)
        if name is not None:
            self.tell_once(
                f"the history of past runs was damaged ({why}); it is set aside as {one_line(str(name))}, and a new"
                " one is begun"
            )

    @property
    def _name(self) -> str:
        return one_line(str(self.path))


def _make(path: Path) -> None:
    """Make an empty file if there is none, for its owner only: kept statistics may hold values of indexed columns."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def is_damage(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Return whether an error says that the file is not as it should be, and not that it cannot be used just now."""
    if isinstance(error, UnicodeDecodeError):
        return True
    if isinstance(error, NotAHistoryError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, ForeignTablesError) or (code is not None and code & 0xFF in _DAMAGED)


def storable(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values as SQLite takes them."""
    # a file's name may hold bytes that are no UTF-8, which no database takes
    return tuple(
        value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) and not value.isascii() else value
        for value in values
    )


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "backslashreplace")


def _is_complete(connection: sqlite3.Connection) -> bool:
    """Return whether a file is a history with all its tables. Writes nothing, so that a locked one can be read.

    Raises:
        NotAHistoryError: it is the database of another application, or of a later version.
        ForeignTablesError: it holds what no history does.
    """
    [(application,)] = connection.execute("PRAGMA application_id")
    [(form,)] = connection.execute("PRAGMA user_version")
    found = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    there = {(kind, name) for kind, name, _ in found}
    if application != APPLICATION and there >= _OWN:
        raise ForeignTablesError("its header says that it is another application's, and its tables say that it is not")
    if application != APPLICATION and found:
        raise NotAHistoryError(f"it is a SQLite database of another application; name another file by {VARIABLE}")
    if application == APPLICATION and not 0 <= form <= _FORM:
        raise NotAHistoryError(
            f"a later version of Pitstop has written it (form {form}, and this one knows {_FORM}); update Pitstop, or"
            f" name another file by {VARIABLE}"
        )
    for kind, name, sql in found:
        # an index of SQLite's own has no text; statistics come from somebody's ANALYZE
        known = (kind, name) in _OWN or (kind in ("table", "index") and str(name).startswith("sqlite_"))
        if not known or "virtual" in str(sql)[:20].lower():
            raise ForeignTablesError(f"it holds the {one_line(str(kind))} {one_line(str(name), at_most=80)!r}")
    [(journal,)] = connection.execute("PRAGMA journal_mode")
    return application == APPLICATION and journal == "wal" and there >= _OWN and not _find_missing(connection)


def _complete(connection: sqlite3.Connection) -> None:
    """Make the tables that are not there, and bring those of an earlier version up to date."""
    settings = f"application_id = {APPLICATION}", f"user_version = {_FORM}", "journal_mode = WAL"
    connection.executescript("".join(f"PRAGMA {each};" for each in settings) + _SCHEMA)
    if not _find_missing(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        missing = _find_missing(connection)  # another process may have been first
        for table in dict.fromkeys(table for table, _ in missing):
            # an earlier version did not say all that must be known
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - one of ours
        for table, column in missing:
            default = _NEWER[table][column]
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT NOT NULL DEFAULT '{default}'")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _find_missing(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the columns that earlier versions did not have, and this file does not."""
    missing = []
    for table, columns in _NEWER.items():
        there = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        missing += [(table, column) for column in columns if column not in there]
    return missing
