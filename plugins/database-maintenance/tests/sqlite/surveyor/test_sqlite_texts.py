"""What SQLite says in words only is read as codes, from the words of the library that is here."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pitstop_database_maintenance.sqlite.connection.check_answers import CheckFinding, Flaw, parse_problems
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import (
    GOOD,
    HEAD,
    Corruption,
    Feature,
    corruption,
    is_null,
    is_unsafe,
    missing_feature,
    problem_lines,
)


def _error(statement: str, *, after: str = "") -> sqlite3.Error:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(after)
        with pytest.raises(sqlite3.Error, match=r"\w") as raised:
            db.execute(statement)
    return raised.value


@pytest.mark.parametrize(
    ("statement", "feature", "name"),
    [
        ("SELECT 1 ORDER BY 1 COLLATE german", Feature.COLLATION, "german"),
        ("SELECT fold(1)", Feature.FUNCTION, "fold"),
        ("CREATE VIRTUAL TABLE t USING vec0(a)", Feature.MODULE, "vec0"),
        ("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = own)", Feature.TOKENIZER, "own"),
    ],
)
def test_missing_feature_names_what_an_error_lacks(statement: str, feature: Feature, name: str) -> None:
    """The kind and the name are read from what SQLite itself says."""
    assert missing_feature(_error(statement)) == (feature, name)


def test_missing_feature_is_none_of_another_error() -> None:
    """A table that is not there is nothing that an application registers."""
    assert missing_feature(_error("SELECT * FROM t")) is None


def test_is_unsafe_tells_a_function_that_is_not_trusted() -> None:
    """A function that is not innocuous is refused in the schema, by words alone."""
    view = "PRAGMA trusted_schema = OFF; CREATE VIEW v AS SELECT load_extension('x')"
    assert is_unsafe(_error("SELECT * FROM v", after=view))
    assert not is_unsafe(_error("SELECT fold(1)"))


def _damaged_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (a)")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE t (a'")
        db.commit()


def _cut(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000))")
    path.write_bytes(path.read_bytes()[:8192])


@pytest.mark.parametrize(("damage", "expected"), [(_damaged_schema, Corruption.SCHEMA), (_cut, Corruption.UNSPECIFIED)])
def test_corruption_tells_the_schema_from_the_file(
    tmp_path: Path, damage: Callable[[Path], None], expected: Corruption
) -> None:
    """An entry that cannot be read is told from a file that is too short."""
    path = tmp_path / "app.db"
    damage(path)
    with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.DatabaseError, match="malformed") as raised:
        db.execute("SELECT * FROM t").fetchall()
    assert corruption(raised.value) is expected


def test_corruption_that_names_what_it_is_about_is_specific() -> None:
    """Anything more than the plain sentence is worth showing."""
    assert corruption(sqlite3.DatabaseError("database disk image is malformed (page 7)")) is Corruption.SPECIFIC


def test_problem_lines_leaves_out_headings_and_the_good_answer() -> None:
    """Only what is wrong is left, one line each."""
    assert problem_lines([GOOD]) == []
    assert problem_lines([f"{HEAD}Page 7: never used\nPage 8: never used", "NULL value in t.a"]) == [
        "Page 7: never used",
        "Page 8: never used",
        "NULL value in t.a",
    ]
    assert is_null("NULL value in t.a")


@pytest.mark.parametrize(
    ("answer", "flaw", "finding", "name"),
    [
        ("row 3 missing from index i", Flaw.INDEX, CheckFinding.ROW_MISSING, "i"),
        ("wrong # of entries in index i", Flaw.INDEX, CheckFinding.ENTRY_COUNT, "i"),
        ("row not in PRIMARY KEY order for t", Flaw.ORDER, CheckFinding.KEY_ORDER, "t"),
        ("non-unique entry in index i", Flaw.INDEX, CheckFinding.OTHER, "i"),
    ],
)
def test_problems_of_a_check_say_exactly_what_is_decided_by(
    answer: str, flaw: Flaw, finding: CheckFinding, name: str
) -> None:
    """What VACUUM's guards tell apart is an enum, not a sentence."""
    [problem] = parse_problems(answer)
    assert (problem.flaw, problem.finding, problem.object) == (flaw, finding, name)


def test_a_problem_names_its_page() -> None:
    """So that the table or index of that page can be named."""
    [problem] = parse_problems(f"{HEAD}Tree 5 page 7: btreeInitPage() returns error code 11")
    assert (problem.flaw, problem.page) == (Flaw.STRUCTURE, 5)
    assert parse_problems("row 3 missing from index i")[0].page is None
