"""A schema that cannot be read: why is noted, and it is never nothing due."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from surveying import inspection

from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.databases.assessment import Look
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.planning.planner import plan_database
from pitstop_database_maintenance.sqlite.assessments import space, statistics
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.describe import description
from pitstop_database_maintenance.sqlite.surveyor.format.wal import Log
from pitstop_database_maintenance.sqlite.surveyor.schema import read_schema

Make = Callable[..., Path]


def test_schema_that_cannot_be_read_is_noted(make: Make) -> None:
    """A schema that this SQLite does not understand costs the schema, and not the rest."""
    path = make(
        "CREATE TABLE t (a)", "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a from)'"
    )
    found = inspection(path)
    assert (found.schema, found.refused) == (None, "")
    assert found.waste is not None
    assert found.notes == ()
    assert "malformed database schema" in found.schema_error


@pytest.mark.parametrize(
    ("version", "text"),
    [(3_099_001, "here cannot read its schema, which 3.99.1 wrote: malformed database schema (v)"), (3_008_000, "")],
    ids=["a newer SQLite's", "an older one's"],
)
def test_schema_of_a_newer_sqlite_is_not_called_damaged(make: Make, version: int, text: str) -> None:
    """Nothing is planned, the version that is needed is named, and a job is refused before it starts."""
    path = make("CREATE TABLE t (a)", "PRAGMA writable_schema = ON")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES ('view', 'v', 'v', 0, 'CREATE VIEW v AS SELECT !! 1')")
    data = bytearray(path.read_bytes())
    data[96:100] = version.to_bytes(4, "big")
    path.write_bytes(data)
    found = inspection(path)
    assert (text or "SQLite cannot read its schema: malformed") in found.schema_error
    assert description(found).findings[0].title == found.schema_error
    with History(":memory:") as history:
        look = Look(database=str(path), inspection=found, history=history.of("x"))
        assert space.vacuum(look).reason == statistics.analyze(look).reason == found.schema_error
    with pytest.raises(InvalidJobError, match=r"here cannot read the schema of .*if a newer SQLite wrote it"):
        SQLiteDatabase.check(str(path))


@pytest.mark.parametrize(
    ("written", "there"),
    [(b"CREATE TABLE", b"CREATE TAB\xff\xfe"), (b"CREATE INDEX", b"CREATE \xff\xfeDEX"), (b"(a)", b"\xffa)")],
)
def test_schema_that_is_refused_in_words_that_are_no_utf8_cannot_be_read(
    make: Make, written: bytes, there: bytes
) -> None:
    """Python has no error of SQLite's then, and no code; the file is a failure all the same."""
    path = make("CREATE TABLE t (a, b)", "CREATE INDEX i ON t (a)")
    path.write_bytes(path.read_bytes().replace(written, there))
    for brief in (False, True):
        found = inspection(path, facts=not brief)
        assert found.schema_error.startswith("SQLite cannot read its schema"), brief
        assert SQLiteDatabase.failure(found)


def test_what_fails_beside_the_schema_is_no_refusal_of_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite reads the schema, and it is an answer to something else that could not be decoded."""

    def fail(*_: object) -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    path = make("CREATE TABLE t (a)")
    answer: dict[str, Any] = {"path": str(path), "notes": [], "written_by": ""}
    monkeypatch.setattr(read_schema, "read_facts", fail)
    read_schema.add_schema(answer, Log(0), {}, {})
    assert "schema_error" not in answer
    assert answer["schema_unread"]


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR])
def test_schema_that_was_not_read_is_never_nothing_due(
    make: Make, monkeypatch: pytest.MonkeyPatch, lookup: Any, code: int
) -> None:
    """A lock, or too little time: what would be due is left out, and `inspect` does not call the file healthy."""

    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("not now")
        error.sqlite_errorcode = code
        raise error

    path = make("CREATE TABLE t (a)")
    answer: dict[str, Any] = {"path": str(path), "notes": []}
    monkeypatch.setattr(read_schema, "read_facts", fail)
    read_schema.add_schema(answer, Log(0), {}, {})
    assert answer["notes"] == [f"the schema could not be read: {answer['schema_unread']}"]
    found = evolve(inspection(path), schema=None, schema_unread=answer["schema_unread"])
    made = plan_database(str(path), found, MaintenanceRequest(), lookup=lookup)
    unseen = [step.operation for step in made.left_out if step.cause is Cause.UNSEEN]
    assert unseen == ["fts_optimize", "analyze", "optimize"]
    assert not made.failure
    assert "could not be read" in description(found).findings[0].title
