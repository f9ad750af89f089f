"""Full-text indexes: `fts_optimize`."""

from __future__ import annotations

from typing import Annotated, Final

from pitstop.operations import Bounds
from pitstop_database_maintenance.assessment import Assessment, Look, Worth
from pitstop_database_maintenance.sqlite.assessments import obstacles
from pitstop_database_maintenance.sqlite.inspection import SchemaFacts
from pitstop_database_maintenance.sqlite.prediction import slicing, stalling, time_of

_MODULES: Final = ("fts3", "fts4", "fts5")


def fts_optimize(look: Look, *, min_segments: Annotated[int, Bounds(ge=2)] = 16, rebuild: bool = False) -> Assessment:
    """Assess merging the segments of full-text indexes, each of which every search has to read.

    Args:
        look: what was found.
        min_segments: from how many segments of one index on it pays; 16 on one level is where FTS5 itself merges in
            the middle of somebody's INSERT (its option `crisismerge`).
        rebuild: whether each index is to be built anew instead, in one transaction.
    """
    obstacle = obstacles.to_write(look)
    if obstacle:
        return obstacles.impossible(obstacle)
    schema: SchemaFacts | None = look.inspection.schema
    tables = [table for table in schema.tables if table.module.lower() in _MODULES] if schema else []
    time = time_of(look, "fts_optimize", look.inspection.size)
    prediction = stalling(look, time, held=time.seconds) if rebuild else slicing(look, time)
    rule = f"an index has >= {min_segments} segments"
    source = "https://sqlite.org/fts5.html#the_crisismerge_configuration_option"
    many = [t for t in tables if t.segments is not None and t.segments >= min_segments]
    if many:
        reason = f"every search reads {obstacles.listed(f'{t.segments} segments of {t.name}' for t in many)}"
    elif not tables:
        reason = "there are no full-text indexes" if schema else "the schema was not looked at"
    elif any(table.segments is None for table in tables):
        reason = f"how many segments {obstacles.listed(t.name for t in tables if t.segments is None)} has is not known"
    else:
        reason = f"at most {max(t.segments or 0 for t in tables)} segments in an index"
    return Assessment(
        worth=Worth.YES if many else Worth.NO, reason=reason, rule=rule, source=source, prediction=prediction
    )
