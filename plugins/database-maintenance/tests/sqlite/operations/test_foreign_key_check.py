"""`foreign_key_check`: which rows refer to nothing, said in a line for each constraint."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import JobCancelledError, OperationError, UnknownNameError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.errors import ProblemsFoundError
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.history import CheckRecord, History
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations import foreign_key_check as module
from pitstop_database_maintenance.sqlite.operations.foreign_key_check import foreign_key_check

Open = Callable[..., SQLiteDatabase]
PARENT = ("CREATE TABLE parent (id INTEGER PRIMARY KEY, a TEXT)", "INSERT INTO parent VALUES (1, 'x'), (2, 'y')")


@pytest.fixture
def family(make: Any) -> Path:
    """Two tables that refer to a third, all rows of them to one that is there."""
    made: Path = make(
        *PARENT,
        "CREATE TABLE child (x INTEGER REFERENCES parent, y, z, FOREIGN KEY (y, z) REFERENCES pair (b, c))",
        "CREATE TABLE pair (b, c, UNIQUE (b, c))",
        "INSERT INTO pair VALUES (1, 1)",
        'CREATE TABLE "2nd ""child" (k PRIMARY KEY, p REFERENCES parent) WITHOUT ROWID',
        "INSERT INTO child VALUES (1, 1, 1), (NULL, NULL, 1), (2, 1, 1)",
        'INSERT INTO "2nd ""child" VALUES (1, 2)',
    )
    return made


def test_foreign_key_check_passes_what_is_whole(family: Path, opened: Open, seen: Any) -> None:
    """NULLs refer to nothing, and may; nothing is changed."""
    before = seen.content(family)
    result = foreign_key_check(opened(family))
    assert result.outcome is Outcome.UNCHANGED
    assert result.summary == "all foreign keys of 2 of 2 tables are whole"
    assert (result.data["problems"], result.data["checked"]) == (0, 2)
    assert seen.content(family) == before


def test_foreign_key_check_names_each_constraint_that_is_broken(family: Path, opened: Open, raw: Any) -> None:
    """With how many rows, and one of them; a table without rowids has none to name."""
    connection = raw(family)
    connection.execute("INSERT INTO child VALUES (7, 1, 1), (8, 1, 1), (1, 5, 1)")
    connection.execute('INSERT INTO "2nd ""child" VALUES (2, 9)')
    expected = (
        r"found 3 problems in .*: 1 row of table 'child' refers by y, z to rows of 'pair' that are not there, such as "
        r"rowid 6; 2 rows of table 'child' refer by x to rows of 'parent' that are not there, such as rowid 4; "
        r"1 row of table '2nd \"child' refers by p to rows of 'parent' that are not there; delete these rows"
    )
    with pytest.raises(ProblemsFoundError, match=expected):
        foreign_key_check(opened(family))


def test_foreign_key_check_of_many_broken_rows_says_one_line(family: Path, opened: Open, raw: Any) -> None:
    """They are counted, not listed."""
    raw(family).execute(
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 5009)"
        " INSERT INTO child (x) SELECT i FROM n"
    )
    with pytest.raises(OperationError, match=r"found 1 problem in .*: 5000 rows of table 'child'"):
        foreign_key_check(opened(family))


def test_foreign_key_check_names_a_parent_that_is_not_there(make: Any, opened: Open) -> None:
    """A table that was dropped leaves rows that refer to nothing."""
    path = make("CREATE TABLE child (x REFERENCES gone (id))", "INSERT INTO child VALUES (1)")
    with pytest.raises(OperationError, match="1 row of table 'child' refers by x to rows of 'gone'"):
        foreign_key_check(opened(path))


def test_foreign_key_check_names_a_constraint_that_cannot_be_enforced(make: Any, opened: Open) -> None:
    """What it refers to is no key; SQLite's own check would stop there, and this one goes on."""
    path = make(
        *PARENT,
        "CREATE TABLE first (x REFERENCES parent (a))",
        "INSERT INTO first VALUES ('x')",
        "CREATE TABLE second (x REFERENCES parent)",
        "INSERT INTO second VALUES (3)",
    )
    with pytest.raises(
        OperationError,
        match=r"table 'first' from x to 'parent' cannot be enforced: a is no key.*; 1 row of table 'second' refers by",
    ):
        foreign_key_check(opened(path))


def test_foreign_key_check_says_what_it_cannot_check(make: Any, opened: Open) -> None:
    """A key that is compared by a collation of the application's is left out, and the rest checked."""
    path = make(
        "CREATE TABLE parent (id TEXT COLLATE german PRIMARY KEY)",
        "CREATE TABLE child (x REFERENCES parent)",
        "INSERT INTO child VALUES (NULL), ('a')",
        "CREATE TABLE good (id INTEGER PRIMARY KEY, x REFERENCES good)",
        setup=lambda connection: connection.create_collation("german", lambda a, b: (a > b) - (a < b)),
    )
    result = foreign_key_check(opened(path))
    [warning] = result.warnings
    assert "'child' was not checked" in warning
    assert "the collation 'german'" in warning
    assert result.data["checked"] == 1
    assert foreign_key_check(opened(path), tables=["child"]).outcome is Outcome.SKIPPED


def test_foreign_key_check_of_no_foreign_key(bloated: Path, opened: Open) -> None:
    """Nothing to do is said."""
    assert foreign_key_check(opened(bloated)).summary == "no table has a foreign key"
    with pytest.raises(UnknownNameError, match="'t'"):
        foreign_key_check(opened(bloated), tables=["t"])


def test_foreign_key_check_of_some_tables(family: Path, opened: Open, raw: Any) -> None:
    """Others are not looked at."""
    raw(family).execute("INSERT INTO child VALUES (7, 1, 1)")
    assert foreign_key_check(opened(family), tables=['2ND "child']).data["tables"] == 1


def test_foreign_key_check_remembers_and_begins_with_the_oldest(family: Path, opened: Open, context: Any) -> None:
    """What the time does not allow is for the next run, which begins with it."""
    with History(":memory:") as history:
        db = opened(family)
        db.history = history.of("it")
        context.at_progress = lambda done: setattr(db, "limits", Limits(until=time.time() - 1)) if done == 1 else None
        first = foreign_key_check(db)
        assert first.data["stopped_by"] == "time limit"
        [left] = first.data["left"]["tables"]
        assert set(Verdicts.read(db).latest("foreign_key_check")) == {"child", '2nd "child'} - {left}
        context.at_progress = lambda done: None
        context.reports.clear()
        db.limits = Limits()
        foreign_key_check(db, tables=["child", left])
        assert "" not in Verdicts.read(db).latest("foreign_key_check")  # that was not everything
        context.reports.clear()
        Verdicts.read(db).keep([CheckRecord(object=left, kind="foreign_key_check", at=1, seconds=0, problems=0)])
        foreign_key_check(db)
        assert context.reports[0][3] == left
        assert Verdicts.read(db).latest("foreign_key_check")[""].problems == 0


def test_foreign_key_check_stops(family: Path, opened: Open, context: Any) -> None:
    """Between two tables at the latest."""
    context.at_progress = lambda done: context.cancel()
    with pytest.raises(JobCancelledError, match="test"):
        foreign_key_check(opened(family))


def test_foreign_key_check_keeps_to_its_stall(
    family: Path, opened: Open, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts what it holds, and checks a copy where that would be too long."""
    assert foreign_key_check(opened(family)).data["reader_stall"] > 0
    monkeypatch.setattr(module, "_RATE", 1e3)
    raw(family).execute("INSERT INTO child VALUES (7, 1, 1)")
    db = opened(family)
    db.limits = Limits(max_stall=1.0)
    with pytest.raises(OperationError, match=r"in .*app\.db: 1 row of table 'child'"):
        foreign_key_check(db)
    assert [path.name for path in family.parent.iterdir()] == ["app.db"]


def test_foreign_key_check_fails_on_damage(family: Path, opened: Open) -> None:
    """What cannot be read is no verdict."""
    content = bytearray(family.read_bytes())
    with closing(sqlite3.connect(family)) as connection:
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'child'").fetchall()
    content[(root - 1) * 4096 : (root - 1) * 4096 + 12] = bytes(12)
    family.write_bytes(content)
    with pytest.raises(OperationError, match="is damaged"):
        foreign_key_check(opened(family))
