"""How a SQLite database is looked at and planned for. Owns only the delegation: connecting imports none of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pitstop_database_maintenance.assessment import Preference
from pitstop_database_maintenance.database import Database, Description
from pitstop_database_maintenance.sqlite.inspection import Inspection
from pitstop_database_maintenance.urls import absolute_path, parse


class Inspected(Database):
    """The part of a SQLite database that needs no connection."""

    @classmethod
    def inspect(cls, urls: Iterable[str], **settings: Any) -> Iterator[Inspection]:
        """Look at files; see `pitstop_database_maintenance.sqlite.survey.survey` for the settings."""
        from pitstop_database_maintenance.sqlite.survey import survey

        return survey((absolute_path(parse(url).path or url) for url in urls), **settings)

    @classmethod
    def describe(cls, inspection: Any) -> Description:
        """Return what was found, for a person."""
        from pitstop_database_maintenance.sqlite.findings import description

        return description(inspection)

    @classmethod
    def policies(cls) -> Mapping[str, Callable[..., Preference]]:
        """Return which operation rather, by need."""
        from pitstop_database_maintenance.sqlite.assessments import checks, space, statistics

        return {space.NEED: space.policy, checks.NEED: checks.policy, statistics.NEED: statistics.policy}

    @classmethod
    def fingerprint(cls, inspection: Any) -> dict[str, Any]:
        """Return what a plan keeps of a file's state."""
        from pitstop_database_maintenance.sqlite.fingerprint import fingerprint

        return fingerprint(inspection)

    @classmethod
    def changed(cls, state: Mapping[str, Any], inspection: Any) -> str:
        """Return what has changed too much since."""
        from pitstop_database_maintenance.sqlite.fingerprint import changed

        return changed(state, inspection)
