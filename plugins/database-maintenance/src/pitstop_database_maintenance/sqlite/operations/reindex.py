"""`reindex`: rebuild every index from its table, one at a time. The only operation that repairs an index."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

from attrs import Factory, define

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop.text import count_noun, resize_text
from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.history import figure
from pitstop_database_maintenance.sqlite.checks.full_check import check_all_parts
from pitstop_database_maintenance.sqlite.checks.parts import report_problems
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts, broken_indexes
from pitstop_database_maintenance.sqlite.connection import schema
from pitstop_database_maintenance.sqlite.connection.check_answers import Flaw, is_damage
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.lock_waits import current_sleep
from pitstop_database_maintenance.sqlite.connection.opening import NOT_UTF8, is_valid_utf8
from pitstop_database_maintenance.sqlite.connection.schema import Index, statistics
from pitstop_database_maintenance.sqlite.guards.collation_order import find_misordered, find_recomputed
from pitstop_database_maintenance.sqlite.guards.missing_features import Missing, find_missing_feature, refuse_missing
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations._measured import OperationRun, begin

#: Seconds that a row of an index takes to be built, for one that was never built here. Measured: 1.3 microseconds for
#: numbers, 3.5 for texts of 16 bytes, 5.1 for texts of 80.
_SECONDS_PER_ROW: Final = 3e-6
#: In how many past runs it is looked up how long an index took.
_RUNS: Final = 5
#: What to do where rows are not unique. SQLite cannot delete or change a row whose entry the index lacks.
_NOT_UNIQUE: Final = (
    "rows break its UNIQUE constraint: of two that are alike, change the one that the index has an entry of, from the "
    "application; or drop the index, correct the rows, and make it anew"
)
#: The longest sleep between two looks whether to stop, in seconds.
_NAP: Final = 0.05


def reindex(
    db: SQLiteConnection, *, indexes: list[str] | None = None, pause: Annotated[float, Bounds(ge=0)] | None = None
) -> Result:
    """Rebuild indexes, those that SQLite made itself included.

    Each is a transaction of its own, in which writers wait: what is built stays built, whatever comes after. One that
    fails is a warning, and the others go on.

    Args:
        db: the database.
        indexes: only these; by default all of the main schema, without those that would be sorted or computed by
            another rule than the one that they were built with. One of these must be named.
        pause: seconds between two indexes, for others to get on; by default as long as somebody who waits may sleep,
            which is 0.1 at most.

    Raises:
        InvalidValueError: the list is empty.
        UnknownNameError: there is no such index; nothing was touched.
        MissingFeature: one that was named needs what only the application registers; nothing was touched.
        OperationError: all failed, the disk is full, or the file is damaged, of which nothing was written. Or one that
            was known to disagree with its table, or whose rows are not unique, could not be built, or still disagrees;
            what is built stays built.
        JobCancelledError, DeadlineExceededError: the job was asked to stop; the rest are as they were.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "reindex")
    there_are = {index.name: index for index in schema.indexes(db)}
    # the tables of which a check has found that an index disagrees
    broken = set(broken_indexes(Verdicts.read(db), {name: index.table for name, index in there_are.items()}).values())
    chosen = schema.choose(there_are, indexes, kind="index", operation="reindex", parameter="indexes")
    done, named = Done(), indexes is not None
    if chosen:
        wanted = _leave_out_impossible(db, chosen, done, named=named)
        require_sound(db)
        wanted = _leave_out_other_rules(db, wanted, done, named=named)
        _rebuild_each(db, _leave_out_slow(db, wanted, done), done, pause)
    if chosen and done.failed == len(chosen):
        raise OperationError(reason=f"no index of {db.path} could be built anew: {'; '.join(done.warnings)}")
    _verify(db, broken, chosen, done)
    return _result(run, len(chosen), done)


def _verify(db: SQLiteConnection, broken: set[str], tried: list[Index], done: Done) -> None:
    """Look again at the tables whose indexes were known to be broken, so that what is known of them is so.

    Raises:
        OperationError: an index could not be rebuilt, or still disagrees.
    """
    not_unique = {index.table for index in tried if index.name in done.not_unique}  # SQLite has just found them so
    tables = sorted(broken & {index.table for index in tried} | not_unique)
    if not tables:
        return
    try:
        found = check_all_parts(db, tables)
    except (TimeLimitReachedError, LockedError) as stopped:
        done.warnings.append(f"whether the indexes of {', '.join(tables)} agree now was not looked at: {stopped}")
        return
    wrong = [problem for each in found for problem in each.problems]
    if is_damage(wrong):
        raise report_problems(db, "reindex", wrong)
    waiting = {*done.left, *done.left_out}
    left = dict.fromkeys(each.object for each in wrong if each.flaw is Flaw.INDEX and each.object not in waiting)
    if left:
        names = ", ".join(map(repr, left))
        disagree = "still disagrees with its table" if len(left) == 1 else "still disagree with their tables"
        built = f" ({len(done.seconds)} built anew)" if done.seconds else ""
        why = f": {'; '.join(done.warnings)}" if done.warnings else ""
        hint = _NOT_UNIQUE if done.not_unique.intersection(left) else "see to what keeps it from being built"
        raise OperationError(
            reason=f"{names} of {db.path} {disagree}{built}{why}", hint=f"{hint}; then run reindex again"
        )


@define(kw_only=True)
class Done:
    """What became of the indexes.

    Attributes:
        seconds: how long each took that was built.
        failed: how many failed, or could not be built for want of something.
        not_unique: those that failed because rows of their tables are not unique.
        left_out: those that were not tried, because they would have become wrong or taken too long.
        left: those that were not reached, or not finished, in time.
        warnings: for the result.
    """

    seconds: dict[str, float] = Factory(dict)
    failed: int = 0
    not_unique: set[str] = Factory(set)
    left_out: list[str] = Factory(list)
    left: list[str] = Factory(list)
    warnings: list[str] = Factory(list)

    def fail(self, index: Index, why: str) -> None:
        """Note that an index could not be built."""
        self.failed += 1
        self.warnings.append(f"index {index.name!r} of table {index.table!r} was not built anew: {why}")

    def data(self) -> dict[str, Any]:
        """Return it as part of a result's data."""
        stopped = {"stopped_by": "time limit", "left": {"indexes": self.left}} if self.left else {}
        seconds = {name: round(taken, 4) for name, taken in self.seconds.items()}
        own = {"rebuilt": len(seconds), "failed": self.failed, "left_out": self.left_out, "index_seconds": seconds}
        return {**own, **stopped}


def _leave_out_impossible(db: SQLiteConnection, chosen: list[Index], done: Done, *, named: bool) -> list[Index]:
    """Return the indexes that can be built here, which is told by compiling only; refuse if one of them was named."""
    possible, missing = [], []
    for index in chosen:
        if not is_valid_utf8(index.name):
            done.fail(index, NOT_UTF8)
            continue
        failure = find_missing_feature(db, f"REINDEX main.{db.quote(index.name)}")
        if failure:
            missing.append(Missing(kind=failure.kind, name=failure.name, where=f"index {index.name!r}"))
            done.fail(index, failure.advised)
        else:
            possible.append(index)
    if named and missing:
        raise refuse_missing(db, "reindex", missing)
    return possible


def _leave_out_other_rules(db: SQLiteConnection, indexes: list[Index], done: Done, *, named: bool) -> list[Index]:
    """Return the indexes that stay what they are when rebuilt; of the others, those that were named."""
    names = {index.name for index in indexes}
    wrong = {
        index.name: f"it is not in the order of {index.collations} as it is here"
        for index in find_misordered(db, names)
    }
    if not named:
        other = "what its functions give here is not what is stored in it"
        wrong |= dict.fromkeys(find_recomputed(db, names), other)
    for name, why in wrong.items():
        if named:
            done.warnings.append(f"index {name!r} is built anew by the rule of this connection: {why}")
        else:
            done.left_out.append(name)
            done.warnings.append(
                f"index {name!r} was left out: {why}. Give the application's own by the option on_connect; if the "
                "index is wrong, or the application has changed, name it"
            )
    return indexes if named else [index for index in indexes if index.name not in wrong]


def _leave_out_slow(db: SQLiteConnection, indexes: list[Index], done: Done) -> list[Index]:
    """Return the indexes that are built within the time for which writers may wait."""
    most = db.limits.max_stall
    if most is None:
        return indexes
    fitting, learned = [], _past_seconds(db)
    for index in indexes:
        expected = learned.get(index.name) or _rows(db, index) * _SECONDS_PER_ROW
        if expected <= most:
            fitting.append(index)
        else:
            done.left_out.append(index.name)
            done.warnings.append(
                f"index {index.name!r} was left out: building it anew would keep writers waiting for about "
                f"{expected:.2f} s, more than the {most:g} s that they may wait"
            )
    return fitting


def _past_seconds(db: SQLiteConnection) -> dict[str, float]:
    """Return how long each index took in past runs, the last time."""
    learned: dict[str, float] = {}
    for step in reversed(db.history.steps("reindex", limit=_RUNS) if db.history else []):
        found = step.data.get("index_seconds")
        if isinstance(found, Mapping):
            learned |= {name: figure(found, name) or 0.0 for name in found}
    return learned


def _rows(db: SQLiteConnection, index: Index) -> int:
    """Return about how many rows an index's table has: as its statistics say, else as its largest rowid does."""
    for table, _, stat in statistics(db):
        if table == index.table and isinstance(stat, str) and stat.split()[:1] and stat.split()[0].isdecimal():
            return int(stat.split()[0])
    table = f"main.{db.quote(index.table)}"
    try:
        return int(db.execute(f"SELECT max(rowid) FROM {table}")[0][0] or 0)  # noqa: S608 - quoted
    except SQLiteFailure:
        return int(db.execute(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - quoted; it is WITHOUT ROWID


def _rebuild_each(db: SQLiteConnection, indexes: list[Index], done: Done, pause: float | None) -> None:
    for place, index in enumerate(indexes):
        db.context.progress(place, len(indexes), "indexes", index.name)
        db.context.check_cancelled()
        if not db.limits.time_left() or not _rebuild(db, index, done):
            done.left = [rest.name for rest in indexes[place:]]
            return
        if place + 1 < len(indexes):
            _wait(db, current_sleep(done.seconds.get(index.name, 0.0)) if pause is None else pause)
    db.context.progress(len(indexes), len(indexes), "indexes")


def _rebuild(db: SQLiteConnection, index: Index, done: Done) -> bool:
    """Rebuild one index and note what came of it; return False if the time was over before the end."""
    began = time.monotonic()
    try:
        # With the schema before it the name can only be an index. Alone, even quoted, "nocase" is the collation first.
        with db.transaction():
            db.execute(f"REINDEX main.{db.quote(index.name)}")
    except TimeLimitReachedError:
        return False
    except SQLiteFailure as failure:
        if failure.hopeless:
            raise
        if failure.damaged:
            schema.indexes(db)  # raises if it is not only this index or its table
        if failure.code == sqlite3.SQLITE_CONSTRAINT:
            done.not_unique.add(index.name)
        done.fail(index, failure.advised)
        return True
    done.seconds[index.name] = time.monotonic() - began
    return True


def _wait(db: SQLiteConnection, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and db.limits.time_left():
        db.context.check_cancelled()
        time.sleep(min(left, _NAP))


def _result(run: OperationRun, chosen: int, done: Done) -> Result:
    counts = {"indexes": chosen, **done.data()}
    if not chosen:
        return run.unchanged("there are no indexes", **counts)
    built = len(done.seconds)
    if not built:
        return run.skipped("no index was built anew", warnings=done.warnings, **counts)
    before, after, of = run.before, run.db.measure(), count_noun(chosen, "index", "indexes")
    size = resize_text(before.bytes - before.free_bytes, after.bytes - after.free_bytes, less="freed")
    what = of if built == chosen else f"{built} of {of}"
    return run.changed(f"{what} built anew, in use {size}", after=after, warnings=done.warnings, **counts)
