"""Finding, among thousands of databases, those for which a plan is worth making. Owns the quick verdict; plans nothing.

A plan says of every operation why it is run or not, and what it would cost. On a healthy database nobody asks: it is
enough that no assessment says that it pays. That takes a fifth of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from pitstop.contracts import Lookup
from pitstop_database_maintenance.assessment import Look, Preference, Worth
from pitstop_database_maintenance.database import Database
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.plan import DatabasePlan, Request
from pitstop_database_maintenance.planning import Planning, filled_in, has_inspection
from pitstop_database_maintenance.urls import absolute, parse


class Screening(Planning):
    """Makes plans, and can tell beforehand for which databases none is needed.

    Args:
        request: what is wanted.
        lookup: the registry's answers.
        history: what past runs left; None if there is nothing to be had.
    """

    def __init__(self, request: Request, *, lookup: Lookup, history: History | None = None) -> None:
        super().__init__(request, lookup=lookup, history=history)
        # what was asked for is planned whatever it is worth
        self._always = request.operations is not None or request.everything
        self._left = {entry.database for entry in self._history.left()}

    def plans(self, urls: Iterable[str], **settings: Any) -> Iterator[tuple[DatabasePlan, Any]]:
        """Look at databases and yield the plan for each, with what was found, in their order and as they come.

        Args:
            urls: paths or URLs.
            settings: for `Database.inspect`.

        Returns:
            Plans as those of `planning.plan_databases`; on a database on which nothing pays it has no steps.

        Raises:
            InputError: something that was asked for is not taken.
        """
        for kind, several in self._kinds(urls):
            if self._always and not has_inspection(kind):
                yield from ((self.database(url, None), None) for url in several)
                continue
            self.check(several[0])
            for url, inspection in self._looked(kind, several, settings):
                yield self._plan(kind, url, inspection), inspection

    def inspections(self, urls: Iterable[str], **settings: Any) -> Iterator[tuple[str, Any]]:
        """Look at databases and yield each, as it was given, with what was found, where that can be had.

        Args:
            urls: paths or URLs.
            settings: for `Database.inspect`.
        """
        for kind, several in self._kinds(urls):
            if has_inspection(kind):
                yield from self._looked(kind, several, settings)

    def _kinds(self, urls: Iterable[str]) -> Iterator[tuple[type[Database], list[str]]]:
        return ((kind, list(group)) for kind, group in groupby(urls, key=self.kind))

    def _looked(self, kind: type[Database], urls: list[str], settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        asked = {"exact": self.request.exact, "seed": self.request.seed, **settings}
        if self.request.options.get("on_connect"):
            asked["on_connect"] = self.request.options["on_connect"]
        return zip(urls, kind.inspect([filled_in(url) for url in urls], **asked), strict=True)

    def _plan(self, kind: type[Database], url: str, inspection: Any) -> DatabasePlan:
        if inspection.refused or self._worth_a_plan(kind, url, inspection):
            return self.database(url, inspection)
        return DatabasePlan(database=absolute(url), resource="", bytes=inspection.bytes, notes=tuple(inspection.notes))

    def _worth_a_plan(self, kind: type[Database], url: str, inspection: Any) -> bool:
        """Return whether an operation pays, or would if nothing were in its way, or was left by an earlier run."""
        if self._always or (self._left and kind.resource(filled_in(url)) in self._left):
            return True
        dialect = self._dialect(kind, parse(filled_in(url)).scheme or "")
        look = Look(
            database=url,
            inspection=inspection,
            history=self._history.of(url),
            max_stall=self.request.max_stall,
            options=self.request.options,
            brief=True,
        )
        preferences: dict[str, Preference | None] = {}
        for candidate in dialect.candidates:
            if candidate.assess is None:
                continue
            try:
                found = candidate.assess.function(look, **candidate.values)
            except Exception:
                return True  # the plan says what is wrong with it
            if found.worth is Worth.NO:
                continue
            if found.need not in preferences:
                policy = dialect.policies.get(found.need)
                preferences[found.need] = policy(look) if policy else None
            preference = preferences[found.need]
            if (preference is None and found.pays) or (preference is not None and candidate.name in preference.order):
                return True
        return False
