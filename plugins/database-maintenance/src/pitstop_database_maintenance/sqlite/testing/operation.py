"""`SQLiteOperationContract`: the suite for operations on SQLite. Owns how such a database is made and read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from pitstop_database_maintenance.databases.urls import parse
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.testing.databases import (
    add_awkward_tables,
    index_name,
    make_database,
    quote,
)
from pitstop_database_maintenance.testing.operation.base import Rows
from pitstop_database_maintenance.testing.operation.operation import DatabaseOperationContract


class SQLiteOperationContract(DatabaseOperationContract):
    """What every operation on SQLite promises. Say which function, and parameters that are right:

        class TestPrune(SQLiteOperationContract):
            operation = prune
            parameters = {"table": "event"}
            keeps_rows = False

    Each test has a new database as `make_database` of this package makes it, with the tables `event` and `kind`.
    Another one is made by `make_database(folder)`; parameters that name files in the folder by
    `make_parameters(folder)`.

    Attributes:
        database: what is told to `make_database`, beside the path.
        keeps_schema: whether tables, indexes, views and triggers, and what the application keeps in the file's header,
            are afterwards what they were before.
        busy_seconds: how long a lock of somebody else is waited for, so that no test takes as long as a job would.
    """

    __test__ = False

    scheme = "sqlite"
    database: ClassVar[Mapping[str, Any]] = {}
    keeps_schema: ClassVar[bool] = True
    busy_seconds: ClassVar[float] = 0.1
    journal_mode: Literal["delete", "wal"] = "delete"

    @pytest.fixture(params=["delete", "wal"])
    def variant(self, request: pytest.FixtureRequest) -> str:
        """With a rollback journal, and with a write-ahead log."""
        self.journal_mode = request.param
        return str(request.param)

    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", self.busy_seconds)

    def make_database(self, folder: Path) -> str:
        """Return the path of a new database in the folder."""
        return str(make_database(folder / "app.db", **{"journal_mode": self.journal_mode, **self.database}))

    def add_awkward_tables(self, url: str, names: Sequence[str]) -> None:
        """Add a table for each name."""
        add_awkward_tables(_path(url), names)

    def index_name(self, name: str) -> str:
        """Return what the index on an awkward table is called."""
        return index_name(name)

    def rows(self, url: str) -> Rows:
        """Return the rows of each table of the user's, and beside them what the schema and the settings are.

        Tables that belong to virtual ones are left out.
        """
        with closing(sqlite3.connect(_path(url))) as connection:
            listed = connection.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main'").fetchall()
            names = sorted(name for name, kind in listed if kind != "shadow" and not name.startswith("sqlite_"))
            rows = {name: _rows(connection, name) for name in names}
            return {**rows, **_schema(connection)} if self.keeps_schema else rows

    def problems(self, url: str) -> Sequence[str]:
        """Return what `PRAGMA integrity_check` says."""
        with closing(sqlite3.connect(_path(url))) as connection:
            said = [str(text) for (text,) in connection.execute("PRAGMA integrity_check")]
        return [] if said == ["ok"] else said

    @contextmanager
    def hold_read_transaction(self, url: str) -> Iterator[None]:
        """Keep a read transaction open within the block."""
        with closing(_open(url)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
            yield

    @contextmanager
    def hold_lock(self, url: str) -> Iterator[None]:
        """Keep everybody out within the block; with a write-ahead log those who only read are not."""
        with closing(_open(url)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield


def _path(url: str) -> str:
    path = parse(url).path
    assert path is not None, f"{url!r} is no SQLite database"
    return path


def _open(url: str) -> sqlite3.Connection:
    return sqlite3.connect(_path(url), isolation_level=None, timeout=0, check_same_thread=False)


def _rows(connection: sqlite3.Connection, table: str) -> list[Any]:
    return sorted(connection.execute(f"SELECT * FROM {quote(table)}").fetchall(), key=repr)  # noqa: S608 - quoted


def _schema(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """Return what is defined in a database, and what its application keeps in its header."""
    defined = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE substr(name, 1, 7) <> 'sqlite_' ORDER BY type, name"
    ).fetchall()
    settings = [
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "application_id", "journal_mode")
    ]
    return {"(the schema)": defined, "(user_version, application_id, journal_mode)": settings}
