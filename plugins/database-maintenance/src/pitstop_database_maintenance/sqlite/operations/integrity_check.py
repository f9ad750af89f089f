"""`integrity_check`: everything that SQLite can check, table by table. Owns what it reports and when damage is gone.

How the whole is checked is in `pitstop_database_maintenance.sqlite.checks.full_check`.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop_database_maintenance.sqlite.checks.full_check import PROBLEM_LIMIT, Coverage, check, plan_coverage
from pitstop_database_maintenance.sqlite.checks.parts import report_problems
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts, parse_findings, record_soundness
from pitstop_database_maintenance.sqlite.connection.check_answers import is_damage
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.operations._measured import OperationRun, begin


def integrity_check(
    db: SQLiteConnection,
    *,
    tables: list[str] | None = None,
    budget: Annotated[float, Bounds(gt=0)] | None = None,
    workers: Annotated[int, Bounds(ge=1, le=64)] = 2,
    limit: Annotated[int, Bounds(ge=1)] = PROBLEM_LIMIT,
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
        JobCancelledError, DeadlineExceededError: the job was asked to stop; what was checked by then is remembered.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "integrity_check")
    coverage = plan_coverage(db, tables, in_turn=budget is not None or db.limits.until is not None)
    ends = [db.limits.until, None if budget is None else time.time() + budget]
    until = min((at for at in ends if at is not None), default=None)
    copied = check(db, coverage, workers=workers, limit=limit, until=until, size=run.before.bytes)
    _settle(db, coverage)
    if coverage.problems:
        note = _describe_coverage(coverage) if coverage.left else ""
        raise report_problems(db, "integrity_check", coverage.problems, capped=coverage.capped, note=note)
    return _result(run, coverage, budget, copied=copied)


def _settle(db: SQLiteConnection, coverage: Coverage) -> None:
    """Forget damage that is found gone: every part was looked at whole since it was found, in one run or in several."""
    known, oldest = Verdicts.read(db).damage(), coverage.oldest
    if known is None or oldest is None or oldest < known.at:
        return
    if not is_damage(problem for seen in coverage.known.values() for problem in parse_findings(seen)):
        record_soundness(db)


# -- what to say of it -------------------------------------------------------------------------------------------------


def _describe_coverage(coverage: Coverage) -> str:
    return f"{len(coverage.done)} of {len(coverage.all)} parts were checked"


def _result(run: OperationRun, coverage: Coverage, budget: float | None, *, copied: bool) -> Result:
    parts, checked, unchecked = len(coverage.all), len(coverage.done), coverage.unchecked
    counts: dict[str, Any] = {"problems": 0, "parts": parts, "checked": checked, "unchecked": unchecked}
    counts |= {"oldest": coverage.oldest, "copied": copied}
    if coverage.left:
        counts["stopped_by"] = "time limit" if budget is None or run.db.limits.time_left() == 0 else "budget"
        counts["left"] = {"tables": coverage.left}
    if not checked:
        return run.skipped("the time was too short for any part", warnings=coverage.warnings, **counts)
    text = f"no problem was found, {_describe_coverage(coverage)}"
    if checked < parts:
        text += f"; {_age(coverage)}"
    if unchecked:
        text += f"; {'1 of them was' if len(unchecked) == 1 else f'{len(unchecked)} of them were'} not checked whole"
    return run.unchanged(text, warnings=coverage.warnings, **counts)


def _age(coverage: Coverage) -> str:
    if coverage.oldest is None:
        return f"{len(coverage.all) - len(coverage.known)} never were"
    days = (time.time() - coverage.oldest) / 86400
    return f"the oldest check of a part is {days:.1f} days old"
