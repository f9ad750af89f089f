"""The look at a file before anything is written to it: what it refuses, what it does not, and how often it is taken."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import JobCancelledError, OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import file_holders
from pitstop_database_maintenance.sqlite.guards import soundness
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations.analyze import analyze
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.operations.convert_auto_vacuum import convert_auto_vacuum
from pitstop_database_maintenance.sqlite.operations.optimize import optimize
from pitstop_database_maintenance.sqlite.operations.reindex import reindex
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum

Open = Callable[..., SQLiteDatabase]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose pages were looked at."""
    taken: list[str] = []
    original = soundness._page_problems

    def noted(db: SQLiteDatabase, **how: bool) -> list[str]:
        taken.append(db.path)
        return original(db, **how)

    monkeypatch.setattr(soundness, "_page_problems", noted)
    return taken


def run(operation: Callable[[SQLiteDatabase], Any], path: Path, context: Any) -> None:
    """Run an operation as a job does: on a connection of its own."""
    with SQLiteDatabase.connect(str(path), context) as db:
        operation(db)


def noughts(path: Path, name: str) -> bytes:
    """Fill the root page of a table or an index with noughts, and return the file's content."""
    with closing(sqlite3.connect(path)) as connection:
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchall()
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
    data = bytearray(path.read_bytes())
    data[(root - 1) * size : root * size] = bytes(size)
    path.write_bytes(data)
    return bytes(data)


def test_plan_looks_at_a_file_once(bloated: Path, context: Any, looks: list[str]) -> None:
    """What the first operation found sound, and the next ones made of it, is known to be sound."""
    for operation in (vacuum, reindex, analyze, optimize):
        run(operation, bloated, context)
    assert looks == [str(bloated)]


def test_plan_looks_again_after_a_change_by_others(
    bloated: Path, context: Any, looks: list[str], raw: Callable[..., Any]
) -> None:
    """Whoever else wrote to the file may have damaged it."""
    run(reindex, bloated, context)
    raw(bloated).execute("DELETE FROM t WHERE id = 1")
    run(reindex, bloated, context)
    assert looks == [str(bloated)] * 2


def test_plan_looks_again_after_damage(bloated: Path, context: Any, looks: list[str]) -> None:
    """The size is the same, the time is not."""
    run(reindex, bloated, context)
    noughts(bloated, "by_w")
    with pytest.raises(OperationError, match="is damaged"):
        run(reindex, bloated, context)


def test_failure_is_not_remembered_as_sound(bloated: Path, context: Any, looks: list[str]) -> None:
    """An operation that fails after its look leaves a file that is looked at again."""

    def fail(db: SQLiteDatabase) -> None:
        require_sound(db)
        db.execute("SELECT 1 FROM nowhere")

    with pytest.raises(OperationError, match="nowhere"):
        run(fail, bloated, context)
    run(reindex, bloated, context)
    assert looks == [str(bloated)] * 2


def test_optimize_with_nothing_to_do_does_not_look(bloated: Path, context: Any, looks: list[str], raw: Any) -> None:
    """Where nothing is written, nothing has to be read."""
    raw(bloated).execute("ANALYZE")
    run(optimize, bloated, context)
    assert looks == []


@pytest.mark.parametrize("operation", [vacuum, reindex, analyze, optimize])
def test_operations_leave_a_damaged_file_alone(
    bloated: Path, context: Any, operation: Callable[[SQLiteDatabase], Any]
) -> None:
    """The damage is in one index; not even the others are built anew."""
    data = noughts(bloated, "by_w")
    with pytest.raises(OperationError, match=r"app\.db is damaged .*copy the file.*\.recover"):
        run(operation, bloated, context)
    assert bloated.read_bytes() == data


def test_look_does_not_mind_what_the_application_should(make: Any, opened: Open) -> None:
    """A NULL in a NOT NULL column and a row that breaks a CHECK are no damage."""
    path = make(
        "CREATE TABLE t (x)",
        "INSERT INTO t VALUES (NULL), (2)",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE t (x NOT NULL CHECK (x < 1))'",
    )
    require_sound(opened(path))


def unheard_of(connection: sqlite3.Connection) -> None:
    """Register what only an application has."""
    connection.create_collation("german", lambda one, other: (one > other) - (one < other))
    connection.create_function("fold", 1, str, deterministic=True)


SCHEMA = (
    "CREATE TABLE t (x NOT NULL COLLATE german, y AS (fold(x)) NOT NULL, CHECK (fold(x) <> ''))",
    "CREATE INDEX i ON t (fold(x))",
    "CREATE TABLE k (x COLLATE german PRIMARY KEY, y) WITHOUT ROWID",
    "INSERT INTO t (x) VALUES ('a'), ('b')",
    "INSERT INTO k VALUES ('a', 1), ('b', 2)",
)


def test_look_needs_nothing_of_the_application(make: Any, opened: Open) -> None:
    """Its collations and functions are replaced for the look, and for nothing else."""
    db = opened(make(*SCHEMA, setup=unheard_of))
    require_sound(db)
    with pytest.raises(OperationError, match="'german' of the application"):
        db.execute("SELECT * FROM t ORDER BY x")


def test_look_finds_damage_where_the_application_is_missing(make: Any, opened: Open) -> None:
    """What is replaced does not hide what is wrong."""
    path = make(*SCHEMA, setup=unheard_of)
    noughts(path, "i")
    with pytest.raises(OperationError, match=r"is damaged .*index 'i'"):
        require_sound(opened(path))


@pytest.mark.parametrize(("name", "said"), [("x'6900'", r"b'i\\x00'"), ("'i' || char(0)", r"'i\\x00'")])
def test_look_refuses_a_name_that_is_no_text(make: Any, opened: Open, name: str, said: str) -> None:
    """The schema's columns are text by declaration, which SQLite does not hold a file to; a NUL would end a name."""
    path = make(
        "CREATE TABLE t (x)",
        "CREATE INDEX i ON t (x)",
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET name = {name} WHERE name = 'i'",
    )
    with pytest.raises(OperationError, match=rf"app\.db is damaged .*{said} for a name"):
        reindex(opened(path))


def test_look_ends_when_the_job_is_cancelled(
    bloated: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a large file it takes long; nothing has been written yet."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 100)
    db = opened(bloated)
    context.at_check = lambda count: context.cancel() if count == 20 else None
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        require_sound(db)


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_second_connection_is_interrupted_with_the_first(
    bloated: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    """The worker knows the first one only."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 100)
    db = opened(bloated)
    context.at_check = lambda count: db.interrupt()
    with db.second(mode) as second, pytest.raises(OperationError, match="was interrupted"):
        second.execute("SELECT count(*) FROM t AS a, t AS b")
    context.at_check = lambda count: None
    db.interrupt()
    assert db.execute("SELECT 1") == [(1,)]


def test_look_without_views_reaches_neither_file_nor_journal(
    make: Any, opened: Open, context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views are taken out of the schema in memory only, also where they fill more pages than SQLite's cache."""
    views = [f"CREATE VIEW v{number} AS SELECT '{'long ' * 2000}'" for number in range(150)]
    path = make("CREATE TABLE t (x)", "CREATE INDEX i ON t (x)", *views)
    before, during = path.read_bytes(), []
    original = soundness._run_check

    def noted(db: SQLiteDatabase, *what: str, **how: bool) -> list[str]:
        answer = original(db, *what, **how)
        during.append((db.in_transaction, path.read_bytes() == before))
        return answer

    monkeypatch.setattr(soundness, "_run_check", noted)
    require_sound(opened(path))
    assert during[-1] == (True, True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("first", ["", "CREATE VIEW a AS SELECT 1"])
def test_look_without_rows_finds_the_same_damage(
    bloated: Path, context: Any, first: str, raw: Callable[..., Any]
) -> None:
    """A page of noughts is found; a sound file is told to be sound long before its rows are read."""
    raw(bloated).execute(first or "SELECT 1").fetchall()
    with SQLiteDatabase.connect(str(bloated), context) as db:
        require_sound(db, rows=False)
        assert db.known_sound
    noughts(bloated, "by_w")
    with SQLiteDatabase.connect(str(bloated), context) as db, pytest.raises(OperationError, match="is damaged"):
        require_sound(db, rows=False)


def test_first_gives_up_when_enough_was_asked(bloated: Path, context: Any) -> None:
    """What says something in time is heard, what goes on is given up, and the next statement runs as usual."""
    with SQLiteDatabase.connect(str(bloated), context) as db:
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0"
        assert db.execute_with_step_budget(endless, steps=1000) is None
        assert db.execute_with_step_budget("SELECT 'heard'", steps=1000) == "heard"
        assert db.execute("SELECT count(*) FROM t, (SELECT 1 UNION SELECT 2)") == [(12000,)]
        context.cancel()
        with pytest.raises(JobCancelledError, match="test"):
            db.execute_with_step_budget(endless, steps=1000)


def undecodable(path: Path, text: bytes) -> bytes:
    """Give the record that begins with a text a header longer than itself, and return the file's content."""
    data = bytearray(path.read_bytes())
    at = data.index(text)
    data[at - 3] = 0x7F  # in a record (header length, two types of a byte each, the text)
    path.write_bytes(data)
    return bytes(data)


WITH_NULLS = (
    "CREATE TABLE a (x)",
    "INSERT INTO a VALUES (NULL), (NULL), (NULL)",
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_master SET sql = 'CREATE TABLE a (x NOT NULL)' WHERE name = 'a'",
    "PRAGMA writable_schema = RESET",
)
RECORDS = (
    "CREATE TABLE t (k TEXT, v INTEGER)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    " INSERT INTO t SELECT 'record-' || i, 300 + i FROM n",
    "DELETE FROM t WHERE rowid > 200",
)
WRITERS: dict[str, Callable[[SQLiteDatabase], Any]] = {
    "vacuum": vacuum,
    "reindex": reindex,
    "analyze": analyze,
    "compact": lambda db: compact(db, offline=True),
    "convert_auto_vacuum": convert_auto_vacuum,
}


@pytest.mark.parametrize("before", [(), WITH_NULLS], ids=["alone", "after NULLs in a NOT NULL column"])
@pytest.mark.parametrize("operation", WRITERS)
def test_operations_refuse_a_record_that_cannot_be_decoded(
    make: Any, context: Any, operation: str, before: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of it the check says "database disk image is malformed" and no more, and may say harmless things before."""
    monkeypatch.setattr(file_holders, "_unseen", lambda hidden: "")
    path = make(*before, *RECORDS, "CREATE INDEX i ON t (v)")
    data = undecodable(path, b"record-77")
    with pytest.raises(OperationError, match=r"app\.db is damaged \(database disk image is malformed\)"):
        run(WRITERS[operation], path, context)
    assert path.read_bytes() == data


# -- what writes without having asked ----------------------------------------------------------------------------------

#: What an operation of somebody else's may do; none of them calls `require_sound`.
WRITES = {
    "a row": "DELETE FROM t WHERE rowid = 3",
    "VACUUM": "VACUUM",
    "an index": "REINDEX i",
    "a setting": "PRAGMA user_version = 7",
    "a transaction": "BEGIN IMMEDIATE",
    "statistics": "ANALYZE",
}


@pytest.mark.parametrize("statement", WRITES.values(), ids=WRITES.keys())
def test_statement_that_writes_has_the_look_taken_first(
    make: Any, context: Any, looks: list[str], statement: str
) -> None:
    """Whoever made the operation: once, before the first statement that writes."""
    path = make(*RECORDS, "CREATE INDEX i ON t (v)")
    with SQLiteDatabase.connect(str(path), context) as db:
        assert db.execute("SELECT count(*) FROM t") == [(200,)]
        assert not looks
        db.execute(statement)
        db.rollback()
        db.execute("UPDATE t SET k = 'x' WHERE rowid = 4")
    assert looks == [str(path)]


@pytest.mark.parametrize("statement", WRITES.values(), ids=WRITES.keys())
def test_statement_that_writes_is_not_run_on_a_damaged_file(make: Any, context: Any, statement: str) -> None:
    """It can be read as far as it goes, and is not written to."""
    path = make(*RECORDS, "CREATE INDEX i ON t (v)")
    data = undecodable(path, b"record-77")
    with SQLiteDatabase.connect(str(path), context) as db:
        assert db.execute("SELECT count(*) FROM t") == [(200,)]
        with pytest.raises(OperationError, match=r"app\.db is damaged"):
            db.execute(statement)
    assert path.read_bytes() == data


def test_trial_is_taken_back_and_needs_no_look(make: Any, context: Any, looks: list[str]) -> None:
    """What comes after it needs one again."""
    path = make(*RECORDS)
    before = path.read_bytes()
    with SQLiteDatabase.connect(str(path), context) as db:
        with db.trial():
            db.execute("DELETE FROM t")
        assert not looks
        assert path.read_bytes() == before
        db.execute("DELETE FROM t WHERE rowid = 3")
        assert looks == [str(path)]
        assert db.execute("SELECT count(*) FROM t") == [(199,)]


def test_file_without_the_right_to_write_is_told_as_one(make: Any, context: Any, raw: Any) -> None:
    """After the look, SQLite's own refusal comes through."""
    path = make(*RECORDS)
    data = bytearray(path.read_bytes())
    data[18] = 3  # a write version of the future: SQLite only reads such a file
    path.write_bytes(data)
    with (
        SQLiteDatabase.connect(str(path), context) as db,
        pytest.raises(OperationError, match=r"app\.db cannot be written \(SQLITE_READONLY\)"),
    ):
        db.execute("DELETE FROM t")
