"""Which rows something refers to by undeclared numbers: what the schema tells, and what does not matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.guards.rowids import find_references, hash_rowids, require_stable_rowids

Open = Callable[..., SQLiteDatabase]
#: Rows with a gap in their numbers, so that numbering them anew would change some.
GAP = ("INSERT INTO doc (a) VALUES (1), (2), (3)", "DELETE FROM doc WHERE a = 2")


@pytest.mark.parametrize(
    ("table", "refers", "by"),
    [
        ("doc (a)", "CREATE VIRTUAL TABLE f USING fts5(a, content='doc')", "FTS5 table 'f'"),
        ("doc (a)", 'create virtual table "f x" using FTS5 ( a , content = "doc" )', "FTS5 table 'f x'"),
        ("doc (a)", "CREATE VIRTUAL TABLE f USING fts5(a, prefix='2,3', content=[DOC])", "FTS5 table 'f'"),
        ("doc (a)", "CREATE VIRTUAL TABLE f USING fts5(a, content=doc, content_rowid=_rowid_)", "FTS5 table 'f'"),
        ("doc (a)", "CREATE VIRTUAL TABLE f USING fts4(a, content=doc)", "FTS4 table 'f'"),
        ("doc (a INTEGER PRIMARY KEY DESC)", "CREATE VIRTUAL TABLE f USING fts4(a, content=doc)", "FTS4 table 'f'"),
        ("doc (a INT PRIMARY KEY)", "CREATE VIRTUAL TABLE f USING fts4(a, content=doc)", "FTS4 table 'f'"),
        (
            "doc (a)",
            "CREATE TRIGGER g AFTER INSERT ON doc BEGIN INSERT INTO log VALUES (new.rowid); END",
            "trigger 'g'",
        ),
        ("doc (a)", "CREATE VIEW v AS SELECT oid, a FROM doc", "view 'v'"),
        *(
            ("doc (a)", f"CREATE VIRTUAL TABLE f USING {module}(a, content=doc)", "FTS5 table 'f'")
            for module in ("[fts5]", "`fts5`", "'FTS5'", '"fts5"', "/* using fts4 */ fts5")
        ),
        (
            "doc (a)",
            "CREATE TRIGGER g AFTER INSERT ON log BEGIN INSERT INTO log SELECT rowid FROM doc WHERE a = new.x; END",
            "trigger 'g'",
        ),
        (
            "doc (a, oid)",
            "CREATE TRIGGER g AFTER DELETE ON doc WHEN old.rowid > 7 BEGIN DELETE FROM log; END",
            "trigger 'g'",
        ),
    ],
)
def test_references_finds_who_refers_to_hidden_numbers(
    make: Any, opened: Open, table: str, refers: str, by: str
) -> None:
    """By FTS with external content, a trigger or a view; it is refused, unless it is allowed."""
    db = opened(make("CREATE TABLE log (x)", f"CREATE TABLE {table}", refers, *GAP))
    assert [(each.table, each.by) for each in find_references(db)] == [("doc", by)]
    with pytest.raises(OperationError, match=rf"{by} refers to the rows of 'doc' by numbers"):
        require_stable_rowids(db, allow=False)
    require_stable_rowids(db, allow=True)


@pytest.mark.parametrize(
    ("table", "refers"),
    [
        ("doc (id INTEGER PRIMARY KEY, a)", "CREATE VIRTUAL TABLE f USING fts5(a, content='doc')"),
        ("doc (a, key)", "CREATE VIRTUAL TABLE f USING fts5(a, content='doc', content_rowid='key')"),
        ("doc (a PRIMARY KEY) WITHOUT ROWID", "CREATE VIRTUAL TABLE f USING fts5(a, content='doc')"),
        ("doc (a)", "CREATE VIRTUAL TABLE f USING fts5(a, content='')"),
        ("doc (a)", "CREATE VIRTUAL TABLE f USING fts5(a, b)"),
        ("doc (a)", "CREATE TRIGGER g AFTER INSERT ON doc BEGIN INSERT INTO log VALUES (new.a); END"),
        ("doc (a)", "CREATE VIEW v AS SELECT a FROM doc"),
        ("doc (a, oid)", "CREATE VIEW v AS SELECT oid, a FROM doc"),
        ("doc (a)", "CREATE VIEW v AS SELECT a, 'rowid' AS b FROM doc -- not by rowid"),
        ("doc (a, oid)", "CREATE TRIGGER g AFTER DELETE ON doc BEGIN DELETE FROM log WHERE x = old.oid; END"),
        ("doc (a)", "CREATE TRIGGER g AFTER INSERT ON doc BEGIN INSERT INTO log (rowid, x) VALUES (new.a, 1); END"),
    ],
)
def test_references_leaves_declared_numbers_alone(make: Any, opened: Open, table: str, refers: str) -> None:
    """A declared key never changes, and what names no number does not mind."""
    db = opened(make("CREATE TABLE log (x)", f"CREATE TABLE {table}", refers, *GAP))
    assert find_references(db) == []
    require_stable_rowids(db, allow=False)


def test_references_leaves_rows_without_a_gap_alone(make: Any, opened: Open) -> None:
    """Numbered anew, they would have the same numbers."""
    db = opened(
        make(
            "CREATE TABLE doc (a)",
            "CREATE VIRTUAL TABLE f USING fts5(a, content='doc')",
            "INSERT INTO doc VALUES (1), (2)",
        )
    )
    assert find_references(db) == []
    db.execute("DELETE FROM doc WHERE a = 1")
    assert len(find_references(db)) == 1


def test_digests_tell_numbers_apart(make: Any, opened: Open) -> None:
    """Also in a table that has a column of that name; the order of the rows in the file is that of the numbers."""
    db = opened(
        make("CREATE TABLE doc (a, rowid)", "CREATE TABLE same (a)", *GAP, "INSERT INTO same SELECT a FROM doc")
    )
    before = {table: hash_rowids(db, table) for table in ("doc", "same")}
    assert before["doc"] != before["same"]
    db.execute("UPDATE same SET _rowid_ = 3 WHERE a = 3")
    assert hash_rowids(db, "same") == before["doc"]
