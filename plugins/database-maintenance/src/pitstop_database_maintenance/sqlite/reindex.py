"""`reindex`: build every index anew from its table, one at a time. The only operation that repairs an index."""

from __future__ import annotations

from pitstop.errors import InvalidValueError, OperationError, UnknownNameError
from pitstop.jobs import Result
from pitstop_database_maintenance.sizes import change_text
from pitstop_database_maintenance.sqlite import schema
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.report import Started, begin, end, figures
from pitstop_database_maintenance.sqlite.schema import Index
from pitstop_database_maintenance.sqlite.soundness import require_sound


def reindex(db: SQLiteDatabase, *, indexes: list[str] | None = None) -> Result:
    """Build indexes anew, those that SQLite made itself included.

    Each is a transaction of its own: what is built stays built, whatever comes after. One that fails is a warning, and
    the others go on.

    Args:
        db: the database.
        indexes: only these; by default all of the main schema.

    Raises:
        InvalidValueError: the list is empty.
        UnknownNameError: there is no such index; nothing was touched.
        OperationError: all failed, the disk is full, or the file is damaged, of which nothing was written.
        JobCancelledError, DeadlineExceededError: the job was told to stop; the rest are as they were.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "reindex")
    chosen = _chosen(schema.indexes(db), indexes)
    warnings: list[str] = []
    if chosen:
        require_sound(db)
    for done, index in enumerate(chosen):
        db.context.progress(done, len(chosen), "indexes", index.name)
        db.context.check_cancelled()
        warnings += _rebuild(db, index)
    db.context.progress(len(chosen), len(chosen), "indexes")
    if chosen and len(warnings) == len(chosen):
        raise OperationError(reason=f"no index of {db.path} could be built anew: {'; '.join(warnings)}")
    return end(db, started, _result(db, started, len(chosen), warnings))


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


def _rebuild(db: SQLiteDatabase, index: Index) -> list[str]:
    """Build one index anew; return why it failed, if it did."""
    try:
        # With the schema before it the name can only be an index. Alone, even quoted, "nocase" is the collation first.
        db.execute(f"REINDEX main.{db.quote(index.name)}")
    except SQLiteFailure as failure:
        if failure.hopeless:
            raise
        if failure.damaged:
            schema.indexes(db)  # raises if it is not only this index or its table
        return [f"index {index.name!r} of table {index.table!r} was not built anew: {failure}"]
    return []


def _result(db: SQLiteDatabase, started: Started, chosen: int, warnings: list[str]) -> Result:
    after = db.measure()
    rebuilt = chosen - len(warnings)
    data = figures(started, after, indexes=chosen, rebuilt=rebuilt, failed=len(warnings))
    if not chosen:
        return Result.unchanged("there are no indexes", **data)
    of = f"{rebuilt} of {chosen} indexes" if warnings else "1 index" if chosen == 1 else f"{chosen} indexes"
    size = change_text(started.before.bytes - started.before.free_bytes, after.bytes - after.free_bytes)
    return Result.changed(f"{of} built anew, in use {size}", warnings=warnings, **data)
