"""Temporary SQLite databases, with rows, indexes and bloat. Needs no pytest, for scripts that try something out."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pitstop_database_maintenance.testing.operation.awkward_names import AWKWARD_NAMES, CANARY

if TYPE_CHECKING:
    from pitstop.contracts import JobContext
    from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

_AUTO_VACUUM: Final = {"none": 0, "full": 1, "incremental": 2}
_SCHEMA: Final = (
    "CREATE TABLE kind (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE event (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL REFERENCES kind, at REAL NOT NULL,"
    " payload TEXT NOT NULL)",
    "CREATE INDEX event_by_kind ON event (kind)",
    "CREATE INDEX event_by_payload ON event (payload)",
    f"CREATE TABLE {CANARY} (id INTEGER PRIMARY KEY, said TEXT)",
    f"INSERT INTO {CANARY} VALUES (1, 'still here')",  # noqa: S608 - no name of a user's
    "INSERT INTO kind VALUES (0, 'start'), (1, 'stop'), (2, 'pit stop')",
)
_ROWS: Final = """
WITH RECURSIVE n (i) AS (SELECT 1 WHERE :rows > 0 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO event SELECT i, i % 3, 1e9 + i, printf('%08d-%040d', i * 7919 % 100003, i) FROM n
"""


def make_database(
    path: str | os.PathLike[str],
    *,
    rows: int = 1000,
    free: float = 0.3,
    journal_mode: Literal["delete", "wal"] = "delete",
    page_size: int = 4096,
    auto_vacuum: Literal["none", "full", "incremental"] = "none",
    awkward: bool = False,
) -> Path:
    """Make a SQLite database, and return its path. Nobody has it open, and nothing lies beside it.

    It has the tables `event` (`id`, `kind`, `at`, `payload`) with two indexes and a foreign key, `kind` with an index
    that SQLite made itself, and `x`, which nobody should ever touch. The same arguments give the same rows.

    Args:
        path: a file that is not there yet.
        rows: how many rows `event` has.
        free: which share of the file's pages is free, from 0 to less than 1.
        journal_mode: "delete" for a rollback journal, "wal" for a write-ahead log.
        page_size: in bytes, a power of two from 512 to 65536.
        auto_vacuum: what SQLite does with free pages.
        awkward: add a table for each of `AWKWARD_NAMES`, as `add_awkward_tables`.

    Raises:
        FileExistsError: there is such a file.
        ValueError: `rows` or `free` is out of its bounds.
    """
    path = Path(path)
    if os.path.lexists(path):
        raise FileExistsError(f"{path} is there already; give the path of a file to be made")
    if rows < 0 or not 0 <= free < 1:
        raise ValueError(f"rows must be 0 or more and free from 0 to less than 1, got {rows} and {free}")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {int(page_size)}")
        connection.execute(f"PRAGMA auto_vacuum = {_AUTO_VACUUM[auto_vacuum]}")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute(_ROWS, {"rows": rows})
        if awkward:
            _add_tables(connection, AWKWARD_NAMES)
        connection.execute("COMMIT")
        _free_pages(connection, free, full=auto_vacuum == "full")
        connection.execute(f"PRAGMA journal_mode = {journal_mode}").fetchall()
    return path


def add_awkward_tables(path: str | os.PathLike[str], names: Sequence[str] = AWKWARD_NAMES) -> None:
    """Add to a SQLite database a table for each name, with a column of that name, two rows, and an index.

    The index has the table's name and " index" behind it, because no index can be called as a table is. A foreign key
    refers to the table itself.

    Args:
        path: the database.
        names: of the tables.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        _add_tables(connection, names)
        connection.execute("COMMIT")


def index_name(name: str) -> str:
    """Return what the index on an awkward table is called."""
    return f"{name} index"


@contextmanager
def open_sqlite(path: str | os.PathLike[str], context: JobContext | None = None) -> Iterator[SQLiteDatabase]:
    """Open a database as the worker opens it for an operation, and close it on leaving.

        with open_sqlite("app.db") as db:
            my_operation(db, table="event")

    Args:
        path: the database.
        context: the job's; a `pitstop.testing.FakeContext` if not given, which is then `db.context`.

    Raises:
        OperationError: it cannot be opened.
    """
    from pitstop.testing import FakeContext
    from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

    context = FakeContext() if context is None else context
    with SQLiteDatabase.connect(os.fspath(path), context) as database, context.on_cancel(database.interrupt):
        yield database


def quote(name: str) -> str:
    """Return a name as SQLite reads it. Not `SQLiteDatabase.quote`: that is what is being tested."""
    return '"' + name.replace('"', '""') + '"'


def _add_tables(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    for name in names:
        table, index = quote(name), quote(index_name(name))
        columns = f"id INTEGER PRIMARY KEY, {table} TEXT, parent INTEGER REFERENCES {table} (id)"
        connection.execute(f"CREATE TABLE {table} ({columns})")
        connection.execute(f"CREATE INDEX {index} ON {table} ({table})")
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", [(1, name, 2), (2, "two", 1)])  # noqa: S608 - quoted


def _free_pages(connection: sqlite3.Connection, share: float, *, full: bool) -> None:
    """Have this share of the pages free, by writing and deleting so many at the end."""
    [(used,)], [(size,)] = (connection.execute(f"PRAGMA {name}").fetchall() for name in ("page_count", "page_size"))
    pages = round(used * share / (1 - share))
    if not pages or full:  # in full mode none stays free
        return
    connection.execute("CREATE TABLE bloat (filling BLOB)")
    # the table's own page, and a chain of overflow pages, which hold a few bytes less than a page each
    connection.execute("INSERT INTO bloat VALUES (zeroblob(?))", (max(1, pages - 1) * (size - 4),))
    connection.execute("DROP TABLE bloat")
