"""Looking for damage: `quick_check`, `integrity_check`, `foreign_key_check`, `fts_check`.

A check gives nothing back, and on thousands of files it is most of the work. So that it is planned by itself only where
that was asked for (`by_itself`, which the option --checks sets); then it is due by the time since the last one.
"""

from __future__ import annotations

from typing import Annotated, Final

from attrs import evolve

from pitstop.operations import Bounds
from pitstop_database_maintenance.assessment import Assessment, Look, Prediction, Preference, Worth
from pitstop_database_maintenance.sqlite.assessments import obstacles
from pitstop_database_maintenance.sqlite.assessments.past_checks import past_check
from pitstop_database_maintenance.sqlite.inspection import Inspection, SchemaFacts
from pitstop_database_maintenance.sqlite.prediction import SHORTEST_STALL, reading, rollback, stalling, time_of
from pitstop_database_maintenance.sqlite.snapshot import COPY_RATE
from pitstop_database_maintenance.sqlite.stalls import as_waited

NEED: Final = "soundness"
Days = Annotated[float, Bounds(gt=0)]
_DAY: Final = 86_400.0
_OLA: Final = "https://ola.hallengren.com/sql-server-integrity-check.html (oldest check first)"
#: File systems on which a file is cloned in milliseconds.
_CLONING: Final = ("btrfs", "xfs", "bcachefs")
_MODULES: Final = ("fts3", "fts4", "fts5", "rtree", "rtree_i32")


def policy(look: Look) -> Preference:  # noqa: ARG001 - a policy's signature
    """Say which check of the structure rather: an integrity check that is due finds all that a quick one does."""
    return Preference(
        order=("integrity_check", "quick_check"),
        rule="an integrity check looks at all that a quick check does",
        source="https://sqlite.org/pragma.html#pragma_quick_check",
    )


def quick_check(look: Look, *, every: Days = 1.0, by_itself: bool = False) -> Assessment:
    """Assess looking at every page, but not whether indexes and tables agree.

    Args:
        look: what was found.
        every: after how many days it is due again.
        by_itself: whether it is planned when it is due, without being asked for.
    """
    prediction = _aside(look, reading(look, time_of(look, "quick_check", look.inspection.size)))
    return _by_age(look, "quick_check", every=every, by_itself=by_itself, prediction=prediction, need=NEED)


def integrity_check(look: Look, *, every: Days = 7.0, by_itself: bool = False) -> Assessment:
    """Assess looking at every page, and at whether indexes and tables agree.

    Args:
        look: what was found.
        every: after how many days it is due again.
        by_itself: whether it is planned when it is due, without being asked for.
    """
    prediction = _aside(look, reading(look, time_of(look, "integrity_check", look.inspection.size)))
    return _by_age(look, "integrity_check", every=every, by_itself=by_itself, prediction=prediction, need=NEED)


def foreign_key_check(look: Look, *, every: Days = 7.0, by_itself: bool = False) -> Assessment:
    """Assess looking for rows that refer to none.

    Args:
        look: what was found.
        every: after how many days it is due again.
        by_itself: whether it is planned when it is due, without being asked for.
    """
    schema: SchemaFacts | None = look.inspection.schema
    if schema is not None and not schema.foreign_keys:
        return Assessment(worth=Worth.NO, reason="there are no foreign keys")
    prediction = _aside(look, reading(look, time_of(look, "foreign_key_check", look.inspection.size)))
    return _by_age(look, "foreign_key_check", every=every, by_itself=by_itself, prediction=prediction)


def fts_check(look: Look, *, every: Days = 7.0, by_itself: bool = False) -> Assessment:
    """Assess looking at whether full-text and R-tree indexes agree with what they index.

    Args:
        look: what was found.
        every: after how many days it is due again.
        by_itself: whether it is planned when it is due, without being asked for.
    """
    schema: SchemaFacts | None = look.inspection.schema
    if schema is not None and not any(table.module.lower() in _MODULES for table in schema.tables):
        return Assessment(worth=Worth.NO, reason="there are no full-text and no R-tree indexes")
    # the command to look is an INSERT, so that it locks like one
    obstacle = obstacles.to_write(look)
    if obstacle:
        return obstacles.impossible(obstacle)
    time = time_of(look, "fts_check", look.inspection.size)
    return _by_age(
        look,
        "fts_check",
        every=every,
        by_itself=by_itself,
        prediction=_aside(look, stalling(look, time, held=time.seconds, looks=False)),
    )


def _aside(look: Look, prediction: Prediction) -> Prediction:
    """Return what a check costs that would keep writers waiting for too long and looks at a copy; see `snapshot`."""
    inspection: Inspection = look.inspection
    if look.max_stall is None or prediction.writer_stall <= look.max_stall:
        return prediction
    if not rollback(look):
        stall = 0.0
    elif inspection.folder.kind in _CLONING:
        stall = SHORTEST_STALL
    else:
        stall = as_waited(inspection.size / COPY_RATE)
    if stall > look.max_stall:
        return prediction
    return evolve(
        prediction,
        seconds=(prediction.seconds or 0.0) + inspection.size / COPY_RATE,
        writer_stall=stall,
        reader_stall=stall if rollback(look) else 0.0,
        disk={inspection.folder.path: inspection.size},
        written=inspection.size,
    )


def _by_age(
    look: Look, kind: str, *, every: float, by_itself: bool, prediction: Prediction, need: str = ""
) -> Assessment:
    inspection: Inspection = look.inspection
    past = past_check(look, kind)
    if past.whole_at is None:
        reason, due = "it was never checked completely", True
    else:
        days = max(0.0, inspection.at - past.whole_at) / _DAY
        reason, due = f"it was last checked {_age(days)}", days >= every
    if past.problems:
        reason, due = f"{reason}; {past.problems} problem{'s were' if past.problems > 1 else ' was'} found", True
    if due and not by_itself:
        reason += " (planned by itself only with --checks)"
    return Assessment(
        worth=Worth.YES if due and by_itself else Worth.NO,
        reason=reason,
        rule=f"every {every:g} day{'' if every == 1 else 's'}",
        source=_OLA,
        prediction=prediction,
        need=need,
    )


def _age(days: float) -> str:
    if days < 1:
        return "less than a day ago"
    return f"{days:.0f} day{'' if round(days) == 1 else 's'} ago"
