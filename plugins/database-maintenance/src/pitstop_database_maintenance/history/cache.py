"""The history as a plan reads it: the same answers, each asked for once, so that thousands of databases cost little."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from pitstop_database_maintenance.history import CheckRecord, History, PastStep, UnfinishedStep


class CachedHistory(History):
    """Another history's past, as it was when it was first asked for. To be read from; closing it is the other's."""

    def __init__(self, history: History | None) -> None:
        """Read from a history, which must stay open; from an empty one if there is none."""
        super().__init__(":memory:" if history is None else history._file)
        self._is_own = history is None
        if self._is_own:
            weakref.finalize(self, self._file.close)  # nobody else knows of this one, and so nobody closes it
        self._everywhere: dict[tuple[str | None, int], list[PastStep]] = {}
        self._known: set[str] | None = None
        self._checked: set[str] | None = None
        self._checks: tuple[str, list[CheckRecord]] = ("", [])
        self._left: dict[str, list[UnfinishedStep]] | None = None

    def steps(
        self,
        *,
        database: str | None = None,
        operation: str | None = None,
        limit: int = 100,
        unfinished: bool = False,
    ) -> list[PastStep]:
        """Return past steps, the newest first; as `History.steps`."""
        if unfinished:
            return super().steps(database=database, operation=operation, limit=limit, unfinished=True)
        if database is not None:
            if self._known is None:
                self._known = {name for (name,) in self._read("SELECT DISTINCT database FROM step")}
            return super().steps(database=database, operation=operation, limit=limit) if database in self._known else []
        key = (operation, limit)
        if key not in self._everywhere:
            self._everywhere[key] = super().steps(operation=operation, limit=limit)
        return self._everywhere[key]

    def checks(self, database: str) -> list[CheckRecord]:
        """Return the last check of each object, of all kinds."""
        if self._checked is None:
            self._checked = {name for (name,) in self._read("SELECT DISTINCT database FROM checked")}
        if database not in self._checked:
            return []
        if self._checks[0] != database:  # several assessments ask of one database after another
            self._checks = database, super().checks(database)
        return self._checks[1]

    def deferred_steps(self, databases: Sequence[str] | None = None) -> list[UnfinishedStep]:
        """Return what earlier runs left, the oldest first; of all databases, or of these."""
        if self._left is None:
            self._left = {}
            for entry in super().deferred_steps():
                self._left.setdefault(entry.database, []).append(entry)
        names = self._left if databases is None else databases
        return sorted((entry for name in names for entry in self._left.get(name, ())), key=lambda entry: entry.at)

    def close(self) -> None:
        """Close the file if there was no other history to read from."""
        if self._is_own:
            super().close()
