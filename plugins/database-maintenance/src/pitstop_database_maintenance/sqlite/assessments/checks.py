"""Looking for damage: `quick_check`, `integrity_check`, `foreign_key_check`, `fts_check`.

A check gives nothing back, and on thousands of files it is most of the work. So that it is planned by itself only where
that was asked for (`by_itself`, which the option --checks sets); then it is due by the time since the last one.
"""

from __future__ import annotations

from typing import Annotated, Final

from attrs import evolve

from pitstop.operations import Bounds
from pitstop.text import join_names
from pitstop_database_maintenance.databases.assessment import Assessment, Look, OperationPreference, Prediction, Worth
from pitstop_database_maintenance.databases.traits import Phase, declared_rate, operation_traits
from pitstop_database_maintenance.sqlite.assessments import preconditions
from pitstop_database_maintenance.sqlite.assessments.cost_model import (
    LOOK_RATE,
    SHORTEST_STALL,
    Time,
    reading,
    rollback,
    stalling,
    time_of,
)
from pitstop_database_maintenance.sqlite.assessments.past_checks import known_damage, past_check
from pitstop_database_maintenance.sqlite.checks.snapshot import COPY_RATE
from pitstop_database_maintenance.sqlite.connection.lock_waits import as_waited
from pitstop_database_maintenance.sqlite.inspection.records import Inspection, SchemaFacts

NEED: Final = "soundness"
Days = Annotated[float, Bounds(gt=0)]
_DAY: Final = 86_400.0
_OLA: Final = "https://ola.hallengren.com/sql-server-integrity-check.html (oldest check first)"
#: File systems on which a file is cloned in milliseconds.
_CLONING: Final = ("btrfs", "xfs", "bcachefs")
_MODULES: Final = ("fts3", "fts4", "fts5", "rtree", "rtree_i32")


def policy(look: Look) -> OperationPreference:  # noqa: ARG001 - a policy's signature
    """Say which check of the structure rather: an integrity check that is due finds all that a quick one does."""
    return OperationPreference(
        order=("integrity_check", "quick_check"),
        rule="an integrity check looks at all that a quick check does",
        source="https://sqlite.org/pragma.html#pragma_quick_check",
    )


@operation_traits(phase=Phase.CHECK, only_reads=True, rate=LOOK_RATE)
def quick_check(look: Look, *, every: Days = 1.0, by_itself: bool = False) -> Assessment:
    """Assess looking at every page, but not whether indexes and tables agree.

    Args:
        look: what was found.
        every: after how many days it is due again.
        by_itself: whether it is planned when it is due, without being asked for.
    """
    prediction = _aside(look, reading(look, _time_of(look, "quick_check", declared_rate(quick_check))))
    return _by_age(look, "quick_check", every=every, by_itself=by_itself, prediction=prediction, need=NEED)


@operation_traits(phase=Phase.CHECK, only_reads=True, rate=150e6)
def integrity_check(look: Look, *, every: Days = 7.0, by_itself: bool = False) -> Assessment:
    """Assess looking at every page, and at whether indexes and tables agree.

    Args:
        look: what was found.
        every: after how many days it is due again.
        by_itself: whether it is planned when it is due, without being asked for.
    """
    prediction = _aside(look, reading(look, _time_of(look, "integrity_check", declared_rate(integrity_check))))
    verdict = _by_age(look, "integrity_check", every=every, by_itself=by_itself, prediction=prediction, need=NEED)
    known = known_damage(look)
    if known is None or verdict.worth is not Worth.NO:
        return verdict
    # whatever was asked for: nothing writes to the file until it is found gone
    by = known.by or "an earlier operation"
    return evolve(verdict, worth=Worth.YES, reason=f"it is looked whether the damage that {by} found is gone")


@operation_traits(phase=Phase.CHECK, only_reads=True, rate=300e6)
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
    prediction = _aside(look, reading(look, _time_of(look, "foreign_key_check", declared_rate(foreign_key_check))))
    return _by_age(look, "foreign_key_check", every=every, by_itself=by_itself, prediction=prediction)


@operation_traits(phase=Phase.CHECK, only_reads=True, rate=60e6)
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
    time = _time_of(look, "fts_check", declared_rate(fts_check))
    prediction = _aside(look, stalling(look, time, held=time.seconds, looks=False))
    return _by_age(look, "fts_check", every=every, by_itself=by_itself, prediction=prediction)


def _time_of(look: Look, check: str, rate: float) -> Time:
    return time_of(look, check, look.inspection.size, rate, whole_if_unchanged=True)


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
    if past.unseen:
        reason += f"; {join_names(past.unseen)} could not be looked at"
    if past.problems:
        reason, due = f"{reason}; {past.problems} problem{'s were' if past.problems > 1 else ' was'} found", True
    if due and not by_itself:
        reason += " (planned by itself only with --checks)"
    verdict = Assessment(
        worth=Worth.YES if due and by_itself else Worth.NO,
        reason=reason,
        rule=f"every {every:g} day{'' if every == 1 else 's'}",
        source=_OLA,
        prediction=prediction,
        need=need,
    )
    return preconditions.against(verdict, preconditions.to_open(look))


def _age(days: float) -> str:
    if days < 1:
        return "less than a day ago"
    return f"{days:.0f} day{'' if round(days) == 1 else 's'} ago"
