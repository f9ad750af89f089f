"""`reindex`: every index, whatever it is called, and only the broken ones are left behind."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import DeadlineExceededError, InvalidValueError, JobCancelledError, OperationError, UnknownNameError
from pitstop.jobs import Job, Outcome
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.history import DatabaseHistory, History, PastStep
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature
from pitstop_database_maintenance.sqlite.connection.schema import indexes
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations import reindex as module
from pitstop_database_maintenance.sqlite.operations.reindex import reindex
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop_database_maintenance.worker.action import plan
from pitstop_database_maintenance.worker.worker import DatabaseMaintenanceWorker

Open = Callable[..., SQLiteDatabase]
AWKWARD = [
    "with space",
    "with-hyphen",
    "it's",
    'say "hi"',
    "select",
    "index",
    "nocase",
    "rtrim",
    '"; DROP TABLE x; --',
    "größe 数据",
    "sqlitex_idx",
    "main",
    "[brackets]",
    "`ticks`",
]


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def break_index(path: Path, name: str, *inserts: str) -> None:
    """Make an index disagree with its table: rows are inserted while the schema does not know the index."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        row = connection.execute("SELECT * FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        _edit_schema(connection, "DELETE FROM sqlite_master WHERE name = ?", (name,))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for insert in inserts:
            connection.execute(insert)
        _edit_schema(connection, "INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)


def _edit_schema(connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> None:
    version = connection.execute("PRAGMA schema_version").fetchone()[0]
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(sql, values)
    connection.execute(f"PRAGMA schema_version = {version + 1}")
    connection.execute("PRAGMA writable_schema = OFF")


@pytest.fixture
def broken(make: Any, seen: Any) -> Path:
    """A database whose index `i` lacks a row of its table."""
    path: Path = make(
        "CREATE TABLE t (x, y)",
        "CREATE INDEX i ON t (x)",
        "CREATE INDEX j ON t (y)",
        "INSERT INTO t VALUES ('a', 1), ('b', 2)",
    )
    break_index(path, "i", "INSERT INTO t VALUES ('lost', 3)")
    assert "row 3 missing from index i" in seen.integrity(path)
    assert seen.query(path, "SELECT count(*) FROM t WHERE x = 'lost'") == [(0,)]
    return path


def test_reindex_builds_all_indexes_anew(bloated: Path, opened: Open, seen: Any, context: Any) -> None:
    """The automatic one of a UNIQUE column is among them; progress counts them; the rows are the same."""
    rows = seen.rows(bloated)
    result = reindex(opened(bloated))
    assert result.outcome is Outcome.CHANGED
    assert (result.data["indexes"], result.data["rebuilt"], result.data["failed"]) == (3, 3, 0)
    assert result.summary.startswith("3 indexes built anew")
    assert [(done, total, unit, message) for done, total, unit, message in context.reports] == [
        (0, 3, "indexes", "sqlite_autoindex_t_1"),
        (1, 3, "indexes", "by_v"),
        (2, 3, "indexes", "by_w"),
        (3, 3, "indexes", ""),
    ]
    assert seen.rows(bloated) == rows
    assert seen.integrity(bloated) == ["ok"]


@pytest.mark.parametrize("name", AWKWARD)
def test_reindex_repairs_an_index_of_any_name(make: Any, opened: Open, seen: Any, name: str) -> None:
    """The index itself is built anew, which a broken one proves: not a collation, not a table, not nothing."""
    path = make(
        f"CREATE TABLE {quoted('the ' + name)} (x, {quoted(name)})",
        f"CREATE INDEX {quoted(name)} ON {quoted('the ' + name)} (x)",
        "CREATE TABLE x (y)",
    )
    break_index(path, name, f"INSERT INTO {quoted('the ' + name)} VALUES ('lost', 1)")
    assert seen.integrity(path) != ["ok"]
    result = reindex(opened(path))
    assert (result.data["rebuilt"], result.warnings) == (1, ())
    assert seen.integrity(path) == ["ok"]
    assert seen.query(path, "SELECT count(*) FROM x") == [(0,)]


@pytest.mark.parametrize("column", ["x UNIQUE", "x TEXT PRIMARY KEY"])
def test_reindex_repairs_automatic_indexes(make: Any, opened: Open, seen: Any, column: str) -> None:
    """An index without SQL of its own, which SQLite made for a constraint, is built anew like the others."""
    path = make(f"CREATE TABLE t ({column}, y)", "INSERT INTO t VALUES ('a', 1), ('b', 2)")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE 'sqlite_auto%'").fetchone()[0]
    data = bytearray(path.read_bytes())
    at = data.index(b"b", (root - 1) * 4096)
    data[at] = ord("z")
    path.write_bytes(data)
    assert seen.integrity(path) != ["ok"]
    assert reindex(opened(path)).data["rebuilt"] == 1
    assert seen.integrity(path) == ["ok"]


def test_reindex_takes_only_the_indexes_that_are_named(broken: Path, opened: Open, context: Any) -> None:
    """Each once, and whether written in upper or lower case."""
    result = reindex(opened(broken), indexes=["J", "j"])
    assert result.data["indexes"] == 1
    assert [message for _, _, _, message in context.reports] == ["j", ""]


def test_reindex_refuses_an_unknown_index_before_it_begins(bloated: Path, opened: Open, seen: Any) -> None:
    """The nearest name is suggested, and not even the right ones were built."""
    before = seen.content(bloated)
    with pytest.raises(UnknownNameError, match="no index 'by_vv'; did you mean 'by_v'"):
        reindex(opened(bloated), indexes=["by_w", "by_vv"])
    assert seen.content(bloated) == before


def test_reindex_refuses_an_empty_list(bloated: Path, opened: Open) -> None:
    """No index named is not the same as all of them."""
    with pytest.raises(InvalidValueError, match="is empty; name at least one"):
        reindex(opened(bloated), indexes=[])


def test_reindex_without_indexes_changes_nothing(make: Any, opened: Open) -> None:
    """A table without indexes is no error, and no success either."""
    result = reindex(opened(make("CREATE TABLE t (x)")))
    assert result.outcome is Outcome.UNCHANGED
    assert result.summary == "there are no indexes"


def test_reindex_goes_on_after_an_index_that_fails(make: Any, opened: Open, seen: Any) -> None:
    """Rows that a UNIQUE index should have refused make it fail, which is no success; the rest are done anyway."""
    path = make("CREATE TABLE t (x, y)", "CREATE UNIQUE INDEX once ON t (x)", "CREATE INDEX z ON t (y)")
    break_index(path, "once", "INSERT INTO t VALUES ('a', 1), ('a', 2)")
    break_index(path, "z", "UPDATE t SET y = y + 5")
    wanted = r"'once' of .*app.db still disagrees .*1 built anew.*UNIQUE constraint failed: t\.x; rows break its UNIQUE"
    with pytest.raises(OperationError, match=wanted):
        reindex(opened(path))
    assert not any("index z" in problem for problem in seen.integrity(path))
    assert len(seen.rows(path)["t"]) == 2


@pytest.mark.parametrize(
    ("register", "index", "missing"),
    [
        (lambda c: c.create_collation("german", lambda a, b: 0), "x COLLATE german", "collation 'german'"),
        (lambda c: c.create_function("fold", 1, str, deterministic=True), "fold(x)", "function 'fold'"),
    ],
)
def test_reindex_fails_when_all_indexes_fail(make: Any, opened: Open, register: Any, index: str, missing: str) -> None:
    """Nothing done is not a success, and the cause of each is there to read."""
    path = make("CREATE TABLE t (x)", f"CREATE INDEX i ON t ({index})", "INSERT INTO t VALUES (1)", setup=register)
    with pytest.raises(OperationError, match=f"no index of .*app.db could be built anew: index 'i' of .*{missing}"):
        reindex(opened(path))


def test_reindex_refuses_a_file_with_a_damaged_table(make: Any, opened: Open, seen: Any) -> None:
    """Damage in one table's pages is said with the page, and not even a healthy table's index is written."""
    path = make(
        "CREATE TABLE bad (x)",
        "CREATE INDEX bi ON bad (x)",
        "CREATE TABLE good (x)",
        "CREATE INDEX gi ON good (x)",
        "INSERT INTO bad VALUES ('b')",
        "INSERT INTO good VALUES ('g')",
    )
    [(root,)] = seen.query(path, "SELECT rootpage FROM sqlite_master WHERE name = 'bad'")
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096 : root * 4096] = b"\xee" * 4096
    path.write_bytes(data)
    with pytest.raises(
        OperationError, match=rf"app\.db is damaged \(.* {root}\b.*'bad'.*nothing was written.*\.recover"
    ):
        reindex(opened(path))
    assert path.read_bytes() == data


def test_reindex_stops_when_the_whole_file_is_damaged(bloated: Path, opened: Open, context: Any) -> None:
    """When not only one index cannot be read, the others are not tried one by one."""
    context.at_progress = lambda done: os.truncate(bloated, 5000) if done == 1 else None
    with pytest.raises(OperationError, match=r"app\.db is damaged"):
        reindex(opened(bloated))
    assert [done for done, *_ in context.reports] == [0, 1]


@pytest.mark.parametrize(("stop", "kind"), [("cancel", JobCancelledError), ("expire", DeadlineExceededError)])
def test_reindex_that_is_stopped_keeps_what_is_built(
    broken: Path, opened: Open, context: Any, seen: Any, stop: str, kind: Any
) -> None:
    """Told after the first index, it does not begin the second; the first one stays repaired."""
    context.at_progress = lambda done: getattr(context, stop)() if done == 1 else None
    with pytest.raises(kind, match="test"):
        reindex(opened(broken), indexes=["i", "j"])
    assert [done for done, *_ in context.reports] == [0, 1]
    assert seen.integrity(broken) == ["ok"]


def test_reindex_that_is_stopped_within_an_index_leaves_that_one(
    bloated: Path, opened: Open, context: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told in the middle of one index, that one is as it was; it is no warning but the end of the job."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 1000)
    db = opened(bloated)
    before = seen.content(bloated)
    since_it_began: list[int] = []

    def stop_soon(count: int) -> None:
        if context.reports:
            since_it_began.append(count)
        if len(since_it_began) == 5:
            context.cancel()

    context.at_check = stop_soon
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        reindex(db)
    assert [done for done, *_ in context.reports] == [0]
    assert seen.content(bloated) == before


def test_vacuum_keeps_a_broken_index_broken(broken: Path, opened: Open, seen: Any) -> None:
    """VACUUM copies an index as it is: whoever vacuums only has repaired nothing."""
    vacuum(opened(broken))
    assert "row 3 missing from index i" in seen.integrity(broken)
    assert seen.query(broken, "SELECT count(*) FROM t WHERE x = 'lost'") == [(0,)]


def test_default_plan_repairs_a_broken_index(broken: Path, lookup: Any, context: Any, seen: Any) -> None:
    """The three operations of the default plan, in its order, leave no index broken."""
    worker = DatabaseMaintenanceWorker()
    worker.lookup = lookup
    for child in plan({"database": str(broken)}).children:
        assert isinstance(child, Job)
        worker.validate(child)
        worker.execute(child, context)
    assert seen.integrity(broken) == ["ok"]
    assert seen.query(broken, "SELECT count(*) FROM t WHERE x = 'lost'") == [(1,)]
    assert seen.query(broken, "PRAGMA freelist_count") == [(0,)]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[DatabaseHistory]:
    """An empty history of one database."""
    with History(tmp_path / "history.db") as kept:
        yield kept.of("test")


def test_reindex_waits_between_indexes(bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice for three indexes: for as long as was asked, else for as long as a waiting writer may sleep."""
    waited: list[float] = []
    monkeypatch.setattr(module, "_wait", lambda db, seconds: waited.append(seconds))
    reindex(opened(bloated), pause=0.7)
    assert waited == [0.7, 0.7]
    waited.clear()
    reindex(opened(bloated))
    assert len(waited) == 2
    assert all(0 < seconds <= 0.11 for seconds in waited)


def test_reindex_that_waits_is_cancelled(bloated: Path, opened: Open, context: Any) -> None:
    """An hour's pause is no hour in which nobody can stop it."""
    context.at_progress = lambda done: (
        setattr(context, "at_check", lambda count: context.cancel()) if done == 0 else None
    )
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        reindex(opened(bloated), pause=3600.0)


def test_reindex_ends_when_the_time_is_over(broken: Path, opened: Open, context: Any, seen: Any) -> None:
    """What is built is built; what is left is said in such a way that the next run goes on with it."""
    db = opened(broken)
    context.at_progress = lambda done: setattr(db, "limits", Limits(until=0.0)) if done == 1 else None
    result = reindex(db, indexes=["j", "i"])
    assert (result.data["stopped_by"], result.data["left"]) == ("time limit", {"indexes": ["i"]})
    assert seen.integrity(broken) != ["ok"]
    db.limits, context.at_progress = Limits(), lambda done: None
    assert "left" not in reindex(db, **result.data["left"]).data
    assert seen.integrity(broken) == ["ok"]


def test_reindex_ends_within_an_index_when_the_time_is_over(
    bloated: Path, opened: Open, context: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index that was not finished is as it was, and among what is left."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 1000)
    db, before = opened(bloated), seen.content(bloated)
    begun: list[int] = []

    def over(count: int) -> None:
        if context.reports:
            begun.append(count)
        if len(begun) == 5:
            db.limits = Limits(until=0.0)

    context.at_check = over
    result = reindex(db)
    assert result.outcome is Outcome.SKIPPED
    assert result.data["left"] == {"indexes": ["sqlite_autoindex_t_1", "by_v", "by_w"]}
    assert seen.content(bloated) == before


def test_reindex_leaves_out_what_takes_too_long(bloated: Path, opened: Open, history: DatabaseHistory) -> None:
    """By how long each took here before, or by the rows where that is not known; each is named."""
    db = opened(bloated)
    db.history, db.limits = history, Limits(max_stall=0.5)
    result = reindex(db)
    assert set(result.data["index_seconds"]) == {"sqlite_autoindex_t_1", "by_v", "by_w"}
    slow = {**result.data, "index_seconds": {"by_v": 2.5, "by_w": 0.1}}
    history.history.add_step(PastStep(database="test", operation="reindex", data=slow))
    result = reindex(db)
    assert result.data["left_out"] == ["by_v"]
    assert (
        "index 'by_v' was left out: building it anew would keep writers waiting for about 2.50 s" in result.warnings[0]
    )
    db.history, db.limits = None, Limits(max_stall=0.001)
    assert reindex(db).outcome is Outcome.SKIPPED


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("table", ["t (x UNIQUE)", "t (x PRIMARY KEY, y UNIQUE) WITHOUT ROWID"])
def test_reindex_knows_about_how_many_rows_there_are(make: Any, opened: Open, table: str, analyzed: bool) -> None:
    """From the statistics, the largest rowid, or by counting."""
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 77) INSERT INTO t"
    columns = "i, -i" if "y" in table else "i"
    path = make(f"CREATE TABLE {table}", f"{rows} SELECT {columns} FROM n", *(["ANALYZE"] if analyzed else []))
    db = opened(path)
    assert [module._rows(db, index) for index in indexes(db)] == [77]


def test_reindex_refuses_what_was_named_and_cannot_be_built(make: Any, opened: Open, seen: Any) -> None:
    """Not even the others that were named are built, and what is missing is said; unasked, only it is left behind."""
    path = make(
        "CREATE TABLE t (x, y)",
        "CREATE INDEX i ON t (x COLLATE german)",
        "CREATE INDEX j ON t (y)",
        "INSERT INTO t VALUES ('a', 1)",
        setup=lambda connection: connection.create_collation("german", lambda a, b: (a > b) - (a < b)),
    )
    before = seen.content(path)
    with pytest.raises(MissingFeature, match=r"reindex of .* needs .*: the collation 'german' \(index 'i'\); register"):
        reindex(opened(path), indexes=["j", "i"])
    assert seen.content(path) == before
    result = reindex(opened(path))
    assert (result.data["rebuilt"], result.data["failed"]) == (1, 1)
    assert "'german'" in result.warnings[0]
