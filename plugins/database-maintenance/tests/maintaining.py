"""What tests of the engine share: a run, and how its steps ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pitstop_database_maintenance.maintenance.engine import Maintenance
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome


def run(engine: Maintenance, *paths: Path, **settings: Any) -> list[DatabaseOutcome]:
    """Look, and run what was planned."""
    return engine.run(list(engine.plan([str(path) for path in paths], **settings)), **settings)


def ends(outcome: DatabaseOutcome) -> dict[str, str]:
    """Return how the planned steps ended."""
    return {step.operation: step.end.value for step in outcome.planned}
