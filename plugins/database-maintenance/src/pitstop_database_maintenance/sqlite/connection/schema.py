"""What a SQLite database holds: its tables, indexes and statistics, always of the main schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from attrs import frozen

from pitstop.errors import InvalidValueError, UnknownNameError
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, damage_error

T = TypeVar("T")
Statistics = frozenset[tuple[object, object, object]]


@frozen(kw_only=True)
class Index:
    """An index: its name and its table's. Automatic ones (of UNIQUE and PRIMARY KEY) are indexes like any other."""

    name: str
    table: str


def indexes(db: SQLiteConnection) -> list[Index]:
    """Return all indexes, in the order in which they were made."""
    rows = db.execute("SELECT name, tbl_name FROM main.sqlite_master WHERE type = 'index' ORDER BY rowid")
    return [Index(name=_name(db, name), table=_name(db, table)) for name, table in rows]


def tables(db: SQLiteConnection) -> list[str]:
    """Return the tables that statistics can describe: those with pages of their own, and not SQLite's."""
    # not LIKE 'sqlite_%': in LIKE the underscore stands for any character
    rows = db.execute(
        "SELECT name FROM main.sqlite_master"
        " WHERE type = 'table' AND rootpage > 0 AND substr(name, 1, 7) <> 'sqlite_' ORDER BY rowid"
    )
    return [_name(db, name) for (name,) in rows]


def choose(
    known: Mapping[str, T], names: list[str] | None, *, kind: str, operation: str, parameter: str = "tables"
) -> list[T]:
    """Return what is asked for by name, each once; SQLite does not tell upper from lower case in names.

    Args:
        known: what there is, by name.
        names: what was asked for; None for all.
        kind: what it is, such as "table".
        operation, parameter: what asks for it.

    Raises:
        InvalidValueError: the list is empty.
        UnknownNameError: there is nothing of such a name.
    """
    if names is None:
        return list(known.values())
    if not names:
        problem = "is empty; name at least one, or leave it out for all"
        raise InvalidValueError(where=operation, name=parameter, problem=problem)
    folded = {name.lower(): thing for name, thing in known.items()}
    for name in names:
        if name.lower() not in folded:
            raise UnknownNameError(kind=kind, name=name, known=tuple(known))
    return list(dict.fromkeys(folded[name.lower()] for name in names))


def statistics(db: SQLiteConnection) -> Statistics:
    """Return what the query planner is told of the data: (table, index or None, figures)."""
    if not has_table(db, "sqlite_stat1"):
        return frozenset()
    return frozenset(db.execute("SELECT tbl, idx, stat FROM main.sqlite_stat1"))


def has_table(db: SQLiteConnection, name: str) -> bool:
    """Return whether there is a table of this name."""
    return bool(db.execute("SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?", (name,)))


def has_rows(db: SQLiteConnection, table: str) -> bool:
    """Return whether there is a table of this name with at least one row."""
    return has_table(db, table) and bool(db.execute(f"SELECT 1 FROM main.{db.quote(table)} LIMIT 1"))  # noqa: S608 - quoted


def count_rows(db: SQLiteConnection, table: str) -> int | None:
    """Return how many rows a table has; None if nothing can be asked of it without what only the application has."""
    for way in ("", " NOT INDEXED"):
        try:
            return int(db.execute(f"SELECT count(*) FROM main.{db.quote(table)}{way}")[0][0])  # noqa: S608 - quoted
        except MissingFeature:
            continue
    return None


def count_analyzed(rows: Statistics) -> tuple[int, int]:
    """Return how many tables and how many indexes have statistics."""
    return len({table for table, _, _ in rows}), len({(table, index) for table, index, _ in rows if index})


def _name(db: SQLiteConnection, value: object) -> str:
    # The column is declared as text, which SQLite only minds when it writes, and no statement can name a NUL.
    if not isinstance(value, str) or "\0" in value:
        raise damage_error(db.path, f"its schema has {value!r} for a name")
    return value
