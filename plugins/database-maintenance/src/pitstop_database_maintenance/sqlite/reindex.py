"""`reindex`: build every index anew from its table, one at a time. The only operation that repairs an index."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

from attrs import Factory, define

from pitstop.errors import InvalidValueError, OperationError, UnknownNameError
from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop_database_maintenance.limits import TimeLimitReachedError
from pitstop_database_maintenance.sizes import change_text
from pitstop_database_maintenance.sqlite import schema
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.features import Missing, missing_for, refused
from pitstop_database_maintenance.sqlite.order import computed_otherwise, out_of_order
from pitstop_database_maintenance.sqlite.report import Started, begin, end, figures
from pitstop_database_maintenance.sqlite.schema import Index, statistics
from pitstop_database_maintenance.sqlite.soundness import require_sound
from pitstop_database_maintenance.sqlite.stalls import sleeping

#: Seconds that a row of an index takes to be built, for one that was never built here. Measured: 1.3 microseconds for
#: numbers, 3.5 for texts of 16 bytes, 5.1 for texts of 80.
_SECONDS_PER_ROW: Final = 3e-6
#: In how many past runs it is looked up how long an index took.
_RUNS: Final = 5
#: The longest sleep between two looks whether to stop, in seconds.
_NAP: Final = 0.05


def reindex(
    db: SQLiteDatabase, *, indexes: list[str] | None = None, pause: Annotated[float, Bounds(ge=0)] | None = None
) -> Result:
    """Build indexes anew, those that SQLite made itself included.

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
        OperationError: all failed, the disk is full, or the file is damaged, of which nothing was written.
        JobCancelledError, DeadlineExceededError: the job was told to stop; the rest are as they were.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "reindex")
    chosen = _chosen(schema.indexes(db), indexes)
    done = Done()
    if chosen:
        possible = _possible(db, chosen, done, named=indexes is not None)
        require_sound(db)
        _rebuild_each(db, _fitting(db, _right(db, possible, done, named=indexes is not None), done), done, pause)
    if chosen and done.failed == len(chosen):
        raise OperationError(reason=f"no index of {db.path} could be built anew: {'; '.join(done.warnings)}")
    return end(db, started, _result(db, started, len(chosen), done))


@define(kw_only=True)
class Done:
    """What became of the indexes.

    Attributes:
        seconds: how long each took that was built.
        failed: how many failed, or could not be built for want of something.
        left_out: those that were not tried, because they would have become wrong or taken too long.
        left: those that were not reached, or not finished, in time.
        warnings: for the result.
    """

    seconds: dict[str, float] = Factory(dict)
    failed: int = 0
    left_out: list[str] = Factory(list)
    left: list[str] = Factory(list)
    warnings: list[str] = Factory(list)

    def data(self) -> dict[str, Any]:
        """Return it as part of a result's data."""
        stopped = {"stopped_by": "time limit", "left": {"indexes": self.left}} if self.left else {}
        seconds = {name: round(taken, 4) for name, taken in self.seconds.items()}
        own = {"rebuilt": len(seconds), "failed": self.failed, "left_out": self.left_out, "index_seconds": seconds}
        return {**own, **stopped}


def _chosen(there_are: list[Index], names: list[str] | None) -> list[Index]:
    if names is None:
        return there_are
    if not names:
        raise InvalidValueError(
            where="reindex", name="indexes", problem="is empty; name at least one, or leave it out for all"
        )
    # SQLite does not tell upper from lower case in names
    known = {index.name.lower(): index for index in there_are}
    for name in names:
        if name.lower() not in known:
            raise UnknownNameError(kind="index", name=name, known=tuple(index.name for index in there_are))
    return list(dict.fromkeys(known[name.lower()] for name in names))


def _possible(db: SQLiteDatabase, chosen: list[Index], done: Done, *, named: bool) -> list[Index]:
    """Return the indexes that can be built here, which is told by compiling only; refuse if one of them was named."""
    lacking = [(index, missing_for(db, f"REINDEX main.{db.quote(index.name)}")) for index in chosen]
    wanting = [
        Missing(kind=failure.kind, name=failure.name, where=f"index {index.name!r}")
        for index, failure in lacking
        if failure
    ]
    if named and wanting:
        raise refused(db, "reindex", wanting)
    for index, failure in lacking:
        if failure:
            done.failed += 1
            done.warnings.append(f"index {index.name!r} of table {index.table!r} was not built anew: {failure}")
    return [index for index, failure in lacking if not failure]


def _right(db: SQLiteDatabase, indexes: list[Index], done: Done, *, named: bool) -> list[Index]:
    """Return the indexes that stay what they are when built anew; of the others, those that were named."""
    names = {index.name for index in indexes}
    wrong = {
        index.name: f"it is not in the order of {index.collations} as it is here" for index in out_of_order(db, names)
    }
    if not named:
        other = "what its functions give here is not what is stored in it"
        wrong |= dict.fromkeys(computed_otherwise(db, names), other)
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


def _fitting(db: SQLiteDatabase, indexes: list[Index], done: Done) -> list[Index]:
    """Return the indexes that are built within the time for which writers may wait."""
    most = db.limits.max_stall
    if most is None:
        return indexes
    fitting, learned = [], _learned(db)
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


def _learned(db: SQLiteDatabase) -> dict[str, float]:
    """Return how long each index took in past runs, the last time."""
    learned: dict[str, float] = {}
    for step in reversed(db.history.steps("reindex", limit=_RUNS) if db.history else []):
        learned |= step.data.get("index_seconds", {})
    return learned


def _rows(db: SQLiteDatabase, index: Index) -> int:
    """Return about how many rows an index's table has: as its statistics say, else as its largest rowid does."""
    for table, _, stat in statistics(db):
        if table == index.table and isinstance(stat, str) and stat.split()[:1] and stat.split()[0].isdecimal():
            return int(stat.split()[0])
    table = f"main.{db.quote(index.table)}"
    try:
        return int(db.execute(f"SELECT max(rowid) FROM {table}")[0][0] or 0)  # noqa: S608 - quoted
    except SQLiteFailure:
        return int(db.execute(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - quoted; it is WITHOUT ROWID


def _rebuild_each(db: SQLiteDatabase, indexes: list[Index], done: Done, pause: float | None) -> None:
    for place, index in enumerate(indexes):
        db.context.progress(place, len(indexes), "indexes", index.name)
        db.context.check_cancelled()
        if not db.limits.time_left() or not _rebuilt(db, index, done):
            done.left = [rest.name for rest in indexes[place:]]
            return
        if place + 1 < len(indexes):
            _wait(db, sleeping(done.seconds.get(index.name, 0.0)) if pause is None else pause)
    db.context.progress(len(indexes), len(indexes), "indexes")


def _rebuilt(db: SQLiteDatabase, index: Index, done: Done) -> bool:
    """Build one index anew and note what came of it; return False if the time was over before the end."""
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
        done.failed += 1
        done.warnings.append(f"index {index.name!r} of table {index.table!r} was not built anew: {failure}")
        return True
    done.seconds[index.name] = time.monotonic() - began
    return True


def _wait(db: SQLiteDatabase, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and db.limits.time_left():
        db.context.check_cancelled()
        time.sleep(min(left, _NAP))


def _result(db: SQLiteDatabase, started: Started, chosen: int, done: Done) -> Result:
    after = db.measure()
    data = figures(db, started, after, indexes=chosen, **done.data())
    if not chosen:
        return Result.unchanged("there are no indexes", **data)
    built = len(done.seconds)
    if not built:
        return Result.skipped("no index was built anew", warnings=done.warnings, **data)
    of = f"{chosen} indexes" if chosen > 1 else "1 index"
    size = change_text(started.before.bytes - started.before.free_bytes, after.bytes - after.free_bytes)
    what = of if built == chosen else f"{built} of {of}"
    return Result.changed(f"{what} built anew, in use {size}", warnings=done.warnings, **data)
