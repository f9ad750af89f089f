"""Giving space back: `vacuum`, `compact`, `incremental_vacuum`, `convert_auto_vacuum`, and which of them rather.

How much of the file is waste decides by bands, as Ola Hallengren's IndexOptimize does for fragmentation: for each band
there is a list of operations, and the first that is possible, gains enough and keeps to the permitted stall is planned.
"""

from __future__ import annotations

from typing import Annotated, Final

from attrs import evolve

from pitstop.operations import Bounds
from pitstop.text import count_noun, size_text
from pitstop_database_maintenance.databases.assessment import Assessment, Look, OperationPreference, Prediction, Worth
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.traits import Phase, declared_rate, operation_traits
from pitstop_database_maintenance.history import PastStep
from pitstop_database_maintenance.sqlite.assessments import preconditions
from pitstop_database_maintenance.sqlite.assessments.cost_model import (
    FIXED,
    predict_blocking,
    predict_slices,
    predict_time,
    rollback,
)
from pitstop_database_maintenance.sqlite.connection.check_answers import LEFT_BEHIND
from pitstop_database_maintenance.sqlite.inspection.records import AutoVacuum, Inspection

NEED: Final = "space"
#: What does something about waste.
OPERATIONS: Final = frozenset({"compact", "incremental_vacuum", "vacuum"})
#: Bytes of free pages a second that go back in slices without a write-ahead log: pauses of 110 ms, and three syncs to
#: each slice. Measured by benchmarks/stalls.py: 11 to 15 MB/s, and 60 to 90 with a log.
_ROLLBACK_RATE: Final = 12e6
#: A share from 0 to 1, and a number of bytes.
Share = Annotated[float, Bounds(ge=0, le=1)]
Bytes = Annotated[int, Bounds(ge=0)]
_BANDS: Final = (
    "https://ola.hallengren.com/sql-server-index-and-statistics-maintenance.html and docs/decisions/assessments.md"
)
#: VACUUM writes its result to a temporary file, then to the journal or log, then to the file: 2086 MB for 694 MB.
_VACUUM_WRITES: Final = 3.0
#: In how many past runs free pages had come back, before it is advised to give them back without a rebuild.
_REPEATED: Final = 3
#: So many of each way to rebuild it are looked up.
_MOST: Final = 10


def policy(
    look: Look,
    *,
    medium_from: Share = 0.10,
    high_from: Share = 0.30,
    min_bytes: Bytes = 64 * 4096,
    enough: Share = 0.8,
    low: tuple[str, ...] = (),
    medium: tuple[str, ...] = ("incremental_vacuum",),
    high: tuple[str, ...] = ("compact", "incremental_vacuum", "vacuum", "reindex"),
) -> OperationPreference:
    """Say which operation rather gives space back.

    Args:
        look: what was found.
        medium_from: the share of waste from which on it counts as medium.
        high_from: the share of waste from which on it counts as high.
        min_bytes: waste of less is low, whatever its share.
        enough: what share of the most that any operation would gain the chosen one must gain.
        low, medium, high: the operations for each band, the preferred first.
    """
    waste, share = measure_waste(look.inspection)
    if share < medium_from or waste < min_bytes:
        band, order = f"less than {_percent(medium_from)} or {size_text(min_bytes)} (space.low)", low
    elif share < high_from:
        band, order = f"{_percent(medium_from)} to {_percent(high_from)} (space.medium)", medium
    else:
        band, order = f"{_percent(high_from)} or more (space.high)", high
    return OperationPreference(
        order=order, enough=enough, rule=f"for waste of {band}: {', '.join(order) or 'nothing'}", source=_BANDS
    )


@operation_traits(phase=Phase.REBUILD, in_all=True, rate=155e6, cures={"drop_lost_pages": LEFT_BEHIND})
def vacuum(look: Look, *, allow_renumbering: bool = False) -> Assessment:
    """Assess rebuilding the file in place.

    Args:
        look: what was found.
        allow_renumbering: whether rows may get other numbers although something refers to them.
    """
    inspection: Inspection = look.inspection
    no_room, disk = _room_for_vacuum(inspection)
    prediction = _rebuild(look, "vacuum", declared_rate(vacuum), disk)
    parameters = {"allow_renumbering": True} if allow_renumbering else {}
    verdict = _assess_rebuild(look, prediction, parameters=parameters)
    return preconditions.apply_obstacles(
        verdict, preconditions.check_rebuild(look, allow_renumbering=allow_renumbering), no_room
    )


@operation_traits(phase=Phase.REBUILD, in_all=True, rate=230e6)
def compact(look: Look, *, offline: bool = False) -> Assessment:
    """Assess rebuilding the file beside and putting the copy in its place.

    The copy is made by VACUUM INTO, which keeps the rows' numbers, and is compared with the file before it takes its
    place (see `rowids`).

    Args:
        look: what was found.
        offline: whether it was declared that nobody else uses the file; without that it is out of the question.
    """
    inspection: Inspection = look.inspection
    declared = links = None
    if not offline:
        declared = preconditions.Obstacle(
            Cause.DECLARATION,
            "it replaces the file, which must not be open anywhere else: declare that with --offline",
        )
    if inspection.links > 1:
        links = preconditions.Obstacle(
            Cause.OBSTACLE,
            f"the file has {inspection.links} names (hard links), of which the others would keep the old",
        )
    no_room, disk = preconditions.check_room([(inspection.folder, _used(inspection))])
    time = predict_time(look, "compact", inspection.size, declared_rate(compact))
    # it looks for damage meanwhile, and not first
    prediction = predict_blocking(
        look, time, held=time.seconds, checks_first=False, disk=disk, written=_result(inspection)
    )
    # readers of the old file must be gone as well
    prediction = evolve(prediction, reader_stall=prediction.writer_stall)
    verdict = _assess_rebuild(look, prediction, parameters={"offline": True})
    return preconditions.apply_obstacles(
        verdict, declared, preconditions.check_rebuild(look, allow_renumbering=True), links, no_room
    )


def _count_freed(step: PastStep) -> float:
    pages = (step.figure("free_pages_before") or 0) - (step.figure("free_pages_after") or 0)
    return float(pages * (step.figure("page_size") or 0))


@operation_traits(phase=Phase.REBUILD, rate=60e6)
def incremental_vacuum(look: Look, *, min_share: Share = 0.05, keep: Share = 0.0) -> Assessment:
    """Assess giving free pages back slice by slice.

    Args:
        look: what was found.
        min_share: what share of the file must be free pages; measured and usual: 5 %, below which an application needs
            them again soon.
        keep: what share of the file is left free for the application.
    """
    inspection: Inspection = look.inspection
    no_map = None
    if inspection.auto_vacuum == "none":
        reason = "the file keeps no map of its pages (auto_vacuum is none); convert_auto_vacuum makes one"
        no_map = preconditions.Obstacle(Cause.NOT_APPLICABLE, reason)
    gain = max(0, inspection.free_bytes - int(keep * inspection.size))
    share = inspection.free_pages / max(1, inspection.pages)
    pays = share >= min_share and gain > 0
    rate = _ROLLBACK_RATE if rollback(look) else declared_rate(incremental_vacuum)
    time = predict_time(look, "incremental_vacuum", gain, rate, work_done=_count_freed)
    verdict = Assessment(
        worth=Worth.YES if pays else Worth.NO,
        reason=f"{_percent(share)} of {size_text(inspection.size)} are free pages, {size_text(gain)} can be given back",
        rule=f"free pages >= {_percent(min_share)}",
        source="measured: docs/decisions/assessments.md",
        gain=gain,
        # each page that is moved is written to the journal or log, and to the file, with the page that points at it
        prediction=predict_slices(look, time, written=4 * gain),
        need=NEED,
        parameters={"keep": keep} if keep else {},
    )
    return preconditions.apply_obstacles(verdict, preconditions.check_opening(look), no_map)


@operation_traits(phase=Phase.CONVERT, by_name_only=True, rate=155e6)
def convert_auto_vacuum(look: Look, *, mode: AutoVacuum = "incremental", allow_renumbering: bool = False) -> Assessment:
    """Assess rebuilding the file once so that `incremental_vacuum` can work on it. Advice: it is never due by itself.

    Args:
        look: what was found.
        mode: what auto_vacuum is to be; between "full" and "incremental" only the header changes.
        allow_renumbering: as for `vacuum`.
    """
    inspection: Inspection = look.inspection
    rebuilt = "none" in (mode, inspection.auto_vacuum) and mode != inspection.auto_vacuum
    in_the_way, disk = [preconditions.check_opening(look)], dict[str, int]()
    if rebuilt:
        no_room, disk = _room_for_vacuum(inspection)
        in_the_way = [preconditions.check_rebuild(look, allow_renumbering=allow_renumbering), no_room]
    prediction = Prediction(seconds=FIXED)
    if rebuilt:
        prediction = _rebuild(look, "convert_auto_vacuum", declared_rate(convert_auto_vacuum), disk)
    times = sum(len(look.history.steps(name, limit=_MOST)) for name in ("vacuum", "compact"))
    often = f"{'at least ' if times >= _MOST else ''}{count_noun(times, 'time')}"
    if mode == inspection.auto_vacuum:
        reason = f"auto_vacuum is {mode} already"
    elif times >= _REPEATED:
        reason = (
            f"the file was rebuilt {often} before: after one conversion incremental_vacuum gives its free pages "
            "back without a stall"
        )
    else:
        reason = f"auto_vacuum is {inspection.auto_vacuum}, and nothing says that free pages keep coming back"
    verdict = Assessment(
        worth=Worth.NO,
        reason=reason,
        rule="only when it is asked for by name",
        source="https://sqlite.org/pragma.html#pragma_auto_vacuum",
        gain=measure_waste(inspection)[0] if rebuilt else None,
        prediction=prediction,
    )
    return preconditions.apply_obstacles(verdict, *in_the_way)


def measure_waste(inspection: Inspection) -> tuple[int, float]:
    """Return how many bytes hold nothing, and what share of the file that is; free pages only if no more is known."""
    if inspection.waste is None:
        return inspection.free_bytes, inspection.free_pages / max(1, inspection.pages)
    return inspection.waste.bytes, inspection.waste.share.value


def waste_text(inspection: Inspection) -> str:
    """Return how much of the file is waste, such as "32.0 % of 306.0 MB is waste (31.1 to 33.0 %)"."""
    waste = inspection.waste
    if waste is None:
        free = inspection.free_pages / max(1, inspection.pages)
        return f"{_percent(free)} of {size_text(inspection.size)} are free pages; what pages hold is not known"
    share = waste.share
    how = "counted" if share.low == share.high else f"{100 * share.low:.1f} to {_percent(share.high)}"
    return f"{_percent(share.value)} of {size_text(inspection.size)} is waste ({how})"


def _rebuild(look: Look, operation: str, rate: float, disk: dict[str, int]) -> Prediction:
    inspection: Inspection = look.inspection
    time = predict_time(look, operation, inspection.size, rate)
    # from about 40 % of it on SQLite asks nobody whether to go on (measured: 3.40.1 and 3.54.1)
    return predict_blocking(
        look,
        time,
        held=time.seconds,
        disk=disk,
        written=int(_VACUUM_WRITES * _result(inspection)),
        cancellable=False,
    )


def _assess_rebuild(look: Look, prediction: Prediction, *, parameters: dict[str, bool]) -> Assessment:
    waste, _ = measure_waste(look.inspection)
    return Assessment(
        worth=Worth.YES if waste > 0 else Worth.NO,
        reason=waste_text(look.inspection),
        gain=waste,
        prediction=prediction,
        need=NEED,
        parameters=parameters,
    )


def _room_for_vacuum(inspection: Inspection) -> tuple[preconditions.Obstacle | None, dict[str, int]]:
    # sqlite.org/tempfiles.html, and measured: at its peak the result is there twice beside the file
    used = _used(inspection)
    return preconditions.check_room([(inspection.folder, used), (inspection.temporary, used)])


def _used(inspection: Inspection) -> int:
    """Return what the result may take at most, for which the operations themselves want room."""
    return max(0, inspection.size - inspection.free_bytes)


def _result(inspection: Inspection) -> int:
    return max(0, inspection.size - measure_waste(inspection)[0])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share else "0 %"
