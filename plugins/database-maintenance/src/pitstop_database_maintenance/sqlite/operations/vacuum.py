"""`vacuum`: rebuild the file without its free pages. Owns its preconditions; repairs no index (see `reindex`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop.text import resize_text, size_text
from pitstop_database_maintenance.sqlite.connection.check_answers import LEFT_BEHIND, Flaw
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.session import SQLiteMeasure
from pitstop_database_maintenance.sqlite.guards.missing_features import require_features
from pitstop_database_maintenance.sqlite.guards.rebuild import guard_rebuild, require_survival
from pitstop_database_maintenance.sqlite.guards.rowids import require_stable_rowids
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations._measured import OperationRun, begin
from pitstop_database_maintenance.sqlite.rewriting.progress import (
    VACUUM_WRITES,
    make_write_counter,
    predict_bytes,
    report_bytes,
)
from pitstop_database_maintenance.sqlite.surveyor.temporary_folder import temporary_folder

#: Measured on files of 300 MB and 1 GB: 6.5 s a gigabyte.
_BYTES_A_SECOND = 150e6


def vacuum(db: SQLiteConnection, *, allow_renumbering: bool = False, drop_lost_pages: bool = False) -> Result:
    """Rebuild the file, so that free pages go back to the system and tables lie in one piece.

    It happens whole or not at all. While it copies the result back, which is the second half, SQLite can no longer be
    interrupted.

    Args:
        db: the database.
        allow_renumbering: do it although something, such as an FTS index, refers to rows by numbers that VACUUM may
            change; it must be rebuilt afterwards.
        drop_lost_pages: do it although the list of free pages is wrong, or pages belong to nobody: the rebuild leaves
            both behind. What such a page may have held is gone then.

    Returns:
        Skipped if the job's limits leave too little time for it, or do not allow writers to wait for so long.

    Raises:
        OperationError: a transaction is open, the file is damaged, something of it would be lost, there is too little
            room for it, its schema needs what only the application registers, or something refers to numbers of rows
            that may change.
        JobCancelledError, DeadlineExceededError: the job was asked to stop; the file is as it was.
        TransientError: somebody else held a lock for too long.
    """
    healed = LEFT_BEHIND if drop_lost_pages else frozenset()
    return rebuild(db, allow_renumbering=allow_renumbering, healed=healed)


def rebuild(
    db: SQLiteConnection,
    *,
    allow_renumbering: bool,
    changes: Collection[str] = (),
    healed: frozenset[Flaw] = frozenset(),
) -> Result:
    """Do what `vacuum` does.

    Args:
        db: the database.
        allow_renumbering: as for `vacuum`.
        changes: the settings that the next VACUUM on this connection changes.
        healed: damage for which it is not refused, because it sets it right.

    Raises:
        OperationError, JobCancelledError, DeadlineExceededError, TransientError: as `vacuum`.
    """
    run = begin(db, "vacuum")
    run.require_autocommit()
    skipped = _skip_beyond_limits(run)
    if skipped is not None:
        return skipped
    require_survival(db, "vacuum")
    require_sound(db, healed=healed)
    require_features(db, "vacuum")
    require_stable_rowids(db, allow=allow_renumbering)
    _check_room(db, run.before)
    with _progress(db, run.before):
        db.context.check_cancelled()
        _wait_for_writer(db)
        # somebody else may have done it while we waited
        run.before = db.measure()
        with guard_rebuild(db, "vacuum", changes=changes):
            with db.busy_timeout(), db.blocking(readers=not db.has_wal):
                db.execute("VACUUM")
            db.disable_cancellation()
    db.known_sound = True  # every page of it is new
    if db.has_wal:
        # the new, smaller file is still in the log: PASSIVE copies what it can, and waits for nobody
        db.move_log("PASSIVE")
    return _result(run)


def _skip_beyond_limits(run: OperationRun) -> Result | None:
    """Return a result that says why it must not begin within the job's limits, if so.

    Once it copies its result back, it cannot be stopped, and writers wait from its beginning to its end.
    """
    seconds, limits = _predict_seconds(run.db, run.before), run.db.limits
    if not limits.fits(seconds):
        left = limits.time_left()
        why = f"it takes about {seconds:.0f} s, cannot be stopped in its second half, and {left:.0f} s are left"
        return run.skipped(f"not begun: {why}", stopped_by="time limit", left={})
    if limits.max_stall is not None and seconds > limits.max_stall:
        why = f"writers would wait for about {seconds:.3g} s, and {limits.max_stall:g} s are allowed"
        return run.skipped(f"not begun: {why}")
    return None


def _predict_seconds(db: SQLiteConnection, before: SQLiteMeasure) -> float:
    """Return how long it will take: as planned, as past runs took, or as was measured elsewhere."""
    if db.limits.predicted is not None:
        return db.limits.predicted
    learned = db.history.throughput("vacuum") if db.history else None
    return before.bytes / (learned or _BYTES_A_SECOND)


def _wait_for_writer(db: SQLiteConnection) -> None:
    """Wait until nobody writes, so that the wait for somebody else's lock is not counted as a stall of our making.

    VACUUM takes the lock by itself and runs in no transaction, and nothing tells when it got it.
    """
    db.execute("BEGIN IMMEDIATE")
    db.rollback()


@contextmanager
def _progress(db: SQLiteConnection, before: SQLiteMeasure) -> Iterator[None]:
    """Tell how much of the result is written, and that it is complete."""
    total, count_written = predict_bytes(db, before), make_write_counter()

    def count_done() -> int | None:
        so_far = count_written()
        return None if so_far is None else so_far // VACUUM_WRITES

    with report_bytes(db, count_done, total=total, message="rebuilding"):
        yield
    db.context.progress(total, total, "bytes")


def _check_room(db: SQLiteConnection, before: SQLiteMeasure) -> None:
    """Refuse to begin what would end on a full disk.

    Measured on files of 300 MB and 1 GB: at its peak VACUUM takes the size of its result twice, once as a temporary
    file, once as the journal or write-ahead log beside the database.
    """
    used = before.bytes - before.free_bytes
    beside = os.path.dirname(db.real)
    needs = {beside: used}
    if not _temporary_in_memory(db):
        temporary = temporary_folder()
        same = os.stat(temporary).st_dev == os.stat(beside).st_dev
        needs = {beside: 2 * used} if same else {beside: used, temporary: used}
    for folder, needed in needs.items():
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise OperationError(
                reason=f"vacuum of {db.path} needs up to {size_text(needed)} in {folder}, "
                f"where {size_text(free)} are free",
                hint="make room, or point SQLITE_TMPDIR at another file system; nothing was touched",
            )


def _temporary_in_memory(db: SQLiteConnection) -> bool:
    # sqlite.org/tempfiles.html: compiled with 3 always in memory, with 2 unless a PRAGMA asks otherwise, and none does
    options = {option for (option,) in db.execute("PRAGMA compile_options")}
    return not options.isdisjoint({"TEMP_STORE=2", "TEMP_STORE=3"})


def _result(run: OperationRun) -> Result:
    before, after = run.before, run.db.measure()
    pages: dict[str, Any] = {"pages_before": before.pages, "pages_after": after.pages}
    if (before.pages, before.free_pages) == (after.pages, after.free_pages):
        return run.unchanged(f"{size_text(after.bytes)}, nothing to give back", after=after, **pages)
    warnings = []
    if after.file_bytes > after.bytes:
        warnings.append(
            f"the file still takes {size_text(after.file_bytes)} for {size_text(after.bytes)} of pages: in WAL mode it "
            "shrinks at the next checkpoint after other connections have ended their transactions"
        )
    if run.db.cancel_requested():
        warnings.append("it was told to stop when it could no longer be stopped, and so it was done")
    pending = max(0, after.file_bytes - after.bytes)
    summary = resize_text(before.bytes, after.bytes, pending=pending)
    return run.changed(summary, after=after, warnings=warnings, **pages)
