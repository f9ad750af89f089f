"""What a schema uses and this SQLite does not have, unless the application brings it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from surveying import inspection, schema

from pitstop_database_maintenance.sqlite.surveyor.schema.missing_features import probe_statement

Make = Callable[..., Path]


def german(connection: sqlite3.Connection) -> None:
    """What an application would register; also named by `on_connect` below."""
    connection.create_collation("german", lambda one, other: (one > other) - (one < other))
    connection.create_function("fold", 1, str.lower, deterministic=True)


def test_missing_names_what_only_the_application_has(make: Make) -> None:
    """Collations of indexes, functions of indexes, CHECKs and generated columns; not what only a view uses."""
    path = make(
        "CREATE TABLE a (x TEXT COLLATE german UNIQUE, y)",
        "CREATE TABLE b (x, CHECK (fold(x) <> ''))",
        "CREATE VIEW v AS SELECT nowhere(1)",
        "CREATE INDEX b_x ON b (fold(x), x COLLATE german)",
        setup=german,
    )
    assert tuple(map(str, schema(path).missing)) == ("collation german", "function fold")


def test_missing_names_the_collation_of_a_constraint(make: Make) -> None:
    """A collation that only a UNIQUE uses is as needed as any, and so is that of a column without an index.

    VACUUM runs the CREATE TABLE again, which refuses a column with a collation that it does not know.
    """
    found = schema(make("CREATE TABLE a (x TEXT COLLATE german UNIQUE)", setup=german))
    assert tuple(map(str, found.missing)) == ("collation german",)
    plain = make("CREATE TABLE a (x TEXT COLLATE german)", name="plain.db", setup=german)
    assert tuple(map(str, schema(plain).missing)) == ("collation german",)
    with closing(sqlite3.connect(plain)) as connection, pytest.raises(sqlite3.OperationalError, match="german"):
        connection.execute("VACUUM")


def test_missing_names_more_than_one_of_a_statement(make: Make) -> None:
    """Behind what is missing first, what else is missing of the same statement is found too."""

    def setup(connection: sqlite3.Connection) -> None:
        for name in ("one", "two", "three"):
            connection.create_function(name, 1, lambda value: value, deterministic=True)

    path = make(
        "CREATE TABLE t (a, b AS (one(a)), CHECK (two(a) IS NOT NULL))", "CREATE INDEX i ON t (three(a))", setup=setup
    )
    assert set(map(str, schema(path).missing)) == {"function one", "function two", "function three"}


def test_missing_names_modules(make: Make) -> None:
    """A virtual table of a module that is not there is named, and the rest of the schema is told."""
    path = make(
        "CREATE TABLE t (a)",
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING vec0(e float[3])')",
    )
    found = schema(path)
    assert tuple(map(str, found.missing)) == ("module vec0",)
    assert [(table.name, table.module) for table in found.tables] == [("t", ""), ("v", "vec0")]


def test_on_connect_brings_what_is_missing(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's function is found on the caller's path and called in the child.

    What it prints harms nothing, nor in which form it has rows and texts.
    """
    module = tmp_path / "app_of_the_test.py"
    module.write_text(
        "import os\n"
        "print('imported in', os.getpid())\n"
        "class hooks:\n"
        "    @staticmethod\n"
        "    def register(connection):\n"
        "        connection.create_collation('german', lambda a, b: (a > b) - (a < b))\n"
        "        connection.create_function('fold', 1, str.lower, deterministic=True)\n"
        "        connection.row_factory = lambda cursor, row: {name: value for (name, *_), value in "
        "zip(cursor.description, row)}\n"
        "        connection.text_factory = bytes\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = make("CREATE TABLE b (x TEXT COLLATE german UNIQUE, CHECK (fold(x) <> ''))", setup=german)
    assert tuple(map(str, schema(path, on_connect="app_of_the_test:hooks.register").missing)) == ()
    assert "app_of_the_test" not in sys.modules


def test_on_connect_that_fails_is_noted(make: Make) -> None:
    """A hook that cannot be imported costs no inspection: it is said, and the schema is told without it."""
    found = inspection(make("CREATE TABLE t (a)"), on_connect="no_such_module:register")
    assert found.schema is not None
    assert found.notes == (
        "on_connect 'no_such_module:register' could not be used: ModuleNotFoundError: No module named 'no_such_module'",
    )


def test_what_is_missing_is_found_without_running_anything_but_a_schema(tmp_path: Path) -> None:
    """All that one statement lacks is found at once; a text that makes nothing is not run, whatever the file says."""
    statement = "CREATE TABLE t (a CHECK (fold(a) = unfold(a)), b COLLATE german, c UNIQUE)"
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("PRAGMA trusted_schema = OFF")
        found = probe_statement(db, statement)
        assert sorted(found) == [("collation", "german"), ("function", "fold"), ("function", "unfold")]
        assert probe_statement(db, f"ATTACH '{tmp_path}/made.db' AS other") == []
        assert db.execute("PRAGMA trusted_schema").fetchall() == [(0,)]
    assert list(tmp_path.iterdir()) == []
