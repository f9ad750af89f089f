"""The guard around VACUUM and VACUUM INTO: what they would lose is refused, what is harmless is not, and it compares.

What SQLite does by itself is asked of SQLite in each case, on a copy, so that the knowledge is not only our own word.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.sampling import some

from pitstop.errors import OperationError
from pitstop.jobs import Outcome, Result
from pitstop_database_maintenance.databases.assessment import Look
from pitstop_database_maintenance.sqlite.assessments.preconditions import check_rebuild
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import durable_files
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.operations.convert_auto_vacuum import convert_auto_vacuum
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop_database_maintenance.sqlite.surveyor.schema.vacuum_losses import Loss

pytestmark = pytest.mark.usefixtures("all_seen")
Open = Callable[..., SQLiteDatabase]
Run = Callable[[SQLiteDatabase], Result]

REBUILDS: dict[str, Run] = {
    "vacuum": vacuum,
    "compact": lambda db: compact(db, offline=True),
    "convert_auto_vacuum": lambda db: convert_auto_vacuum(db, mode="incremental"),
}
FILL = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
    " INSERT INTO spare SELECT hex(randomblob(20)) FROM n"
)
#: A database with something to give back, and one object of each type.
SCHEMA = (
    "CREATE TABLE spare (x)",
    FILL,
    "CREATE TABLE bill (no, total)",
    "CREATE UNIQUE INDEX bill_no ON bill (no)",
    "CREATE VIEW totals AS SELECT sum(total) AS x FROM bill",
    "CREATE TRIGGER paid AFTER DELETE ON bill BEGIN SELECT 1; END",
    "INSERT INTO bill VALUES (1, 10), (2, 20)",
    "DELETE FROM spare",
)
COUNTED = ("CREATE TABLE old (i INTEGER PRIMARY KEY AUTOINCREMENT)", "INSERT INTO old VALUES (7)")


def edit(**columns: str) -> str:
    """Return the statement that sets columns of the entry that `name` says; `name_` is its new name."""
    name = columns.pop("name")
    changes = ", ".join(f"{column.rstrip('_')} = {value}" for column, value in columns.items())
    return f"UPDATE sqlite_master SET {changes} WHERE name = '{name}'"


#: What is edited into the schema, and what VACUUM then leaves out.
LOST: dict[str, tuple[tuple[str, ...], str | bytes, Loss]] = {
    "a table in small letters, and its index": (
        (
            edit(name="bill", sql="'create table bill (no, total)'"),
            edit(name="bill_no", sql="'create unique index bill_no on bill (no)'"),
        ),
        "bill",
        Loss.CAPITALS,
    ),
    "an index in small letters": (
        (edit(name="bill_no", sql="'create unique index bill_no on bill (no)'"),),
        "bill_no",
        Loss.CAPITALS,
    ),
    "an index that begins with one capital": (
        (edit(name="bill_no", sql="'Create Unique Index bill_no ON bill (no)'"),),
        "bill_no",
        Loss.CAPITALS,
    ),
    "a table that its text calls temporary, and its index": (
        (edit(name="bill", sql="'CREATE TEMP TABLE bill (no, total)'"),),
        "bill",
        Loss.TEMPORARY,
    ),
    "a view of the type View": ((edit(name="totals", type="'View'"),), "totals", Loss.TYPE),
    "a trigger of the type TRIGGER": ((edit(name="paid", type="'TRIGGER'"),), "paid", Loss.TYPE),
    "an index of the type Index": ((edit(name="bill_no", type="'Index'"),), "bill_no", Loss.TYPE),
    "a view whose type is a blob": ((edit(name="totals", type="CAST('view' AS BLOB)"),), "totals", Loss.TYPE),
    "an index whose name is a blob": ((edit(name="bill_no", name_="CAST(name AS BLOB)"),), b"bill_no", Loss.BLOB),
    "a table whose name is a blob": ((edit(name="spare", name_="CAST(name AS BLOB)"),), b"spare", Loss.BLOB),
    "an index whose name has a capital": ((edit(name="bill_no", name_="'Bill_no'"),), "Bill_no", Loss.SPELLING),
    "a table in capitals, in quotes in its text": (
        (edit(name="spare", name_="'SPARE'", tbl_name="'SPARE'", sql="'CREATE TABLE \"spare\" (x)'"),),
        "SPARE",
        Loss.SPELLING,
    ),
}
#: What SQLite writes in another way, so that a comparison of texts would find a difference.
HARMLESS: dict[str, tuple[str, ...]] = {
    "IF NOT EXISTS": (edit(name="bill", sql="'CREATE TABLE IF NOT EXISTS bill (no, total)'"),),
    "a comment after CREATE": (edit(name="bill", sql="'CREATE/* a */ TABLE -- b\n bill (no, total)'"),),
    "a comment and a semicolon at the end": (edit(name="bill", sql="'CREATE TABLE bill (no, total); -- see above'"),),
    "small letters after the third": (edit(name="bill_no", sql="'CREate unique index bill_no ON bill (no)'"),),
    "an index IF NOT EXISTS": (edit(name="bill_no", sql="'CREATE UNIQUE INDEX IF NOT EXISTS bill_no ON bill (no)'"),),
    "a view in small letters": (edit(name="totals", sql="'create view totals as select sum(total) as x from bill'"),),
    "a text that is a blob": (edit(name="bill", sql="CAST(sql AS BLOB)"),),
}


@pytest.fixture
def run(context: Any) -> Callable[[Path, str], Result]:
    """Run a rebuild as a job does: on a connection of its own."""

    def ran(path: Path, operation: str) -> Result:
        with SQLiteDatabase.connect(str(path), context) as db:
            return REBUILDS[operation](db)

    return ran


def edited(make: Any, edits: tuple[str, ...], *before: str) -> Path:
    """Make a database, and edit its schema as somebody with a text editor would."""
    path: Path = make(*SCHEMA, *before, "PRAGMA writable_schema = ON", *edits)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "SQLite must find nothing wrong"
    return path


def names(path: Path) -> set[Any]:
    """Return the names in the schema, also of one that SQLite refuses because a table of a trigger is gone."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def vacuumed(path: Path, tmp_path: Path) -> Path:
    """Return a copy of a file that SQLite itself has vacuumed."""
    copy = tmp_path / "by-itself.db"
    shutil.copyfile(path, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("VACUUM")
    return copy


# -- what would be lost ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", some(REBUILDS, of=["vacuum"]))
@pytest.mark.parametrize("case", LOST)
def test_rebuild_refuses_what_vacuum_leaves_out(make: Any, run: Any, tmp_path: Path, case: str, operation: str) -> None:
    """SQLite's VACUUM succeeds and loses it; ours names it, says how to mend it, and touches nothing."""
    edits, name, _ = LOST[case]
    path = edited(make, edits)
    assert name in names(path) - names(vacuumed(path, tmp_path))
    before = path.read_bytes()
    with pytest.raises(OperationError, match=f"would lose .*: .*{re.escape(repr(name))}.*nothing was touched"):
        run(path, operation)
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["app.db", "by-itself.db"]


@pytest.mark.parametrize("case", LOST)
def test_rebuild_does_it_when_the_schema_is_mended_as_advised(
    make: Any, run: Any, seen: Any, tmp_path: Path, case: str
) -> None:
    """The advice is said to the sqlite3 program as it stands, but where a text has to be written anew."""
    program = shutil.which("sqlite3")
    if program is None:
        pytest.skip("there is no sqlite3 program here")
    edits, name, loss = LOST[case]
    path = edited(make, edits)
    with pytest.raises(OperationError) as refused:
        run(path, "vacuum")
    assert loss.statement in str(refused.value)
    statement = loss.statement
    if loss is Loss.TEMPORARY:
        statement = edit(name="bill", sql="'CREATE TABLE bill (no, total)'")
    if loss is Loss.SPELLING:
        statement = edit(name=name, name_=f"lower('{name}')")
    said = [".dbconfig defensive off", "PRAGMA writable_schema = ON;", f"{statement};"]
    subprocess.run([program, str(path), *said], check=True, capture_output=True)
    before = names(path)
    assert run(path, "vacuum").outcome is Outcome.CHANGED
    assert names(path) == before
    assert seen.query(path, "SELECT * FROM bill ORDER BY no") == [(1, 10), (2, 20)]
    assert seen.query(path, "SELECT x FROM totals") == [(30,)]
    assert seen.integrity(path) == ["ok"]


@pytest.mark.parametrize("operation", REBUILDS)
def test_rebuild_refuses_a_text_with_a_nul(make: Any, run: Any, operation: str) -> None:
    """SQLite reads to the NUL; what stands behind it would be gone."""
    path = edited(make, (edit(name="bill", sql="sql || char(0) || 'note'"),))
    with pytest.raises(OperationError, match=r"table 'bill' \(the text has a NUL character"):
        run(path, operation)


@pytest.mark.parametrize("operation", REBUILDS)
def test_rebuild_refuses_to_lose_rows_of_sqlite_sequence(
    make: Any, run: Any, seen: Any, tmp_path: Path, operation: str
) -> None:
    """The last AUTOINCREMENT table was dropped, and somebody keeps numbers of his own there."""
    path = make(*SCHEMA, *COUNTED, "DROP TABLE old", "INSERT INTO sqlite_sequence VALUES ('bill', 7)")
    assert "sqlite_sequence" not in names(vacuumed(path, tmp_path))
    with pytest.raises(OperationError, match=r"'sqlite_sequence' \(it has rows.*DELETE FROM sqlite_sequence"):
        run(path, operation)
    assert seen.query(path, "SELECT * FROM sqlite_sequence") == [("bill", 7)]


@pytest.mark.parametrize("operation", REBUILDS)
def test_rebuild_keeps_the_rows_of_sqlite_sequence(make: Any, run: Any, seen: Any, operation: str) -> None:
    """Where a table is AUTOINCREMENT, all of them are copied, also those that belong to no table."""
    path = make(*SCHEMA, *COUNTED, "INSERT INTO sqlite_sequence VALUES ('bill', 7), (NULL, 'x')")
    assert run(path, operation).outcome is Outcome.CHANGED
    assert seen.query(path, "SELECT * FROM sqlite_sequence") == [("old", 7), ("bill", 7), (None, "x")]


@pytest.mark.parametrize("operation", REBUILDS)
def test_rebuild_does_without_an_empty_sqlite_sequence(make: Any, run: Any, seen: Any, operation: str) -> None:
    """It is left behind by the last AUTOINCREMENT table, and made again for the next one."""
    path = make(*SCHEMA, *COUNTED, "DROP TABLE old")
    assert "sqlite_sequence" in names(path)
    assert run(path, operation).outcome is Outcome.CHANGED
    assert seen.query(path, "SELECT * FROM bill ORDER BY no") == [(1, 10), (2, 20)]


@pytest.mark.parametrize("operation", some(REBUILDS, of=["vacuum"]))
@pytest.mark.parametrize("case", HARMLESS)
def test_rebuild_does_not_mind_another_way_to_write_it(
    make: Any, run: Any, seen: Any, tmp_path: Path, case: str, operation: str
) -> None:
    """Everything is still there, under the same names and with the same rows, as SQLite itself would have it."""
    path = edited(make, HARMLESS[case])
    before = names(path)
    by_itself = vacuumed(path, tmp_path)
    assert run(path, operation).outcome is Outcome.CHANGED
    assert names(path) == before
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    assert seen.query(path, schema) == seen.query(by_itself, schema)
    assert seen.query(path, "SELECT * FROM bill ORDER BY no") == [(1, 10), (2, 20)]
    assert seen.integrity(path) == ["ok"]


@pytest.mark.parametrize("case", [*LOST, *HARMLESS])
def test_inspection_foresees_what_a_rebuild_refuses(make: Any, case: str) -> None:
    """So that a plan says it, and does not count on space that will not come back."""
    path = edited(make, LOST[case][0] if case in LOST else HARMLESS[case])
    [found] = SQLiteDatabase.inspect([str(path)])
    assert found.schema is not None
    assert bool(found.schema.lost) is (case in LOST)
    assert case in HARMLESS or f"{LOST[case][1]!r} (" in found.schema.lost[0]
    said = [one for one in SQLiteDatabase.describe(found).findings if one.title.startswith("VACUUM would lose")]
    assert len(said) == (case in LOST)
    obstacle = check_rebuild(Look(database=str(path), inspection=found, history=None))
    assert (obstacle is None) is (case in HARMLESS)
    assert obstacle is None or LOST[case][2].statement in obstacle.reason, "whoever asks for it by name gets no further"


# -- rows that are inserted anew ---------------------------------------------------------------------------------------


def in_an_old_format(path: Path, *statements: str) -> None:
    """Give a file the schema format that SQLite wrote by default until 2012, and go on with it."""
    data = bytearray(path.read_bytes())
    data[44:48] = (1).to_bytes(4, "big")
    path.write_bytes(data)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


DROPPING = edit(name="bill", sql="'CREATE TABLE bill (no, total NOT NULL ON CONFLICT IGNORE)'")
CONVERTING = edit(name="bill", sql="'CREATE TABLE bill (no, total INTEGER)'")


@pytest.mark.parametrize("operation", REBUILDS)
@pytest.mark.parametrize(("change", "value"), [(DROPPING, "NULL"), (CONVERTING, "'30'")])
def test_rebuild_refuses_rows_that_vacuum_would_drop_or_change(
    make: Any, run: Any, seen: Any, tmp_path: Path, operation: str, change: str, value: str
) -> None:
    """In the old format an index with DESC is another one after VACUUM, and so each row is inserted as by hand."""
    path = make(*SCHEMA, f"INSERT INTO bill VALUES (3, {value})")
    in_an_old_format(path, "CREATE INDEX newest ON bill (no DESC)", "PRAGMA writable_schema = ON", change)
    rows = seen.query(path, "SELECT * FROM bill ORDER BY no")
    assert seen.query(vacuumed(path, tmp_path), "SELECT * FROM bill ORDER BY no") != rows
    with pytest.raises(OperationError, match=r"would insert the rows of table 'bill' anew.* value in bill\.total"):
        run(path, operation)
    assert seen.query(path, "SELECT * FROM bill ORDER BY no") == rows


@pytest.mark.parametrize("operation", REBUILDS)
def test_rebuild_of_an_old_format_with_nothing_to_lose(make: Any, run: Any, seen: Any, operation: str) -> None:
    """The index is in order afterwards, and the rows are the same."""
    path = make(*SCHEMA)
    in_an_old_format(path, "CREATE INDEX newest ON bill (no DESC)")
    assert run(path, operation).outcome is Outcome.CHANGED
    assert seen.query(path, "SELECT * FROM bill ORDER BY no") == [(1, 10), (2, 20)]
    assert seen.query(path, "SELECT no FROM bill INDEXED BY newest ORDER BY no DESC") == [(2,), (1,)]
    assert seen.integrity(path) == ["ok"]


def test_rebuild_copies_rows_as_they_are_in_a_newer_format(make: Any, run: Any, seen: Any) -> None:
    """What a constraint forbids is the application's affair there: VACUUM does not look."""
    path = make(
        *SCHEMA,
        "CREATE INDEX newest ON bill (no DESC)",
        "INSERT INTO bill VALUES (3, NULL)",
        "PRAGMA writable_schema = ON",
        DROPPING,
    )
    assert run(path, "vacuum").outcome is Outcome.CHANGED
    assert seen.query(path, "SELECT * FROM bill ORDER BY no") == [(1, 10), (2, 20), (3, None)]


# -- what is compared afterwards ---------------------------------------------------------------------------------------


def meddling(
    monkeypatch: pytest.MonkeyPatch, meddle: Callable[[SQLiteDatabase], object], *, before: bool = False
) -> None:
    """Do something of our own after VACUUM, or before it, as if SQLite had done it."""
    original = SQLiteDatabase.execute

    def execute(db: SQLiteDatabase, sql: str, parameters: Any = ()) -> Any:
        if sql != "VACUUM":
            return original(db, sql, parameters)
        if before:
            meddle(db)
        rows = original(db, sql, parameters)
        if not before:
            meddle(db)
        return rows

    monkeypatch.setattr(SQLiteDatabase, "execute", execute)


#: What VACUUM has not done in any version, and what is said if it does.
UNHEARD_OF = {
    "PRAGMA user_version = 5": "user_version is 5 and was 0",
    "PRAGMA application_id = 5": "application_id is 5 and was 0",
}


@pytest.mark.parametrize("statement", UNHEARD_OF)
def test_vacuum_that_changes_a_setting_has_failed(
    make: Any, run: Any, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Both sides are named."""
    path = make(*SCHEMA)
    meddling(monkeypatch, lambda db: db.execute(statement))
    with pytest.raises(OperationError, match=f"has not kept everything: {UNHEARD_OF[statement]}"):
        run(path, "vacuum")


def test_vacuum_that_loses_an_object_has_failed(make: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of the schema is as VACUUM leaves it, so that nobody else can have changed it."""
    path = make(*SCHEMA)

    def meddle(db: SQLiteDatabase) -> None:
        version = db.pragma("schema_version")
        db.execute("DROP VIEW totals")
        db.execute(f"PRAGMA schema_version = {version}")

    meddling(monkeypatch, meddle)
    with pytest.raises(OperationError, match=r"has not kept everything: view 'totals' is gone.*cannot be undone"):
        run(path, "vacuum")


def test_vacuum_that_loses_a_row_has_failed(make: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of each table are counted before and after."""
    path = make(*SCHEMA)
    meddling(monkeypatch, lambda db: db.execute("DELETE FROM bill WHERE no = 1"))
    with pytest.raises(OperationError, match="has not kept everything: table 'bill' has 1 row and had 2 rows"):
        run(path, "vacuum")


@pytest.mark.parametrize("before", [True, False])
def test_vacuum_does_not_mind_rows_that_others_write_meanwhile(
    make: Any, run: Any, raw: Any, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """They are not counted then; the schema still is compared."""
    path = make(*SCHEMA)
    other = raw(path)
    meddling(monkeypatch, lambda db: other.execute("INSERT INTO bill VALUES (9, 9)"), before=before)
    assert run(path, "vacuum").outcome is Outcome.CHANGED


@pytest.mark.parametrize("before", [True, False])
def test_vacuum_does_not_mind_what_what_others_change_meanwhile(
    make: Any, run: Any, raw: Any, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """A migration of the application just before VACUUM has its lock, or just after, is no loss."""
    path = make(*SCHEMA)
    other = raw(path)

    def meddle(db: SQLiteDatabase) -> None:
        other.execute("PRAGMA user_version = 8")
        other.execute("DROP VIEW totals")

    meddling(monkeypatch, meddle, before=before)
    assert run(path, "vacuum").outcome is Outcome.CHANGED


def test_vacuum_keeps_what_the_file_says_of_itself(make: Any, run: Any, seen: Any) -> None:
    """All that the guard compares, in a file in which nothing is as it is by default."""
    settings = {
        "page_size": 1024, "auto_vacuum": 2, "encoding": "UTF-16le", "user_version": -3, "application_id": 0x7F000001,
        "default_cache_size": 77,
    }  # fmt: skip
    path = make(*(f"PRAGMA {name} = '{value}'" for name, value in settings.items()), *SCHEMA)
    path.chmod(0o640)
    assert {name: seen.query(path, f"PRAGMA {name}")[0][0] for name in settings} == settings
    assert run(path, "vacuum").outcome is Outcome.CHANGED
    assert {name: seen.query(path, f"PRAGMA {name}")[0][0] for name in settings} == settings
    assert path.stat().st_mode & 0o7777 == 0o640


def test_compact_that_changes_the_mode_of_the_file_has_failed(
    make: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at after the swap, whatever was set before it."""
    path = make(*SCHEMA)
    path.chmod(0o640)
    monkeypatch.setattr(durable_files, "copy_rights", lambda handle, model, attributes: os.fchmod(handle, 0o604))
    with pytest.raises(OperationError, match="does not look as it did: its mode is 0604 and was 0640"):
        run(path, "compact")
