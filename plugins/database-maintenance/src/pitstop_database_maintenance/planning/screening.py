"""Finding, among thousands of databases, those for which a plan is worth making. Owns the quick verdict; plans nothing.

A plan says of every operation why it is run or not, and what it would cost. On a healthy database nobody asks: it is
enough that no assessment says that it pays. That takes a fifth of the time.
"""

from __future__ import annotations

from typing import Any

from pitstop.contracts import Lookup
from pitstop_database_maintenance.databases.assessment import Look, OperationPreference, Worth
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.databases.urls import absolute, parse
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenanceRequest
from pitstop_database_maintenance.planning.planner import MaintenancePlanner, expand_env


class Screening(MaintenancePlanner):
    """Makes plans, and can tell beforehand for which databases none is needed.

    Args:
        request: what is wanted.
        lookup: the registry's answers.
        history: what past runs left; None if there is nothing to be had.
    """

    def __init__(self, request: MaintenanceRequest, *, lookup: Lookup, history: History | None = None) -> None:
        super().__init__(request, lookup=lookup, history=history)
        # what was asked for is planned whatever it is worth
        self._always = request.operations is not None or request.everything
        self._left = {entry.database for entry in self._history.deferred_steps()}

    def plan_inspected(self, kind: type[Database], url: str, inspection: Any) -> DatabasePlan:
        """Return a plan; on a database on which nothing pays it has no steps."""
        if kind.failure(inspection) or self._worth_a_plan(kind, url, inspection):
            return self.database(url, inspection)
        return DatabasePlan(database=absolute(url), resource="", bytes=inspection.bytes, notes=tuple(inspection.notes))

    def _worth_a_plan(self, kind: type[Database], url: str, inspection: Any) -> bool:
        """Return whether an operation pays, or would if nothing were in its way, or was left by an earlier run."""
        if self._always or (self._left and kind.resource(expand_env(url)) in self._left):
            return True
        dialect = self._dialect(kind, parse(expand_env(url)).scheme or "")
        look = Look(
            database=url,
            inspection=inspection,
            history=self._history.of(url),
            max_stall=self.request.max_stall,
            options=self.request.options,
            brief=True,
        )
        preferences: dict[str, OperationPreference | None] = {}
        for candidate in dialect.candidates:
            if candidate.problem:
                return True  # the plan says it
            if candidate.assess is None or candidate.traits.by_name_only:
                continue
            try:
                found = candidate.assess.function(look, **candidate.values)
            except Exception:
                return True  # the plan says what is wrong with it
            if found.worth is Worth.NO or (found.worth is Worth.IMPOSSIBLE and not found.wanted):
                continue
            if found.need not in preferences:
                policy = dialect.policies.get(found.need)
                preferences[found.need] = policy(look) if policy else None
            preference = preferences[found.need]
            if preference is None or candidate.name in preference.order:
                return True
        return False
