"""`backup`: a copy of the database, page by page, that is believed only when it was read back from the disk.

Owns where it goes, what it is called, and which older ones are removed. The copy is made with SQLite's backup interface
within one read transaction, not with VACUUM INTO: it needs nothing that only the application has, it keeps the numbers
of all rows, and it is as of one moment, without beginning again when somebody writes.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from pitstop.errors import InvalidValueError, OperationError
from pitstop.files import give_name
from pitstop.files.disk_space import suggest_room
from pitstop.jobs import Result
from pitstop.text import size_text
from pitstop_database_maintenance.databases.target_names import require_free_name
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.files import durable_files
from pitstop_database_maintenance.sqlite.files.file_holders import find_holders
from pitstop_database_maintenance.sqlite.files.temporary_files import Temporary, sweep, temporary
from pitstop_database_maintenance.sqlite.guards.contents import Contents, read_contents
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations._leftovers import note_folder
from pitstop_database_maintenance.sqlite.operations._measured import begin
from pitstop_database_maintenance.sqlite.operations.backup_names import Template
from pitstop_database_maintenance.sqlite.operations.backup_retention import find_older, note_copy

#: Bytes a second that are copied and counted while nobody can write, at least: measured 400 MB, in memory and on disk;
#: half of it, so that not too much is promised.
_COPIES: Final = 200e6
#: How many bytes are read at a stretch.
_PIECE: Final = 1 << 22
#: How many characters of an answer are in a message.
_ANSWER: Final = 200
#: What would be taken for a part of the copy if it lay beside it.
_BESIDE: Final = ("-wal", "-journal")


@frozen(kw_only=True)
class Target:
    """Where a copy goes.

    Args:
        path: the file.
        folder: its folder.
        template: what older ones are called; None if the file was named itself.
        replaces: whether there is such a file, which it is to replace.
    """

    path: str
    folder: str
    template: Template | None = None
    replaces: bool = False


def backup(
    db: SQLiteConnection,
    *,
    to: str,
    overwrite: bool = False,
    keep: int | None = None,
    template: str = Template.DEFAULT,
) -> Result:
    """Copy the database to a file, sync it, read it back, and only then give it its name.

    With a write-ahead log nobody is kept waiting; without one, nobody can write meanwhile.

    Args:
        db: the database; a damaged one is refused, but only after the copy showed it.
        to: a file, or a folder that is there; `${NAME}` is not filled in.
        overwrite: replace the file if there is one; never the database itself.
        keep: how many copies to keep in the folder, this one among them: older ones that were made of this very
            database with this template, and are as they were made, are removed when integrity_check finds nothing wrong
            with this one. Only with a folder.
        template: the name in a folder, of which `{time}` must be a part: `{name}` is the database's, `{place}` stands
            for its folder, so that copies of equally named databases are told apart.

    Example:
        pitstop maintain app.db --operations backup --set backup.to=app-copy.db

    Raises:
        InvalidValueError: a parameter is not what it can be.
        OperationError: there is no such folder, the file is there already, there is too little room, or writers would
            wait for longer than is allowed; or the copy is not what it should be, and is gone.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop; there is no copy.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "backup")
    target = _find_target(db, to, keep=keep, template=template)
    _check_target(db, target, overwrite=overwrite)
    needed = run.before.bytes
    durable_files.require_room(target.folder, needed, what=f"backup of {db.path}")
    if not db.has_wal:
        rate = db.history.throughput("backup") if db.history else None
        hint = "allow it at a quiet time, or use WAL mode, in which nobody waits"
        run.require_short_stall(needed / (rate or _COPIES), "without a write-ahead log, a copy", hint=hint)
    attributes = durable_files.read_attributes(db.real, db.found)
    with ExitStack() as stack:
        folder = stack.enter_context(durable_files.use_folder(target.folder))
        sweep(db.real, folder=target.folder)
        note_folder(db, target.folder)
        copy = stack.enter_context(temporary(db.real, "backup", folder=target.folder, needed=needed))
        original = _copy_pages(db, copy, needed)
        problem = _read_back(db, copy, original, needed, thoroughly=target.replaces or keep is not None)
        if problem and target.replaces:
            raise OperationError(
                reason=f"{target.path} stays as it is: of the copy of {db.path} that was to replace it, {problem}",
                hint="choose another name for the copy, which is as good as the database is",
            )
        _give_name(db, copy, target, folder, attributes, overwrite=overwrite)
        size = copy.found.st_size
        named = target.template.text if target.template else ""
        unnoted = note_copy(db, folder, target.path, named, made=copy.found, keep=keep)
        removed, warnings = _remove_older(db, target, folder, keep, problem=problem, unnoted=unnoted)
    summary = f"{size_text(size)} to {target.path}"
    if removed:
        summary += f", {len(removed)} older {'one' if len(removed) == 1 else 'ones'} removed"
    return run.changed(summary, warnings=warnings, to=target.path, backup_bytes=size, removed=removed)


def _find_target(db: SQLiteConnection, to: str, *, keep: int | None, template: str) -> Target:
    named = Template.parse(template)
    if not to:
        raise InvalidValueError(where="backup", name="to", problem="expected a file or a folder, got ''")
    if keep is not None and keep < 1:
        raise InvalidValueError(where="backup", name="keep", problem=f"expected 1 or more, got {keep}")
    path = os.path.abspath(os.path.expanduser(to))
    if os.path.isdir(path):
        name = named.name(db.real, datetime.now(UTC))
        return Target(path=os.path.join(path, name), folder=path, template=named)
    folder = os.path.dirname(path)
    if to.endswith(os.sep) or not os.path.isdir(folder):
        missing = path if to.endswith(os.sep) else folder
        raise OperationError(reason=f"the folder {missing} is not there", hint="make it first; none is made unasked")
    if keep is not None:
        raise InvalidValueError(where="backup", name="keep", problem=f"{path} is a file; older ones are in a folder")
    return Target(path=path, folder=folder, replaces=os.path.lexists(path))


def _check_target(db: SQLiteConnection, target: Target, *, overwrite: bool) -> None:
    """Refuse what would overwrite something unasked, or something that must not be overwritten."""
    require_free_name(target.path, kind=type(db), where="backup", name="to")
    for suffix in _BESIDE:
        if os.path.lexists(target.path + suffix):
            raise OperationError(
                reason=f"{target.path}{suffix} lies where the copy is to go, and would be taken for a part of it",
                hint="choose another name, or see whose it is",
            )
    try:
        found = os.stat(target.path)
    except FileNotFoundError:
        if os.path.islink(target.path):
            raise OperationError(reason=f"{target.path} is a link to nothing", hint="remove it first") from None
        return
    if os.path.samestat(found, db.found):
        raise OperationError(reason=f"{target.path} is the database itself", hint="choose another file")
    if not stat.S_ISREG(found.st_mode) or os.path.islink(target.path):
        raise OperationError(reason=f"{target.path} is no regular file", hint="choose another name")
    if not overwrite:
        raise OperationError(reason=f"{target.path} is there already", hint="choose another name, or set overwrite")
    used = find_holders(found)
    if used.others or used.own:
        who = str(used) or "this process"
        raise OperationError(reason=f"{who} has {target.path} open", hint="choose another name")


def _copy_pages(db: SQLiteConnection, copy: Temporary, size: int) -> Contents:
    """Copy all pages as of one moment, and return what the database held in it."""

    def report(done: int, pages: int) -> None:
        db.check_stop()
        db.context.progress(size * done // max(pages, 1), size, "bytes", "copying")

    # the backup interface begins again when somebody has written, unless it is within a transaction that reads
    with nullcontext() if db.has_wal else db.stalls.measure(), db.read_transaction():
        found = read_contents(db)
        db.copy(copy.path, progress=report)
    return found


def _read_back(db: SQLiteConnection, copy: Temporary, original: Contents, size: int, *, thoroughly: bool) -> str:
    """Look at every page of the copy, as the disk has it.

    Args:
        db: the database.
        copy: its copy.
        original: what it must hold.
        size: in bytes, for the progress.
        thoroughly: whether every record and every index is looked at too, because older copies are to go.

    Returns:
        What that look found, or why it could not be taken; "" if there is nothing wrong.
    """
    os.fsync(copy.handle)
    if hasattr(os, "posix_fadvise"):
        # so that it is read from the disk, and not from the memory from which it was written
        os.posix_fadvise(copy.handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(copy.handle, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    db.context.progress(size, size, "bytes", "reading it back")
    # in order, which is many times as fast as in the order of the tables' pages
    at = 0
    while piece := os.pread(copy.handle, _PIECE, at):
        at += len(piece)
        db.check_stop()
    with db.second("rw", path=copy.path) as reader:
        require_sound(reader)
        found = read_contents(reader)
        problem = _examine(reader) if thoroughly else ""
    if found != original:
        raise OperationError(
            reason=f"the copy of {db.path} does not hold what the database holds", hint="run it again; it is gone"
        )
    os.fsync(copy.handle)
    return problem


def _examine(copy: SQLiteConnection) -> str:
    """Return what integrity_check says of a copy, in words; "" if it says that all is well."""
    try:
        answers = copy.execute("PRAGMA main.integrity_check(1)")
    except SQLiteFailure as failure:
        return f"integrity_check could not be run: {failure.briefly}"
    return "" if answers == [("ok",)] else f"integrity_check says {str(answers[0][0])[:_ANSWER]!r}"


def _give_name(
    db: SQLiteConnection,
    copy: Temporary,
    target: Target,
    folder: int,
    attributes: Mapping[str, bytes],
    *,
    overwrite: bool,
) -> None:
    """Have the copy appear under its name, complete, in one step."""
    name = os.path.basename(target.path)
    try:
        copy.move(folder, target.folder, check=db.check_stop)
        durable_files.limit_rights(copy.handle, db.found, attributes)
        os.fsync(copy.handle)
        with copy.hand_over() as found:
            copy.found = found
            give_name(found, copy.name, name, folder=folder, replace=overwrite)
    except OSError as error:
        raise OperationError(
            reason=f"the copy cannot be named {target.path}: {error.strerror}",
            hint=suggest_room(error, "choose another name"),
        ) from None
    durable_files.sync_folder(folder)


def _remove_older(
    db: SQLiteConnection, target: Target, folder: int, keep: int | None, *, problem: str, unnoted: str
) -> tuple[list[str], list[str]]:
    """Remove the copies of this database that are too old to be kept; return them, and why others were not removed.

    Args:
        db: the database.
        target: where the new one is.
        folder: a handle on its folder.
        keep: how many are kept; None for all.
        problem: what is wrong with the new one, because of which all are kept.
        unnoted: why it is not known which were made of this database.
    """
    if keep is None or target.template is None:
        return [], []
    fits = target.template.pattern(db.real)
    names = [name for name in os.listdir(folder) if fits.fullmatch(name)]
    if problem or unnoted:
        why = f"of the new one, {problem}" if problem else f"it is not known which are of this database: {unnoted}"
        return [], [f"no older copy was removed: {why}"] if len(names) > 1 else []
    try:
        older, warnings = find_older(db, folder, target.path, target.template.text, keep=keep, names=names)
    except (sqlite3.Error, OSError) as error:
        return [], [f"no older copy was removed: it is not known which are of this database: {error}"]
    removed: list[str] = []
    for name in older:
        path = os.path.join(target.folder, name)
        try:
            os.unlink(name, dir_fd=folder)
            removed.append(path)
        except OSError as error:
            warnings.append(f"{path} could not be removed: {error.strerror}")
    durable_files.sync_folder(folder)
    return removed, warnings
