"""`quick_check` and `integrity_check`: every problem is found, and nothing is written."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from check_databases import INDEX_OFF, INDEX_ON, ROWS, damaged_page, wal
from hypothesis import given
from hypothesis import strategies as st
from tests.sampling import at_most

from pitstop.errors import (
    InvalidValueError,
    OperationError,
    PitstopError,
    UnknownNameError,
)
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.checks import on_copy, parts
from pitstop_database_maintenance.sqlite.checks.parts import STRUCTURE
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts
from pitstop_database_maintenance.sqlite.connection.check_answers import damage
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations.integrity_check import integrity_check
from pitstop_database_maintenance.sqlite.operations.quick_check import quick_check

Open = Callable[..., SQLiteDatabase]
TESTS = Path(__file__).parents[2]
#: Leaves an index without the rows that came after it was taken out of the schema.


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The malformed databases that all operations are tried on."""
    sys.path.insert(0, str(TESTS))
    try:
        from hostile import cases as malformed
        from hostile.trial import write
    finally:
        sys.path.remove(str(TESTS))
    folder = tmp_path_factory.mktemp("cases")
    return SimpleNamespace(all=malformed.Cases(9, folder), module=malformed, write=write, path=folder / "case.db")


def said(path: Path, pragma: str) -> list[str]:
    """Return the problems that SQLite's own check finds, in one statement for the whole file."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.text_factory = bytes
            answers = [text for (text,) in connection.execute(f"PRAGMA {pragma}").fetchall()]
    except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
        return [type(error).__name__]
    return [repr(answer) for answer in answers if answer != b"ok"]


def free_page_in_use(path: Path) -> Path:
    """Put a page of a table on the list of free pages."""
    content = bytearray(path.read_bytes())
    trunk = int.from_bytes(content[32:36], "big")
    at = (trunk - 1) * 4096 + 8
    content[at : at + 4] = (2).to_bytes(4, "big")
    path.write_bytes(content)
    return path


def _with_collation(connection: sqlite3.Connection) -> None:
    connection.create_collation("german", lambda a, b: (a < b) - (a > b))


def _with_function(connection: sqlite3.Connection) -> None:
    connection.create_function("fold", 1, lambda x: x.lower(), deterministic=True)


# -- the verdict -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [quick_check, integrity_check])
def test_checks_pass_a_sound_database_and_change_nothing(
    bloated: Path, opened: Open, seen: Any, history: History, check: Any
) -> None:
    """The outcome is that there was nothing to do, no byte is different, and the history knows."""
    before = seen.content(bloated), sorted(os.listdir(bloated.parent))
    db = opened(bloated)
    db.history = history.of("it")
    result = check(db)
    assert result.outcome is Outcome.UNCHANGED
    assert "no problem was found" in result.summary
    assert (result.data["problems"], result.data["copied"], result.warnings) == (0, False, ())
    assert (seen.content(bloated), sorted(os.listdir(bloated.parent))) == before
    whole = Verdicts.read(db).latest(check.__name__)[""]
    assert whole.problems == 0
    assert time.time() - whole.at < 60


@pytest.mark.parametrize("check", [quick_check, integrity_check])
def test_checks_fail_a_damaged_page(bloated: Path, opened: Open, history: History, check: Any) -> None:
    """A finding must not look like success: the error names the page and what to do, and the history keeps it."""
    db = opened(damaged_page(bloated))
    db.history = history.of("it")
    with pytest.raises(OperationError, match=r"_check found .*app\.db: .*[Pp]age 3\b.*copy the file.*restore a backup"):
        check(db)
    assert sum(each.problems for each in Verdicts.read(db).latest(check.__name__).values()) > 0


def test_integrity_check_finds_what_an_index_lacks(lacking: Path, opened: Open) -> None:
    """Quick_check does not compare; integrity_check names the index, each problem once, and the remedy."""
    assert quick_check(opened(lacking)).outcome is Outcome.UNCHANGED
    with pytest.raises(OperationError, match=r"found 3 problems in .*row 51 missing from index i;.*run reindex"):
        integrity_check(opened(lacking))


def test_checks_tell_damage_from_rows_that_break_a_constraint(make: Any, opened: Open) -> None:
    """They are the application's to correct; how often each comes is said once.

    On a connection for reading SQLite leaves CHECK constraints out of the check, and finds nothing wrong with them.
    """
    path = make(
        "CREATE TABLE t (x)",
        "INSERT INTO t VALUES (NULL), (NULL), (1)",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE t (x NOT NULL CHECK (x > 1))'",
    )
    expected = r"NULL value in t\.x \(2 times\); CHECK constraint failed in t.*the file is sound; correct these rows"
    for check in (quick_check, integrity_check):
        with pytest.raises(OperationError, match=expected):
            check(opened(path))


def test_checks_name_at_most_ten_problems(make: Any, opened: Open) -> None:
    """An error is a line, not a report: the rest is counted."""
    path = make(
        "CREATE TABLE t (x)",
        "CREATE INDEX i ON t (x)",
        *INDEX_OFF,
        f"{ROWS.format(30)} INSERT INTO t SELECT i FROM n",
        *INDEX_ON,
    )
    with pytest.raises(OperationError, match=r"found 31 problems.*row 10 missing from index i; and 21 more"):
        integrity_check(opened(path))


def test_quick_check_stops_at_its_limit(make: Any, opened: Open) -> None:
    """As many problems as are enough are asked for."""
    columns = ", ".join(f"c{number}" for number in range(9))
    path = make(
        f"CREATE TABLE t ({columns})",
        f"INSERT INTO t VALUES ({', '.join(['NULL'] * 9)})",
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET sql = 'CREATE TABLE t ({columns.replace(',', ' NOT NULL,')} NOT NULL)'",
    )
    with pytest.raises(OperationError, match="found 9 problems"):
        quick_check(opened(path))
    with pytest.raises(OperationError, match="found at least 2 problems"):
        quick_check(opened(path), limit=2)


# -- the parts are the whole -------------------------------------------------------------------------------------------


@at_most(150)
@given(number=st.integers(0, 20_000), check=st.sampled_from([quick_check, integrity_check]))
def test_checks_find_a_problem_wherever_sqlite_finds_one(cases: Any, context: Any, number: int, check: Any) -> None:
    """Of malformed databases, each that one PRAGMA calls bad is called bad by the parts.

    Or they say what they could not check, where the PRAGMA fails because of a function that there is not.
    """
    image = cases.all.case(number)
    cases.write(image, cases.path)
    expected = said(cases.path, check.__name__)
    cases.write(image, cases.path)
    try:
        with SQLiteDatabase.connect(str(cases.path), context) as db:
            found = "; ".join(check(db).warnings)
    except PitstopError as error:
        found = str(error)
    assert bool(found) or not expected, (image.told, expected)


def test_integrity_check_covers_what_a_check_of_tables_misses(bloated: Path, opened: Open) -> None:
    """A page that is both free and in use is in nobody's table check; VACUUM would lose what is on it."""
    free_page_in_use(bloated)
    for table in ("t", "sqlite_master"):
        assert not any("reference" in text for text in said(bloated, f"integrity_check('{table}')"))
    with pytest.raises(OperationError, match="2nd reference to page 2, which is table 't'"):
        integrity_check(opened(bloated))
    with pytest.raises(OperationError, match="2nd reference to page 2"):
        quick_check(opened(bloated))


def test_checks_look_at_free_pages_although_a_view_comes_first(bloated: Path, opened: Open, seen: Any) -> None:
    """SQLite itself takes a view at the head of its list for a request to check one table, and says "ok"."""
    with closing(sqlite3.connect(bloated)) as connection:
        connection.execute("CREATE VIEW v AS SELECT * FROM t")
    free_page_in_use(bloated)
    assert said(bloated, "integrity_check") == []
    before = seen.content(bloated)
    for check in (quick_check, integrity_check):
        with pytest.raises(OperationError, match="2nd reference to page 2"):
            check(opened(bloated))
    assert seen.content(bloated) == before


def test_checks_say_so_where_that_look_would_keep_writers_out(
    bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a view first, all pages can only be looked at under a lock: with little time for that, it is left out."""
    with closing(sqlite3.connect(wal(bloated))) as connection:
        connection.execute("CREATE VIEW v AS SELECT * FROM t")
    monkeypatch.setattr(on_copy, "QUICK_CHECK_RATE", 1e3)
    db = opened(bloated)
    db.limits = Limits(max_stall=0.05)
    for check in (quick_check, integrity_check):
        [warning] = check(db).warnings
        assert "free pages, and pages that belong to no table or to two" in warning
    assert db.stalls.count == 0
    db.limits = Limits()
    assert quick_check(db).warnings == ()
    assert db.stalls.count == 1


def test_checks_with_a_view_first_read_what_may_not_be_written(bloated: Path, opened: Open) -> None:
    """By its header, where another version's number stands; that all pages were not looked at is said."""
    with closing(sqlite3.connect(bloated)) as connection:
        connection.execute("CREATE VIEW v AS SELECT * FROM t")
    content = bytearray(bloated.read_bytes())
    content[18] = 9
    bloated.write_bytes(content)
    for check in (quick_check, integrity_check):
        [warning] = check(opened(bloated)).warnings
        assert "free pages" in warning
        assert "cannot be written" in warning


def test_checks_with_a_view_first_tell_damage_that_keeps_them_from_looking(
    cases: Any, tmp_path: Path, opened: Open, history: History
) -> None:
    """A list of free pages that leads nowhere, so that nothing can be deleted: a finding like others."""
    image = cases.module.Cases(13, tmp_path).case(16)
    cases.write(image, cases.path)
    assert said(cases.path, "integrity_check") == []
    db = opened(cases.path)
    db.history = history.of("it")
    with pytest.raises(
        OperationError,
        match=r"quick_check found 1 problem in .*the check ended early: database disk image is malformed; nothing",
    ):
        quick_check(db)
    assert Verdicts.read(db).latest("quick_check")[""].problems == 1


@pytest.mark.parametrize("name", ["2024", "2024_sales", "-1", "+1x"])
def test_integrity_check_covers_a_table_whose_name_is_like_a_number(make: Any, opened: Open, name: str) -> None:
    """The PRAGMA takes such a name, quoted or not, for the number of problems that are enough."""
    path = make(
        f'CREATE TABLE "{name}" (x)',
        f'CREATE INDEX i ON "{name}" (x)',
        *INDEX_OFF,
        f'INSERT INTO "{name}" VALUES (1)',
        *INDEX_ON,
    )
    with pytest.raises(OperationError, match="row 1 missing from index i"):
        integrity_check(opened(path))
    with pytest.raises(OperationError, match="row 1 missing from index i"):
        integrity_check(opened(path), tables=[name])


@pytest.mark.parametrize("name", ["on", "select", 'a"b', "it's", "a b", "größe", "x]y", "main.t", "%", ";--"])
def test_integrity_check_takes_a_table_of_any_name(make: Any, opened: Open, name: str) -> None:
    """What is special in SQL is not special in a name."""
    quoted = name.replace('"', '""')
    path = make(
        f'CREATE TABLE "{quoted}" (x)',
        f'CREATE INDEX i ON "{quoted}" (x)',
        *INDEX_OFF,
        f'INSERT INTO "{quoted}" VALUES (1)',
        *INDEX_ON,
    )
    with pytest.raises(OperationError, match="row 1 missing from index i"):
        integrity_check(opened(path), tables=[name])


def test_integrity_check_of_some_tables_only(lacking: Path, opened: Open) -> None:
    """What is not asked for is not checked, and the result says how much was."""
    result = integrity_check(opened(lacking), tables=["GOOD", STRUCTURE])
    assert (result.data["checked"], result.data["parts"]) == (2, 4)
    assert "2 of 4 parts" in result.summary
    with pytest.raises(UnknownNameError, match="goood"):
        integrity_check(opened(lacking), tables=["goood"])
    with pytest.raises(InvalidValueError, match="is empty"):
        integrity_check(opened(lacking), tables=[])


def test_integrity_check_does_not_mind_a_table_that_is_dropped_meanwhile(
    lacking: Path, opened: Open, raw: Any, context: Any
) -> None:
    """A table that is no more has no problems."""
    other = raw(lacking)
    context.at_progress = lambda done: other.execute("DROP TABLE IF EXISTS t") if done == 1 else None
    assert integrity_check(opened(lacking)).outcome is Outcome.UNCHANGED


# -- what only the application has -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setup", "table", "missing", "whole"),
    [
        (_with_collation, "CREATE TABLE own (x TEXT COLLATE german UNIQUE)", "the collation 'german'", False),
        (_with_function, "CREATE TABLE own (x TEXT, y AS (fold(x)) NOT NULL UNIQUE)", "the function 'fold'", False),
        (_with_function, "CREATE TABLE own (x TEXT UNIQUE CHECK (fold(x) = x))", "the function 'fold'", True),
    ],
)
def test_integrity_check_says_what_it_cannot_check_and_checks_the_rest(
    lacking: Path, opened: Open, history: History, setup: Any, table: str, missing: str, whole: bool
) -> None:
    """One collation that is not there makes SQLite's own check of the whole fail."""
    with closing(sqlite3.connect(lacking)) as connection:
        setup(connection)
        connection.execute(table)
        connection.execute("INSERT INTO own (x) VALUES ('b'), ('a')")
        connection.commit()
    assert said(lacking, "integrity_check") == ["OperationalError"]
    db = opened(lacking)
    db.history = history.of("it")
    result = integrity_check(db, tables=["own", "good", STRUCTURE])
    [warning] = result.warnings
    assert ("'own' was not checked whole" in warning) != whole
    assert missing in warning
    assert ("own" in Verdicts.read(db).latest("integrity_check")) == whole
    assert set(Verdicts.read(db).latest("integrity_check unfinished")) == (set() if whole else {"own"})
    with pytest.raises(OperationError, match=r"found 3 problems.*row 51 missing from index i"):
        integrity_check(opened(lacking))
    assert quick_check(opened(lacking)).outcome is Outcome.UNCHANGED


def test_checks_find_damage_in_a_table_with_a_collation_that_is_not_there(make: Any, opened: Open) -> None:
    """The structure and the types of its rows are looked at without the collation."""
    path = make(
        "CREATE TABLE own (x COLLATE german UNIQUE, y)",
        "INSERT INTO own VALUES ('a', NULL)",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'y)', 'y NOT NULL)') WHERE type = 'table'",
        setup=_with_collation,
    )
    with pytest.raises(OperationError, match=r"NULL value in own\.y"):
        integrity_check(opened(path))


def test_checks_pass_over_a_module_that_is_not_there(make: Any, opened: Open) -> None:
    """A virtual table of an extension's has no pages of its own to check."""
    path = make(
        "CREATE TABLE t (x)",
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING vec0(x)')",
    )
    for check in (quick_check, integrity_check):
        assert check(opened(path)).outcome is Outcome.UNCHANGED


# -- stalls ------------------------------------------------------------------------------------------------------------


def test_a_damaged_schema_names_what_it_can(bloated: Path, opened: Open) -> None:
    """A page without the name of a table is still named."""
    db = opened(bloated)
    unknown = damage("Tree 9999 page 3: wrong")
    assert parts.name_object(db, unknown) == unknown
    named = parts.name_object(db, damage("On tree page 2 cell 1: wrong"))
    assert (named.text, named.object) == ("On tree page 2 cell 1: wrong, which is table 't'", "t")


@pytest.mark.parametrize("order", ["a, b", "b, a"])
def test_quick_check_takes_no_column_for_null_that_is_not(
    order: str, make: Callable[..., Path], opened: Callable[..., SQLiteDatabase]
) -> None:
    """SQLite 3.40.1 says "NULL value in t.a" of a sound table whose key has another order than its columns."""
    path = make(
        f"CREATE TABLE t (a, b, c, PRIMARY KEY ({order})) WITHOUT ROWID", "INSERT INTO t VALUES (1, 2, NULL), (3, 4, 5)"
    )
    assert quick_check(opened(path)).outcome is Outcome.UNCHANGED
