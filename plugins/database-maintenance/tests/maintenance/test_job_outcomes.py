"""What came of a database: which figures are compared is its kind's to say."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.databases.description import State
from pitstop_database_maintenance.maintenance.job_outcomes import PlannedDatabase, database_outcome
from pitstop_database_maintenance.planning.plan import DatabasePlan


@frozen(kw_only=True)
class Found:
    """An inspection whose fields are called as another kind's are, and hold something else."""

    bytes: int = 5000
    waste: float = 0.4
    map: str = "all shelves are full"
    refused: str = ""
    notes: tuple[str, ...] = ()


class Plain(Database):
    """A kind that says nothing of its figures."""


class Counting(Database):
    """A kind that does."""

    @classmethod
    def state(cls, inspection: Any) -> State:
        return State(bytes=inspection.bytes, waste=inspection.waste)


def planned(**found: Any) -> PlannedDatabase:
    """Return a database on which nothing is due."""
    return PlannedDatabase(plan=DatabasePlan(database="acme://h/d", resource="acme://h/d"), inspection=Found(**found))


def test_outcome_compares_what_the_kind_gives() -> None:
    """A field that has the name of a figure is none; by default there is the size alone."""
    assert database_outcome(planned(), [], None, kind=Plain).before == State(bytes=5000)
    assert database_outcome(planned(), [], None, kind=Counting).before == State(bytes=5000, waste=0.4)


def test_outcome_compares_nothing_of_what_was_refused() -> None:
    """What cannot be worked on has no figures."""
    outcome = database_outcome(planned(refused="it is no shelf"), [], None, kind=Counting)
    assert (outcome.before, outcome.after) == (None, None)
