"""Once a check or a failed operation has found a file damaged, nothing writes to it until a full look finds it gone."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import OperationError
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.traits import OperationTraits, declared_traits
from pitstop_database_maintenance.history import CheckRecord, History
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenanceRequest
from pitstop_database_maintenance.planning.planner import plan_database
from pitstop_database_maintenance.sqlite.assessments import space
from pitstop_database_maintenance.sqlite.checks import verdicts
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.guards.damage import require_undamaged
from pitstop_database_maintenance.sqlite.operations.integrity_check import integrity_check
from pitstop_database_maintenance.sqlite.operations.quick_check import quick_check
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum

Open = Callable[..., SQLiteDatabase]

READS = OperationTraits(only_reads=True)
VACUUM = declared_traits(space.vacuum) or OperationTraits()


@pytest.fixture
def history() -> Iterator[History]:
    with History(":memory:") as kept:
        yield kept


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What this process knows, of which the other tests hear nothing."""
    known: dict[str, Any] = {}
    monkeypatch.setattr(verdicts, "_damaged", known)
    return known


@pytest.fixture
def worked_on(opened: Open, history: History, remembered: dict[str, Any]) -> Open:
    """Open a database as the worker does, with the history."""

    def open_with_history(path: Path) -> SQLiteDatabase:
        db = opened(path)
        db.history = history.of(f"sqlite:{path}")
        return db

    return open_with_history


def break_record(path: Path) -> None:
    """Give one record a header that is longer than the record: nothing but reading it finds that."""
    content = bytearray(path.read_bytes())
    at = content.index(b"value 20")
    content[at - 4] = 0x7F
    path.write_bytes(content)


@pytest.fixture
def damaged(make: Any) -> Path:
    path: Path = make(
        "CREATE TABLE t (a, b)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
        " INSERT INTO t SELECT i, 'value ' || i FROM n",
        "CREATE INDEX i ON t (a)",
    )
    break_record(path)
    return path


@pytest.mark.parametrize("check", [quick_check, integrity_check])
def test_a_record_that_cannot_be_decoded_is_damage(damaged: Path, worked_on: Open, check: Any) -> None:
    """SQLite says so in the bare words of an error, without the head under which it tells of pages."""
    with pytest.raises(OperationError, match=r"found 1 problem in .*malformed.*restore a backup"):
        check(worked_on(damaged))


@pytest.mark.parametrize("forget", ["nothing", "the process", "the history"])
def test_no_step_writes_after_one_has_found_damage(
    damaged: Path, worked_on: Open, history: History, remembered: dict[str, Any], seen: Any, forget: str
) -> None:
    """What is known is in the history for other processes, and in this one for the case that the history is lost."""
    db = worked_on(damaged)
    with pytest.raises(OperationError, match="quick_check found"), db.guard("quick_check"):
        quick_check(db)
    if forget == "the process":
        remembered.clear()
    if forget == "the history":
        history._file.write(("DELETE FROM checked", [()]))
    before = seen.content(damaged)
    later, reached = worked_on(damaged), []
    with pytest.raises(OperationError, match=r"is damaged \(.*, and nothing was written to it"), later.guard("theirs"):
        reached.append("somebody else's operation, which looks at nothing by itself")
    assert not reached
    assert seen.content(damaged) == before


def test_a_failed_operation_is_enough(damaged: Path, worked_on: Open, remembered: dict[str, Any]) -> None:
    """It met the damage by itself; what comes after it need not."""
    db = worked_on(damaged)
    with pytest.raises(OperationError, match="is damaged"), db.guard("theirs"):
        db.execute("UPDATE t SET b = b || a")
    assert remembered
    with pytest.raises(OperationError, match="nothing was written"), worked_on(damaged).guard("theirs"):
        pytest.fail("it was begun")


def test_operations_that_only_read_are_not_refused(damaged: Path, worked_on: Open) -> None:
    """They may be what finds the damage gone."""
    for _ in range(2):
        db = worked_on(damaged)
        with pytest.raises(OperationError, match="quick_check found"), db.guard("quick_check", lambda: READS):
            quick_check(db)


@pytest.mark.parametrize("what", ["a record", "a page"])
def test_each_sentence_of_damage_is_said_once(
    damaged: Path, make: Any, worked_on: Open, context: Any, what: str
) -> None:
    """The file is named, what is wrong with it follows, and neither stands within itself again."""
    if what == "a page":  # at which a check ends by an error
        damaged.unlink()
        make(
            "CREATE TABLE t (a, b)",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
            " INSERT INTO t SELECT i, hex(zeroblob(50)) FROM n",
            "CREATE INDEX i ON t (a)",
        )
        content = bytearray(damaged.read_bytes())
        content[4096 * 20 : 4096 * 20 + 200] = b"\xff" * 200
        damaged.write_bytes(content)
    told = []
    for operation, work in (
        ("vacuum", vacuum),
        ("quick_check", quick_check),
        ("analyze", vacuum),
        ("check", integrity_check),
    ):
        db = worked_on(damaged)
        with pytest.raises(OperationError) as caught, db.guard(operation):
            work(db)
        told.append(str(caught.value))
    told += context.logger.of("warning")
    assert len(told) > 4
    for text in told:
        assert text.count(str(damaged)) == 1, text
        assert text.count("is damaged") <= 1, text
        assert text.count("malformed") <= 1, text


def planned(path: Path, lookup: Any, history: History, **request: Any) -> DatabasePlan:
    """Return the plan for a file as it is now."""
    [inspection] = SQLiteDatabase.inspect([str(path)])
    return plan_database(str(path), inspection, MaintenanceRequest(**request), lookup=lookup, history=history)


@pytest.mark.parametrize("forget", ["the process", "the history"])
def test_a_plan_leaves_out_what_would_be_refused_for_damage(
    damaged: Path, worked_on: Open, history: History, remembered: dict[str, Any], lookup: Any, forget: str
) -> None:
    """It says by which check it is known and since when, and plans the look that may find it gone."""
    assert "analyze" in [step.operation for step in planned(damaged, lookup, history).due]
    with pytest.raises(OperationError, match="quick_check found"):
        quick_check(worked_on(damaged))
    if forget == "the process":
        remembered.clear()
    else:
        history._file.write(("DELETE FROM checked", [()]))
    made = planned(damaged, lookup, history)
    assert [step.operation for step in made.due] == ["integrity_check"]
    assert [(step.operation, step.cause) for step in made.left_out] == [("analyze", Cause.DAMAGE)]
    assert re.match(r"quick_check found it damaged on 20\d\d-.*; what writes is left out until", made.left_out[0].why)
    assert made.failure == made.barred == made.left_out[0].why


def test_whoever_wrote_an_operation_the_plan_knows_what_is_refused(
    damaged: Path, worked_on: Open, history: History, lookup: Any
) -> None:
    """One without an assessment, and one that was asked for, are left out as the others are; what reads is run."""
    lookup.groups["pitstop.operations.database_maintenance_operation"]["sqlite.theirs"] = lambda db: None
    with pytest.raises(OperationError, match="quick_check found"):
        quick_check(worked_on(damaged))
    made = planned(damaged, lookup, history, operations=("theirs", "vacuum", "backup"))
    assert {step.operation for step in made.left_out} == {"theirs", "vacuum"}
    assert [step.operation for step in made.due] == ["backup"]
    assert {step.operation for step in planned(damaged, lookup, history, everything=True).left_out} >= {
        "vacuum",
        "reindex",
    }


def test_a_check_of_everything_takes_damage_back(
    damaged: Path, worked_on: Open, history: History, lookup: Any, raw: Any
) -> None:
    """Then the plan is as that of any file; a check of one table does not do."""
    with pytest.raises(OperationError, match="quick_check found"):
        quick_check(worked_on(damaged))
    raw(damaged).execute("DROP TABLE t")
    raw(damaged).execute("CREATE TABLE other AS SELECT 1 AS a")
    integrity_check(worked_on(damaged), tables=["other"])
    assert planned(damaged, lookup, history).barred
    integrity_check(worked_on(damaged))
    made = planned(damaged, lookup, history)
    assert (made.barred, made.left_out) == ("", ())


@pytest.mark.parametrize("how", ["replaced", "written over"])
def test_a_file_that_was_restored_is_worked_on(
    make: Any, damaged: Path, history: History, remembered: dict[str, Any], context: Any, how: str
) -> None:
    """Of another file nothing is known, and nothing comes back when it has been written to as often as the old one."""

    @contextmanager
    def worked_on() -> Iterator[SQLiteDatabase]:
        with SQLiteDatabase.connect(str(damaged), context) as db:
            db.history = history.of("it")
            yield db

    good = make("CREATE TABLE t (a, b)", "INSERT INTO t VALUES (1, 2)", name="good.db")
    with pytest.raises(OperationError, match="quick_check found"), worked_on() as db:
        quick_check(db)
    if how == "replaced":
        good.rename(damaged)
    else:
        shutil.copyfile(good, damaged)
    with worked_on() as db, db.guard("analyze"):
        for number in range(20):
            db.execute("INSERT INTO t VALUES (?, 3)", (number,))
    with worked_on() as db:
        assert Verdicts.read(db).damage() is None
        assert not Verdicts.read(db).latest("quick_check")
    assert not context.logger.of("warning")


@pytest.mark.parametrize(
    "findings", ["[]", "[7]", '[{"flaw": "no such"}]', "{"], ids=["none", "number", "flaw", "json"]
)
def test_a_forged_history_fails_no_job_of_a_sound_file(
    bloated: Path, worked_on: Open, history: History, context: Any, findings: str
) -> None:
    """What it says leads to a look, if it says anything, which finds nothing; then it is forgotten."""
    db = worked_on(bloated)
    forged = CheckRecord(object="", kind="damage", at=1, seconds=0, problems=1, findings=({},))
    Verdicts.read(db).keep([forged])
    history._file.write(("UPDATE checked SET findings = ?", [(findings,)]))
    require_undamaged(db)
    looks = [line for line in context.logger.of("warning") if "it is looked at in full" in line]
    assert len(looks) == (findings in ("[]", '[{"flaw": "no such"}]'))
    require_undamaged(worked_on(bloated))
    assert len(context.logger.of("warning")) == len(looks)


def test_an_index_that_disagrees_keeps_nobody_from_writing(make: Any, worked_on: Open) -> None:
    """It is no damage: reindex is its cure, and the table has all rows."""
    path = make(
        "CREATE TABLE t (x)",
        "CREATE INDEX i ON t (x)",
        "CREATE TEMP TABLE kept AS SELECT * FROM sqlite_master WHERE type = 'index'",
        "PRAGMA writable_schema = ON",
        "DELETE FROM sqlite_master WHERE type = 'index'",
        "PRAGMA writable_schema = RESET",
        "INSERT INTO t VALUES (1), (2)",
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master SELECT * FROM kept",
    )
    with pytest.raises(OperationError, match="run reindex"):
        integrity_check(worked_on(path))
    db = worked_on(path)
    with db.guard("theirs"):
        db.execute("INSERT INTO t VALUES (3)")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM t NOT INDEXED").fetchall() == [(3,)]


LISTS = {
    "lost": ((32, 0), (36, 0)),
    "counted wrong": ((36, 5),),
}


@pytest.mark.parametrize("changes", LISTS.values(), ids=LISTS)
def test_vacuum_is_the_cure_for_a_wrong_list_of_free_pages(
    make: Any, worked_on: Open, seen: Any, history: History, lookup: Any, changes: tuple[tuple[int, int], ...]
) -> None:
    """No row is lost, and none is in danger: other operations are refused, and what is advised is done."""
    path = make(
        "CREATE TABLE t (a)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
        " INSERT INTO t SELECT zeroblob(3000) FROM n",
        "DELETE FROM t WHERE rowid > 40",
    )
    rows = seen.rows(path)
    content = bytearray(path.read_bytes())
    for at, value in changes:
        content[at : at + 4] = value.to_bytes(4, "big")
    path.write_bytes(content)
    db = worked_on(path)
    with pytest.raises(
        OperationError, match=r"what can be read is whole.*run vacuum with drop_lost_pages=true"
    ) as caught:
        quick_check(db)
    assert str(path) in str(caught.value)
    with pytest.raises(OperationError, match="nothing was written"), worked_on(path).guard("analyze"):
        pytest.fail("it was begun")
    db = worked_on(path)
    with pytest.raises(OperationError, match="nothing was written"), db.guard("vacuum", lambda: VACUUM):
        vacuum(db)
    for parameters, runs in (({}, []), ({"vacuum": {"drop_lost_pages": True}}, ["vacuum"])):
        made = planned(path, lookup, history, operations=("vacuum",), parameters=parameters)
        assert [step.operation for step in made.due] == runs, "a plan that leaves the cure out"
    db = worked_on(path)
    with db.guard("vacuum", lambda: VACUUM):
        vacuum(db, drop_lost_pages=True)
    assert seen.integrity(path) == ["ok"]
    assert seen.rows(path) == rows
    with worked_on(path).guard("analyze"):
        pass


def test_vacuum_is_no_cure_for_more_than_that(make: Any, worked_on: Open, seen: Any) -> None:
    """A file whose list of free pages is wrong, and a record too."""
    path = make(
        "CREATE TABLE t (a, b)",
        "INSERT INTO t VALUES (20, 'value 20')",
        "CREATE TABLE gone AS SELECT zeroblob(9000)",
        "DROP TABLE gone",
    )
    break_record(path)
    content = bytearray(path.read_bytes())
    content[32:40] = bytes(8)
    path.write_bytes(content)
    before = seen.content(path)
    for _ in range(2):
        db = worked_on(path)
        with pytest.raises(OperationError, match="malformed"), db.guard("vacuum", lambda: VACUUM):
            vacuum(db, drop_lost_pages=True)
    assert seen.content(path) == before


@pytest.mark.parametrize(
    ("at", "value"), [(0, b"\xff" * 100), (20, b"\xb3"), (47, b"\x09")], ids=["no header", "reserved", "format"]
)
def test_a_file_whose_header_makes_no_sense_is_told_as_one(
    damaged: Path, context: Any, history: History, remembered: dict[str, Any], at: int, value: bytes
) -> None:
    """Also where the state of the file is asked for, before any statement: no error of ours comes in its place."""
    content = bytearray(damaged.read_bytes())
    content[at : at + len(value)] = value
    damaged.write_bytes(content)

    def work() -> None:
        with SQLiteDatabase.connect(str(damaged), context) as db:
            db.history = history.of(f"sqlite:{damaged}")
            with db.guard("vacuum", lambda: VACUUM):
                vacuum(db)

    with pytest.raises(OperationError, match=damaged.name):
        work()
    assert damaged.read_bytes() == content
