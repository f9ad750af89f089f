"""Which rows something refers to by a number that VACUUM may change. Owns finding them and comparing the numbers.

The rows of a table without an INTEGER PRIMARY KEY have numbers (rowids) that nobody declared, and "the VACUUM command
may change the ROWIDs" of these (sqlite.org/lang_vacuum.html): measured in 3.40.1, it numbers the rows of a table
without an index anew. An FTS index over such a table then finds other rows than it should, while
`PRAGMA integrity_check` says "ok". VACUUM INTO kept all numbers in that version (insert.c, DBFLAG_VacuumInto), which no
document promises: whoever relies on it compares them, with `hash_rowids`.
"""

from __future__ import annotations

import hashlib
import sqlite3

from attrs import frozen

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.opening import is_valid_utf8
from pitstop_database_maintenance.sqlite.surveyor.schema import sql_tokens


@frozen(kw_only=True)
class Reference:
    """Something that refers to the undeclared numbers of a table's rows.

    Args:
        table: the table.
        by: what refers to them, such as "FTS5 table 'search'".
    """

    table: str
    by: str


def find_references(db: SQLiteConnection) -> list[Reference]:
    """Return what refers to numbers that VACUUM may change, as far as the schema tells.

    That is FTS with external content, and views and triggers that name the number. What an application, or a virtual
    table such as that of a vector index, keeps elsewhere cannot be known.
    """
    entries = db.execute(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_master"
        " WHERE typeof(name) = 'text' AND typeof(tbl_name) = 'text' AND typeof(sql) = 'text'"
    )
    tables = {name.lower(): name for kind, name, _, _ in entries if kind == "table"}
    # who refers is seen in the schema's text; only of the few tables that somebody refers to is more asked
    named = sorted({table for table, _ in sql_tokens.find_references(entries, tables, {}) if _is_hidden(db, table)})
    columns = {table.lower(): _columns(db, table) for table in named if is_valid_utf8(table)}
    at_risk = {table.lower(): table for table in named if not _is_numbered_from_one(db, table)}
    return [Reference(table=table, by=by) for table, by in sql_tokens.find_references(entries, at_risk, columns)]


def require_stable_rowids(db: SQLiteConnection, *, allow: bool) -> None:
    """Refuse to have rows numbered anew to which something refers by number.

    Args:
        db: the database.
        allow: whether that was asked for all the same.

    Raises:
        OperationError: it would happen; the text names the table and what refers to it.
    """
    found = [] if allow else find_references(db)
    if found:
        named = "; ".join(f"{each.by} refers to the rows of {each.table!r}" for each in found)
        raise OperationError(
            reason=f"{db.path}: {named} by numbers that VACUUM may change, as the table has no INTEGER PRIMARY KEY",
            hint="give the table one, or run compact, which keeps the numbers; or set allow_renumbering and rebuild "
            "what refers to them; nothing was touched",
        )


def hash_rowids(db: SQLiteConnection, table: str) -> str:
    """Return a checksum of the numbers of a table's rows in their order."""
    last, checksum = None, hashlib.sha256()
    name, where = _find_rowid_name(db, table), ""
    while True:
        sql = f"SELECT {name} FROM main.{db.quote(table)} {where} ORDER BY {name} LIMIT 100000"  # noqa: S608 - quoted
        numbers = [number for (number,) in db.execute(sql, () if last is None else (last,))]
        if not numbers:
            return checksum.hexdigest()
        checksum.update(",".join(map(str, numbers)).encode())
        last, where = numbers[-1], f"WHERE {name} > ?"
        db.check_stop()


def _is_hidden(db: SQLiteConnection, table: str) -> bool:
    """Return whether the rows of a table have numbers that are no column of it."""
    if "\0" in table or table.startswith("sqlite_"):
        return False
    if not is_valid_utf8(table):
        return True  # as far as can be known
    if sqlite3.sqlite_version_info >= (3, 37, 0):
        listed = db.execute("SELECT type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,))
        if not listed or listed[0] != ("table", 0):
            return False
    columns = db.execute("SELECT name, type, pk FROM pragma_table_xinfo(?, 'main')", (table,))
    key = [kind for _, kind, pk in columns if pk]
    if len(key) != 1 or str(key[0]).upper() != "INTEGER":
        return True
    # "INTEGER PRIMARY KEY DESC" is an ordinary column with an index of its own (sqlite.org/lang_createtable.html)
    return bool(db.execute("SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'", (table,)))


def _find_rowid_name(db: SQLiteConnection, table: str) -> str:
    """Return by which name a table's numbers can be asked for: one that none of its columns has."""
    taken = _columns(db, table)
    return next((name for name in sql_tokens.ROWIDS if name not in taken), "")


def _columns(db: SQLiteConnection, table: str) -> frozenset[str]:
    """Return the names of a table's columns, in small letters."""
    rows = db.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (table,))
    return frozenset(str(name).lower() for (name,) in rows)


def _is_numbered_from_one(db: SQLiteConnection, table: str) -> bool:
    """Return whether the rows have the numbers 1, 2, 3 and so on already, so that numbering them anew changes none."""
    if not is_valid_utf8(table):
        return False
    name = _find_rowid_name(db, table)
    if not name:
        return True  # nothing can refer to a number that has no name
    try:
        sql = f"SELECT coalesce(min({name}), 1), coalesce(max({name}), 0), count(*) FROM main.{db.quote(table)}"  # noqa: S608
        [(low, high, count)] = db.execute(sql)
    except SQLiteFailure:
        return False  # what is wrong with the table is for the operation to meet
    return bool(low == 1 and high == count)
