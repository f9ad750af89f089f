"""The write-ahead log: `checkpoint`."""

from __future__ import annotations

from typing import Annotated

from pitstop.operations import Bounds
from pitstop.text import join_names, size_text
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Prediction, Worth
from pitstop_database_maintenance.databases.traits import Phase, declared_rate, operation_traits
from pitstop_database_maintenance.history import PastStep
from pitstop_database_maintenance.sqlite.assessments import preconditions
from pitstop_database_maintenance.sqlite.assessments.cost_model import SHORTEST_STALL, predict_time
from pitstop_database_maintenance.sqlite.inspection.records import Inspection


def _count_moved(step: PastStep) -> float:
    return float(step.figure("wal_bytes_before") or 0)


@operation_traits(phase=Phase.LOG, rate=350e6)
def checkpoint(
    look: Look,
    *,
    max_bytes: Annotated[int, Bounds(ge=0)] = 64_000_000,
    max_share: Annotated[float, Bounds(ge=0)] = 0.25,
    min_bytes: Annotated[int, Bounds(ge=0)] = 4_000_000,
) -> Assessment:
    """Assess moving the log into the file, and shortening it. SQLite itself does so at about 4 MB (1000 pages).

    Args:
        look: what was found.
        max_bytes: a log that is longer than this is too long,
        max_share: and so is one that is longer than this share of the database,
        min_bytes: unless it is shorter than this.
    """
    inspection: Inspection = look.inspection
    log = inspection.log
    if inspection.journal != "wal":
        return Assessment(worth=Worth.NO, reason="it has no write-ahead log (rollback journal)")
    pays = log.bytes > max_bytes or (log.bytes > min_bytes and log.bytes > max_share * inspection.size)
    time = predict_time(
        look, "checkpoint", log.bytes, declared_rate(checkpoint), work_done=_count_moved, whole_if_unchanged=True
    )
    reason = f"the write-ahead log has {size_text(log.bytes)} for a database of {size_text(inspection.size)}"
    if pays and log.held_by:
        reason += f"; it cannot be shortened while {join_names(log.held_by)}"
    verdict = Assessment(
        worth=Worth.YES if pays else Worth.NO,
        reason=reason,
        rule=f"log > {size_text(max_bytes)}, or > {100 * max_share:g} % of the database and > {size_text(min_bytes)}",
        source="https://sqlite.org/wal.html#avoiding_excessively_large_wal_files",
        # what somebody holds open stays as long as it is
        gain=None if log.held_by else log.bytes,
        # writers go on, too, while it is moved; only what is left at the end is waited for (measured: 0.7 ms)
        prediction=Prediction(
            seconds=time.seconds, writer_stall=SHORTEST_STALL, written=log.bytes, learned=time.learned
        ),
    )
    return preconditions.apply_obstacles(verdict, preconditions.check_opening(look))
