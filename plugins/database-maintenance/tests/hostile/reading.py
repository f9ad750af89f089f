"""What can be read from a database, table by table, until SQLite meets damage. Knows no plugin."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

#: Where a scan of a table gives up: what is crafted to be endless must not make a case endless.
_MOST_ROWS = 20_000
#: Instructions after which a look at a database gives up, so that a loop in a damaged file ends: about half a minute.
_STEPS = 1_000_000_000
_MALFORMED = "database disk image is malformed"


@dataclass
class Readable:
    """What a scan reads.

    Attributes:
        rows: of each table, by name: each row, its rowid first (None where there is none), and how often it is there.
        whole: whether each of these tables could be read to its end.
        objects: the SQL of what is in the schema.
        structure: what quick_check says of the pages, or that nothing can be read.
        wrong: the tables and indexes that integrity_check finds something wrong with; None if it fails itself, as at an
            unreadable entry of an index.
    """

    rows: dict[str, Counter[tuple[object, ...]]] = field(default_factory=dict)
    whole: dict[str, bool] = field(default_factory=dict)
    objects: Counter[bytes] = field(default_factory=Counter)
    structure: str = ""
    wrong: set[str] | None = None


def read(path: Path) -> Readable:
    """Read all that a scan can read, and no more; what cannot be opened has nothing to read."""
    found = Readable()
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)) as connection:
        connection.text_factory = bytes  # texts that are no UTF-8 are values like others
        connection.set_progress_handler(lambda: 1, _STEPS)
        try:
            objects = connection.execute("SELECT tbl_name, sql FROM sqlite_master").fetchall()
            # by the names that SQLite goes by: those in the schema's columns may be damaged
            tables = connection.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main'").fetchall()
        except (sqlite3.Error, MemoryError, UnicodeDecodeError):
            found.structure = "it cannot be read"  # an error's text may be no text either
            return found
        found.objects = Counter(sql for table, sql in objects if isinstance(sql, bytes) and not _own(table))
        for name, kind in tables:
            if kind != b"view" and not _statistics(name) and name != b"sqlite_schema":
                _read_table(connection, name, kind == b"virtual", found)
        found.structure, found.wrong = _checks(connection)
    return found


def _statistics(name: object) -> bool:
    return isinstance(name, bytes) and name.lower().startswith(b"sqlite_stat")


def _own(name: object) -> bool:
    return isinstance(name, bytes) and name.lower().startswith(b"sqlite_")  # VACUUM makes these itself


def _read_table(connection: sqlite3.Connection, name: bytes, virtual: bool, found: Readable) -> None:
    try:
        quoted = '"' + name.decode().replace('"', '""') + '"'
    except UnicodeDecodeError:
        return  # no statement of this library can name it
    # by the table's own b-tree: an index may hold what the table does not
    source = quoted if virtual else f"{quoted} NOT INDEXED"
    for rowid in ("rowid", "NULL"):
        rows: Counter[tuple[object, ...]] = Counter()
        try:
            cursor = connection.execute(f"SELECT {rowid}, * FROM {source} LIMIT {_MOST_ROWS}")
        except (sqlite3.Error, UnicodeDecodeError, MemoryError, ValueError):
            continue  # without a rowid, or not there for SQLite
        found.whole[name.decode()] = _collect(cursor, rows)
        found.rows[name.decode()] = rows
        return


def _collect(cursor: sqlite3.Cursor, rows: Counter[tuple[object, ...]]) -> bool:
    try:
        for row in cursor:
            rows[row] += 1
    except (sqlite3.Error, MemoryError, UnicodeDecodeError):
        return False
    return True


def _checks(connection: sqlite3.Connection) -> tuple[str, set[str] | None]:
    try:
        # without views: where one comes first in the schema, SQLite checks only a part of the file
        for statement in ("BEGIN", "PRAGMA writable_schema = ON", "DELETE FROM sqlite_master WHERE rootpage = 0"):
            connection.execute(statement)
        connection.execute("PRAGMA writable_schema = RESET")
        first = _answers(connection, "PRAGMA quick_check(1)")[0]
        if not first.startswith("***"):
            # a problem with a row, after which it stopped; an unreadable one may come after it
            _answers(connection, "PRAGMA quick_check(1000)")
    except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
        return str(error), None
    structure = first if first.startswith("***") else ""
    try:
        problems = _answers(connection, "PRAGMA integrity_check(1000)")
    except (sqlite3.Error, UnicodeDecodeError, MemoryError):
        return structure, None
    lines = {line for text in problems for line in text.splitlines()} - {"ok"}
    # in some versions this ends the check like an error, but as its answer
    return structure, None if _MALFORMED in lines else {_about(line) for line in lines}


def _answers(connection: sqlite3.Connection, sql: str) -> list[str]:
    return [text.decode(errors="replace") for (text,) in connection.execute(sql).fetchall()]


def _about(problem: str) -> str:
    """Return what a problem is about: an index or a table by name, if it says one."""
    found = re.search(r"(?:index|in|to|for) (\S+)$", problem)
    return found[1] if found else problem
