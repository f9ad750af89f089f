"""`vacuum`: rebuild the file without its free pages. Owns its preconditions; repairs no index (see `reindex`)."""

from __future__ import annotations

import os
import shutil

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop_database_maintenance.sizes import change_text, size_text
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase, SQLiteMeasure
from pitstop_database_maintenance.sqlite.errors import MissingFeature
from pitstop_database_maintenance.sqlite.report import Started, begin, end, figures
from pitstop_database_maintenance.sqlite.soundness import require_sound
from pitstop_database_maintenance.sqlite.temporary import temporary_folder


def vacuum(db: SQLiteDatabase) -> Result:
    """Rebuild the file, so that free pages go back to the system and tables lie in one piece.

    It happens whole or not at all. While it copies the result back, which is the second half, SQLite can no longer be
    interrupted.

    Raises:
        OperationError: a transaction is open, the file is damaged, or there is too little room for it.
        JobCancelledError, DeadlineExceededError: the job was told to stop; the file is as it was.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "vacuum")
    _check_no_transaction(db)
    require_sound(db)
    _check_room(db, started.before)
    db.context.progress(0, 1, "files", "rebuilding")
    db.context.check_cancelled()
    try:
        db.execute("VACUUM")
    except MissingFeature as failure:
        return end(db, started, _skipped(db, started, failure))
    db.known_sound = True  # every page of it is new
    _shrink_file(db)
    db.context.progress(1, 1, "files")
    return end(db, started, _result(started, db.measure()))


def _check_no_transaction(db: SQLiteDatabase) -> None:
    if db.in_transaction:
        raise OperationError(
            reason=f"a transaction is open on the connection to {db.path}", hint="commit it: VACUUM runs outside"
        )


def _check_room(db: SQLiteDatabase, before: SQLiteMeasure) -> None:
    """Refuse to begin what would end on a full disk.

    Measured on files of 300 MB and 1 GB: at its peak VACUUM takes the size of its result twice, once as a temporary
    file, once as the journal or write-ahead log beside the database.
    """
    used = before.bytes - before.free_bytes
    beside = os.path.dirname(os.path.realpath(db.path))
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


def _temporary_in_memory(db: SQLiteDatabase) -> bool:
    # sqlite.org/tempfiles.html: compiled with 3 always in memory, with 2 unless a PRAGMA asks otherwise, and none does
    options = {option for (option,) in db.execute("PRAGMA compile_options")}
    return not options.isdisjoint({"TEMP_STORE=2", "TEMP_STORE=3"})


def _shrink_file(db: SQLiteDatabase) -> None:
    # In WAL mode the new, smaller file is still in the log. PASSIVE copies what it can and waits for nobody.
    if _journal_mode(db) == "wal":
        db.execute("PRAGMA main.wal_checkpoint(PASSIVE)")


def _journal_mode(db: SQLiteDatabase) -> str:
    return str(db.execute("PRAGMA main.journal_mode")[0][0])


def _result(started: Started, after: SQLiteMeasure) -> Result:
    before = started.before
    data = figures(started, after, pages_before=before.pages, pages_after=after.pages)
    if (before.pages, before.free_pages) == (after.pages, after.free_pages):
        return Result.unchanged(f"{size_text(after.bytes)}, nothing to give back", **data)
    return Result.changed(change_text(before.bytes, after.bytes), warnings=_warnings(after), **data)


def _warnings(after: SQLiteMeasure) -> list[str]:
    if after.file_bytes <= after.bytes:
        return []
    return [
        f"the file still takes {size_text(after.file_bytes)} for {size_text(after.bytes)} of pages: in WAL mode it "
        "shrinks at the next checkpoint after other connections have ended their transactions"
    ]


def _skipped(db: SQLiteDatabase, started: Started, failure: MissingFeature) -> Result:
    after = db.measure()
    return Result.skipped(
        f"not rebuilt: the schema uses {failure.missing}, which only the application has; the file is as it was",
        warnings=[f"{failure}: run VACUUM from the application"],
        **figures(started, after, pages_before=started.before.pages, pages_after=after.pages),
    )
