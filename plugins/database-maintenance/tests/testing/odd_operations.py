"""Operations on SQLite that do odd but legal things: every one of them must get through the suite.

No file of tests by its name: `test_contracts_tell_operations.py` runs it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pitstop
from pitstop.errors import InvalidValueError
from pitstop_database_maintenance.sqlite.testing import SQLiteOperationContract


def fussy(db: Any, *, table: str) -> pitstop.Result:
    """Refuse every name that is not a word, or that is one of SQL's."""
    if not table.isidentifier() or table in ("select", "table"):
        raise InvalidValueError(where="fussy", name="table", problem=f"{table!r} is no word")
    return pitstop.Result.unchanged(f"{len(db.execute(f'SELECT 1 FROM {table}'))} rows")


class TestFussy(SQLiteOperationContract):
    operation = fussy
    parameters = {"table": "event"}


def empty(db: Any, *, tables: list[str], column: str = "id") -> dict[str, Any]:
    """Delete rows of the tables that it is given, each in a transaction of its own, and make one to work with."""
    db.execute("CREATE TABLE IF NOT EXISTS work (name TEXT)")
    for table in tables:
        db.check_stop()
        with db.transaction():
            db.execute(f"DELETE FROM {db.quote(table)} WHERE {db.quote(column)} > 1")
    return {"tables": tables}


class TestEmpty(SQLiteOperationContract):
    """What names a column is not said to be one: lists of tables that all have it there are none of."""

    operation = empty
    parameters = {"tables": ["event"]}
    names_of = {"tables": "table"}
    keeps_rows = False
    keeps_schema = False


class Rebuilt:
    """An object that is called, with a parameter of another name for an index, and a check of its own connection."""

    def __call__(self, db: Any, /, *, what: str = "event_by_kind") -> None:
        """Build one index anew, and look at the file beside the job's connection."""
        db.execute(f"REINDEX {db.quote(what)}")
        with closing(sqlite3.connect(f"file:{db.path}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM event").fetchall()


class TestRebuilt(SQLiteOperationContract):
    """With a lock in the way its own connection would not get on, but the job's fails before that."""

    operation = Rebuilt()
    name = "rebuilt"
    names_of = {"what": "index"}


def export(db: Any, *, to: str, columns: dict[str, str] | None = None) -> pitstop.Result:
    """Write a table's rows to a file, which is what it is for."""
    rows = db.execute("SELECT id FROM event")
    with open(to, "w", encoding="utf-8") as file:
        file.writelines(f"{number}\n" for (number,) in rows)
    return pitstop.Result.changed("written", warnings=("it is not sorted",))


class TestExport(SQLiteOperationContract):
    operation = export
    names_of = {}

    def make_parameters(self, folder):
        return {"to": str(folder / "rows.txt")}

    def may_write(self, folder):
        return [folder / "rows.txt"]


def always_later(db: Any) -> None:
    """Look whether anybody else is there, and do nothing."""
    with db.no_lock_wait(), db.transaction():
        pass


class TestAlwaysLater(SQLiteOperationContract):
    operation = always_later
    name = "a-name-without-a-kind"  # which the suite adds
    database = {"journal_mode": "wal", "page_size": 512, "rows": 0, "free": 0.0}
