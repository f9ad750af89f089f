"""`compact`: rewrite the file beside it, and swap the two. For when nobody else uses it; else there is `vacuum`.

It takes less than half the time of VACUUM and writes a third of the bytes, keeps the numbers of all rows, and can be
stopped until the last moment. Owns its preconditions and their order; docs/decisions/compact.md has the reasons.
"""

from __future__ import annotations

import os
from contextlib import nullcontext

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop.text import resize_text, size_text
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.files import durable_files
from pitstop_database_maintenance.sqlite.files.identity import identify
from pitstop_database_maintenance.sqlite.files.temporary_files import Temporary, sweep, temporary
from pitstop_database_maintenance.sqlite.guards import rowids
from pitstop_database_maintenance.sqlite.guards.contents import FileFacts, name_some
from pitstop_database_maintenance.sqlite.guards.missing_features import require_features
from pitstop_database_maintenance.sqlite.guards.rebuild import require_survival
from pitstop_database_maintenance.sqlite.guards.soundness import require_schema
from pitstop_database_maintenance.sqlite.operations._measured import begin
from pitstop_database_maintenance.sqlite.operations.backup_retention import note_replaced
from pitstop_database_maintenance.sqlite.rewriting import replace_file
from pitstop_database_maintenance.sqlite.rewriting.progress import predict_bytes
from pitstop_database_maintenance.sqlite.rewriting.replace_file import Place
from pitstop_database_maintenance.sqlite.rewriting.vacuum_into import rewrite


def compact(db: SQLiteConnection, *, offline: bool = False, allow_renumbering: bool = False) -> Result:
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
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop; the file is as it
            was.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "compact")
    run.require_autocommit()
    place = replace_file.find_place(db)
    before = _identify(place)
    sweep(place.path)
    warnings = replace_file.require_alone(place, offline=offline, own=db.handles)
    require_schema(db)
    require_survival(db, "compact")
    _check_writable(db)
    require_features(db, "compact")
    numbered = frozenset() if allow_renumbering else frozenset(each.table for each in rowids.find_references(db))
    most, expected = run.before.bytes - run.before.free_bytes, predict_bytes(db, run.before)
    folder = os.path.dirname(place.path)
    durable_files.require_room(folder, most, what=f"compact of {db.path}")
    with durable_files.use_folder(folder) as handle, temporary(place.path, "compact", needed=most) as copy:
        _own(copy, place)
        # with a log nobody is kept waiting by who only reads
        with nullcontext() if place.wal else db.blocking():
            rewrite(db, copy, predicted=expected, numbered=numbered)
        db.allow_moving_the_log()  # it was looked at as a whole, with its log
        size = os.stat(copy.path).st_size
        pages = run.before.pages
        if size >= run.before.bytes and not run.before.free_pages:
            summary = f"{size_text(run.before.bytes)}, nothing to give back"
            return run.unchanged(summary, pages_before=pages, pages_after=pages)
        _prepare(db, copy, place)
        db.check_stop()
        with db.blocking(readers=True):
            warnings += replace_file.take_place(db, place, copy, handle, offline=offline)
        note_replaced(db, before, _identify(place))
    _verify_looks(db, place)
    after = db.measure()
    db.context.progress(expected, expected, "bytes")
    summary = resize_text(run.before.bytes, after.bytes)
    return run.changed(summary, after=after, warnings=warnings, pages_before=pages, pages_after=after.pages)


def _identify(place: Place) -> str:
    hint = "see who puts other files in its place"
    with durable_files.refuse_os_errors(f"{place.path} cannot be looked at", hint):
        return identify(place.path)


def _check_writable(db: SQLiteConnection) -> None:
    """Find out whether SQLite will write to the file, while there is nothing to undo."""
    version = db.pragma("user_version")
    with db.trial():
        # a file that SQLite only reads, for what its header says, lets a transaction begin all the same
        db.execute(f"PRAGMA main.user_version = {version}")


def _own(copy: Temporary, place: Place) -> None:
    """Give the copy the database's owner; at once, so that a user who may not do that knows before the work."""
    try:
        durable_files.copy_owner(copy.handle, place.found)
    except OSError:
        raise OperationError(
            reason=f"{place.path} belongs to another user or group, which this user may not give to a new file",
            hint="run as its owner or as root; nothing was touched",
        ) from None


def _prepare(db: SQLiteConnection, copy: Temporary, place: Place) -> None:
    """Give the copy what VACUUM INTO does not keep: the write-ahead log."""
    if place.wal:
        with db.second("rw", path=copy.path) as new:
            mode = new.execute("PRAGMA main.journal_mode = WAL")[0][0]
        if mode != "wal":
            raise OperationError(reason=f"the copy of {db.path} stays in journal mode {mode!r}", hint="run vacuum")


def _verify_looks(db: SQLiteConnection, place: Place) -> None:
    """Raise if the new file does not look like the old one to the system; its contents were compared before."""
    found = FileFacts(place.found, place.attributes).compare(FileFacts.read(place.path), replaced=True)
    if found:
        raise OperationError(
            reason=f"{db.path} was rewritten, and does not look as it did: {name_some(found)}",
            hint="its contents are the same; set it as it was",
        )
