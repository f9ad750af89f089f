"""Where a file is, and what lies beside it. Owns opening it, whether it may be written, and what was left there.

A pipe in the place of a log, its index or a journal would keep whoever opens it waiting for ever, and SQLite follows no
link to one. Whoever may write to the folder can put either there.
"""

from __future__ import annotations

import os
import stat

from pitstop_database_maintenance.sqlite.surveyor.format.journal import explain_emptiness
from pitstop_database_maintenance.sqlite.surveyor.processes.proc import is_alive
from pitstop_database_maintenance.sqlite.surveyor.temporary_folder import OWN_NAME, select_own_names

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISDIR, "a folder"),
)


class RefusedError(Exception):
    """Nothing can be done with the file; the text says why."""


def real_path(path: str) -> str:
    """Return a path, absolute and with links resolved; the folder's are, too."""
    folder, name = os.path.split(os.path.abspath(path))
    if not name:
        return folder
    if folder != _folder[0]:
        _folder[:] = [folder, os.path.realpath(folder)]
    joined = os.path.join(_folder[1], name)
    return os.path.realpath(joined) if os.path.islink(joined) else joined


#: The folder of the last file and where it really is, and what lies in it: the next file is mostly in the same one.
_folder = ["", ""]
_listing: tuple[str, int, list[str]] = ("", 0, [])


def open_file(path: str, given: str) -> int:
    """Open a database file for reading, and return the descriptor.

    Args:
        path: it, links resolved.
        given: as it was asked for.

    Raises:
        RefusedError: it is none that can be looked at.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        what = f"it is a link to {path}, which is not there" if os.path.islink(given) else "it was not found"
        raise RefusedError(what) from None
    except OSError as error:
        raise RefusedError(f"it cannot be looked at: {error.strerror}") from None
    if stat.S_ISDIR(found.st_mode):
        raise RefusedError("it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError("it is no regular file")
    if found.st_size == 0:
        raise RefusedError(f"it {explain_emptiness(path)}")
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except PermissionError:
        raise RefusedError("it may not be read by this user") from None
    except OSError as error:
        raise RefusedError(f"it cannot be read: {error.strerror}") from None


def find_intruder(path: str) -> str:
    """Return what lies beside a database in the place of a log, index or journal and is no file; "" if nothing does.

    Opens nothing.

    Args:
        path: the database, links resolved.
    """
    for suffix in ("-wal", "-shm", "-journal"):
        try:
            mode = os.lstat(path + suffix).st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):
            kind = next((name for is_one, name in _KINDS if is_one(mode)), "a device or socket")
            return f"{path}{suffix} is {kind}, where SQLite would look for a file of its own; move it away"
    return ""


def explain_read_only(path: str, folder: str) -> str:
    """Return what keeps this user from writing to a file, or nothing."""
    effective = os.access in os.supports_effective_ids
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return "its file system is mounted read-only"
    if not os.access(path, os.W_OK, effective_ids=effective):
        return "this user may not write to it"
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        return "this user may not write to its folder, where SQLite's journal is made"
    return ""


def list_leftovers(folder: str, name: str) -> list[str]:
    """Return the files beside a database that an interrupted run of Pitstop left."""
    global _listing
    try:
        changed = os.stat(folder).st_mtime_ns
        if _listing[:2] != (folder, changed):
            _listing = (folder, changed, [found for found in os.listdir(folder) if ".pitstop-" in found])
    except OSError:
        return []
    own = select_own_names(name, _listing[2])
    return [os.path.join(folder, found) for found in own if not _has_living_maker(found)]


def _has_living_maker(name: str) -> bool:
    parts = OWN_NAME.fullmatch(name)
    return parts is not None and is_alive(int(parts["pid"]))
