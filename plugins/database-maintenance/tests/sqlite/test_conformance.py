"""Our own kind of database, run through the suite that we give to others."""

from __future__ import annotations

from sqlite_kind import SQLiteKind

from pitstop_database_maintenance.sqlite.database import SQLiteDatabase


class TestSQLite(SQLiteKind):
    database = SQLiteDatabase


class TestSQLiteWithALog(SQLiteKind):
    database = SQLiteDatabase
    journal_mode = "wal"
