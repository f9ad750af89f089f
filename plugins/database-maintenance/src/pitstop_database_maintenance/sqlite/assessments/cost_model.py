"""What an operation on SQLite will cost: seconds, stalls, room, bytes written. Learned from past runs where there are.

Owns the figures from which it is told while nothing has been learned yet. They were measured on a virtual machine of
two cores with a virtio disk, on files of 306 MB and 1 GB after churn (docs/decisions/assessments.md); another machine
is faster or slower, which the first few runs on it teach.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Container, Sequence
from typing import Any, Final

from attrs import frozen

from pitstop_database_maintenance.databases.assessment import Look, Prediction
from pitstop_database_maintenance.history import PastStep
from pitstop_database_maintenance.sqlite.connection.lock_waits import DEFAULT_STALL, expected_stall, worst_wait
from pitstop_database_maintenance.sqlite.files.sound_files import ALL_PAGES
from pitstop_database_maintenance.sqlite.inspection.records import Inspection

#: What every operation takes, however small the file: opening, the schema, syncs.
FIXED: Final = 0.01
#: The shortest stall that can be promised at all: one transaction that is synced to disk.
SHORTEST_STALL: Final = 0.01
#: At how many bytes a second a file is looked at for damage, by quick_check and before the first write.
LOOK_RATE: Final = 700e6
#: With these outcomes an operation has done all of its work: "unchanged" only if it is one that looks.
_WHOLE: Final = frozenset({"changed"})
_WHOLE_LOOK: Final = frozenset({"changed", "unchanged"})
#: How many past runs are looked at: on one database, and on all of this machine.
_OWN, _ALL = 5, 50
#: A past run teaches something about a database of at least a quarter, and at most four times, its work.
_ALIKE: Final = 4.0
#: What is taken for the time of a past run that was shorter than times are noted.
_SHORTEST: Final = 0.001

#: For a look of which only the verdict is of interest.
_NOT_WORKED_OUT: Final = Prediction()


@frozen(kw_only=True)
class Time:
    """How long an operation will take.

    Args:
        seconds: in all.
        held: for how much of that writers will be kept out at a stretch; None if that was not learned.
        learned: whether this comes from past runs.
    """

    seconds: float
    held: float | None = None
    learned: bool = False


def _size(step: PastStep) -> float:
    return float(step.bytes or 0)


def predict_time(
    look: Look,
    operation: str,
    work: float,
    rate: float,
    *,
    work_done: Callable[[PastStep], float] = _size,
    whole_if_unchanged: bool = False,
) -> Time:
    """Return how long an operation will take.

    Args:
        look: with the history.
        operation: its short name.
        work: how many bytes it has to deal with, such as the database's size.
        rate: bytes of work a second while nothing has been learned.
        work_done: returns how many bytes a past run of it has dealt with; by default the database's size.
        whole_if_unchanged: whether a run of it that changed nothing has done all of its work.
    """
    if look.brief:
        return Time(seconds=FIXED)
    work = max(work, 1.0)
    own = look.history.steps(operation, limit=_OWN)
    everywhere = look.history.history.steps(operation=operation, limit=_ALL)
    journal = "rollback" if rollback(look) else "wal"
    whole = _WHOLE_LOOK if whole_if_unchanged else _WHOLE
    found = _learn(own, work, journal, work_done, whole) or _learn(everywhere, work, journal, work_done, whole)
    if found is None:
        return Time(seconds=FIXED + work / rate)
    speed, held = found
    return Time(seconds=work / speed, held=None if held is None else work * held, learned=True)


def predict_look(look: Look) -> float:
    """Return how long the look for damage takes that comes before the first write of a plan; see `soundness`."""
    if look.sound:
        return 0.0
    inspection: Inspection = look.inspection
    learned = _learn_look_rate(look.history.steps(limit=_ALL), inspection.size) or _learn_look_rate(
        look.history.history.steps(limit=_ALL), inspection.size
    )
    if learned is not None:
        return inspection.size / learned
    return max(
        0.0, predict_time(look, "quick_check", inspection.size, LOOK_RATE, whole_if_unchanged=True).seconds - FIXED
    )


def _learn_look_rate(steps: Sequence[PastStep], size: int) -> float | None:
    """Return at how many bytes a second past steps looked for damage; None if none did on a file of about the size."""
    rates = [
        step.bytes / looked
        for step in steps
        if step.bytes
        and step.data.get("looked_at", ALL_PAGES) == ALL_PAGES
        and (looked := step.figure("looked") or 0.0) > _SHORTEST
        and 1 / _ALIKE <= step.bytes / max(size, 1) <= _ALIKE
    ]
    return statistics.median(rates[:_OWN]) if rates else None


def rollback(look: Look) -> bool:
    """Return whether readers keep writers waiting, and writers readers, because there is no write-ahead log."""
    inspection: Inspection = look.inspection
    return inspection.journal != "wal"


def predict_blocking(look: Look, time: Time, *, held: float, checks_first: bool = True, **others: Any) -> Prediction:
    """Return what an operation costs that keeps writers out at a stretch.

    Args:
        look: with the journal mode.
        time: as `predict_time` says.
        held: for how many seconds, unless past runs taught better.
        checks_first: whether it looks for damage first, which in rollback mode keeps writers waiting too.
        others: further fields of the prediction.
    """
    if look.brief:
        return _NOT_WORKED_OUT
    first = predict_look(look) if checks_first else 0.0
    stall = time.held if time.held is not None else worst_wait(held)
    if rollback(look) and first:
        stall = max(stall, worst_wait(first))
    return Prediction(
        seconds=time.seconds + first,
        writer_stall=stall,
        reader_stall=stall if rollback(look) else 0.0,
        learned=time.learned,
        checks_first=checks_first,
        **others,
    )


def predict_reading(look: Look, time: Time, **others: Any) -> Prediction:
    """Return what an operation costs that only reads: with a write-ahead log it keeps nobody waiting.

    In rollback mode nobody can write while it reads, and nobody can begin to read while a writer waits for it.
    """
    if look.brief:
        return _NOT_WORKED_OUT
    stall = (time.held or worst_wait(time.seconds)) if rollback(look) else 0.0
    return Prediction(seconds=time.seconds, writer_stall=stall, reader_stall=stall, learned=time.learned, **others)


def predict_slices(look: Look, time: Time, **others: Any) -> Prediction:
    """Return what an operation costs that works in slices as short as is asked for."""
    if look.brief:
        return _NOT_WORKED_OUT
    wanted = DEFAULT_STALL if look.max_stall is None else min(look.max_stall, DEFAULT_STALL)
    stall = max(SHORTEST_STALL, expected_stall(wanted))
    return Prediction(
        seconds=time.seconds + predict_look(look),
        writer_stall=stall,
        reader_stall=stall if rollback(look) else 0.0,
        learned=time.learned,
        **others,
    )


def _learn(
    steps: Sequence[PastStep], work: float, journal: str, work_done: Callable[[PastStep], float], whole: Container[str]
) -> tuple[float, float | None] | None:
    """Return bytes of work a second, and the seconds held per byte of work, as past runs teach; None if none does.

    Runs in the other journal mode teach nothing: slices take six times as long without a write-ahead log.
    """
    speeds, stalls = [], []
    for step in steps:
        if not step.seconds or "stopped_by" in step.data or step.outcome not in whole:
            continue
        if step.data.get("journal", journal) != journal:
            continue
        done = work_done(step)
        if done > 0 and 1 / _ALIKE <= done / work <= _ALIKE:
            looked = step.figure("looked") or 0.0
            speeds.append(done / max(step.seconds - looked - (step.figure("waited") or 0.0), _SHORTEST))
            stall = step.figure("writer_stall")
            # without a log others wait for the look for damage, too, which says nothing of the operation itself
            if stall is not None and (journal == "wal" or stall > worst_wait(looked)):
                stalls.append(stall / done)
    if not speeds:
        return None
    return statistics.median(speeds), statistics.median(stalls) if stalls else None
