"""`analyze`: gather the statistics by which the query planner chooses. Reads all data unless a limit is given."""

from __future__ import annotations

from typing import Annotated

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.report import begin, end, figures
from pitstop_database_maintenance.sqlite.schema import Statistics, described, statistics, tables
from pitstop_database_maintenance.sqlite.soundness import require_sound

#: SQLite keeps 31 bits of it, and takes nought for no limit.
Limit = Annotated[int, Bounds(ge=1, le=2**31 - 1)]


def analyze(db: SQLiteDatabase, *, limit: Limit | None = None) -> Result:
    """Gather statistics on tables and indexes for the query planner.

    Args:
        db: the database.
        limit: about how many rows of each index to look at (PRAGMA analysis_limit); by default all of them, because
            limited statistics can mislead on an index with few distinct values (navidrome #5740).

    Raises:
        OperationError: it failed, or failed for every table, or the file is damaged; nothing was written then.
        JobCancelledError, DeadlineExceededError: the job was told to stop; what was not finished is as before.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "analyze")
    before = statistics(db)
    require_sound(db)
    # set in either case: the library may have been built with a limit of its own
    db.execute(f"PRAGMA analysis_limit = {limit or 0}")
    warnings = _analyze_all(db)
    after = statistics(db)
    data = figures(started, db.measure(), **counts(before, after))
    if after == before:
        why = "there are no rows to describe" if not after else "the statistics were right already"
        result = Result.unchanged(why, warnings=warnings, **data)
    else:
        result = Result.changed(summary(after), warnings=warnings, **data)
    return end(db, started, result)


def counts(before: Statistics, after: Statistics) -> dict[str, int]:
    """Return how many tables and indexes have statistics, before and after."""
    tables_before, indexes_before = described(before)
    tables_after, indexes_after = described(after)
    return {
        "tables_described_before": tables_before,
        "tables_described_after": tables_after,
        "indexes_described_before": indexes_before,
        "indexes_described_after": indexes_after,
    }


def summary(rows: Statistics) -> str:
    """Return what statistics there are, such as "statistics of 3 tables and 5 indexes"."""
    tables_described, indexes_described = described(rows)
    return f"statistics of {_number(tables_described, 'table')} and {_number(indexes_described, 'index', 'indexes')}"


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _analyze_all(db: SQLiteDatabase) -> list[str]:
    try:
        db.execute("ANALYZE main")
    except MissingFeature:
        return _analyze_each(db)
    return []


def _analyze_each(db: SQLiteDatabase) -> list[str]:
    """Analyze what can be analyzed when one table stops all of them; return a warning for each that cannot."""
    names, warnings = tables(db), []
    for done, name in enumerate(names):
        db.context.progress(done, len(names), "tables", name)
        db.context.check_cancelled()
        try:
            db.execute(f"ANALYZE main.{db.quote(name)}")
        except SQLiteFailure as failure:
            if failure.hopeless:
                raise
            warnings.append(f"table {name!r} has no new statistics: {failure}")
    db.context.progress(len(names), len(names), "tables")
    if len(warnings) == len(names):
        raise OperationError(
            reason=f"no table of {db.path} could be analyzed: {'; '.join(warnings)}",
            hint="run ANALYZE from the application",
        )
    return warnings
