"""Looking for damage: `quick_check`, `integrity_check`, `foreign_key_check`, `fts_check`.

A check gives nothing back, and on thousands of files it is most of the work. So that it is planned by itself only where
that was asked for (`by_itself`, which the option --checks sets); then it is due by the time since the last one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from attrs import evolve, frozen

from pitstop.operations import Bounds
from pitstop.text import join_names
from pitstop_database_maintenance.databases.assessment import Assessment, Look, OperationPreference, Prediction, Worth
from pitstop_database_maintenance.databases.traits import Phase, declared_rate, operation_traits
from pitstop_database_maintenance.sqlite.assessments import preconditions
from pitstop_database_maintenance.sqlite.assessments.cost_model import (
    LOOK_RATE,
    SHORTEST_STALL,
    predict_blocking,
    predict_reading,
    predict_time,
    rollback,
)
from pitstop_database_maintenance.sqlite.checks.parts import like_a_number
from pitstop_database_maintenance.sqlite.checks.snapshot import COPY_RATE
from pitstop_database_maintenance.sqlite.checks.verdicts import UNFINISHED, WHOLE, Verdicts
from pitstop_database_maintenance.sqlite.connection.lock_waits import worst_wait
from pitstop_database_maintenance.sqlite.inspection.records import Inspection, SchemaFacts

NEED: Final = "soundness"
CHECKS: Final = ("quick_check", "integrity_check", "foreign_key_check", "fts_check")
Days = Annotated[float, Bounds(gt=0)]
_DAY: Final = 86_400.0
_OLA: Final = "https://ola.hallengren.com/sql-server-integrity-check.html (oldest check first)"
#: File systems on which a file is cloned in milliseconds.
_CLONING: Final = ("btrfs", "xfs", "bcachefs")
#: What SQLite keeps for itself is not listed by an inspection, and comes and goes.
_OWN: Final = "sqlite_"
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
    return _assess(look, quick_check, every=every, by_itself=by_itself, need=NEED)


@operation_traits(phase=Phase.CHECK, only_reads=True, rate=150e6)
def integrity_check(look: Look, *, every: Days = 7.0, by_itself: bool = False) -> Assessment:
    """Assess looking at every page, and at whether indexes and tables agree.

    Args:
        look: what was found.
        every: after how many days it is due again.
        by_itself: whether it is planned when it is due, without being asked for.
    """
    verdict = _assess(look, integrity_check, every=every, by_itself=by_itself, need=NEED)
    known = Verdicts.from_inspection(look.inspection, look.history).damage()
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
    return _assess(look, foreign_key_check, every=every, by_itself=by_itself)


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
    return _assess(look, fts_check, every=every, by_itself=by_itself, locks=True)


def _assess(
    look: Look,
    check: Callable[..., Assessment],
    *,
    every: float,
    by_itself: bool,
    need: str = "",
    locks: bool = False,
) -> Assessment:
    """Assess a check by the time since the last one.

    Args:
        look: what was found.
        check: its assessment, which is called as the check is.
        every: after how many days it is due again.
        by_itself: whether it is planned when it is due, without being asked for.
        need: what it is for.
        locks: whether it keeps writers out in any journal mode.
    """
    inspection: Inspection = look.inspection
    kind = check.__name__
    past = _find_past_check(look, kind)
    if past.whole_at is None:
        reason, due = "it was never checked completely", True
    else:
        days = max(0.0, inspection.at - past.whole_at) / _DAY
        ago = "less than a day ago" if days < 1 else f"{days:.0f} day{'' if round(days) == 1 else 's'} ago"
        reason, due = f"it was last checked {ago}", days >= every
    if past.unseen:
        reason += f"; {join_names(past.unseen)} could not be looked at"
    if past.problems:
        reason, due = f"{reason}; {past.problems} problem{'s were' if past.problems > 1 else ' was'} found", True
    if due and not by_itself:
        reason += " (planned by itself only with --checks)"
    time = predict_time(look, kind, inspection.size, declared_rate(check), whole_if_unchanged=True)
    prediction = (
        predict_blocking(look, time, held=time.seconds, checks_first=False) if locks else predict_reading(look, time)
    )
    verdict = Assessment(
        worth=Worth.YES if due and by_itself else Worth.NO,
        reason=reason,
        rule=f"every {every:g} day{'' if every == 1 else 's'}",
        source=_OLA,
        prediction=_predict_on_copy(look, prediction),
        need=need,
    )
    return preconditions.apply_obstacles(verdict, preconditions.check_opening(look))


def _predict_on_copy(look: Look, prediction: Prediction) -> Prediction:
    """Return what a check costs that would keep writers waiting for too long and looks at a copy; see `snapshot`."""
    inspection: Inspection = look.inspection
    if look.max_stall is None or prediction.writer_stall <= look.max_stall:
        return prediction
    if not rollback(look):
        stall = 0.0
    elif inspection.folder.kind in _CLONING:
        stall = SHORTEST_STALL
    else:
        stall = worst_wait(inspection.size / COPY_RATE)
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


@frozen(kw_only=True)
class _PastCheck:
    """What the checks of one kind found in this very file.

    Args:
        whole_at: since when all of the database has been looked at, in one go or in parts; None if it never was.
        problems: how many were found and, as far as the checks know, are still there.
        unseen: tables that a check has tried to look at since, and could not.
    """

    whole_at: float | None
    problems: int = 0
    unseen: tuple[str, ...] = ()


def _find_past_check(look: Look, kind: str) -> _PastCheck:
    """Return what the history says of a check.

    A check that goes through a database in parts notes each of them, and under "" the time of the oldest as soon as
    there is no part left that was never looked at. A table that has been made since was not looked at.
    """
    inspection: Inspection = look.inspection
    verdicts = Verdicts.from_inspection(inspection, look.history)
    checked, tried = verdicts.latest(kind), verdicts.latest(kind + UNFINISHED)
    whole = checked.pop(WHOLE, None)
    tables = None if inspection.schema is None else {table.name for table in inspection.schema.tables}
    new = {name for name in (tables or set()) - set(checked) if not name.startswith(_OWN) and not like_a_number(name)}
    if checked and new and kind == "integrity_check":
        whole = None
    there = {name: one for name, one in checked.items() if tables is None or name in tables or name.startswith(_OWN)}
    parts = there or ({WHOLE: whole} if whole is not None else {})
    return _PastCheck(
        whole_at=None if whole is None else whole.at,
        problems=sum(verdict.problems for verdict in parts.values()),
        unseen=tuple(sorted(name for name, one in tried.items() if name not in checked or one.at > checked[name].at)),
    )
