"""`analyze`: gather the statistics by which the query planner chooses, one table after the other."""

from __future__ import annotations

from typing import Annotated, Any, Final

from attrs import Factory, define

from pitstop.errors import InvalidValueError, OperationError
from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop.text import count_noun
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.connection import schema
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.opening import NOT_UTF8, is_valid_utf8
from pitstop_database_maintenance.sqlite.connection.schema import Statistics, count_analyzed, statistics
from pitstop_database_maintenance.sqlite.guards.missing_features import find_missing_feature
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations import _saved_statistics
from pitstop_database_maintenance.sqlite.operations._limited_analyze import gather
from pitstop_database_maintenance.sqlite.operations._measured import begin

#: SQLite keeps 31 bits of it, and takes nought for no limit.
Limit = Annotated[int, Bounds(ge=1, le=2**31 - 1)]
#: Entries of each index: the upper end of what sqlite.org/lang_analyze.html advises ("between 100 and 1000").
LIMIT: Final = 1000
#: How fast a file is read by ANALYZE without a limit. Measured: 306 MB with 6 indexes in 0.22 s, in memory.
_BYTES_PER_SECOND: Final = 1.3e9


def analyze(
    db: SQLiteConnection, *, limit: Limit | None = None, full: bool = False, tables: list[str] | None = None
) -> Result:
    """Gather statistics on tables and indexes for the query planner.

    Each table is a transaction of its own, in which writers wait: with a limit milliseconds, in full for as long as
    its indexes take to be read. What there was before is kept for `rollback_stats`.

    Args:
        db: the database.
        limit: about how many entries of each index to look at (PRAGMA analysis_limit); by default 1000. An index with
            few distinct values is looked at in full nevertheless, because limited statistics would mislead.
        full: look at everything.
        tables: only these; by default all of the main schema.

    Raises:
        InvalidValueError: a limit and `full`, or an empty list of tables.
        UnknownNameError: there is no such table; nothing was touched.
        OperationError: it failed for every table, the disk is full, or the file is damaged; nothing was written then.
        JobCancelledError, DeadlineExceededError: the job was asked to stop; what was not finished is as before.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "analyze")
    if full and limit is not None:
        raise InvalidValueError(where="analyze", name="limit", problem="does not go with full; give one of them")
    chosen = schema.choose({name: name for name in schema.tables(db)}, tables, kind="table", operation="analyze")
    if full:
        # one table may be as large as the file
        seconds = (run.before.bytes - run.before.free_bytes) / _BYTES_PER_SECOND
        run.require_short_stall(seconds, "full statistics", hint="leave out full, or allow more by max_stall")
    before = statistics(db)
    require_sound(db)
    _saved_statistics.keep(db)
    done = analyze_each(db, chosen, limit=0 if full else limit or LIMIT)
    after = statistics(db)
    own = {**counts(before, after), **done.data()}
    if after == before:
        why = "there are no rows to describe" if not after else "the statistics were right already"
        return run.unchanged(why, warnings=done.warnings, **own)
    return run.changed(summary(after), warnings=done.warnings, **own)


@define(kw_only=True)
class Done:
    """What became of the tables.

    Attributes:
        in_full: the indexes that were looked at in full although there was a limit.
        failed: how many tables could not be analyzed.
        left: the tables that were not reached, or not finished, in time.
        warnings: for the result.
    """

    in_full: list[str] = Factory(list)
    failed: int = 0
    left: list[str] = Factory(list)
    warnings: list[str] = Factory(list)

    def data(self) -> dict[str, Any]:
        """Return it as part of a result's data."""
        stopped = {"stopped_by": "time limit", "left": {"tables": self.left}} if self.left else {}
        return {"indexes_in_full": self.in_full, "tables_failed": self.failed, **stopped}


def analyze_each(db: SQLiteConnection, names: list[str], *, limit: int) -> Done:
    """Analyze tables, each in a transaction of its own, until the time is over; one that fails does not stop the rest.

    Args:
        db: the database; known to be sound.
        names: the tables.
        limit: how many entries of each index to look at; 0 for all.

    Raises:
        OperationError: all failed, or no other would succeed.
    """
    done = Done()
    for place, name in enumerate(names):
        db.context.progress(place, len(names), "tables", name)
        db.context.check_cancelled()
        if not db.limits.time_left() or not _analyze_table(db, name, limit, done):
            done.left = names[place:]
            return done
    db.context.progress(len(names), len(names), "tables")
    if names and done.failed == len(names):
        raise OperationError(
            reason=f"no table of {db.path} could be analyzed: {'; '.join(done.warnings)}",
            hint="give what is missing by the option on_connect, or run ANALYZE from the application",
        )
    return done


def _analyze_table(db: SQLiteConnection, name: str, limit: int, done: Done) -> bool:
    """Analyze one table and note what came of it; return False if the time was over before the end."""
    if not is_valid_utf8(name):
        done.failed += 1
        done.warnings.append(f"table {name!r} has no new statistics: {NOT_UTF8}")
        return True
    try:
        lacking = find_missing_feature(db, f"ANALYZE main.{db.quote(name)}")
        if lacking is not None:
            raise lacking
        in_full, warnings = gather(db, name, limit=limit)
    except TimeLimitReachedError:
        return False
    except SQLiteFailure as failure:
        if failure.hopeless:
            raise
        done.failed += 1
        done.warnings.append(f"table {name!r} has no new statistics: {failure.advised}")
        return True
    done.in_full += in_full
    done.warnings += warnings
    return True


def counts(before: Statistics, after: Statistics) -> dict[str, int]:
    """Return how many tables and indexes have statistics, before and after."""
    tables_before, indexes_before = count_analyzed(before)
    tables_after, indexes_after = count_analyzed(after)
    return {
        "tables_described_before": tables_before,
        "tables_described_after": tables_after,
        "indexes_described_before": indexes_before,
        "indexes_described_after": indexes_after,
    }


def summary(rows: Statistics) -> str:
    """Return what statistics there are, such as "statistics of 3 tables and 5 indexes"."""
    tables_described, indexes_described = count_analyzed(rows)
    tables, indexes = count_noun(tables_described, "table"), count_noun(indexes_described, "index", "indexes")
    return f"statistics of {tables} and {indexes}"
