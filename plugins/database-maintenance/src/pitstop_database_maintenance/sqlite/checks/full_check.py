"""A check of the whole database, part by part: which parts are due, doing it, and remembering what was covered.

What a part is, and why the parts make a whole, is in `parts`.
"""

from __future__ import annotations

import time
from typing import Final

from attrs import define, field

from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.history import CheckRecord
from pitstop_database_maintenance.sqlite.checks.on_copy import place_to_check
from pitstop_database_maintenance.sqlite.checks.parts import (
    STRUCTURE,
    CheckPart,
    PartResult,
    like_a_number,
    list_tables,
)
from pitstop_database_maintenance.sqlite.checks.verdicts import UNFINISHED, WHOLE, Verdicts, verdict
from pitstop_database_maintenance.sqlite.checks.workers import check_parts, needs_children
from pitstop_database_maintenance.sqlite.connection.check_answers import Problem
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.schema import choose

#: Under these names the history keeps when a part was checked, and when one could not be checked to its end. The whole
#: was checked when the part was that was checked longest ago.
CHECKED: Final = "integrity_check"
_UNFINISHED: Final = CHECKED + UNFINISHED
#: Bytes of database that are checked in a second. Measured on two cores, from the system's cache: 300 MB in 3.7 s.
_RATE: Final = 80e6
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
        whole: whether all tables are checked at once, because there is one that cannot be asked for by its name.
        done: what was found, by part.
        now: what is remembered of it, by part.
    """

    all: list[str]
    verdicts: Verdicts
    before: dict[str, CheckRecord]
    wanted: list[str]
    whole: bool
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


def plan_coverage(db: SQLiteConnection, tables: list[str] | None, *, in_turn: bool) -> Coverage:
    """Return which parts to check, and in which order.

    Args:
        db: the database.
        tables: only these; None for everything.
        in_turn: whether the parts that were not checked for longest come first, because time may be short.

    Raises:
        InvalidValueError, UnknownNameError: a table cannot be meant.
    """
    single, others = list_tables(db)
    parts = {part: part for part in (STRUCTURE, *single)}
    known = parts | {name: STRUCTURE for name in others if like_a_number(name)} if tables is not None else parts
    wanted = choose(known, tables, kind="table", operation=CHECKED)
    verdicts = Verdicts.read(db)
    before, stopped = verdicts.latest(CHECKED), verdicts.latest(_UNFINISHED)
    weights = _weigh(db, single, before)
    # the largest first: whoever is done with his takes of the small ones; the structure, of one statement, before all
    wanted.sort(key=lambda part: -weights.get(part, float("inf")))
    if in_turn:
        # what could not be finished last time has had its turn too, or it would keep all others from theirs for ever
        wanted.sort(key=lambda part: max((seen[part].at for seen in (before, stopped) if part in seen), default=0.0))
    return Coverage(all=list(parts), verdicts=verdicts, before=before, wanted=wanted, whole=bool(others))


def _weigh(db: SQLiteConnection, tables: list[str], before: dict[str, CheckRecord]) -> dict[str, float]:
    """Return about how long each table takes, in whatever unit: as last time, or by its rows and its indexes."""
    if before and all(part in before for part in tables):
        return {part: seen.seconds for part, seen in before.items() if part != STRUCTURE}
    indexes = dict(db.execute("SELECT tbl_name, count(*) FROM main.sqlite_master WHERE type = 'index' GROUP BY 1"))
    rows = db.execute("SELECT name, rootpage FROM main.sqlite_master WHERE type = 'table'")
    # a virtual table has no rows of its own, and to ask it for the last one may take long
    own = {name for name, root in rows if isinstance(root, int) and root > 0}
    return {part: _estimate_rows(db, part) * (1 + indexes.get(part, 0)) if part in own else 0.0 for part in tables}


def _estimate_rows(db: SQLiteConnection, table: str) -> float:
    try:
        # the end of the b-tree: one look down the tree, whatever its size
        return float(db.execute(f"SELECT coalesce(max(rowid), 0) FROM main.{db.quote(table)}")[0][0])  # noqa: S608
    except (SQLiteFailure, ValueError, TypeError):
        return float("inf")  # without a rowid: unknown; or damaged, which the check will tell


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
    began, whole, total = time.time(), coverage.whole, len(coverage.wanted)
    times = [coverage.before[part].seconds for part in coverage.wanted if part in coverage.before]
    with place_to_check(db, CHECKED, max(times) if len(times) == total else size / _RATE) as place:
        check: Final = "integrity_check" if whole else "quick_check"
        structure = CheckPart(name=STRUCTURE, check=check, limit=limit, rows=whole, may_lock=place.may_lock)
        parts = [
            structure if part == STRUCTURE else CheckPart(name=part, check="integrity_check")
            for part in coverage.wanted
        ]
        db.context.progress(0, total, "parts", _title(parts[0].name))
        for found in check_parts(place.db, parts, workers=workers, until=until):
            coverage.done[found.part] = found
            place.count(found.seconds, found.locked)
            _keep_result(coverage, found)
            db.context.progress(len(coverage.done), total, "parts", _title(found.part))
        if coverage.left:
            # those at work were the first of the left ones
            unfinished = coverage.left[: workers if needs_children(place.db) else 1]
            spent = time.time() - began
            coverage.verdicts.keep(verdict(part, _UNFINISHED, seconds=spent) for part in unfinished)
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


def _title(part: str) -> str:
    return "the file as a whole" if part == STRUCTURE else part


def _keep_result(coverage: Coverage, found: PartResult) -> None:
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
