"""What a connection promises of names: quoted, any name is a name, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pitstop.errors import InvalidValueError
from pitstop.testing.contracts.worker.trial import describe_error
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.testing.database.base import KindContract, catch_error, check_failure
from pitstop_database_maintenance.testing.operation.awkward_names import (
    AWKWARD_NAMES,
    CANARY,
    IMPOSSIBLE_NAMES,
    quote_name,
)


class QuotingPromises(KindContract):
    """Whatever a name is, it is refused by an `InvalidValueError`, or it can be used."""

    __test__ = False

    def test_quote_makes_any_name_safe(self, folder: Path) -> None:
        """A table of each name can be made, filled, read and dropped; it has that name, and no other table is hurt."""
        with self.connect(self.make_url(folder)) as db:
            canary = db.quote(CANARY)
            db.execute(self.create_table(canary))
            self.fill(db, canary, {1: "still here"})
            problems = [(quote_name(name), self._problem(db, name)) for name in (*AWKWARD_NAMES, *IMPOSSIBLE_NAMES)]
        told = "; ".join(f"{name}: {problem}" for name, problem in problems if problem)
        assert not told, f"quote does not make these names safe: {told}"

    def test_quote_makes_any_column_safe(self, folder: Path) -> None:
        """So it is with the names of columns, which are in other places of a statement."""
        with self.connect(self.make_url(folder)) as db:
            for name in AWKWARD_NAMES:
                column = _quote(db, name)
                if column is None:
                    continue
                query = f"WITH t AS (SELECT 2 AS {column}) SELECT {column} FROM t WHERE {column} = 2"  # noqa: S608
                found = catch_error(partial(_read_two, db, query))
                assert found is None, (
                    f"a column called {quote_name(name)}, which is 2, cannot be read: {describe_error(found)}"
                )

    def _problem(self, db: Database, name: str) -> str:
        table = _quote(db, name)
        if table is None:
            return ""
        failure = catch_error(lambda: self._use_name(db, table, name))
        if failure is None:
            failure = catch_error(lambda: self._look_at_canary(db))
        return f"{failure}".partition("\n")[0] if failure is not None else ""

    def _use_name(self, db: Database, table: str, name: str) -> None:
        before = set(self.table_names(db))
        db.execute(self.create_table(table))
        made = set(self.table_names(db)) - before
        assert made == {name}, f"a table of that name is called {', '.join(map(ascii, sorted(made))) or 'nothing'}"
        self.fill(db, table, {1: name})
        rows = db.execute(f"SELECT id FROM {table}")  # noqa: S608 - quoted
        assert [row[0] for row in rows] == [1], f"its rows read as {rows!r}"
        db.execute(f"DROP TABLE {table}")
        assert set(self.table_names(db)) == before, "it is still there after it was dropped, or another one is gone"

    def _look_at_canary(self, db: Database) -> None:
        rows = db.execute(f"SELECT said FROM {db.quote(CANARY)}")  # noqa: S608 - quoted
        assert [row[0] for row in rows] == ["still here"], f"the table {CANARY} now has {rows!r}"


def _read_two(db: Database, query: str) -> None:
    rows = db.execute(query)
    assert [tuple(row) for row in rows] == [(2,)], f"its rows read as {rows!r}"


def _quote(db: Database, name: str) -> str | None:
    """Return the identifier, or None if the name is refused as it should be."""
    quoted: list[str] = []
    failure = catch_error(lambda: quoted.append(db.quote(name)))
    if failure is not None:
        check_failure(failure, f"quote({quote_name(name)})", InvalidValueError)
        return None
    assert isinstance(quoted[0], str), f"quote({quote_name(name)}) returns {quoted[0]!r}, not a text"
    return quoted[0]
