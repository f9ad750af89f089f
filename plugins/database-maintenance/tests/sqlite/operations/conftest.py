"""What tests of several files on operations share: databases, and `compact` as a job runs it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.jobs import Result
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations.compact import compact

ROWS = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT UNIQUE, v TEXT, w INTEGER)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)"
    " INSERT INTO t SELECT i, hex(randomblob(10)), hex(randomblob(300)), i % 7 FROM n",
    "CREATE INDEX by_w ON t (w)",
)
OLD_GO = "DELETE FROM t WHERE id <= 1800"


@pytest.fixture
def freed(make: Any) -> Callable[..., Path]:
    """Make a database with some 300 free pages at its beginning."""

    def made(*more: str, mode: str = "delete", page_size: int = 4096, auto_vacuum: int = 2) -> Path:
        settings = (f"PRAGMA page_size = {page_size}", f"PRAGMA auto_vacuum = {auto_vacuum}")
        path: Path = make(*settings, f"PRAGMA journal_mode = {mode}", *ROWS, *more, OLD_GO)
        return path

    return made


@pytest.fixture(params=["delete", "wal"])
def either(bloated: Path, request: pytest.FixtureRequest) -> Path:
    """The bloated database in each of the two kinds of journal mode."""
    if request.param == "wal":
        with closing(sqlite3.connect(bloated)) as connection:
            connection.execute("PRAGMA journal_mode = wal").fetchall()  # and no log is left
    return bloated


@pytest.fixture
def ran(context: Any) -> Callable[..., Result]:
    """Compact a database as a job does: on a connection that is closed afterwards."""

    def run(path: Path, **parameters: Any) -> Result:
        with SQLiteDatabase.connect(str(path), context) as db:
            return compact(db, **parameters)

    return run
