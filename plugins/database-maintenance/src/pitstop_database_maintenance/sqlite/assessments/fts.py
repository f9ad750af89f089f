"""Full-text indexes: `fts_optimize`."""

from __future__ import annotations

from typing import Annotated, Final

from pitstop.operations import Bounds
from pitstop.text import count_noun, join_names
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Worth
from pitstop_database_maintenance.databases.traits import Phase, declared_rate, operation_traits
from pitstop_database_maintenance.sqlite.assessments import preconditions
from pitstop_database_maintenance.sqlite.assessments.cost_model import predict_blocking, predict_slices, predict_time
from pitstop_database_maintenance.sqlite.inspection.records import SchemaFacts

_MODULES: Final = ("fts3", "fts4", "fts5")


@operation_traits(phase=Phase.CONTENT, rate=50e6)
def fts_optimize(look: Look, *, min_segments: Annotated[int, Bounds(ge=2)] = 16, rebuild: bool = False) -> Assessment:
    """Assess merging the segments of full-text indexes, each of which every search has to read.

    Args:
        look: what was found.
        min_segments: from how many segments of one index on it pays; 16 on one level is where FTS5 itself merges in
            the middle of somebody's INSERT (its option `crisismerge`).
        rebuild: whether each index is to be rebuilt instead, in one transaction.
    """
    schema: SchemaFacts | None = look.inspection.schema
    tables = [table for table in schema.tables if table.module.lower() in _MODULES] if schema else []
    time = predict_time(look, "fts_optimize", look.inspection.size, declared_rate(fts_optimize))
    prediction = predict_blocking(look, time, held=time.seconds) if rebuild else predict_slices(look, time)
    rule = f"an index has >= {min_segments} segments"
    source = "https://sqlite.org/fts5.html#the_crisismerge_configuration_option"
    many = [t for t in tables if t.segments is not None and t.segments >= min_segments]
    if many:
        segments = (f"{count_noun(table.segments or 0, 'segment')} of {table.name}" for table in many)
        reason = f"every search reads {join_names(segments)}"
    elif not tables:
        reason = "there are no full-text indexes" if schema else "the schema was not looked at"
    elif any(table.segments is None for table in tables):
        unknown = join_names(t.name for t in tables if t.segments is None)
        reason = f"it is not known how many segments there are of {unknown}"
    else:
        reason = f"at most {count_noun(max(t.segments or 0 for t in tables), 'segment')} in an index"
    verdict = Assessment(
        worth=Worth.YES if many else Worth.NO, reason=reason, rule=rule, source=source, prediction=prediction
    )
    return preconditions.apply_obstacles(
        verdict, preconditions.check_opening(look), preconditions.check_schema_seen(look)
    )
