"""`foreign_key_check`: rows that refer to rows that are not there. Owns its verdict; corrects no row.

SQLite enforces foreign keys only on connections that ask for it, each of them anew (sqlite.org/foreignkeys.html,
2), so that a database may hold what its own constraints forbid. No integrity check looks for it.
"""

from __future__ import annotations

from typing import Final

from pitstop.jobs import Result
from pitstop_database_maintenance.sqlite.checks.on_copy import Place
from pitstop_database_maintenance.sqlite.connection.check_answers import Flaw, Problem
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.schema import choose
from pitstop_database_maintenance.sqlite.operations._full_text import escape_undecodable
from pitstop_database_maintenance.sqlite.operations._measured import begin
from pitstop_database_maintenance.sqlite.operations._table_checks import UncheckedError, check_tables

#: Bytes of database that are checked in a second. Measured on two cores, from the system's cache: 300 MB in 0.5 s.
_RATE: Final = 600e6


def foreign_key_check(db: SQLiteConnection, *, tables: list[str] | None = None) -> Result:
    """Look for rows that break a foreign key, and for foreign keys that SQLite could not enforce.

    It only reads. With a write-ahead log it blocks nobody. Without one, writers wait while a table is checked; if that
    would be for longer than the job may keep them waiting, a copy is checked, or it is refused.

    Args:
        db: the database.
        tables: only the rows of these; by default of all tables that have a foreign key.

    Raises:
        UnknownNameError: there is no such table, or it has no foreign key.
        OperationError: a foreign key is broken; the text says which, by how many rows, and what to do.
        JobCancelledError, DeadlineExceededError: the job was asked to stop.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "foreign_key_check")
    db.take_any_text()
    there_are = {name: name for name in _list_referring_tables(db)}
    able = choose(there_are, tables, kind="table with a foreign key", operation="foreign_key_check")
    found = check_tables(run, {name: name for name in able}, _find_broken_keys, rate=_RATE, whole=tables is None)

    def good(checked: int) -> str:
        of = "1 table" if len(able) == 1 else f"{checked} of {len(able)} tables"
        return f"all foreign keys of {of} are whole"

    return found.end(run, nothing="no table has a foreign key", good=good)


def _list_referring_tables(db: SQLiteConnection) -> list[str]:
    """Return the tables that have a foreign key."""
    rows = db.execute(
        "SELECT DISTINCT m.name FROM main.sqlite_master AS m, pragma_foreign_key_list(m.name, 'main')"
        " WHERE m.type = 'table'"
    )
    return [escape_undecodable(name) for (name,) in rows]


def _find_broken_keys(place: Place, table: str) -> list[Problem]:
    """Return one problem for each foreign key of a table that is broken, or cannot be enforced."""
    db = place.db
    try:
        # grouped by SQLite as it goes: a table may have millions of such rows
        query = (
            "SELECT fkid, parent, count(*), min(\"rowid\") FROM pragma_foreign_key_check(?, 'main')"
            " GROUP BY fkid, parent ORDER BY fkid"
        )
        with place.measure():
            rows = db.execute(query, (table,))
    except SQLiteFailure as failure:
        if failure.hopeless or failure.damaged:
            raise
        wrong = [] if isinstance(failure, MissingFeature) else _find_unenforceable_keys(db, table)
        if not wrong:
            raise UncheckedError(f"table {table!r} was not checked: {failure.briefly}") from None
        return wrong
    columns = _columns(db, table)
    return [
        Problem(flaw=Flaw.REFERENCES, text=_describe(table, columns.get(fkid, ""), parent, count, rowid), object=table)
        for fkid, parent, count, rowid in rows
    ]


def _find_unenforceable_keys(db: SQLiteConnection, table: str) -> list[Problem]:
    """Return the foreign keys of a table that refer to what is no key: SQLite calls it a mismatch, and checks nothing.

    Which are, it does not say. It is a key if it is the parent's PRIMARY KEY, or if a UNIQUE index that is not partial
    has exactly these columns, each in the collation of its column (sqlite.org/foreignkeys.html, 3).
    """
    found = []
    for number, columns in _columns(db, table).items():
        rows = db.execute(
            'SELECT "table", "from", "to" FROM pragma_foreign_key_list(?, \'main\') WHERE id = ? ORDER BY seq',
            (table, number),
        )
        parent = rows[0][0]
        if not _exists(db, parent) or _is_key(db, parent, [to for _, _, to in rows]):
            continue
        to = ", ".join(str(name) for _, _, name in rows if name is not None) or "its PRIMARY KEY"
        text = (
            f"the foreign key of table {table!r} from {columns} to {parent!r} cannot be enforced: {to} is no key of "
            "it, neither a PRIMARY KEY nor the columns of a UNIQUE index"
        )
        found.append(Problem(flaw=Flaw.SCHEMA, text=text, object=table))
    return found


def _exists(db: SQLiteConnection, table: str) -> bool:
    return bool(db.execute("SELECT 1 FROM main.sqlite_master WHERE name = ? COLLATE NOCASE", (table,)))


def _is_key(db: SQLiteConnection, parent: str, columns: list[str | None]) -> bool:
    listed = db.execute("SELECT name, pk FROM pragma_table_xinfo(?, 'main') WHERE pk > 0 ORDER BY pk", (parent,))
    primary = [name.lower() for name, _ in listed]
    if None in columns:  # it refers to the PRIMARY KEY, whatever that is
        return len(primary) == len(columns)
    wanted = sorted(str(name).lower() for name in columns)
    if wanted == sorted(primary):
        return True
    unique = db.execute("SELECT name FROM pragma_index_list(?, 'main') WHERE \"unique\" AND NOT partial", (parent,))
    for (index,) in unique:
        rows = db.execute("SELECT name, coll FROM pragma_index_xinfo(?, 'main') WHERE key", (index,))
        plain = all(name is not None for name, _ in rows)
        if plain and sorted(name.lower() for name, _ in rows) == wanted and _same_collations(db, parent, rows):
            return True
    return False


def _same_collations(db: SQLiteConnection, parent: str, rows: list[tuple[str, str]]) -> bool:
    """Return whether an index has its columns in their own collations, as an index of the columns alone has them."""
    [(sql,)] = db.execute(
        "SELECT sql FROM main.sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE", (parent,)
    )
    with db.scratch() as scratch:
        try:
            scratch.execute(sql)
            names = ", ".join(scratch.quote(name) for name, _ in rows)
            scratch.execute(f"CREATE INDEX own_collations ON {scratch.quote(parent)} ({names})")
            own = scratch.execute("SELECT name, coll FROM pragma_index_xinfo('own_collations') WHERE key")
        except SQLiteFailure:
            return True  # it cannot be told
    return {name: coll.lower() for name, coll in own} == {name: coll.lower() for name, coll in rows}


def _columns(db: SQLiteConnection, table: str) -> dict[int, str]:
    """Return the columns of each foreign key, in words."""
    found: dict[int, list[str]] = {}
    # columns: id, place, the parent's table, the column, the parent's column, ...
    for number, _, _, column, *_ in db.execute("SELECT * FROM pragma_foreign_key_list(?, 'main')", (table,)):
        found.setdefault(number, []).append(str(column))
    return {number: ", ".join(names) for number, names in found.items()}


def _describe(table: str, columns: str, parent: str, count: int, rowid: int | None) -> str:
    rows, refer = ("1 row", "refers") if count == 1 else (f"{count} rows", "refer")
    example = "" if rowid is None else f", such as rowid {rowid}"
    return f"{rows} of table {table!r} {refer} by {columns} to rows of {parent!r} that are not there{example}"
