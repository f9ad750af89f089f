"""`backup`: a copy of the database, page by page, that is believed only when it was read back from the disk.

Owns where it goes, what it is called, and which older ones are removed. The copy is made with SQLite's backup interface
within one read transaction, not with VACUUM INTO: it needs nothing that only the application has, it keeps the numbers
of all rows, and it is as of one moment, without beginning again when somebody writes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from pitstop.errors import InvalidValueError, OperationError
from pitstop.jobs import Result
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.sqlite import durable
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.leftovers import Temporary, sweep, temporary
from pitstop_database_maintenance.sqlite.names import Template
from pitstop_database_maintenance.sqlite.ownership import holders
from pitstop_database_maintenance.sqlite.report import begin, end, figures
from pitstop_database_maintenance.sqlite.rewriting import Contents, contents
from pitstop_database_maintenance.sqlite.soundness import require_sound

#: Bytes a second that are copied and counted while nobody can write, at least: measured 400 MB, in memory and on disk;
#: half of it, so that not too much is promised.
_COPIES: Final = 200e6
#: How many bytes are read at a stretch.
_PIECE: Final = 1 << 22
#: What would be taken for a part of the copy if it lay beside it.
_BESIDE: Final = ("-wal", "-journal")


@frozen(kw_only=True)
class Target:
    """Where a copy goes.

    Args:
        path: the file.
        folder: its folder.
        template: what older ones are called; None if the file was named itself.
    """

    path: str
    folder: str
    template: Template | None = None


def backup(
    db: SQLiteDatabase,
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
        keep: how many copies to keep in the folder, this one among them: older ones whose names fit the template are
            removed when this one is complete. Only with a folder.
        template: the name in a folder, of which `{time}` must be a part: `{name}` is the database's, `{place}` stands
            for its folder, so that copies of equally named databases are told apart.

    Example:
        pitstop maintain app.db --operations backup --set backup.to=app-copy.db

    Raises:
        InvalidValueError: a parameter is not what it can be.
        OperationError: there is no such folder, the file is there already, there is too little room, or writers would
            wait for longer than is allowed; or the copy is not what it should be, and is gone.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was told to stop; there is no copy.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "backup")
    target = _target(db, to, keep=keep, template=template)
    _check_target(db, target, overwrite=overwrite)
    needed = started.before.bytes
    durable.require_room(target.folder, needed, what=f"backup of {db.path}")
    wal = str(db.execute("PRAGMA main.journal_mode")[0][0]) == "wal"
    _check_stall(db, needed, wal=wal)
    sweep(db.path, folder=target.folder)
    with temporary(db.path, "backup", folder=target.folder) as copy:
        original = _copied(db, copy, needed, wal=wal)
        _read_back(db, copy, original, needed)
        _give_name(db, copy, target, overwrite=overwrite)
    removed, warnings = _remove_older(db, target, keep)
    size = os.stat(target.path).st_size
    data = figures(db, started, db.measure(), to=target.path, backup_bytes=size, removed=removed)
    summary = f"{size_text(size)} to {target.path}"
    if removed:
        summary += f", {len(removed)} older {'one' if len(removed) == 1 else 'ones'} removed"
    return end(db, started, Result.changed(summary, warnings=warnings, **data))


def _target(db: SQLiteDatabase, to: str, *, keep: int | None, template: str) -> Target:
    named = Template.of(template)
    if not to:
        raise InvalidValueError(where="backup", name="to", problem="expected a file or a folder, got ''")
    if keep is not None and keep < 1:
        raise InvalidValueError(where="backup", name="keep", problem=f"expected 1 or more, got {keep}")
    path = os.path.abspath(os.path.expanduser(to))
    if os.path.isdir(path):
        name = named.name(os.path.realpath(db.path), datetime.now(UTC))
        return Target(path=os.path.join(path, name), folder=path, template=named)
    folder = os.path.dirname(path)
    if to.endswith(os.sep) or not os.path.isdir(folder):
        missing = path if to.endswith(os.sep) else folder
        raise OperationError(reason=f"the folder {missing} is not there", hint="make it first; none is made unasked")
    if keep is not None:
        raise InvalidValueError(where="backup", name="keep", problem=f"{path} is a file; older ones are in a folder")
    return Target(path=path, folder=folder)


def _check_target(db: SQLiteDatabase, target: Target, *, overwrite: bool) -> None:
    """Refuse what would overwrite something unasked, or something that must not be overwritten."""
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
    if os.path.samestat(found, os.stat(db.path)):
        raise OperationError(reason=f"{target.path} is the database itself", hint="choose another file")
    if not stat.S_ISREG(found.st_mode) or os.path.islink(target.path):
        raise OperationError(reason=f"{target.path} is no regular file", hint="choose another name")
    if not overwrite:
        raise OperationError(reason=f"{target.path} is there already", hint="choose another name, or set overwrite")
    used = holders(found)
    if used.others or used.own:
        who = str(used) or "this process"
        raise OperationError(reason=f"{who} has {target.path} open", hint="choose another name")


def _check_stall(db: SQLiteDatabase, size: int, *, wal: bool) -> None:
    if wal or db.limits.max_stall is None:
        return
    rate = db.history.throughput("backup") if db.history else None
    seconds = size / (rate or _COPIES)
    if seconds > db.limits.max_stall:
        raise OperationError(
            reason=f"without a write-ahead log, writers to {db.path} would wait about {seconds:.1f} s, "
            f"longer than {db.limits.max_stall:g} s",
            hint="allow it at a quiet time, or use WAL mode, in which nobody waits",
        )


def _copied(db: SQLiteDatabase, copy: Temporary, size: int, *, wal: bool) -> Contents:
    """Copy all pages as of one moment, and return what the database held in it."""

    def told(done: int, pages: int) -> None:
        db.check_stop()
        db.context.progress(size * done // max(pages, 1), size, "bytes", "copying")

    with nullcontext() if wal else db.stalls.held(), _one_moment(db):
        found = contents(db)
        db.copy(copy.path, told=told)
    return found


@contextmanager
def _one_moment(db: SQLiteDatabase) -> Iterator[None]:
    # The backup interface begins again when somebody has written, unless it is within a transaction that reads.
    db.execute("BEGIN")
    try:
        db.execute("SELECT count(*) FROM main.sqlite_master")
        yield
    finally:
        db.rollback()


def _read_back(db: SQLiteDatabase, copy: Temporary, original: Contents, size: int) -> None:
    """Look at every page of the copy, as the disk has it."""
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
        found = contents(reader)
    if found != original:
        raise OperationError(
            reason=f"the copy of {db.path} does not hold what the database holds", hint="run it again; it is gone"
        )
    os.fsync(copy.handle)


def _give_name(db: SQLiteDatabase, copy: Temporary, target: Target, *, overwrite: bool) -> None:
    """Have the copy appear under its name, complete, in one step."""
    os.fchmod(copy.handle, stat.S_IMODE(os.stat(db.path).st_mode))
    os.fsync(copy.handle)
    copy.release()
    try:
        if overwrite:
            os.rename(copy.path, target.path)
        else:
            durable.name_new(copy.path, target.path)
    except OSError as error:
        raise OperationError(
            reason=f"the copy cannot be named {target.path}: {error.strerror}", hint="choose another name"
        ) from None
    durable.sync_folder(target.folder)


def _remove_older(db: SQLiteDatabase, target: Target, keep: int | None) -> tuple[list[str], list[str]]:
    """Remove the copies of this database that are too old to be kept; return them, and what could not be removed."""
    if keep is None or target.template is None:
        return [], []
    fits = target.template.pattern(os.path.realpath(db.path))
    found = {name: match["time"] for name in os.listdir(target.folder) if (match := fits.fullmatch(name))}
    found.pop(os.path.basename(target.path), None)  # whatever the clock says, the new one stays
    older = sorted(found, key=found.__getitem__, reverse=True)[keep - 1 :]
    own = os.stat(db.path)
    removed: list[str] = []
    warnings: list[str] = []
    for path in (os.path.join(target.folder, name) for name in older):
        try:
            looked = os.lstat(path)
            if not stat.S_ISREG(looked.st_mode) or os.path.samestat(looked, own):
                continue
            if any(os.path.lexists(path + suffix) for suffix in _BESIDE):
                warnings.append(f"{path} was kept: somebody works with it, or has left a log beside it")
                continue
            os.unlink(path)
            removed.append(path)
        except OSError as error:
            warnings.append(f"{path} could not be removed: {error.strerror}")
    durable.sync_folder(target.folder)
    return removed, warnings
