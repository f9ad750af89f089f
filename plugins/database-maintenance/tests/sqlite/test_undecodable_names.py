"""Names that are not valid UTF-8, such as Latin-1 from an old application: what needs no name is done all the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import InvalidValueError, OperationError
from pitstop.jobs import Outcome, Result
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations.analyze import analyze
from pitstop_database_maintenance.sqlite.operations.backup import backup
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.operations.convert_auto_vacuum import convert_auto_vacuum
from pitstop_database_maintenance.sqlite.operations.optimize import optimize
from pitstop_database_maintenance.sqlite.operations.reindex import reindex
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum

pytestmark = pytest.mark.usefixtures("all_seen")
#: "Größe" and "größen" as Latin-1 has them.
TABLE, INDEX = b"Gr\xf6\xdfe", b"gr\xf6\xdfen"


@pytest.fixture
def path(make: Callable[..., Path]) -> Path:
    """A table and its index with such names, beside an ordinary one, and half of the file is free."""
    made = make(
        "CREATE TABLE t (a)",
        "CREATE INDEX i ON t (a)",
        "CREATE TABLE plain (x)",
        "CREATE INDEX plain_x ON plain (x)",
        "INSERT INTO plain VALUES (1), (2)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
        " INSERT INTO t SELECT i || hex(zeroblob(80)) FROM n",
        "DELETE FROM t WHERE rowid % 2",
        "PRAGMA writable_schema = ON",
    )
    with closing(sqlite3.connect(made, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        rename = "UPDATE sqlite_master SET name = CAST(? AS TEXT), tbl_name = CAST(? AS TEXT), sql = CAST(? AS TEXT)"
        connection.execute(f"{rename} WHERE name = 't'", (TABLE, TABLE, b'CREATE TABLE "%b" (a)' % TABLE))
        sql = b'CREATE INDEX "%b" ON "%b" (a)' % (INDEX, TABLE)
        connection.execute(f"{rename} WHERE name = 'i'", (INDEX, TABLE, sql))
    return made


def schema(path: Path) -> list[Any]:
    """Return the schema as bytes, but for SQLite's own tables."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
        return [row for row in rows if not row[1].startswith(b"sqlite_")]


DONE: dict[str, Callable[[SQLiteDatabase], Result]] = {
    "vacuum": vacuum,
    "compact": lambda db: compact(db, offline=True),
    "convert_auto_vacuum": convert_auto_vacuum,
    "backup": lambda db: backup(db, to=f"{db.path}.copy"),
}
IN_PART: dict[str, Callable[[SQLiteDatabase], Result]] = {"reindex": reindex, "analyze": analyze, "optimize": optimize}


@pytest.mark.parametrize("operation", DONE)
def test_operation_that_needs_no_names_is_done(path: Path, context: Any, operation: str) -> None:
    """Nothing of it is lost."""
    before = schema(path)
    with SQLiteDatabase.connect(str(path), context) as db:
        result = DONE[operation](db)
    made = Path(f"{path}.copy") if operation == "backup" else path
    assert result.outcome is Outcome.CHANGED
    assert schema(made) == before
    assert {name for _, name, *_ in before} >= {TABLE, INDEX}
    with closing(sqlite3.connect(made)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("operation", IN_PART)
def test_operation_that_needs_names_leaves_these_out(path: Path, context: Any, operation: str) -> None:
    """It says why, and does the rest."""
    with SQLiteDatabase.connect(str(path), context) as db:
        result = IN_PART[operation](db)
    assert result.outcome is Outcome.CHANGED
    [warning] = result.warnings
    assert "its name is not valid UTF-8, so that no statement can name it; have the application rename it" in warning
    assert not any("plain" in text for text in result.warnings)


def test_name_cannot_be_said(path: Path, opened: Callable[..., SQLiteDatabase]) -> None:
    """Neither as an identifier nor as a value; it can be read."""
    db = opened(path)
    [(name,)] = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'plain'")
    assert name.encode("utf-8", "surrogateescape") == TABLE
    with pytest.raises(InvalidValueError, match="it is not valid UTF-8, and no statement can name it"):
        db.quote(name)
    with pytest.raises(OperationError, match="holds half of a character"):
        db.execute("SELECT ?", (name,))
