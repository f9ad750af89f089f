"""A rewritten copy takes the database's place. Owns the proof that nobody else has it open, and the moment itself.

It must not happen under a connection of somebody else, who would go on with a file that has no name any more, and with
a log or a journal that belongs to another one: measured, "database disk image is malformed" in 20 of 20 runs. So

1. the file is locked, in WAL mode by taking it out of that mode, which fails while anybody who has read has it open;
2. nobody may have changed it since the copy was begun, and nobody else may have it open, by all processes' open files;
3. the two names are swapped in one step; whoever opens the old file until then finds it locked;
4. it is looked once more who has the old file open. If there is somebody, the names are swapped back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from attrs import frozen

from pitstop.errors import OperationError
from pitstop.files import is_named
from pitstop.text import size_text
from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.files import durable_files
from pitstop_database_maintenance.sqlite.files.file_holders import Holders, find_holders
from pitstop_database_maintenance.sqlite.files.temporary_files import Temporary
from pitstop_database_maintenance.sqlite.guards.contents import FileFacts, name_some

#: A log is looked at, not a link of its name, nor a pipe, for whose other end one would wait.
_PLAINLY: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@frozen(kw_only=True)
class Place:
    """The place that a copy will take.

    Args:
        path: the database, links resolved.
        found: the file, as it was before.
        attributes: its extended attributes.
        wal: whether it is in WAL mode.
        version: what `PRAGMA data_version` said before anything was read; it changes when others write.
    """

    path: str
    found: os.stat_result
    attributes: Mapping[str, bytes]
    wal: bool
    version: int


def find_place(db: SQLiteConnection) -> Place:
    """Note how a database is before it is copied.

    Raises:
        OperationError: the file has several names, is mounted by itself, or another one has its name by now.
    """
    path = db.real
    facts = FileFacts.read(path)  # its rights may have been set since it was opened
    found = facts.found
    if not os.path.samestat(found, db.found):
        raise OperationError(
            reason=f"{path} is another file than the one that was opened",
            hint="see who puts other files in its place; nothing was touched",
        )
    if found.st_nlink > 1:
        raise OperationError(
            reason=f"{path} has {found.st_nlink} names (hard links), and the others would keep the old file",
            hint="remove the other names, or run vacuum; nothing was touched",
        )
    if _is_mounted(path):
        raise OperationError(
            reason=f"{path} is mounted by itself, so that it cannot be replaced",
            hint="run it where the file's folder is, or run vacuum; nothing was touched",
        )
    return Place(path=path, found=found, attributes=facts.attributes, wal=db.has_wal, version=db.pragma("data_version"))


def require_alone(place: Place, *, offline: bool, own: int | None) -> list[str]:
    """Refuse a database that somebody else has open, or may have.

    Args:
        place: the database.
        offline: whether it was declared that nobody else uses it, for what cannot be proven.
        own: how many handles this process may have on it; None if that is not to be told, because SQLite keeps those
            of closed connections while any connection of the process holds a lock (os_unix.c, setPendingFd).

    Returns:
        What had to be believed, as a warning.

    Raises:
        OperationError: somebody has it open, or it cannot be proven and was not declared.
    """
    found = find_holders(place.found)
    _require_nobody(place, found, own)
    doubt = found.unseen or ("" if place.wal else "without a write-ahead log, who opens it now need not hold a lock")
    if doubt and not offline:
        raise OperationError(
            reason=f"it is not proven that nobody else uses {place.path}: {doubt}",
            hint="stop what uses it and set offline, or run vacuum; nothing was touched",
        )
    return [f"that nobody else has {place.path} open was believed, not proven: {found.unseen}"] if found.unseen else []


def take_place(db: SQLiteConnection, place: Place, copy: Temporary, folder: int, *, offline: bool) -> list[str]:
    """Put a copy, complete and synced, in the place of a database; afterwards `db` is connected to it.

    If it fails, the database is as it was.

    Args:
        db: the database.
        place: what `find_place` returned, before the copy was begun.
        copy: the copy; in the end its name is that of the old file, or of nothing.
        folder: a handle on the database's folder, which stays open until the copy is gone.
        offline: whether it was declared that nobody else uses the database.

    Returns:
        What the operator should know.

    Raises:
        OperationError: somebody has the database open, or has changed it meanwhile, or puts other files in the place of
            these.
        TransientError: somebody held a lock for too long.
    """
    with _lock_alone(db, place):
        require_alone(place, offline=offline, own=None)
        _require_same_rights(place)
        _remove_leftovers(place, folder)
        modified = _finish(db, copy, place, folder)
        what = f"{copy.path} cannot be put in the place of the database"
        with durable_files.refuse_os_errors(what, "the database is as it was"), copy.hand_over() as new:
            swapped = _swap(place, copy, folder, new)
            if swapped:
                copy.found = place.found  # the old file has that name now
        db.disconnect()
        warnings = _look_back(place, copy, folder, swapped=swapped, modified=modified)
        db.become(new)
    durable_files.sync_folder(folder)
    return warnings


def _require_same_rights(place: Place) -> None:
    """Refuse a file whose rights somebody has set while it was copied: the copy would take them back."""
    changed = FileFacts(place.found, place.attributes).compare(FileFacts.read(place.path))
    if changed:
        raise OperationError(
            reason=f"{place.path} was changed while it was copied: {name_some(changed)}",
            hint="run it again; nothing was touched",
        )


def _swap(place: Place, copy: Temporary, folder: int, new: os.stat_result) -> bool:
    """Give the copy the database's name; return whether the old file has the copy's now.

    Both names are compared with the files that had them. In a folder where somebody else may move files, one of them
    may be another's by now: then the names are swapped back.
    """
    name = os.path.basename(place.path)
    if not is_named(place.found, folder, name):
        raise _replacement_error(place, "nothing was touched")
    with durable_files.refuse_os_errors(f"{place.path} cannot be replaced", "it is as it was"):
        swapped = durable_files.swap_names(copy.path, place.path, folders=(folder, folder))
        if not swapped:
            os.rename(copy.name, name, src_dir_fd=folder, dst_dir_fd=folder)
    if is_named(new, folder, name) and (not swapped or is_named(place.found, folder, copy.name)):
        return swapped
    back = ""
    if swapped:
        try:
            durable_files.swap_names(copy.path, place.path, folders=(folder, folder))
        except OSError as error:
            back = f", and cannot be swapped back: {error.strerror}"
    there = "the database" if is_named(place.found, folder, name) else "another file"
    raise _replacement_error(place, f"{there} has its name now{back}")


def _replacement_error(place: Place, what: str) -> OperationError:
    return OperationError(
        reason=f"somebody put another file in the place of {place.path} or of its copy while they were swapped; {what}",
        hint="see who may write to the folder, and what is in it",
    )


@contextmanager
def _lock_alone(db: SQLiteConnection, place: Place) -> Iterator[None]:
    """Lock the database for this connection alone; after the block `db` is connected anew, unlocked."""
    replaced = False
    try:
        db.release_log()
        with _lock_unchanged(db, place):
            db.execute("PRAGMA main.locking_mode = EXCLUSIVE")
            _lock(db, place)
        yield
        replaced = True
    finally:
        db.disconnect()
        db.reconnect()
        if place.wal and not replaced:
            db.execute("PRAGMA main.journal_mode = WAL")


def _lock(db: SQLiteConnection, place: Place) -> None:
    try:
        # not DELETE: what is deleted when this connection is closed bears the name that the new file's journal has
        mode = db.execute("PRAGMA main.journal_mode = TRUNCATE")[0][0]
        db.execute("BEGIN EXCLUSIVE")
        db.execute("COMMIT")
    except LockedError as busy:
        found = find_holders(place.found)
        who = f": {found}" if found.others else ""
        raise OperationError(
            reason=f"somebody else has {place.path} open{who}",
            hint="stop what uses it, or run vacuum; the database is as it was",
        ) from busy
    if mode != "truncate":
        raise OperationError(reason=f"{place.path} stays in journal mode {mode!r}", hint="see who has it open")


@contextmanager
def _lock_unchanged(db: SQLiteConnection, place: Place) -> Iterator[None]:
    """Lock within; refuse if anybody has written since the place was noted.

    `data_version` tells it (sqlite.org/pragma.html). In WAL mode it must be asked before the lock is there, for leaving
    the mode changes it; between the two, the log's own time tells.
    """
    try:
        log = os.open(f"{place.path}-wal", _PLAINLY) if place.wal else None
    except FileNotFoundError:
        raise _change_refusal(place) from None
    try:
        before = _log_state(log)
        if place.wal and db.pragma("data_version") != place.version:
            raise _change_refusal(place)
        yield
        if _log_state(log) != before or (not place.wal and db.pragma("data_version") != place.version):
            raise _change_refusal(place)
    finally:
        if log is not None:
            os.close(log)


def _log_state(log: int | None) -> tuple[int, int]:
    # SQLite locks the database and its -shm, never the log, so that a plain handle on that does no harm
    if log is None:
        return 0, 0
    found = os.fstat(log)
    return found.st_size, found.st_mtime_ns


def _change_refusal(place: Place) -> OperationError:
    return OperationError(
        reason=f"somebody wrote to {place.path} while it was rewritten",
        hint="stop what uses it, or run vacuum; the database is as they left it",
    )


def _require_nobody(place: Place, found: Holders, own: int | None) -> None:
    if found.others:
        raise OperationError(
            reason=f"{found} {'has' if len(found.others) == 1 else 'have'} {place.path} open",
            hint="stop what uses it, or run vacuum; nothing was touched",
        )
    if own is not None and found.own > own:
        raise OperationError(
            reason=f"this process ({os.getpid()}) has {place.path} open elsewhere too",
            hint="close its other connections, or run vacuum; nothing was touched",
        )


def _remove_leftovers(place: Place, folder: int) -> None:
    """Remove the journal, of which nothing is left to roll back while the lock is held; refuse a log.

    Both belong to the old file, and would be taken for the new one's; also if the power fails, and only a part of what
    was done is there afterwards. An empty log that nobody has open carries nothing: a crash, or a copy, has left it.
    """
    removed = place.wal  # by SQLite, when the mode was left
    name = os.path.basename(place.path)
    with suppress(FileNotFoundError):
        os.unlink(f"{name}-journal", dir_fd=folder)
        removed = True
    with suppress(FileNotFoundError):
        _require_leftover(place, os.stat(f"{name}-wal", dir_fd=folder, follow_symlinks=False))
        os.unlink(f"{name}-wal", dir_fd=folder)
        removed = True
    if removed:
        durable_files.sync_folder(folder)


def _require_leftover(place: Place, log: os.stat_result) -> None:
    """Refuse a log that may carry something, or that somebody has open; there is none of this file's by now."""
    users = find_holders(log)
    if users.others or users.own:
        who = str(users) or f"this process ({os.getpid()})"
        has = "has" if len(users.others) <= 1 else "have"
        raise OperationError(
            reason=f"{who} {has} {place.path}-wal open, which does not belong to a file that has no log",
            hint="stop what uses it, or run vacuum; the database is as it was",
        )
    if log.st_size or not stat.S_ISREG(log.st_mode):
        raise OperationError(
            reason=f"{place.path}-wal ({size_text(log.st_size)}) is there, nobody has it open, and it does not belong "
            "to a file that has no log",
            hint="it may be another file's: copy it, then move it away; the database is as it was",
        )


def _finish(db: SQLiteConnection, copy: Temporary, place: Place, folder: int) -> int:
    """Make the copy look like the original, and all of it last; return when it was written to, in nanoseconds."""
    what = f"the copy of {place.path} cannot be made to look like it"
    with durable_files.refuse_os_errors(what, "run as its owner or as root; nothing was touched"):
        copy.move(folder, os.path.dirname(place.path), check=db.check_stop)
        durable_files.copy_owner(copy.handle, place.found)
        durable_files.copy_rights(copy.handle, place.found, place.attributes)
    os.fsync(copy.handle)
    return os.fstat(copy.handle).st_mtime_ns


def _look_back(place: Place, copy: Temporary, folder: int, *, swapped: bool, modified: int) -> list[str]:
    """Look who has the old file open, now that it has lost its name; if somebody has, give it back.

    That is out of the question once the new file was written to, or is open itself.
    """
    late = find_holders(place.found)
    if not (late.others or late.own):
        return []
    new = os.stat(os.path.basename(place.path), dir_fd=folder, follow_symlinks=False)
    users = find_holders(new)
    if swapped and not (users.others or users.own or new.st_mtime_ns > modified):
        durable_files.swap_names(copy.path, place.path, folders=(folder, folder))
        copy.found = new
        if not is_named(place.found, folder, os.path.basename(place.path)):
            raise _replacement_error(place, "another file has its name now")
        _require_nobody(place, late, 0)
    copy.kept = swapped
    kept = f"; the old file is {copy.path}" if swapped else ""
    who = str(late) or f"process {os.getpid()} (this one)"
    return [f"{who} opened {place.path} in the moment in which it was replaced, and must be restarted{kept}"]


def _is_mounted(path: str) -> bool:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            places = (line.split(" ")[4] for line in file)
            # proc(5): blanks and backslashes are written in octal
            return any(path == place.encode("latin-1", "replace").decode("unicode_escape") for place in places)
    except (OSError, IndexError, UnicodeError):
        return False
