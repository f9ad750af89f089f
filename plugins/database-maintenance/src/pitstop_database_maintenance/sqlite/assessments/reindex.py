"""Indexes: `reindex`, for those that disagree with their tables, and for those that are half empty."""

from __future__ import annotations

from typing import Annotated, Final

from pitstop.operations import Bounds
from pitstop.text import join_names, size_text
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Prediction, Worth
from pitstop_database_maintenance.databases.traits import Phase, declared_rate, operation_traits
from pitstop_database_maintenance.sqlite.assessments import preconditions
from pitstop_database_maintenance.sqlite.assessments.cost_model import stalling, time_of
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
        min_waste: from what share of unused bytes on an index is rebuilt,
        min_bytes: if that many of them are unused.
    """
    inspection: Inspection = look.inspection
    no_room, disk = preconditions.of_room([(inspection.folder, int(_BESIDE * inspection.size))])
    verdict = _verdict(look, disk, min_waste=min_waste, min_bytes=min_bytes)
    return preconditions.against(verdict, preconditions.to_open(look), no_room)


def _verdict(look: Look, disk: dict[str, int], *, min_waste: float, min_bytes: int) -> Assessment:
    inspection: Inspection = look.inspection
    broken = _broken(look)
    wasteful = _wasteful(inspection, min_waste, min_bytes)
    unused = f">= {100 * min_waste:g} % and {size_text(min_bytes)} unused"
    rule = f"a check found an index that disagrees with its table, or {unused}"
    if broken:
        disagree = "disagrees with its table" if len(broken) == 1 else "disagree with their tables"
        return Assessment(
            worth=Worth.YES,
            reason=f"{join_names(broken)} {disagree}, as a check found",
            rule=rule,
            source=_SOURCE,
            prediction=_prediction(look, None, disk),
        )
    if wasteful:
        wasteful = _short_enough(look, wasteful) or wasteful
        names = join_names(f"{index.name} ({_share(inspection, index):.0%})" for index in wasteful)
        return Assessment(
            worth=Worth.YES,
            reason=f"unused space in {names}".replace("%", " %"),
            rule=rule,
            source=_SOURCE,
            # what it frees are free pages of the file, which other operations give back
            prediction=_prediction(look, wasteful, disk),
            need="space",
            parameters={"indexes": [index.name for index in wasteful]},
        )
    known = inspection.waste is not None and inspection.waste.exact
    reason = "no index is known to be broken" + (", and none is half empty" if known else "")
    return Assessment(
        worth=Worth.NO, reason=reason, rule=rule, source=_SOURCE, prediction=_prediction(look, None, disk)
    )


def _broken(look: Look) -> list[str]:
    """Return the indexes that a check has found to disagree with their tables."""
    inspection: Inspection = look.inspection
    schema = inspection.schema
    tables = None if schema is None else {index.name: index.table for index in schema.indexes}
    return list(broken_indexes(Verdicts.about(inspection, look.history), tables))


def _wasteful(inspection: Inspection, min_waste: float, min_bytes: int) -> list[ObjectWaste]:
    objects = inspection.waste.objects if inspection.waste else ()
    return [
        found
        for found in objects
        if found.kind == "index" and found.unused >= min_bytes and _share(inspection, found) >= min_waste
    ]


def _short_enough(look: Look, indexes: list[ObjectWaste]) -> list[ObjectWaste]:
    """Return those that can be built without keeping a writer waiting for longer than is permitted."""
    limit = look.max_stall
    if limit is None:
        return indexes
    return [index for index in indexes if _prediction(look, [index], {}).writer_stall <= limit]


def _share(inspection: Inspection, index: ObjectWaste) -> float:
    return index.unused / max(1, index.pages * inspection.page_size)


def _prediction(look: Look, chosen: list[ObjectWaste] | None, disk: dict[str, int]) -> Prediction:
    inspection: Inspection = look.inspection
    time = time_of(look, "reindex", inspection.size, declared_rate(reindex))
    if chosen:
        pages = [index.pages for index in chosen]
        work = sum(pages) * inspection.page_size / _BESIDE
        time = time_of(look, "reindex", work, declared_rate(reindex))
        return stalling(look, time, held=time.seconds * max(pages) / sum(pages), disk=disk, written=int(2 * work))
    written = int(2 * _BESIDE * inspection.size)
    return stalling(look, time, held=time.seconds * _LARGEST, disk=disk, written=written)
