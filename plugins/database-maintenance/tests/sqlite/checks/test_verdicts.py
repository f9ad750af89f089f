"""Each kind of answer has its own advice, what cannot be computed is no damage, and a cap is no count."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import OperationError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations.foreign_key_check import foreign_key_check
from pitstop_database_maintenance.sqlite.operations.integrity_check import integrity_check
from pitstop_database_maintenance.sqlite.operations.quick_check import quick_check
from pitstop_database_maintenance.sqlite.operations.reindex import reindex

Open = Callable[..., SQLiteDatabase]
ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"


@pytest.fixture
def history() -> Iterator[History]:
    with History(":memory:") as kept:
        yield kept


@pytest.fixture
def shell() -> Callable[[Path, str], list[str]]:
    """Ask the sqlite3 program, which knows nothing of us."""

    def ask(path: Path, sql: str) -> list[str]:
        run = subprocess.run(["sqlite3", str(path), sql], capture_output=True, text=True, check=False)
        return (run.stdout + run.stderr).splitlines()

    return ask


def changed_schema(path: Path, name: str, sql: str) -> Path:
    """Give a table another definition than the one with which its rows were written."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, name))
    return path


# -- what cannot be computed -------------------------------------------------------------------------------------------

CHECKS = {
    "the clock": "day <= date('now')",
    "no JSON": "json_extract(day, '$.a') > 1",
    "too large a number": "abs(-9223372036854775807 - length(day)) > 0",
}


@pytest.mark.parametrize("check", [quick_check, integrity_check])
@pytest.mark.parametrize("condition", CHECKS.values(), ids=CHECKS)
def test_a_check_constraint_that_cannot_be_computed_is_no_damage(
    make: Any, opened: Open, history: History, check: Any, condition: str
) -> None:
    """The rest is checked without it, which counts as checked; the reason is a warning."""
    path = make(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, day TEXT CHECK ({condition}))",
        "CREATE INDEX i ON t (day)",
        "PRAGMA ignore_check_constraints = ON",
        "INSERT INTO t (day) VALUES ('x')",
    )
    db = opened(path)
    db.history = history.of("it")
    result = check(db)
    assert result.outcome is Outcome.UNCHANGED
    assert "CHECK constraints were left out: " in result.warnings[0]
    assert "" in Verdicts.read(db).latest(check.__name__)


def test_rows_are_found_wrong_although_a_check_cannot_be_computed(make: Any, opened: Open) -> None:
    """Only the CHECK constraints are left out."""
    path = make("CREATE TABLE t (a, b)", "INSERT INTO t VALUES (NULL, 'x')")
    changed_schema(path, "t", "CREATE TABLE t (a NOT NULL, b CHECK (b < date('now')))")
    with pytest.raises(OperationError, match=r"found 1 problem in .*: NULL value in t\.a; the file is sound"):
        integrity_check(opened(path))


@pytest.mark.parametrize("check", [quick_check, integrity_check])
def test_a_computed_column_that_cannot_be_computed_is_no_damage(
    make: Any, opened: Open, history: History, check: Any
) -> None:
    """Nothing can be said of the rows and the indexes of that table, so that it does not count as checked."""
    path = make("CREATE TABLE good (x)", "CREATE TABLE t (id INTEGER PRIMARY KEY, j)", "INSERT INTO t (j) VALUES ('{')")
    changed_schema(path, "t", "CREATE TABLE t (id INTEGER PRIMARY KEY, j, a AS (json_extract(j, '$.a')) NOT NULL)")
    db = opened(path)
    db.history = history.of("it")
    result = check(db)
    assert result.outcome is Outcome.UNCHANGED
    assert "malformed JSON" in result.warnings[0]
    assert "" not in Verdicts.read(db).latest(check.__name__)
    if check is integrity_check:
        assert result.data["unchecked"] == ["t"]
        assert set(Verdicts.read(db).latest("integrity_check")) == {"sqlite_structure", "sqlite_master", "good"}


# -- rows --------------------------------------------------------------------------------------------------------------

FORBIDDEN = {
    "NULL": ("CREATE TABLE t (a, b)", "NULL, 1", "CREATE TABLE t (a NOT NULL, b)", "NULL value in t.a"),
    "strict": ("CREATE TABLE t (a TEXT) STRICT", "'x'", "CREATE TABLE t (a INT) STRICT", "non-INT value in t.a"),
    "check": ("CREATE TABLE t (a)", "1", "CREATE TABLE t (a CHECK (a > 1))", "CHECK constraint failed in t"),
}


@pytest.mark.parametrize(("old", "row", "new", "said"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_rows_that_a_constraint_forbids_are_the_applications(
    make: Any, opened: Open, shell: Any, old: str, row: str, new: str, said: str
) -> None:
    """No backup is to be restored for them, and no index built; SQLite's own program says the same of them."""
    path = changed_schema(make(old, f"INSERT INTO t VALUES ({row})"), "t", new)
    assert shell(path, "PRAGMA integrity_check") == [said]
    with pytest.raises(OperationError, match="the file is sound; correct these rows") as caught:
        integrity_check(opened(path))
    assert said in str(caught.value)
    assert "backup" not in str(caught.value)


# -- indexes -----------------------------------------------------------------------------------------------------------


def test_a_key_in_another_order_is_sorted_anew(make: Any, opened: Open, shell: Any) -> None:
    """A table WITHOUT ROWID is the index of its key: it does what is advised, and no backup is needed."""
    path = make("CREATE TABLE w (a TEXT PRIMARY KEY, b) WITHOUT ROWID", "INSERT INTO w VALUES ('a', 1), ('B', 2)")
    changed_schema(path, "w", "CREATE TABLE w (a TEXT COLLATE NOCASE PRIMARY KEY, b) WITHOUT ROWID")
    assert shell(path, "PRAGMA integrity_check") == ["row not in PRIMARY KEY order for w"]
    with pytest.raises(OperationError, match="REINDEX of the table, by the application or by the sqlite3 program"):
        integrity_check(opened(path))
    assert shell(path, "REINDEX w; PRAGMA integrity_check; SELECT a FROM w WHERE a = 'b'") == ["ok", "B"]
    assert integrity_check(opened(path)).outcome is Outcome.UNCHANGED


def without_index(path: Path, *statements: str) -> Path:
    """Do something while no index is known."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        kept = connection.execute("SELECT * FROM sqlite_master WHERE type = 'index'").fetchall()
        for statement in (
            "PRAGMA writable_schema = ON",
            "DELETE FROM sqlite_master WHERE type = 'index'",
            "PRAGMA writable_schema = RESET",
            *statements,
            "PRAGMA writable_schema = ON",
        ):
            connection.execute(statement)
        connection.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", kept)
    return path


def test_an_index_that_could_not_be_built_stays_known(make: Any, opened: Open, shell: Any, history: History) -> None:
    """One of two is built; the other is why the operation fails, with the rows named; and then it is corrected."""
    path = without_index(
        make(
            "CREATE TABLE t (i INTEGER PRIMARY KEY, name)",
            "CREATE UNIQUE INDEX tn ON t (name)",
            "CREATE INDEX ti ON t (name, i)",
            "CREATE TABLE u (x)",
            "CREATE INDEX ux ON u (x)",
            f"{ROWS.format(20)} INSERT INTO t SELECT i, 'n' || i FROM n",
        ),
        "INSERT INTO t (name) VALUES ('n5')",
    )
    db = opened(path)
    db.history = history.of("it")
    with pytest.raises(OperationError, match="missing from index tn"):
        integrity_check(db)
    for _ in range(2):
        with pytest.raises(
            OperationError, match=r"'tn' of .* still disagrees .*UNIQUE constraint failed.*the index has an entry of"
        ):
            reindex(db)
        assert Verdicts.read(db).latest("integrity_check")["t"].problems == 2
    assert reindex(db, indexes=["ux"]).outcome is Outcome.CHANGED  # which has nothing to do with it
    assert "row 21 missing from index tn" in shell(path, "PRAGMA integrity_check")
    db.execute("UPDATE t SET name = 'other' WHERE i = 5")
    assert reindex(db, indexes=["tn"]).outcome is Outcome.CHANGED
    assert Verdicts.read(db).latest("integrity_check")["t"].problems == 0
    assert shell(path, "PRAGMA integrity_check") == ["ok"]


def test_a_cap_is_not_a_count(make: Any, opened: Open, history: History) -> None:
    """SQLite stops at a hundred problems of a table, and what comes after them is not known."""
    path = without_index(
        make("CREATE TABLE t (a)", "CREATE INDEX i ON t (a)"), f"{ROWS.format(150)} INSERT INTO t SELECT i FROM n"
    )
    db = opened(path)
    db.history = history.of("it")
    with pytest.raises(OperationError, match=r"integrity_check found at least 100 problems in "):
        integrity_check(db)
    assert reindex(db).outcome is Outcome.CHANGED
    assert Verdicts.read(db).latest("integrity_check")["t"].problems == 0
    null = changed_schema(
        make("CREATE TABLE t (a)", f"{ROWS.format(150)} INSERT INTO t SELECT NULL FROM n", name="null.db"),
        "t",
        "CREATE TABLE t (a NOT NULL)",
    )
    with pytest.raises(OperationError, match=r"at least 1 problem in .*NULL value in t\.a \(at least 100 times\)"):
        integrity_check(opened(null))


# -- foreign keys ------------------------------------------------------------------------------------------------------

NO_KEYS = {
    "no index": ("CREATE TABLE p (a)", "p (a)"),
    "not unique": ("CREATE TABLE p (a); CREATE INDEX i ON p (a)", "p (a)"),
    "partial": ("CREATE TABLE p (a); CREATE UNIQUE INDEX i ON p (a) WHERE a > 0", "p (a)"),
    "other collation": ("CREATE TABLE p (a TEXT); CREATE UNIQUE INDEX i ON p (a COLLATE NOCASE)", "p (a)"),
    "more columns": ("CREATE TABLE p (a, b, UNIQUE (a, b))", "p (a)"),
    "two for one": ("CREATE TABLE p (a, b, PRIMARY KEY (a, b))", "p"),
}


@pytest.mark.parametrize(("parent", "target"), NO_KEYS.values(), ids=NO_KEYS)
def test_a_foreign_key_to_no_key_is_the_schemas_mistake(
    make: Any, opened: Open, shell: Any, parent: str, target: str
) -> None:
    """Nobody is told to delete rows: no row is at fault."""
    path = make(*parent.split(";"), f"CREATE TABLE c (x REFERENCES {target})", "INSERT INTO c VALUES (1)")
    assert "foreign key mismatch" in shell(path, "PRAGMA foreign_key_check")[0]
    with pytest.raises(OperationError, match=r"table 'c' from x to 'p' cannot be enforced: .*rows are not") as caught:
        foreign_key_check(opened(path))
    assert "delete" not in str(caught.value)


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [quick_check, integrity_check, foreign_key_check])
def test_a_name_that_is_no_text_stops_no_check(make: Any, opened: Open, check: Any) -> None:
    """Such a table cannot be asked for by its name, and is looked at with all others."""
    path = make("CREATE TABLE good (a)", "CREATE TABLE strange (a)", "CREATE INDEX other ON strange (a)")
    path.write_bytes(path.read_bytes().replace(b"strange", b"str\xffnge").replace(b"other", b"oth\xffr"))
    assert check(opened(path)).outcome is Outcome.UNCHANGED


def test_problems_of_a_table_whose_name_is_no_text_are_found(make: Any, opened: Open) -> None:
    """The index that lacks a row is told by what can be read of its name."""
    path = without_index(
        make("CREATE TABLE strange (a)", "CREATE INDEX other ON strange (a)"), "INSERT INTO strange VALUES (1)"
    )
    path.write_bytes(path.read_bytes().replace(b"strange", b"str\xffnge").replace(b"other", b"oth\xffr"))
    with pytest.raises(OperationError, match=r"row 1 missing from index oth\\xffr"):
        integrity_check(opened(path))
