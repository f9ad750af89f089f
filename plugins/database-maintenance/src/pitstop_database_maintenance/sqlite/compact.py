"""`compact`: write the file anew beside it, and swap the two. For when nobody else uses it; else there is `vacuum`.

It takes less than half the time of VACUUM and writes a third of the bytes, keeps the numbers of all rows, and can be
stopped until the last moment. Owns its preconditions and their order; docs/decisions/compact.md has the reasons.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop_database_maintenance.sizes import change_text, size_text
from pitstop_database_maintenance.sqlite import durable, rowids, swapping
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase, SQLiteMeasure
from pitstop_database_maintenance.sqlite.features import require_features
from pitstop_database_maintenance.sqlite.leftovers import Temporary, sweep, temporary
from pitstop_database_maintenance.sqlite.report import Started, begin, end, figures
from pitstop_database_maintenance.sqlite.rewriting import rewrite
from pitstop_database_maintenance.sqlite.soundness import require_schema
from pitstop_database_maintenance.sqlite.swapping import Place
from pitstop_database_maintenance.sqlite.telling import expected_bytes


def compact(db: SQLiteDatabase, *, offline: bool = False, allow_renumbering: bool = False) -> Result:
    """Rewrite the file without free pages, and without free space within its pages, while nobody else has it open.

    Until the moment in which the new file takes its place, nothing of the old one is changed.

    Args:
        db: the database.
        offline: declares that nobody else uses the file, where that cannot be proven: in rollback mode, and where this
            user may not see which files all processes have open. Whoever is seen to use it is a reason to refuse.
        allow_renumbering: do not mind if rows to which something, such as an FTS index, refers by undeclared numbers
            had other ones in the copy; as far as is known they never have.

    Example:
        pitstop maintain app.db --operations compact --set compact.offline=true

    Raises:
        OperationError: somebody else has the file open or that is not known, it is damaged, there is too little room,
            its schema needs what only the application registers, or it has several names.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was told to stop; the file is as it
            was.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "compact")
    if db.in_transaction:
        raise OperationError(reason=f"a transaction is open on the connection to {db.path}", hint="commit it first")
    place = swapping.place_of(db)
    sweep(place.path)
    warnings = swapping.require_alone(place, offline=offline, own=db.handles)
    require_schema(db)
    _check_writable(db)
    require_features(db, "compact")
    numbered = frozenset() if allow_renumbering else frozenset(each.table for each in rowids.references(db))
    most, expected = started.before.bytes - started.before.free_bytes, expected_bytes(db, started.before)
    durable.require_room(os.path.dirname(place.path), most, what=f"compact of {db.path}")
    with temporary(place.path, "compact") as copy:
        _own(copy, place)
        # with a log nobody is kept waiting by who only reads
        with nullcontext() if place.wal else db.blocking():
            rewrite(db, copy, predicted=expected, numbered=numbered)
        size = os.stat(copy.path).st_size
        if size >= started.before.bytes and not started.before.free_pages:
            return end(db, started, _unchanged(db, started))
        _prepare(db, copy, place)
        db.check_stop()
        with db.blocking(readers=True):
            warnings += swapping.take_place(db, place, copy, offline=offline)
    after = db.measure()
    db.context.progress(expected, expected, "bytes")
    return end(db, started, _result(db, started, after, warnings))


def _check_writable(db: SQLiteDatabase) -> None:
    """Find out whether SQLite will write to the file, while there is nothing to undo."""
    version = db.pragma("user_version")
    db.execute("BEGIN IMMEDIATE")
    try:
        # a file that SQLite only reads, for what its header says, lets a transaction begin all the same
        db.execute(f"PRAGMA main.user_version = {version}")
    finally:
        db.rollback()


def _own(copy: Temporary, place: Place) -> None:
    """Give the copy the database's owner; at once, so that a user who may not do that knows before the work."""
    try:
        durable.own_alike(copy.handle, place.found)
    except OSError:
        raise OperationError(
            reason=f"{place.path} belongs to another user or group, which this user may not give to a new file",
            hint="run as its owner or as root; nothing was touched",
        ) from None


def _prepare(db: SQLiteDatabase, copy: Temporary, place: Place) -> None:
    """Give the copy what VACUUM INTO does not keep: the write-ahead log."""
    if place.wal:
        with db.second("rw", path=copy.path) as new:
            mode = new.execute("PRAGMA main.journal_mode = WAL")[0][0]
        if mode != "wal":
            raise OperationError(reason=f"the copy of {db.path} stays in journal mode {mode!r}", hint="run vacuum")


def _unchanged(db: SQLiteDatabase, started: Started) -> Result:
    after = db.measure()
    return Result.unchanged(f"{size_text(after.bytes)}, nothing to give back", **_figures(db, started, after))


def _result(db: SQLiteDatabase, started: Started, after: SQLiteMeasure, warnings: list[str]) -> Result:
    summary = change_text(started.before.bytes, after.bytes)
    return Result.changed(summary, warnings=warnings, **_figures(db, started, after))


def _figures(db: SQLiteDatabase, started: Started, after: SQLiteMeasure) -> dict[str, Any]:
    return figures(db, started, after, pages_before=started.before.pages, pages_after=after.pages)
