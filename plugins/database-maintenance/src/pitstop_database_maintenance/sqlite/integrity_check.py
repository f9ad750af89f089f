"""`integrity_check`: everything that SQLite can check, table by table. Owns which parts are due, and what was covered.

What a part is, and why the parts make a whole, stands in `pitstop_database_maintenance.sqlite.checking`.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

from attrs import define, field

from pitstop.errors import InvalidValueError, UnknownNameError
from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop_database_maintenance.history import Checked
from pitstop_database_maintenance.sqlite.aside import Place, standing_aside
from pitstop_database_maintenance.sqlite.checkers import examined, in_children
from pitstop_database_maintenance.sqlite.checking import (
    STRUCTURE,
    Examined,
    Question,
    any_like_a_number,
    found_wrong,
    like_a_number,
    parts,
)
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.report import Started, begin, end, figures

#: Under these names the history keeps when a part was checked, and when a check of it was stopped unfinished.
CHECKED: Final = "integrity_check"
_UNFINISHED: Final = "integrity_check unfinished"
#: The whole, in the history: checked when the part was that was checked longest ago.
_WHOLE: Final = ""


@define
class _Coverage:
    """What is to be checked, and what has been."""

    all: list[str]
    before: dict[str, Checked]
    wanted: list[str]
    done: dict[str, Examined] = field(factory=dict)
    now: dict[str, Checked] = field(factory=dict)

    @property
    def left(self) -> list[str]:
        return [part for part in self.wanted if part not in self.done]

    @property
    def known(self) -> dict[str, Checked]:
        """The last check of each part that there is."""
        return {part: seen for part, seen in {**self.before, **self.now}.items() if part in self.all}

    @property
    def oldest(self) -> float | None:
        """When the part was checked that was checked longest ago; None if one never was."""
        known = self.known
        return min(seen.at for seen in known.values()) if len(known) == len(self.all) else None

    @property
    def problems(self) -> list[str]:
        # what is wrong with the file as a whole explains the rest
        parts = sorted(self.done.values(), key=lambda found: found.part != STRUCTURE)
        return list(dict.fromkeys(problem for found in parts for problem in found.problems))

    @property
    def unchecked(self) -> list[str]:
        return [
            f"{part!r} was not checked whole: {found.unchecked}" for part, found in self.done.items() if found.unchecked
        ]


def integrity_check(
    db: SQLiteDatabase,
    *,
    tables: list[str] | None = None,
    budget: Annotated[float, Bounds(gt=0)] | None = None,
    workers: Annotated[int, Bounds(ge=1, le=64)] = 2,
    limit: Annotated[int, Bounds(ge=1)] = 100,
) -> Result:
    """Check the structure of the file, every row, and every index against its table; several tables side by side.

    It only reads. With a write-ahead log it blocks nobody. Without one, writers wait while a table is checked; if that
    would be for longer than the job may keep them waiting, a copy is checked, or it is refused.

    Where time is short, the parts that were not checked for longest come first, and what is not reached is for the next
    run. The history knows when each was checked.

    Args:
        db: the database.
        tables: only these; "sqlite_structure" stands for what concerns the file as a whole. By default everything.
            One whose name begins like a number cannot be checked without all others, and so all are.
        budget: for how many seconds at most; None for as long as the job may run.
        workers: how many tables are checked side by side, each by a process, if the file is large enough to need it.
        limit: how many problems with pages are enough; of each table a hundred are.

    Raises:
        InvalidValueError, UnknownNameError: a parameter cannot be meant; nothing was done.
        OperationError: problems were found; the text names them and says what to do. Or it would keep writers waiting
            for too long.
        JobCancelledError, DeadlineExceededError: the job was told to stop; what was checked by then is remembered.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "integrity_check")
    coverage = _coverage(db, tables, in_turn=budget is not None or db.limits.until is not None)
    until = _until(db, budget)
    size = started.before.bytes
    with standing_aside(db, "integrity_check", size, longest=_longest(coverage)) as place:
        whole = any_like_a_number(db)
        questions = [_question(part, whole=whole, limit=limit, place=place) for part in coverage.wanted]
        _run(db, place, coverage, questions, workers=workers, until=until)
    if coverage.problems:
        raise found_wrong(db, "integrity_check", coverage.problems, note=_covered(coverage) if coverage.left else "")
    return end(db, started, _result(db, started, coverage, budget, copied=place.copied))


def _until(db: SQLiteDatabase, budget: float | None) -> float | None:
    ends = [db.limits.until, None if budget is None else time.time() + budget]
    return min((at for at in ends if at is not None), default=None)


# -- what, and in which order ------------------------------------------------------------------------------------------


def _coverage(db: SQLiteDatabase, tables: list[str] | None, *, in_turn: bool) -> _Coverage:
    there_are = [STRUCTURE, *parts(db)]
    before = {} if db.history is None else db.history.checked(CHECKED)
    wanted = there_are if tables is None else _chosen(db, there_are, tables)
    at = {part: seen.at for part, seen in before.items()}
    stopped = {} if db.history is None else db.history.checked(_UNFINISHED)
    weights = _weights(db, before)

    def turn(part: str) -> float:
        # what could not be finished last time has had its turn too, or it would keep all others from theirs for ever
        return max(at.get(part, 0.0), stopped[part].at if part in stopped else 0.0)

    # the largest first: whoever is done with his takes of the small ones; the structure, of one statement, before all
    wanted = sorted(wanted, key=lambda part: -weights.get(part, float("inf")))
    return _Coverage(all=there_are, before=before, wanted=sorted(wanted, key=turn) if in_turn else wanted)


def _chosen(db: SQLiteDatabase, there_are: list[str], tables: list[str]) -> list[str]:
    if not tables:
        problem = "is empty; name at least one, or leave it out for all"
        raise InvalidValueError(where="integrity_check", name="tables", problem=problem)
    names = db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")
    # one that cannot be asked for by its name is checked with all others only
    known = {name.lower(): STRUCTURE for (name,) in names if like_a_number(name)}
    known |= {part.lower(): part for part in there_are}
    for name in tables:
        if name.lower() not in known:
            raise UnknownNameError(kind="table", name=name, known=tuple(there_are))
    return list(dict.fromkeys(known[name.lower()] for name in tables))


def _weights(db: SQLiteDatabase, before: dict[str, Checked]) -> dict[str, float]:
    """Return about how long each table takes, in whatever unit: as last time, or by its rows and its indexes."""
    if before and all(part in before for part in parts(db)):
        return {part: seen.seconds for part, seen in before.items() if part != STRUCTURE}
    indexes = dict(db.execute("SELECT tbl_name, count(*) FROM main.sqlite_master WHERE type = 'index' GROUP BY 1"))
    rows = db.execute("SELECT name, rootpage FROM main.sqlite_master WHERE type = 'table'")
    # a virtual table has no rows of its own, and to ask it for the last one may take long
    own = {name for name, root in rows if isinstance(root, int) and root > 0}
    return {part: _rows(db, part) * (1 + indexes.get(part, 0)) if part in own else 0.0 for part in parts(db)}


def _rows(db: SQLiteDatabase, table: str) -> float:
    try:
        # the end of the b-tree: one look down the tree, whatever its size
        return float(db.execute(f"SELECT coalesce(max(rowid), 0) FROM main.{db.quote(table)}")[0][0])  # noqa: S608
    except (SQLiteFailure, ValueError, TypeError):
        return float("inf")  # without a rowid: unknown; or damaged, which the check will tell


def _longest(coverage: _Coverage) -> float | None:
    """Return how many seconds the longest part took last time; None if one was never checked."""
    times = [coverage.before[part].seconds for part in coverage.wanted if part in coverage.before]
    return max(times) if len(times) == len(coverage.wanted) else None


def _question(part: str, *, whole: bool, limit: int, place: Place) -> Question:
    if part != STRUCTURE:
        return Question(part=part, check="integrity_check")
    # a table that cannot be asked for by its name can be checked with all others only
    check: Final = "integrity_check" if whole else "quick_check"
    return Question(part=part, check=check, limit=limit, rows=whole, may_lock=place.may_lock)


# -- doing it ----------------------------------------------------------------------------------------------------------


def _run(
    db: SQLiteDatabase,
    place: Place,
    coverage: _Coverage,
    questions: list[Question],
    *,
    workers: int,
    until: float | None,
) -> None:
    began = time.time()
    total = len(questions)
    db.context.progress(0, total, "parts", _told(questions[0].part))
    for found in examined(place.db, questions, workers=workers, until=until):
        coverage.done[found.part] = found
        place.count(found.seconds, found.locked)
        _remember(db, coverage, found)
        db.context.progress(len(coverage.done), total, "parts", _told(found.part))
    if db.history is not None and coverage.left:
        spent = time.time() - began
        # those at work were the first of the left ones
        unfinished = coverage.left[: workers if in_children(place.db) else 1]
        db.history.remember_checked(_checked(part, _UNFINISHED, spent) for part in unfinished)


def _told(part: str) -> str:
    return "the file as a whole" if part == STRUCTURE else part


def _checked(part: str, kind: str, seconds: float, problems: int = 0) -> Checked:
    return Checked(object=part, kind=kind, at=time.time(), seconds=seconds, problems=problems)


def _remember(db: SQLiteDatabase, coverage: _Coverage, found: Examined) -> None:
    coverage.now[found.part] = _checked(found.part, CHECKED, found.seconds, len(found.problems))
    if db.history is None:
        return
    checks = [coverage.now[found.part]]
    oldest = coverage.oldest
    if oldest is not None:
        known = coverage.known.values()
        seconds, problems = sum(seen.seconds for seen in known), sum(seen.problems for seen in known)
        checks.append(Checked(object=_WHOLE, kind=CHECKED, at=oldest, seconds=seconds, problems=problems))
    db.history.remember_checked(checks)


# -- what to say of it -------------------------------------------------------------------------------------------------


def _covered(coverage: _Coverage) -> str:
    return f"{len(coverage.done)} of {len(coverage.all)} parts were checked"


def _result(db: SQLiteDatabase, started: Started, coverage: _Coverage, budget: float | None, *, copied: bool) -> Result:
    data = figures(
        db,
        started,
        db.measure(),
        problems=0,
        parts=len(coverage.all),
        checked=len(coverage.done),
        oldest=coverage.oldest,
        copied=copied,
    )
    if coverage.left:
        data["stopped_by"] = "time limit" if budget is None or db.limits.time_left() == 0 else "budget"
        data["left"] = {"tables": coverage.left}
    text = f"no problem was found, {_covered(coverage)}"
    if len(coverage.done) < len(coverage.all):
        text += f"; {_age(coverage)}"
    if not coverage.done:
        return Result.skipped("the time was too short for any part", warnings=coverage.unchecked, **data)
    return Result.unchanged(text, warnings=coverage.unchecked, **data)


def _age(coverage: _Coverage) -> str:
    if coverage.oldest is None:
        return f"{len(coverage.all) - len(coverage.known)} never were"
    days = (time.time() - coverage.oldest) / 86400
    return f"the oldest check of a part is {days:.1f} days old"
