"""Indexes: `reindex`, for those that disagree with their tables, and for those that are half empty."""

from __future__ import annotations

from typing import Annotated, Final

from pitstop.operations import Bounds
from pitstop_database_maintenance.assessment import Assessment, Look, Prediction, Worth
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.sqlite.assessments import obstacles
from pitstop_database_maintenance.sqlite.assessments.past_checks import PastCheck, past_check
from pitstop_database_maintenance.sqlite.inspection import Inspection, ObjectWaste
from pitstop_database_maintenance.sqlite.prediction import stalling, time_of

#: Measured: rebuilding six indexes one by one took 1.59 s, the largest of them 0.53 s; and 0.46 of the file beside.
_LARGEST: Final = 1 / 3
_BESIDE: Final = 0.46
_SOURCE: Final = "https://sqlite.org/lang_reindex.html; measured: docs/decisions/assessments.md"


def reindex(
    look: Look,
    *,
    min_waste: Annotated[float, Bounds(ge=0, le=1)] = 0.5,
    min_bytes: Annotated[int, Bounds(ge=0)] = 1_000_000,
) -> Assessment:
    """Assess building indexes anew.

    Args:
        look: what was found; which indexes are half empty is known only from an exact inspection.
        min_waste: from what share of unused bytes on an index is built anew,
        min_bytes: if that many of them are unused.
    """
    inspection: Inspection = look.inspection
    obstacle = obstacles.to_write(look)
    no_room, disk = obstacles.of_room([(inspection.folder, int(_BESIDE * inspection.size))])
    if obstacle or no_room:
        return obstacles.impossible(obstacle or no_room)
    past = past_check(look, "integrity_check")
    wasteful = _wasteful(inspection, min_waste, min_bytes)
    rule = f"the last integrity check found problems, or >= {100 * min_waste:g} % and {size_text(min_bytes)} unused"
    if past.problems and not _rebuilt_since(look, past):
        problems = f"{past.problems} problem{'s' if past.problems > 1 else ''}"
        return Assessment(
            worth=Worth.YES,
            reason=f"the last integrity check found {problems}, which this repairs in indexes",
            rule=rule,
            source=_SOURCE,
            prediction=_prediction(look, None, disk),
        )
    if wasteful:
        wasteful = _short_enough(look, wasteful) or wasteful
        names = obstacles.listed(f"{index.name} ({_share(inspection, index):.0%})" for index in wasteful)
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


def _rebuilt_since(look: Look, past: PastCheck) -> bool:
    """Return whether what could be repaired has been, so that another check is what is due."""
    steps = look.history.steps("reindex", limit=1)
    return bool(steps) and past.newest_at is not None and steps[0].at > past.newest_at


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
    time = time_of(look, "reindex", inspection.size)
    if chosen:
        pages = [index.pages for index in chosen]
        work = sum(pages) * inspection.page_size / _BESIDE
        time = time_of(look, "reindex", work)
        return stalling(look, time, held=time.seconds * max(pages) / sum(pages), disk=disk, written=int(2 * work))
    written = int(2 * _BESIDE * inspection.size)
    return stalling(look, time, held=time.seconds * _LARGEST, disk=disk, written=written)
