"""`quick_check`: look at every page, and at the rows' types. Compares no index with a table; see `integrity_check`."""

from __future__ import annotations

from typing import Annotated

from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.checks.on_copy import QUICK_CHECK_RATE, place_to_check
from pitstop_database_maintenance.sqlite.checks.parts import STRUCTURE, CheckPart, report_problems
from pitstop_database_maintenance.sqlite.checks.verdicts import WHOLE, Verdicts, verdict
from pitstop_database_maintenance.sqlite.checks.workers import check_parts
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.operations._measured import begin


def quick_check(db: SQLiteConnection, *, limit: Annotated[int, Bounds(ge=1)] = 100) -> Result:
    """Look for damage: pages that are not what they should be, free pages in use, values that a column cannot have.

    It only reads. With a write-ahead log it blocks nobody. Without one, writers wait while it reads; if that would be
    for longer than the job may keep them waiting, a copy is looked at, or it is refused.

    Args:
        db: the database.
        limit: how many problems are enough.

    Raises:
        OperationError: problems were found; the text names them and says what to do. Or it would keep writers waiting
            for too long.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "quick_check")
    size = run.before.bytes
    verdicts = Verdicts.read(db)
    db.context.progress(0, size, "bytes", "all pages")
    with place_to_check(db, "quick_check", size / QUICK_CHECK_RATE) as place:
        part = CheckPart(name=STRUCTURE, check="quick_check", limit=limit, rows=True, may_lock=place.may_lock)
        found = next(check_parts(place.db, [part], until=db.limits.until), None)
        if found is None:
            raise TimeLimitReachedError
        place.count(found.seconds, found.locked)
    if found.problems or not found.unchecked:
        kept = verdict(WHOLE, "quick_check", seconds=found.seconds, problems=found.problems, capped=found.capped)
        verdicts.keep([kept])
    if found.problems:
        raise report_problems(db, "quick_check", found.problems, capped=found.capped)
    db.context.progress(size, size, "bytes")
    warnings = [f"not looked at: {found.unchecked}"] if found.unchecked else []
    warnings += found.notes
    return run.unchanged("no problem was found", warnings=warnings, problems=0, copied=place.copied)
