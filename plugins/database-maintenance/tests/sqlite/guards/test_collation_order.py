"""Collations and functions that are not those with which an index was built: what is refused, and that it is seen."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sampling import at_most

from pitstop.errors import OperationError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.guards.collation_order import find_misordered, list_collated_indexes
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.operations.convert_auto_vacuum import convert_auto_vacuum
from pitstop_database_maintenance.sqlite.operations.reindex import reindex
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum

Open = Callable[..., SQLiteDatabase]
KEYS = 300
FILL = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {KEYS}) INSERT INTO "


#: How the application looks a row up through an index of a key.
WHERE = {
    "x COLLATE by_number": "x = ? COLLATE by_number",
    "x COLLATE by_number DESC, y": "x = ? COLLATE by_number",
    "x COLLATE NOCASE": "x = ? COLLATE NOCASE",
    "fold(x) COLLATE by_number": "fold(x) COLLATE by_number = ?",
    "fold(x)": "fold(x) = ?",
}


def _compared(a: Any, b: Any) -> int:
    return (a > b) - (a < b)


def application(connection: sqlite3.Connection) -> None:
    """What the application registers: sorts by the number in a text, and folds to lower case."""
    for name in ("by_number", "NOCASE"):
        connection.create_collation(name, lambda a, b: _compared(int(a[1:]), int(b[1:])))
    connection.create_function("fold", 1, lambda x: x.lower(), deterministic=True)


def another(connection: sqlite3.Connection) -> None:
    """What somebody registers who has another version: the same names, other rules."""
    connection.create_collation("by_number", _compared)
    connection.create_function("fold", 1, lambda x: x.upper(), deterministic=True)


def found(path: Path) -> int:
    """Return how many of the keys the application finds through the index."""
    with closing(sqlite3.connect(path)) as connection:
        application(connection)
        [(sql,)] = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'i'").fetchall()
        condition = WHERE[sql.partition("(")[2][:-1]]
        looked = f"SELECT 1 FROM t INDEXED BY i WHERE {condition}"
        return sum(len(connection.execute(looked, (f"k{number}",)).fetchall()) for number in range(1, KEYS + 1))


@pytest.fixture
def built(make: Callable[..., Path]) -> Callable[[str], Path]:
    """Make a table with an index of the given key, as the application does."""

    def build(key: str) -> Path:
        path = make("CREATE TABLE t (x, y)", f"CREATE INDEX i ON t ({key})", setup=application)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            application(connection)
            connection.execute(FILL + "t SELECT 'k' || i, i FROM n")
            connection.execute("INSERT INTO t SELECT 'K' || (1000 + y), y FROM t WHERE y < 50")
            connection.execute("DELETE FROM t WHERE x LIKE 'K1___'")
        assert found(path) == KEYS
        return path

    return build


@pytest.fixture
def connected(context: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[SQLiteDatabase]]:
    """Open a database, with an `on_connect` of this module, whatever pytest calls it, or without."""
    monkeypatch.setitem(sys.modules, "order_application", sys.modules[__name__])

    def connect(path: Path, function: str = "") -> AbstractContextManager[SQLiteDatabase]:
        options = {"on_connect": f"order_application:{function}"} if function else {}
        return SQLiteDatabase.connect(str(path), context, **options)

    return connect


REBUILD = {"vacuum": vacuum, "compact": lambda db: compact(db, offline=True), "convert": convert_auto_vacuum}


def test_the_trap_is_real(built: Callable[[str], Path]) -> None:
    """VACUUM with another collation of the same name: SQLite's check finds it right, the application most rows not."""
    path = built("x COLLATE by_number")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        another(connection)
        connection.execute("VACUUM")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert found(path) < KEYS


@pytest.mark.parametrize("operation", REBUILD)
@pytest.mark.parametrize("key", ["x COLLATE by_number", "fold(x) COLLATE by_number", "x COLLATE by_number DESC, y"])
def test_rebuilding_with_another_collation_is_refused(
    built: Callable[[str], Path], connected: Any, seen: Any, operation: str, key: str
) -> None:
    """The index is named, and the file is as it was; with the right one it is done, and every row is found."""
    path = built(key)
    before = seen.content(path)
    told = "index 'i' of table 't' is not in the order of by_number as it is here"
    with pytest.raises(OperationError, match=told), connected(path, "another") as db:
        REBUILD[operation](db)
    assert seen.content(path) == before
    with connected(path, "application") as db:
        REBUILD[operation](db)
    assert found(path) == KEYS


@pytest.mark.parametrize("operation", REBUILD)
def test_rebuilding_without_the_applications_nocase_is_refused(
    built: Callable[[str], Path], connected: Any, seen: Any, operation: str
) -> None:
    """An application may have a NOCASE of its own, of which nothing is missing here: only the order tells."""
    path = built("x COLLATE NOCASE")
    before = seen.content(path)
    with pytest.raises(OperationError, match="not in the order of NOCASE"), connected(path) as db:
        REBUILD[operation](db)
    assert seen.content(path) == before
    with connected(path, "application") as db:
        REBUILD[operation](db)
    assert found(path) == KEYS


def test_rebuilding_a_table_that_is_in_such_an_order_is_refused(make: Any, opened: Open, seen: Any) -> None:
    """The key of a WITHOUT ROWID table is an index too, though no entry of the schema."""
    path = make("CREATE TABLE w (x COLLATE NOCASE PRIMARY KEY) WITHOUT ROWID", setup=application)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        application(connection)
        connection.execute(FILL + "w SELECT 'k' || i FROM n")
    before = seen.content(path)
    with pytest.raises(OperationError, match="index 'sqlite_autoindex_w_1' of table 'w' is not in the order of NOCASE"):
        vacuum(opened(path))
    assert seen.content(path) == before


@pytest.mark.parametrize("key", ["x COLLATE by_number", "fold(x)", "fold(x) COLLATE by_number"])
def test_reindex_leaves_out_what_would_become_different(
    built: Callable[[str], Path], connected: Any, context: Any, key: str
) -> None:
    """Unasked, an index is not built by another rule; named, it is: the application may have changed."""
    path = built(key)
    with connected(path, "another") as db:
        result = reindex(db)
    assert result.outcome is Outcome.SKIPPED
    assert result.data["left_out"] == ["i"]
    assert "on_connect" in result.warnings[0]
    assert found(path) == KEYS
    with connected(path, "application") as db:
        assert reindex(db).warnings == ()
    assert found(path) == KEYS
    with connected(path, "another") as db:
        result = reindex(db, indexes=["i"])
    assert (result.data["rebuilt"], found(path) < KEYS) == (1, True)


def test_vacuum_keeps_what_a_function_gave(built: Callable[[str], Path], connected: Any) -> None:
    """VACUUM copies the entries of an index on an expression, so that another function is no reason to refuse."""
    path = built("fold(x)")
    with connected(path, "another") as db:
        vacuum(db)
    assert found(path) == KEYS


def test_reindex_repairs_a_damaged_index_with_a_collation(make: Any, opened: Open, seen: Any) -> None:
    """One that lacks rows is in order nevertheless, and is built anew unasked."""
    path = make(
        "CREATE TABLE t (x)",
        "CREATE INDEX i ON t (x COLLATE NOCASE)",
        "CREATE INDEX j ON t (lower(x))",
        "INSERT INTO t VALUES ('a'), ('B')",
        "PRAGMA writable_schema = ON",
        "CREATE TABLE kept AS SELECT * FROM sqlite_master WHERE type = 'index'",
        "DELETE FROM sqlite_master WHERE type = 'index'",
        "PRAGMA schema_version = 90",
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO t VALUES ('lost')")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master SELECT * FROM kept")
        connection.execute("PRAGMA schema_version = 91")
    assert seen.integrity(path) != ["ok"]
    assert reindex(opened(path)).data["rebuilt"] == 2
    assert seen.integrity(path) == ["ok"]


_TEXTS = st.one_of(
    st.none(), st.integers(-3, 3), st.floats(-2, 2), st.text("aAbBéÉ", max_size=3), st.binary(max_size=2)
)


@at_most(30)
@given(
    rows=st.lists(st.tuples(_TEXTS, _TEXTS), max_size=25),
    key=st.sampled_from(
        [
            "x COLLATE NOCASE",
            "x COLLATE NOCASE DESC",
            "x, y COLLATE NOCASE",
            "x DESC, y COLLATE NOCASE DESC",
            "x COLLATE RTRIM, y",
            "x COLLATE NOCASE, y COLLATE RTRIM DESC",
            "lower(x) COLLATE NOCASE",
        ]
    ),
    kind=st.sampled_from(["", "TEXT", "INTEGER"]),
)
def test_out_of_order_believes_what_sqlite_built(
    tmp_path_factory: Any, context: Any, rows: list[Any], key: str, kind: str
) -> None:
    """Whatever is in an index that SQLite built itself, it is in order: NULL, numbers, texts, blobs, up or down."""
    path = tmp_path_factory.mktemp("order") / "app.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"CREATE TABLE t (x {kind}, y {kind})")
        connection.execute(f"CREATE INDEX i ON t ({key})")
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    with SQLiteDatabase.connect(str(path), context) as db:
        assert [index.name for index in list_collated_indexes(db)] == ["i"]
        assert find_misordered(db) == []


def test_out_of_order_reads_nothing_that_is_binary(bloated: Path, opened: Open) -> None:
    """Without another collation there is nothing to look at."""
    assert list_collated_indexes(opened(bloated)) == []


def test_reindex_leaves_out_what_cannot_be_checked(built: Callable[[str], Path], connected: Any) -> None:
    """Where something else of the table is missing, so that the order cannot be known, it is not taken for right."""
    path = built("fold(x)")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        application(connection)
        connection.execute("CREATE INDEX j ON t (x COLLATE NOCASE) WHERE y > 0")
        connection.execute("CREATE INDEX k ON t (y)")
    with connected(path) as db:
        result = reindex(db)
    assert (result.data["rebuilt"], result.data["failed"], result.data["left_out"]) == (1, 1, ["j"])
