"""What databases for tests of checks are made of: rows, an index that SQLite does not see, a damaged page."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

INDEX_OFF = (
    "CREATE TEMP TABLE kept AS SELECT * FROM sqlite_master WHERE type = 'index'",
    "PRAGMA writable_schema = ON",
    "DELETE FROM sqlite_master WHERE type = 'index'",
    "PRAGMA writable_schema = RESET",
)
INDEX_ON = (
    "PRAGMA writable_schema = ON",
    "INSERT INTO sqlite_master SELECT * FROM kept",
    "PRAGMA writable_schema = RESET",
)
ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"


def damaged_page(path: Path, page: int = 3) -> Path:
    """Overwrite the header of a page."""
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\x00" * 12)
    return path


def wal(path: Path) -> Path:
    """Put a database into WAL mode, and leave no log."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal").fetchall()
    return path
