"""What the tests of assessments and plans share: inspections made by hand, looks at them, and reading of plans."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import evolve

from pitstop_database_maintenance.databases.assessment import Look
from pitstop_database_maintenance.history import CheckRecord, History
from pitstop_database_maintenance.planning.plan import DatabasePlan, PlannedStep
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts, state_at_inspection
from pitstop_database_maintenance.sqlite.files.filesystem import Folder
from pitstop_database_maintenance.sqlite.inspection.records import Inspection, Interval, SchemaFacts, Waste

NOW = 1_700_000_000.0
DAY = 86_400.0
PAGE = 4096
BESIDE = Folder(path="/data", device=1, free=10**12, kind="ext4")
TEMPORARY = Folder(path="/var/tmp", device=1, free=10**12, kind="ext4")


def inspection(*, megabytes: int = 300, waste: float | None = 0.4, free: float = 0.1, **others: Any) -> Inspection:
    """Return what was found of a sound file.

    Args:
        megabytes: its size.
        waste: the share of it that holds nothing; None if that is not known.
        free: the share of it that is free pages.
        others: further fields.
    """
    pages = megabytes * 1_000_000 // PAGE
    found = None
    if waste is not None:
        share = Interval(value=waste, low=max(0.0, waste - 0.01), high=min(1.0, waste + 0.01))
        found = Waste(share=share, bytes=int(waste * pages * PAGE), sampled=1000, seed=0)
    made = Inspection(
        path="/data/app.db",
        at=NOW,
        bytes=pages * PAGE,
        page_size=PAGE,
        pages=pages,
        free_pages=int(free * pages),
        inode=77,
        schema_cookie=5,
        folder=BESIDE,
        temporary=TEMPORARY,
        waste=found,
        schema=SchemaFacts(),
        library="3.40.1",
    )
    return evolve(made, **others)


def remember(found: Inspection, history: History, checks: Iterable[CheckRecord]) -> None:
    """Have the history know of checks of the file that was found."""
    Verdicts(history=history.of("sqlite:/data/app.db"), state=state_at_inspection(found)).keep(checks)


def look(found: Inspection, history: History, **others: Any) -> Look:
    """Return what an assessment is given; the database is always the same one."""
    return Look(
        database="sqlite:////data/app.db", inspection=found, history=history.of("sqlite:/data/app.db"), **others
    )


def due(made: DatabasePlan) -> list[str]:
    """Return the operations that a plan runs, in order."""
    return [step.operation for step in made.due]


def step_of(made: DatabasePlan, operation: str) -> PlannedStep:
    """Return a plan's step of an operation."""
    return next(step for step in made.steps if step.operation == operation)
