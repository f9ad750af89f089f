"""Indexes: `reindex`, for those that disagree with their tables, and for those that are half empty."""

from __future__ import annotations

from typing import Annotated, Final

from pitstop.operations import Bounds
from pitstop.text import join_names, size_text
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Prediction, Worth
from pitstop_database_maintenance.databases.traits import Phase, declared_rate, operation_traits
from pitstop_database_maintenance.sqlite.assessments import preconditions
from pitstop_database_maintenance.sqlite.assessments.cost_model import predict_blocking, predict_time
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts, broken_indexes
from pitstop_database_maintenance.sqlite.inspection.records import Inspection, ObjectWaste

#: Measured: rebuilding six indexes one by one took 1.59 s, the largest of them 0.53 s; and 0.46 of the file beside.
_LARGEST: Final = 1 / 3
_BESIDE: Final = 0.46
_SOURCE: Final = "https://sqlite.org/lang_reindex.html; measured: docs/decisions/assessments.md"


@operation_traits(phase=Phase.INDEX, in_all=True, rate=150e6)
def reindex(
    look: Look,
    *,
    min_waste: Annotated[float, Bounds(ge=0, le=1)] = 0.5,
    min_bytes: Annotated[int, Bounds(ge=0)] = 1_000_000,
) -> Assessment:
    """Assess rebuilding indexes.

    Args:
        look: what was found; which indexes are half empty is known only from an exact inspection.
        min_waste: from what share of unused bytes on an index is rebuilt.
        min_bytes: how many of its bytes must be unused at least.
    """
    inspection: Inspection = look.inspection
    schema = inspection.schema
    tables = None if schema is None else {index.name: index.table for index in schema.indexes}
    broken = list(broken_indexes(Verdicts.from_inspection(inspection, look.history), tables))
    wasteful = [] if broken else _find_wasteful(look, min_waste, min_bytes)
    no_room, disk = preconditions.check_room([(inspection.folder, int(_BESIDE * inspection.size))])
    if broken:
        disagree = "disagrees with its table" if len(broken) == 1 else "disagree with their tables"
        reason = f"{join_names(broken)} {disagree}, as a check found"
    elif wasteful:
        names = join_names(f"{index.name} ({_share(inspection, index):.0%})" for index in wasteful)
        reason = f"unused space in {names}".replace("%", " %")
    else:
        known = inspection.waste is not None and inspection.waste.exact
        reason = "no index is known to be broken" + (", and none is half empty" if known else "")
    unused = f">= {100 * min_waste:g} % and {size_text(min_bytes)} unused"
    verdict = Assessment(
        worth=Worth.YES if broken or wasteful else Worth.NO,
        reason=reason,
        rule=f"a check found an index that disagrees with its table, or {unused}",
        source=_SOURCE,
        # what it frees are free pages of the file, which other operations give back
        prediction=_predict(look, wasteful, disk),
        need="space" if wasteful else "",
        parameters={"indexes": [index.name for index in wasteful]} if wasteful else {},
    )
    return preconditions.apply_obstacles(verdict, preconditions.check_opening(look), no_room)


def _find_wasteful(look: Look, min_waste: float, min_bytes: int) -> list[ObjectWaste]:
    """Return the indexes that are half empty; if there are, those that keep no writer waiting for too long."""
    inspection: Inspection = look.inspection
    wasteful = [
        found
        for found in (inspection.waste.objects if inspection.waste else ())
        if found.kind == "index" and found.unused >= min_bytes and _share(inspection, found) >= min_waste
    ]
    limit = look.max_stall
    short = [each for each in wasteful if limit is None or _predict(look, [each], {}).writer_stall <= limit]
    return short or wasteful


def _share(inspection: Inspection, index: ObjectWaste) -> float:
    return index.unused / max(1, index.pages * inspection.page_size)


def _predict(look: Look, chosen: list[ObjectWaste], disk: dict[str, int]) -> Prediction:
    """Return what it costs to rebuild these indexes, or all if there are none of these."""
    inspection: Inspection = look.inspection
    pages = [index.pages for index in chosen]
    work = sum(pages) * inspection.page_size / _BESIDE if chosen else inspection.size
    largest = max(pages) / sum(pages) if chosen else _LARGEST
    time = predict_time(look, "reindex", work, declared_rate(reindex))
    written = int(2 * work) if chosen else int(2 * _BESIDE * work)
    return predict_blocking(look, time, held=time.seconds * largest, disk=disk, written=written)
