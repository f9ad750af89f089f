"""Which rows something refers to by a number that VACUUM may change. Owns finding them and comparing the numbers.

The rows of a table without an INTEGER PRIMARY KEY have numbers (rowids) that nobody declared, and "the VACUUM command
may change the ROWIDs" of these (sqlite.org/lang_vacuum.html): measured in 3.40.1, it numbers the rows of a table
without an index anew. An FTS index over such a table then finds other rows than it should, while
`PRAGMA integrity_check` says "ok". VACUUM INTO kept all numbers in that version (insert.c, DBFLAG_VacuumInto), which no
document promises: whoever relies on it compares them, with `digests`.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

from attrs import frozen

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.errors import SQLiteFailure

#: What a rowid is called where no column has that name (sqlite.org/rowidtable.html).
_NAMES: Final = ("rowid", "oid", "_rowid_")
_CALLED = re.compile(r"(?<!\w)(rowid|oid|_rowid_)(?!\w)", re.IGNORECASE)
_FTS = re.compile(r"CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+(?P<module>fts[345])\s*\((?P<given>.*)\)", re.I | re.DOTALL)
_SETTING = re.compile(r"\s*(?P<name>content|content_rowid)\s*=\s*(?P<value>.*?)\s*", re.IGNORECASE | re.DOTALL)
#: One argument of a virtual table: up to a comma outside quotes and brackets.
_ARGUMENT = re.compile(r"""(?:'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|\([^()]*\)|[^,'"`\[(])+""")
_QUOTES: Final = {"'": "'", '"': '"', "`": "`", "[": "]"}


@frozen(kw_only=True)
class Reference:
    """Something that refers to the undeclared numbers of a table's rows.

    Args:
        table: the table.
        by: what refers to them, such as "FTS5 table 'search'".
    """

    table: str
    by: str


def references(db: SQLiteDatabase) -> list[Reference]:
    """Return what refers to numbers that VACUUM may change, as far as the schema tells.

    That is FTS with external content, and views and triggers that name the number. What an application, or a virtual
    table such as that of a vector index, keeps elsewhere cannot be known.
    """
    entries = db.execute(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_master"
        " WHERE typeof(name) = 'text' AND typeof(tbl_name) = 'text' AND typeof(sql) = 'text'"
    )
    tables = {name.casefold(): name for kind, name, _, _ in entries if kind == "table"}
    # who refers is seen in the schema's text; only of the few tables that somebody refers to is more asked
    found = [Reference(table=table, by=by) for table, by in _named(entries, tables)]
    at_risk = {
        table for table in {each.table for each in found} if _is_hidden(db, table) and not _numbered_from_one(db, table)
    }
    return [each for each in found if each.table in at_risk]


def require_stable_rowids(db: SQLiteDatabase, *, allow: bool) -> None:
    """Refuse to have rows numbered anew to which something refers by number.

    Args:
        db: the database.
        allow: whether that was asked for all the same.

    Raises:
        OperationError: it would happen; the text names the table and what refers to it.
    """
    found = [] if allow else references(db)
    if found:
        named = "; ".join(f"{each.by} refers to the rows of {each.table!r}" for each in found)
        raise OperationError(
            reason=f"{db.path}: {named} by numbers that VACUUM may change, as the table has no INTEGER PRIMARY KEY",
            hint="give the table one, or run compact, which keeps the numbers; or set allow_renumbering and rebuild "
            "what refers to them; nothing was touched",
        )


def digests(db: SQLiteDatabase, tables: Iterable[str]) -> dict[str, str]:
    """Return, for each table, a checksum of the numbers of its rows in their order."""
    return {table: _digest(db, table) for table in tables}


def _digest(db: SQLiteDatabase, table: str) -> str:
    last, checksum = None, hashlib.sha256()
    name, where = _number_of(db, table), ""
    while True:
        sql = f"SELECT {name} FROM main.{db.quote(table)} {where} ORDER BY {name} LIMIT 100000"  # noqa: S608 - quoted
        numbers = [number for (number,) in db.execute(sql, () if last is None else (last,))]
        if not numbers:
            return checksum.hexdigest()
        checksum.update(",".join(map(str, numbers)).encode())
        last, where = numbers[-1], f"WHERE {name} > ?"
        db.check_stop()


def _named(entries: Iterable[tuple[str, str, str, str]], tables: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each table that something refers to by the number of its rows, and what does; tables by folded name."""
    for kind, name, table, sql in entries:
        fts = _FTS.match(sql) if kind == "table" else None
        if fts:
            content, number = _content(fts["given"])
            if content.casefold() in tables and number.casefold() in _NAMES:
                yield tables[content.casefold()], f"{fts['module'].upper()} table {name!r}"
        elif kind == "trigger" and table.casefold() in tables and _CALLED.search(sql):
            yield tables[table.casefold()], f"trigger {name!r}"
        elif kind == "view" and _CALLED.search(sql):
            for folded, original in tables.items():
                if re.search(rf"(?<!\w){re.escape(folded)}(?!\w)", sql.casefold()):
                    yield original, f"view {name!r}"


def _content(given: str) -> tuple[str, str]:
    """Return which table an FTS index is about, and by which column of it the rows are known."""
    settings = {"content": "", "content_rowid": "rowid"}
    for argument in _ARGUMENT.findall(given):
        found = _SETTING.fullmatch(argument)
        if found:
            settings[found["name"].lower()] = _unquoted(found["value"])
    return settings["content"], settings["content_rowid"]


def _unquoted(text: str) -> str:
    end = _QUOTES.get(text[:1])
    return text[1:-1].replace(end * 2, end) if end and text.endswith(end) and len(text) > 1 else text


def _is_hidden(db: SQLiteDatabase, table: str) -> bool:
    """Return whether the rows of a table have numbers that are no column of it."""
    if "\0" in table or table.startswith("sqlite_"):
        return False
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


def _number_of(db: SQLiteDatabase, table: str) -> str:
    """Return by which name a table's numbers can be asked for: one that none of its columns has."""
    columns = db.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (table,))
    taken = {str(name).casefold() for (name,) in columns}
    return next((name for name in _NAMES if name not in taken), "")


def _numbered_from_one(db: SQLiteDatabase, table: str) -> bool:
    """Return whether the rows have the numbers 1, 2, 3 and so on already, so that numbering them anew changes none."""
    name = _number_of(db, table)
    if not name:
        return True  # nothing can refer to a number that has no name
    try:
        sql = f"SELECT coalesce(min({name}), 1), coalesce(max({name}), 0), count(*) FROM main.{db.quote(table)}"  # noqa: S608
        [(low, high, count)] = db.execute(sql)
    except SQLiteFailure:
        return False  # what is wrong with the table is for the operation to meet
    return bool(low == 1 and high == count)
