"""Full-text indexes that are damaged, or whose texts have no end: told with the cure that fits, and nobody waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import JobCancelledError, OperationError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.limits import Limits, TimeLimitReachedError
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations._full_text import EndlessError, limit_reading, virtual_tables
from pitstop_database_maintenance.sqlite.operations.fts_check import fts_check
from pitstop_database_maintenance.sqlite.operations.fts_optimize import fts_optimize

Open = Callable[..., SQLiteDatabase]
TEXTS = (
    "CREATE TABLE texts (id INTEGER PRIMARY KEY, a)",
    *(f"INSERT INTO texts (a) VALUES ('word{number} text')" for number in range(20)),
)
#: What reading the data of one index for the first time meets.
BREAK = {
    "fts4": "UPDATE f_segdir SET root = x'007fffffffff' WHERE rowid = 1",
    "fts5": "UPDATE f_data SET block = x'0000' WHERE id > 1000",
}
ENDLESS = (
    "CREATE VIEW v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, 'x' AS a FROM n"
)
ENDLESS_SUM = ENDLESS.replace("SELECT i AS id, 'x' AS a", "SELECT 1 AS id, count(i) AS a")


@pytest.fixture
def history() -> Iterator[History]:
    with History(":memory:") as kept:
        yield kept


def pieces(make: Any, module: str) -> Path:
    """Make an index of several segments over a table of texts."""
    made: Path = make(
        *TEXTS,
        f"CREATE VIRTUAL TABLE f USING {module}(a, content='texts'{', content_rowid=id' * (module == 'fts5')})",
        *(f"INSERT INTO f(rowid, a) SELECT id, a FROM texts WHERE id = {number}" for number in range(1, 21)),
        BREAK[module],
    )
    return made


@pytest.mark.parametrize("module", BREAK)
@pytest.mark.parametrize("operation", [fts_check, fts_optimize])
def test_a_damaged_index_has_its_own_cure(
    make: Any, opened: Open, seen: Any, history: History, module: str, operation: Any
) -> None:
    """The file is sound, and so are the texts: nobody is told to restore a backup, and the cure is not refused."""
    path = pieces(make, module)
    db = opened(path)
    db.history = history.of("it")
    with pytest.raises(OperationError, match=r"table 'f' .*rebuild=true") as caught, db.guard(operation.__name__):
        operation(db)
    assert "restore a backup" not in str(caught.value)
    cure = opened(path)
    cure.history = history.of("it")
    with cure.guard("fts_optimize"):
        assert fts_optimize(cure, rebuild=True).outcome is Outcome.CHANGED
    assert fts_check(opened(path)).outcome is Outcome.UNCHANGED
    assert seen.query(path, "SELECT rowid FROM f WHERE f MATCH 'word7'") == [(8,)]


def test_the_other_indexes_are_worked_on(make: Any, opened: Open) -> None:
    """One that is damaged keeps nothing from the others; the error comes when they are done."""
    path = pieces(make, "fts4")
    opened(path).execute("CREATE VIRTUAL TABLE g USING fts5(a)")
    connection = opened(path)
    for number in range(6):
        connection.execute("INSERT INTO g VALUES (?)", (f"word{number}",))
    with pytest.raises(OperationError, match="FTS4 table 'f' cannot be worked on"):
        fts_optimize(connection)
    assert fts_optimize(opened(path), tables=["g"]).summary == "every full-text index is in one piece already"


@pytest.mark.parametrize("module", BREAK)
@pytest.mark.parametrize("view", [ENDLESS, ENDLESS_SUM], ids=["rows", "sum"])
def test_an_endless_view_is_given_up(
    make: Any, opened: Open, seen: Any, history: History, module: str, view: str
) -> None:
    """A check of it, and building it anew, would never end; the others are looked at, and it is not called checked."""
    path = make(
        view,
        f"CREATE VIRTUAL TABLE f USING {module}(a, content='v'{', content_rowid=id' * (module == 'fts5')})",
        "CREATE VIRTUAL TABLE g USING fts5(a)",
        "INSERT INTO g VALUES ('x')",
    )
    db = opened(path)
    db.history = history.of("it")
    if (module, view) != ("fts5", ENDLESS):  # in which the first row that the index lacks is damage enough
        result = fts_check(db, content_seconds=0.05)
        assert (result.data["checked"], result.data["unchecked"]) == (1, ["f"])
        assert "'v', from which its texts come, gave no end of rows in 0.05 s" in result.warnings[0]
        assert set(Verdicts.read(db).latest("fts_check")) == {"g"}
    data = "SELECT * FROM f_" + ("segdir" if module == "fts4" else "data")
    before = seen.query(path, data)
    result = fts_optimize(opened(path), rebuild=True, content_seconds=0.05)
    assert "table 'f' was left as it was: 'v', from which" in result.warnings[0]
    assert result.data["indexes"] == 1
    assert seen.query(path, data) == before


def test_the_runs_own_time_limit_stays_what_it_is(make: Any, opened: Open) -> None:
    """What it stops is left for the next run, and nothing is said against the view."""
    db = opened(make(ENDLESS, "CREATE VIRTUAL TABLE f USING fts4(a, content='v')"))
    [table] = virtual_tables(db)
    db.limits = Limits(until=1.0)
    with pytest.raises(TimeLimitReachedError), limit_reading(db, table, db, 60.0):
        db.check_stop()
    db.limits = Limits()
    with pytest.raises(EndlessError, match="allow content_seconds"), limit_reading(db, table, db, 0.0):
        db.check_stop()
    assert db.limits == Limits()


@pytest.mark.parametrize("index", ["fts5(x, content='src', content_rowid='id')", "fts4(x, content='src')", "fts5(x)"])
@pytest.mark.parametrize("told", ["time", "cancelled"])
def test_building_anew_stops_in_the_middle(
    make: Any, opened: Open, seen: Any, context: Any, index: str, told: str
) -> None:
    """However it reads its texts, the job's limits hold within it, nothing of it stays, and all of it is left."""
    path = make(
        "CREATE TABLE src (id INTEGER PRIMARY KEY, x)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO src SELECT i, 'text ' || i FROM n",
        f"CREATE VIRTUAL TABLE f USING {index}",
        "INSERT INTO f (rowid, x) SELECT id, x FROM src",
    )
    db = opened(path)
    require_sound(db)
    within: list[int] = []

    def stop(number: int) -> None:
        if db.in_transaction:  # in which nothing asks but the statement that builds
            within.append(number)
            if told == "cancelled":
                raise JobCancelledError(reason="by the test")
            db.limits = Limits(until=1.0)

    context.at_check = stop
    if told == "cancelled":
        with pytest.raises(JobCancelledError):
            fts_optimize(db, rebuild=True)
    else:
        result = fts_optimize(db, rebuild=True)
        assert (result.outcome, result.data["indexes"]) == (Outcome.SKIPPED, 0)
        assert "the time was over" in result.summary
        assert result.data["left"] == {"tables": ["f"], "pages": 16, "rebuild": True}
    context.at_check = lambda number: None
    assert within
    assert seen.query(path, "SELECT count(*) FROM f WHERE f MATCH 'text'") == [(20000,)]


def test_an_ordinary_table_is_read_to_its_end(make: Any, opened: Open) -> None:
    """However long it takes."""
    db = opened(make(*TEXTS, 'CREATE VIRTUAL TABLE f USING fts4(a, content="texts")'))
    [table] = virtual_tables(db)
    with limit_reading(db, table, db, 0.0):
        db.check_stop()


def test_what_could_not_be_looked_at_is_not_checked(make: Any, opened: Open, history: History) -> None:
    """A tokenizer that only the application has: the check stays due, and knows which table it is."""
    path = make(
        *TEXTS,
        "CREATE VIRTUAL TABLE f USING fts4(a, content='texts', tokenize=simple)",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'tokenize=simple', 'tokenize=own') WHERE name = 'f'",
    )
    db = opened(path)
    db.history = history.of("it")
    assert fts_check(db).outcome is Outcome.SKIPPED
    assert Verdicts.read(db).latest("fts_check") == {}
    assert set(Verdicts.read(db).latest("fts_check unfinished")) == {"f"}
