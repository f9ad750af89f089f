"""A check of the whole database, part by part: which parts are due, doing it, and remembering what was covered.

What a part is, and why the parts make a whole, is in `parts`.
"""

from __future__ import annotations

import time
from typing import Final

from attrs import define, field

from pitstop.errors import InvalidValueError, UnknownNameError
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.history import CheckRecord
from pitstop_database_maintenance.sqlite.checks.on_copy import Place, place_to_check
from pitstop_database_maintenance.sqlite.checks.parts import (
    STRUCTURE,
    CheckPart,
    PartResult,
    any_without_a_name,
    as_text,
    like_a_number,
    list_parts,
)
from pitstop_database_maintenance.sqlite.checks.verdicts import UNFINISHED, WHOLE, Verdicts, verdict
from pitstop_database_maintenance.sqlite.checks.workers import check_parts, needs_children
from pitstop_database_maintenance.sqlite.connection.check_answers import Problem
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure

#: Under these names the history keeps when a part was checked, and when one could not be checked to its end. The whole
#: was checked when the part was that was checked longest ago.
CHECKED: Final = "integrity_check"
_UNFINISHED: Final = CHECKED + UNFINISHED
#: How many problems with pages are enough.
PROBLEM_LIMIT: Final = 100


@define
class Coverage:
    """What is to be checked, and what has been.

    Attributes:
        all: every part of the database.
        verdicts: where verdicts on the file are kept.
        before: the last check of each part before this run.
        wanted: the parts to check now, in this order.
        done: what was found, by part.
        now: what is remembered of it, by part.
    """

    all: list[str]
    verdicts: Verdicts
    before: dict[str, CheckRecord]
    wanted: list[str]
    done: dict[str, PartResult] = field(factory=dict)
    now: dict[str, CheckRecord] = field(factory=dict)

    @property
    def left(self) -> list[str]:
        """The wanted parts that were not reached."""
        return [part for part in self.wanted if part not in self.done]

    @property
    def known(self) -> dict[str, CheckRecord]:
        """The last check of each part that there is."""
        return {part: seen for part, seen in {**self.before, **self.now}.items() if part in self.all}

    @property
    def oldest(self) -> float | None:
        """When the part was checked that was checked longest ago; None if one never was."""
        known = self.known
        return min(seen.at for seen in known.values()) if len(known) == len(self.all) else None

    @property
    def problems(self) -> list[Problem]:
        """What is wrong, each problem once."""
        # what is wrong with the file as a whole explains the rest
        parts = sorted(self.done.values(), key=lambda found: found.part != STRUCTURE)
        return list(dict.fromkeys(problem for found in parts for problem in found.problems))

    @property
    def capped(self) -> bool:
        """Whether a part had more problems than were counted."""
        return any(found.capped for found in self.done.values())

    @property
    def unchecked(self) -> list[str]:
        """The parts that could not be looked at whole."""
        return [part for part, found in self.done.items() if found.unchecked]

    @property
    def warnings(self) -> list[str]:
        """What was not checked, and notes, for a person."""
        left = [f"{part!r} was not checked whole: {self.done[part].unchecked}" for part in self.unchecked]
        return left + [f"{part!r}: {note}" for part, found in self.done.items() for note in found.notes]


def check(
    db: SQLiteConnection, coverage: Coverage, *, workers: int, limit: int, until: float | None, size: int
) -> bool:
    """Check the wanted parts, one after the other or side by side, and remember what was found.

    Args:
        db: the database.
        coverage: what is to be checked; it takes what was found.
        workers: how many parts are checked side by side, each by a process, if the file is large enough to need it.
        limit: how many problems with pages are enough.
        until: when to stop, in seconds since 1970; None for no such time.
        size: the database's, in bytes.

    Returns:
        Whether a copy was checked, so that nobody had to wait.

    Raises:
        OperationError: it would keep writers waiting for too long.
        JobCancelledError, DeadlineExceededError: the job was asked to stop; what was checked by then is remembered.
        TransientError: somebody else held a lock for too long.
    """
    with place_to_check(db, "integrity_check", size, longest=_longest(coverage)) as place:
        whole = any_without_a_name(db)
        parts = [_make_part(part, whole=whole, limit=limit, place=place) for part in coverage.wanted]
        _run(db, place, coverage, parts, workers=workers, until=until)
    return place.copied


def check_all_parts(db: SQLiteConnection, tables: list[str] | None = None) -> list[PartResult]:
    """Look at all parts, or at some tables, as `integrity_check` does without limits; what is found is kept.

    Raises:
        OperationError: it would keep writers waiting for too long.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop.
        TransientError: somebody else held a lock for too long.
    """
    coverage = plan_coverage(db, tables, in_turn=False)
    check(db, coverage, workers=1, limit=PROBLEM_LIMIT, until=db.limits.until, size=db.measure().bytes)
    if coverage.left:
        raise TimeLimitReachedError
    return list(coverage.done.values())


# -- what, and in which order ------------------------------------------------------------------------------------------


def plan_coverage(db: SQLiteConnection, tables: list[str] | None, *, in_turn: bool) -> Coverage:
    """Return which parts to check, and in which order.

    Args:
        db: the database.
        tables: only these; None for everything.
        in_turn: whether the parts that were not checked for longest come first, because time may be short.

    Raises:
        InvalidValueError, UnknownNameError: a table cannot be meant.
    """
    there_are = [STRUCTURE, *list_parts(db)]
    verdicts = Verdicts.on(db)
    before = verdicts.of(CHECKED)
    wanted = there_are if tables is None else _choose_tables(db, there_are, tables)
    at = {part: seen.at for part, seen in before.items()}
    stopped = verdicts.of(_UNFINISHED)
    weights = _weights(db, before)

    def turn(part: str) -> float:
        # what could not be finished last time has had its turn too, or it would keep all others from theirs for ever
        return max(at.get(part, 0.0), stopped[part].at if part in stopped else 0.0)

    # the largest first: whoever is done with his takes of the small ones; the structure, of one statement, before all
    wanted = sorted(wanted, key=lambda part: -weights.get(part, float("inf")))
    in_order = sorted(wanted, key=turn) if in_turn else wanted
    return Coverage(all=there_are, verdicts=verdicts, before=before, wanted=in_order)


def _choose_tables(db: SQLiteConnection, there_are: list[str], tables: list[str]) -> list[str]:
    if not tables:
        problem = "is empty; name at least one, or leave it out for all"
        raise InvalidValueError(where="integrity_check", name="tables", problem=problem)
    rows = db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")
    names = [as_text(name) for (name,) in rows]
    # one that cannot be asked for by its name is checked with all others only
    known = {name.lower(): STRUCTURE for name in names if name is not None and like_a_number(name)}
    known |= {part.lower(): part for part in there_are}
    for name in tables:
        if name.lower() not in known:
            raise UnknownNameError(kind="table", name=name, known=tuple(there_are))
    return list(dict.fromkeys(known[name.lower()] for name in tables))


def _weights(db: SQLiteConnection, before: dict[str, CheckRecord]) -> dict[str, float]:
    """Return about how long each table takes, in whatever unit: as last time, or by its rows and its indexes."""
    if before and all(part in before for part in list_parts(db)):
        return {part: seen.seconds for part, seen in before.items() if part != STRUCTURE}
    indexes = dict(db.execute("SELECT tbl_name, count(*) FROM main.sqlite_master WHERE type = 'index' GROUP BY 1"))
    rows = db.execute("SELECT name, rootpage FROM main.sqlite_master WHERE type = 'table'")
    # a virtual table has no rows of its own, and to ask it for the last one may take long
    own = {name for name, root in rows if isinstance(root, int) and root > 0}
    return {part: _rows(db, part) * (1 + indexes.get(part, 0)) if part in own else 0.0 for part in list_parts(db)}


def _rows(db: SQLiteConnection, table: str) -> float:
    try:
        # the end of the b-tree: one look down the tree, whatever its size
        return float(db.execute(f"SELECT coalesce(max(rowid), 0) FROM main.{db.quote(table)}")[0][0])  # noqa: S608
    except (SQLiteFailure, ValueError, TypeError):
        return float("inf")  # without a rowid: unknown; or damaged, which the check will tell


def _longest(coverage: Coverage) -> float | None:
    """Return how many seconds the longest part took last time; None if one was never checked."""
    times = [coverage.before[part].seconds for part in coverage.wanted if part in coverage.before]
    return max(times) if len(times) == len(coverage.wanted) else None


def _make_part(part: str, *, whole: bool, limit: int, place: Place) -> CheckPart:
    if part != STRUCTURE:
        return CheckPart(name=part, check="integrity_check")
    # a table that cannot be asked for by its name can be checked with all others only
    check: Final = "integrity_check" if whole else "quick_check"
    return CheckPart(name=part, check=check, limit=limit, rows=whole, may_lock=place.may_lock)


# -- doing it ----------------------------------------------------------------------------------------------------------


def _run(
    db: SQLiteConnection,
    place: Place,
    coverage: Coverage,
    parts: list[CheckPart],
    *,
    workers: int,
    until: float | None,
) -> None:
    began = time.time()
    total = len(parts)
    db.context.progress(0, total, "parts", _name_part(parts[0].name))
    for found in check_parts(place.db, parts, workers=workers, until=until):
        coverage.done[found.part] = found
        place.count(found.seconds, found.locked)
        _record_result(coverage, found)
        db.context.progress(len(coverage.done), total, "parts", _name_part(found.part))
    if coverage.left:
        spent = time.time() - began
        # those at work were the first of the left ones
        unfinished = coverage.left[: workers if needs_children(place.db) else 1]
        coverage.verdicts.keep(verdict(part, _UNFINISHED, seconds=spent) for part in unfinished)


def _name_part(part: str) -> str:
    return "the file as a whole" if part == STRUCTURE else part


def _record_result(coverage: Coverage, found: PartResult) -> None:
    """Keep what was found. What was not looked at whole does not count as checked, and is due again."""
    if found.unchecked and not found.problems:
        coverage.verdicts.keep([verdict(found.part, _UNFINISHED, seconds=found.seconds)])
        return
    coverage.now[found.part] = verdict(
        found.part, CHECKED, seconds=found.seconds, problems=found.problems, capped=found.capped
    )
    kept = [coverage.now[found.part]]
    oldest = coverage.oldest
    if oldest is not None:
        known = coverage.known.values()
        seconds, problems = sum(seen.seconds for seen in known), sum(seen.problems for seen in known)
        kept.append(CheckRecord(object=WHOLE, kind=CHECKED, at=oldest, seconds=seconds, problems=problems))
    coverage.verdicts.keep(kept)
