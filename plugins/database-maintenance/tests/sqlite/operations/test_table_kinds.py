"""All operations on every kind of table and index that SQLite has."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations.analyze import analyze
from pitstop_database_maintenance.sqlite.operations.optimize import optimize
from pitstop_database_maintenance.sqlite.operations.reindex import reindex
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum

Open = Callable[..., SQLiteDatabase]
FILL = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO "
KINDS = {
    "fts5": ["CREATE VIRTUAL TABLE f USING fts5(body)", FILL + "f SELECT 'word' || i FROM n"],
    "fts3": ["CREATE VIRTUAL TABLE f USING fts3(body)", FILL + "f SELECT 'word' || i FROM n"],
    "rtree": ["CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)", FILL + "r SELECT i, i, i + 1 FROM n"],
    "without_rowid": [
        "CREATE TABLE w (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE INDEX wi ON w (b)",
        FILL + "w SELECT i, -i FROM n",
    ],
    "strict": ["CREATE TABLE s (a TEXT, b ANY) STRICT", "CREATE INDEX si ON s (b, a)", FILL + "s SELECT 'x', i FROM n"],
    "generated": [
        "CREATE TABLE g (a, b AS (a + 1), c AS (a * 2) STORED)",
        "CREATE INDEX gi ON g (b)",
        "CREATE UNIQUE INDEX gj ON g (c)",
        FILL + "g SELECT i FROM n",
    ],
    "expression": [
        "CREATE TABLE e (a)",
        "CREATE INDEX ei ON e (lower(a), length(a))",
        FILL + "e SELECT 'A' || i FROM n",
    ],
    "partial": ["CREATE TABLE p (a)", "CREATE INDEX pi ON p (a) WHERE a > 100", FILL + "p SELECT i FROM n"],
    "view_and_trigger": [
        "CREATE TABLE v (a)",
        "CREATE VIEW vv AS SELECT a FROM v",
        "CREATE TRIGGER vt AFTER INSERT ON v BEGIN SELECT 1; END",
        FILL + "v SELECT i FROM n",
    ],
    "awkward_names": [
        'CREATE TABLE "the ""table"" [1]" ("select" UNIQUE, "a b")',
        'CREATE INDEX "nocase" ON "the ""table"" [1]" ("a b" COLLATE rtrim)',
        FILL + '"the ""table"" [1]" SELECT i, -i FROM n',
    ],
    "autoincrement": ["CREATE TABLE a (i INTEGER PRIMARY KEY AUTOINCREMENT, b UNIQUE)", FILL + "a (b) SELECT i FROM n"],
    "empty": ["PRAGMA user_version = 1"],
}


@pytest.mark.parametrize("operation", [vacuum, analyze, reindex, optimize], ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_operations_keep_the_rows(make: Any, opened: Open, seen: Any, kind: str, operation: Any) -> None:
    """No warning, no damage, and each row as it was."""
    try:
        path: Path = make(*KINDS[kind])
    except sqlite3.OperationalError as error:
        pytest.skip(f"this SQLite lacks it: {error}")
    before = seen.rows(path)
    result = operation(opened(path))
    assert result.warnings == ()
    assert seen.rows(path) == before
    assert seen.integrity(path) == ["ok"]


@pytest.mark.parametrize("operation", [analyze, reindex, optimize], ids=lambda f: f.__name__)
def test_operations_touch_no_other_schema(make: Any, opened: Open, seen: Any, operation: Any) -> None:
    """What is attached or temporary is not the job's business, even when it is called the same."""
    statements = ["CREATE TABLE t (x)", "CREATE INDEX i ON t (x)", "INSERT INTO t VALUES (1)"]
    path, other = make(*statements), make(*statements, name="other.db")
    before = seen.content(other)
    db = opened(path)
    db.execute("ATTACH ? AS other", (str(other),))
    db.execute("CREATE TEMP TABLE t (x)")
    db.execute("CREATE INDEX temp.i ON t (x)")
    result = operation(db)
    assert result.data.get("indexes", 1) == 1
    assert seen.content(other) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
