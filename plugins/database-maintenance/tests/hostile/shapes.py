"""The healthy databases that are to be damaged: one for each way in which SQLite lays out a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hostile.pages import Image

#: Rows, some of which take overflow pages whatever the page size; then gaps, so that there are free pages.
_ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
_TABLES = (
    "CREATE TABLE plain (id INTEGER PRIMARY KEY, k TEXT UNIQUE, v TEXT NOT NULL, w INTEGER)",
    "CREATE TABLE keyed (a TEXT, b INTEGER, c BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID",
    "CREATE TABLE loose (x, y, big BLOB)",
    "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT DEFAULT 'none', CHECK (length(note) < 999))",
    "CREATE INDEX by_v ON plain (v, w)",
    "CREATE INDEX partly ON plain (w) WHERE w > 3",
    "CREATE INDEX folded ON plain (lower(k), abs(w))",
    "CREATE UNIQUE INDEX once ON counted (id, note)",
    "CREATE INDEX by_big ON loose (big)",
    "CREATE VIEW seen AS SELECT k, v FROM plain WHERE w < 3",
    "CREATE TRIGGER noted AFTER DELETE ON plain BEGIN INSERT INTO counted (note) VALUES (old.k); END",
)
_FILL = (
    "INSERT INTO plain SELECT i, 'key ' || i, printf('%.*c', i % 40 + 1, 'v'), i % 7 FROM n",
    "INSERT INTO keyed SELECT 'group ' || i % 9, i, zeroblob(i % 30) FROM n",
    "INSERT INTO loose SELECT i, i * 0.5, CASE WHEN i % {every} THEN x'00ff' ELSE"
    " CAST(printf('%.*c', {large}, 'o') || i AS BLOB) END FROM n",
    "INSERT INTO counted (note) SELECT 'größe ' || i FROM n",
)
_GAPS = (
    "DELETE FROM keyed WHERE b BETWEEN {rows} / 4 AND {rows} / 2",
    "DELETE FROM loose WHERE x BETWEEN {rows} / 3 AND {rows} * 2 / 3",
    "DELETE FROM counted WHERE id % 5 = 0",
)


@dataclass(frozen=True)
class Shape:
    """How a database is made.

    Attributes:
        name: for the report.
        pragmas: what is set before the first table.
        rows: how many in each table.
        large: bytes of a value that takes overflow pages.
        extra: statements after the filling.
        log: whether committed frames are left in a write-ahead log.
        analyzed: whether it has statistics.
    """

    name: str
    pragmas: tuple[str, ...] = ()
    rows: int = 120
    large: int = 3000
    extra: tuple[str, ...] = ()
    log: bool = False
    analyzed: bool = False


_SEARCH = (
    "CREATE VIRTUAL TABLE found USING fts5(title, body)",
    "INSERT INTO found SELECT k, v || ' some words' FROM plain",
)
SHAPES = (
    Shape("512", ("page_size = 512",), large=1500),
    Shape("512 statistics", ("page_size = 512",), rows=60, large=1500, analyzed=True),
    Shape("512 auto_vacuum full", ("page_size = 512", "auto_vacuum = 1"), large=1500, analyzed=True),
    Shape("512 auto_vacuum incremental", ("page_size = 512", "auto_vacuum = 2"), large=1500),
    Shape("512 log", ("page_size = 512", "journal_mode = wal"), rows=60, large=1500, log=True),
    Shape("1024", ("page_size = 1024",)),
    Shape("1024 utf-16", ("page_size = 1024", "encoding = 'UTF-16le'"), rows=80),
    Shape("1024 auto_vacuum log", ("page_size = 1024", "auto_vacuum = 2", "journal_mode = wal"), rows=60, log=True),
    Shape("1024 search", ("page_size = 1024",), rows=60, extra=_SEARCH),
    Shape("4096", ("page_size = 4096",), rows=300, large=9000),
    Shape("4096 search statistics", ("page_size = 4096",), rows=200, large=9000, extra=_SEARCH, analyzed=True),
    Shape("4096 log", ("page_size = 4096", "journal_mode = wal"), rows=100, large=9000, log=True, analyzed=True),
    Shape("65536", ("page_size = 65536",), rows=80, large=70_000),
)


def build(shape: Shape, folder: Path) -> Image:
    """Make a database of a shape.

    Args:
        shape: how.
        folder: an empty one, for the time of making it.
    """
    path = folder / "healthy.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in (*shape.pragmas, "synchronous = OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        _fill(connection, shape)
        if shape.log:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
            connection.execute(f"UPDATE plain SET v = 'in the log ' || id WHERE id % 2 AND id < {shape.rows}")
            connection.execute("INSERT INTO loose VALUES ('only', 'in', 'the log')")
        # read while it is open: closing would move the log into the file
        files = _files(path)
    return Image(main=files[""], beside={suffix: content for suffix, content in files.items() if suffix})


def _fill(connection: sqlite3.Connection, shape: Shape) -> None:
    values: Mapping[str, int] = {"rows": shape.rows, "large": shape.large, "every": 9}
    for statement in _TABLES:
        connection.execute(statement)
    for statement in _FILL:
        connection.execute(f"{_ROWS} {statement}".format(**values))
    for statement in shape.extra:
        connection.execute(statement)
    for statement in _GAPS:
        connection.execute(statement.format(**values))
    if shape.analyzed:
        connection.execute("ANALYZE")


def _files(path: Path) -> dict[str, bytearray]:
    suffixes = ("", "-wal")
    return {s: bytearray(Path(f"{path}{s}").read_bytes()) for s in suffixes if Path(f"{path}{s}").exists()}
