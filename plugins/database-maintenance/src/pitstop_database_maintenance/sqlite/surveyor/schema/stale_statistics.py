"""What the planner's statistics say, and whether they still fit. Owns the rule for that, which is this:

The rows that a table has now are estimated from a sample of each level of its b-tree (`btrees.estimate_rows`), never
counted. Statistics are stale if the rows differ by sqrt(1000 * rows) or more, which is SQL Server's own threshold since
2016 and the rule of Ola Hallengren's IndexOptimize (@StatisticsModificationLevel), or by ten times, which is when
`PRAGMA optimize` analyses again (sqlite.org/pragma.html#pragma_optimize); in the first case by more than the estimate
may be off, twice its standard error. Rows that were changed in place are not seen.
"""

from __future__ import annotations

import sqlite3

from pitstop_database_maintenance.sqlite.surveyor.schema.sql_tokens import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from pitstop_database_maintenance.sqlite.surveyor.schema.redundant_indexes import Index


class Statistics:
    """The statistics of one schema.

    Args:
        db: an open connection.
        rows: of each table about how many it has now, and the standard error of that.
    """

    def __init__(self, db: sqlite3.Connection, rows: Mapping[str, tuple[float, float]]) -> None:
        self._now = rows
        self._db = db
        self._then: dict[str, int] = {}
        self._described: set[tuple[str, str | None]] = set()
        there = {
            name for (name,) in db.execute("SELECT CAST(name AS TEXT) FROM main.sqlite_master WHERE type = 'table'")
        }
        if "sqlite_stat1" in there:
            for table, index, stat in db.execute("SELECT tbl, idx, stat FROM main.sqlite_stat1"):
                self._add(table, index, stat)
        kinds = ["stat1"] if self._described else []
        if "sqlite_stat4" in there and db.execute("SELECT 1 FROM main.sqlite_stat4 LIMIT 1").fetchone():
            kinds.append("stat4")
        self.kind = ", ".join(kinds) or "none"

    def _add(self, table: object, index: object, stat: object) -> None:
        words = stat.split() if isinstance(stat, str) else []
        if not isinstance(table, str) or not words or not words[0].isdigit():
            return
        self._described.add((table, index if isinstance(index, str) else None))
        # a partial index counts fewer rows than its table has
        self._then[table] = max(int(words[0]), self._then.get(table, 0))

    def rows(self, table: str) -> int | None:
        """Return how many rows the statistics give a table; None without."""
        return self._then.get(table)

    def find_missing(self, tables: Mapping[str, Mapping[str, Any]], indexes: Iterable[Index]) -> list[str]:
        """Return tables with rows and indexes of which the statistics say nothing."""
        indexed = {index.table for index in indexes}
        return [
            name
            for name, table in tables.items()
            if table["kind"] == "table" and name in indexed and name not in self._then and self._has_rows(name)
        ]

    def find_stale(self, tables: Mapping[str, Mapping[str, Any]], indexes: Iterable[Index]) -> dict[str, str]:
        """Return tables whose statistics no longer fit, and why."""
        found = {}
        plain = {name for name, table in tables.items() if table["kind"] == "table"}
        for index in indexes:
            # a partial index that holds nothing has none, and the primary key without rowids has its table's name
            names = {(index.table, index.name)} | ({(index.table, index.table)} if index.primary else set())
            if index.table in plain and index.table in self._then and not index.partial and not names & self._described:
                found[index.table] = f"index {index.name!r} has no statistics"
        for name, then in self._then.items():
            if name in self._now and name in plain and self._differ(then, *self._now[name]):
                found[name] = (
                    f"statistics of {_format(then)} row{'s' * (then != 1)}, now about {_format(self._now[name][0])}"
                )
        return found

    @staticmethod
    def _differ(then: int, now: float, error: float) -> bool:
        change = abs(now - then)
        # tenfold from nothing is nothing to speak of
        tenfold = max(now, then) >= 10 * max(min(now, then), 1)
        return tenfold or change >= max((1000 * max(now, 1)) ** 0.5, 2 * error)

    def _has_rows(self, table: str) -> bool:
        if table in self._now:
            return self._now[table][0] > 0
        return self._db.execute(f"SELECT 1 FROM main.{quote(table)} LIMIT 1").fetchone() is not None  # noqa: S608 - quoted


def _format(number: float) -> str:
    return f"{round(number):,}".replace(",", " ")
