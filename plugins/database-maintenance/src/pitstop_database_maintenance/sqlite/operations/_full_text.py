"""Virtual tables: which there are, of which module, and how full-text ones are spoken to. Changes nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from attrs import evolve, frozen

from pitstop.errors import OperationError
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.schema import choose

#: SQLite's own full-text modules, and those of which it can check the tree of boxes.
FULL_TEXT: Final = frozenset({"fts3", "fts4", "fts5"})
BOXES: Final = frozenset({"rtree", "rtree_i32", "geopoly"})
_NAME: Final = r"""(?:"(?:[^"]|"")*"|'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^\]]*\]|[^\s"'`\[.(]+)"""
#: SQLite keeps what comes after the first three words as it was written (vtab.c, sqlite3VtabFinishParse).
_SQL: Final = re.compile(
    rf"\ACREATE\s+VIRTUAL\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:{_NAME}\s*\.\s*)?{_NAME}\s*USING\s+(?P<name>{_NAME})",
    re.IGNORECASE,
)
#: The row of an FTS5 table's data in which its structure is, and how its newer form begins after the first four bytes
#: (fts5_index.c, FTS5_STRUCTURE_ROWID and FTS5_STRUCTURE_V2).
_STRUCTURE_ROW: Final = 10
_NEWER: Final = b"\xff\x00\x00\x01"


#: The option by which a full-text index has its texts elsewhere, in a table, a view or nowhere (fts5.html, 4.4).
_CONTENT: Final = re.compile(rf"[(,]\s*content\s*=\s*(?P<name>{_NAME})", re.IGNORECASE)
#: For how many seconds at most the rows of a view or of a virtual table are read, by default: they may never end.
UNBOUNDED_SECONDS: Final = 30.0


@frozen(kw_only=True)
class VirtualTable:
    """A virtual table.

    Args:
        name: it.
        module: in small letters, such as "fts5"; "" if the schema's text cannot be read.
        content: where a full-text index has its texts: a table's or view's name; "" if it keeps them itself, or not.
    """

    name: str
    module: str
    content: str = ""

    @property
    def full_text(self) -> bool:
        """Whether it is a full-text index of one of SQLite's own modules."""
        return self.module in FULL_TEXT

    @property
    def title(self) -> str:
        """Such as "FTS5 table 'search'"."""
        return f"{'R-tree' if self.module in BOXES else self.module.upper()} table {self.name!r}"


def virtual_tables(db: SQLiteConnection) -> list[VirtualTable]:
    """Return the virtual tables of the main schema, in the order in which they were made."""
    rows = db.execute(
        "SELECT name, sql FROM main.sqlite_master WHERE type = 'table'"
        " AND coalesce(rootpage, 0) = 0 AND typeof(name) = 'text' AND typeof(sql) = 'text' ORDER BY rowid"
    )
    texts = [(escape_undecodable(name), escape_undecodable(sql)) for name, sql in rows]
    return [
        VirtualTable(name=name, module=_find_name(_SQL, sql).lower(), content=_find_name(_CONTENT, sql))
        for name, sql in texts
    ]


def escape_undecodable(name: str) -> str:
    """Return a name; one that is no UTF-8, or holds a NUL, as something that no table is called."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _find_name(pattern: re.Pattern[str], sql: str) -> str:
    found = pattern.search(sql)
    return found["name"].strip("\"'`[]") if found else ""


@contextmanager
def limit_reading(
    db: SQLiteConnection, table: VirtualTable, original: SQLiteConnection, seconds: float
) -> Iterator[None]:
    """Have all texts of a full-text index read within, but not for ever.

    A view may give rows without an end, and so may a virtual table; no command that reads them would end either.

    Args:
        db: the connection that reads.
        table: the index.
        original: the connection to the database itself, or the same.
        seconds: for how long a view or a virtual table is read at most; an ordinary table is read to its end.

    Raises:
        EndlessError: the time was over.
    """
    if not table.content or _is_ordinary(original, table.content):
        yield
        return
    before = db.limits
    own = time.time() + seconds
    if before.until is not None and before.until <= own:
        yield
        return
    db.limits = evolve(before, until=own)
    try:
        yield
    except TimeLimitReachedError:
        raise EndlessError(
            reason=f"{table.content!r}, from which its texts come, gave no end of rows in {seconds:g} s",
            hint="see whether it ever ends; if it only takes long, allow content_seconds",
        ) from None
    finally:
        db.limits = before


class EndlessError(OperationError):
    """A view or a virtual table did not come to an end in the time that it was given."""


def _is_ordinary(db: SQLiteConnection, name: str) -> bool:
    rows = db.execute(
        "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND rootpage > 0 AND name = ? COLLATE NOCASE", (name,)
    )
    return bool(rows)


def choose_tables(there_are: Iterable[VirtualTable], names: list[str] | None, *, operation: str) -> list[VirtualTable]:
    """Return those of these names, or all if none are given; see `schema.choose`."""
    known = {table.name: table for table in there_are}
    return choose(known, names, kind="full-text or R-tree table", operation=operation)


def is_known(db: SQLiteConnection, table: VirtualTable) -> bool:
    """Return whether SQLite here knows the module of a table."""
    listed = db.execute("SELECT 1 FROM pragma_module_list WHERE lower(name) = ?", (table.module,))
    return bool(listed)


def send_command(db: SQLiteConnection, table: VirtualTable, command: str, number: int | None = None) -> None:
    """Give a full-text table a command, which is an INSERT into the column of its own name (sqlite.org/fts5.html, 6).

    Args:
        db: the connection.
        table: the table.
        command: such as "rebuild".
        number: what FTS5 takes beside it.
    """
    name = db.quote(table.name)
    if number is None:
        db.execute(f"INSERT INTO main.{name}({name}) VALUES (?)", (command,))  # noqa: S608 - quoted
    else:
        db.execute(f"INSERT INTO main.{name}({name}, rank) VALUES (?, ?)", (command, number))  # noqa: S608 - quoted


def count_segments(db: SQLiteConnection, table: VirtualTable) -> int | None:
    """Return in how many pieces a full-text index is, each of which a search has to look into; None if unknown."""
    try:
        if table.module != "fts5":
            return int(db.execute(f"SELECT count(*) FROM main.{db.quote(f'{table.name}_segdir')}")[0][0])  # noqa: S608
        data = db.quote(f"{table.name}_data")
        rows = db.execute(f"SELECT block FROM main.{data} WHERE id = {_STRUCTURE_ROW}")  # noqa: S608 - quoted
        return _parse_segments(rows[0][0]) if rows else 0
    except (SQLiteFailure, IndexError, TypeError):
        return None  # damaged, or not as it is known to be; nothing depends on it


def _parse_segments(block: bytes) -> int:
    """Return the second number of a structure: after four bytes of counter come levels and segments as varints."""
    at = 8 if block[4:8] == _NEWER else 4
    numbers = []
    for _ in range(2):
        value = 0
        while True:
            byte = block[at]
            at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                break
        numbers.append(value)
    return numbers[1]
