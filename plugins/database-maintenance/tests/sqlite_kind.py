"""What the suite for kinds of databases must know of SQLite, for all kinds that are SQLite in the end."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.databases.urls import sqlite_url
from pitstop_database_maintenance.testing import DatabaseContract


class SQLiteKind(DatabaseContract):
    __test__ = False

    long_statement = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    journal_mode = "delete"

    def make_url(self, folder: Path) -> str:
        path = str(folder / "app.db")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA journal_mode = {self.journal_mode}")
            connection.execute("PRAGMA user_version = 1")  # so that it is no empty file
        return path

    def missing_url(self, folder: Path) -> str | None:
        return str(folder / "missing.db")

    def spellings(self, url: str) -> Sequence[str]:
        folder, name = os.path.split(url)
        link = os.path.join(folder, "link.db")
        os.symlink(url, link)
        return (os.path.relpath(url), sqlite_url(url), link, os.path.join(folder, "..", "resource", name))

    def table_names(self, db: Database) -> Sequence[str]:
        return [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]

    def with_password(self, url: str, password: str) -> str | None:
        return None  # a file has none
