"""What the surveyor finds of one file, for several test modules."""

from __future__ import annotations

from pathlib import Path

from pitstop_database_maintenance.sqlite.inspection.records import Inspection, SchemaFacts
from pitstop_database_maintenance.sqlite.inspection.survey import survey


def inspection(path: Path, **settings: object) -> Inspection:
    """Return the inspection of a file."""
    (found,) = survey([str(path)], **settings)  # type: ignore[arg-type]
    return found


def schema(path: Path, **settings: object) -> SchemaFacts:
    """Return what the schema of a file says; nothing else was to be noted."""
    found = inspection(path, **settings)
    assert found.notes == ()
    assert found.schema is not None
    return found.schema
