"""`quick_check`: look at every page, and at the rows' types. Compares no index with a table; see `integrity_check`."""

from __future__ import annotations

import time
from typing import Annotated

from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop_database_maintenance.history import Checked
from pitstop_database_maintenance.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.aside import standing_aside
from pitstop_database_maintenance.sqlite.checkers import examined
from pitstop_database_maintenance.sqlite.checking import STRUCTURE, Question, found_wrong
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.report import begin, end, figures


def quick_check(db: SQLiteDatabase, *, limit: Annotated[int, Bounds(ge=1)] = 100) -> Result:
    """Look for damage: pages that are not what they should be, free pages in use, values that a column cannot have.

    It only reads. With a write-ahead log it blocks nobody. Without one, writers wait while it reads; if that would be
    for longer than the job may keep them waiting, a copy is looked at, or it is refused.

    Args:
        db: the database.
        limit: how many problems are enough.

    Raises:
        OperationError: problems were found; the text names them and says what to do. Or it would keep writers waiting
            for too long.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was told to stop.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "quick_check")
    size = started.before.bytes
    db.context.progress(0, size, "bytes", "all pages")
    with standing_aside(db, "quick_check", size) as place:
        question = Question(part=STRUCTURE, check="quick_check", limit=limit, rows=True, may_lock=place.may_lock)
        found = next(examined(place.db, [question], until=db.limits.until), None)
        if found is None:
            raise TimeLimitReachedError
        place.count(found.seconds, found.locked)
    if db.history is not None:
        checked = Checked(
            object="", kind="quick_check", at=time.time(), seconds=found.seconds, problems=len(found.problems)
        )
        db.history.remember_checked([checked])
    if found.problems:
        raise found_wrong(db, "quick_check", found.problems)
    db.context.progress(size, size, "bytes")
    warnings = [f"not looked at: {found.unchecked}"] if found.unchecked else []
    data = figures(db, started, db.measure(), problems=0, copied=place.copied)
    return end(db, started, Result.unchanged("no problem was found", warnings=warnings, **data))
