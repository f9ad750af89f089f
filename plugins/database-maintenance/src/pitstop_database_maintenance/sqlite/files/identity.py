"""Which file a path leads to, and whether it is the one that SQLite has opened, or was there before.

SQLite opens a file by its name. Whoever may write to the folder can have another file bear that name in the moment
between a look and the opening, and give it back afterwards.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import stat
import struct
from collections.abc import Callable
from functools import cache
from typing import Final

from attrs import frozen

from pitstop.errors import InvalidJobError, OperationError
from pitstop.files import StrangersLinkError, find_strangers, open_descriptors, walk

#: How often a file is opened before it is given up: another thread may open and close files at the same moment.
_TRIES: Final = 3
#: statx(2), linux/stat.h: relative to the current folder, not through a link; the time of making, and where that is.
_AT_FDCWD: Final = -100
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_BTIME: Final = 0x800
_STATX_BYTES: Final = 256
_BTIME_AT: Final = 80


@frozen
class Found:
    """A file that a path led to.

    Args:
        path: it, with no link on the way.
        stat: which file it was.
    """

    path: str
    stat: os.stat_result


def find_file(path: str) -> Found:
    """Return which file a path leads to, as `pitstop.files.walk` goes there.

    Args:
        path: absolute.

    Raises:
        InvalidJobError: a link on the way is somebody else's.
        OSError: there is no file.
    """
    try:
        with walk(path) as (handle, real):
            return Found(real, os.stat(real) if handle is None else os.fstat(handle))
    except StrangersLinkError as error:
        raise InvalidJobError(
            reason=f"{path} leads over {error.strerror}", hint="give the path of the file itself"
        ) from None


def open_same(connect: Callable[[], sqlite3.Connection], path: str, found: os.stat_result) -> sqlite3.Connection:
    """Open a file, and see that it is the one that was found, in a folder in which others may move files.

    SQLite reads nothing before the first statement, so that nothing has happened to another file.

    Args:
        connect: opens it.
        path: its path.
        found: which file it is.

    Raises:
        OperationError: it is another one.
        OSError: its folder is not there.
        sqlite3.Error: it cannot be opened.
    """
    # of a link to it the folder is not the one that counts; the links on the way there `find_strangers` looks at itself
    owned = found.st_uid in (0, os.geteuid()) and not os.path.islink(path)
    if (owned and not find_strangers(os.path.dirname(path))) or _open_files() is None:
        return connect()
    for _ in range(_TRIES):
        before = _open_files() or {}
        connection = connect()
        after = _open_files() or {}
        new = {files for number, files in after.items() if before.get(number) != files}
        # SQLite takes a handle of its own again that it had to keep; then there is no new one
        if (found.st_dev, found.st_ino) in (new or set(after.values())):
            return connection
        connection.close()
    raise OperationError(
        reason=f"{path} became another file while it was opened",
        hint="see who puts other files in its place; nothing was touched",
    )


def _open_files() -> dict[int, tuple[int, int]] | None:
    """Return the regular files that this process has open, by their handles; None where that is not to be known."""
    found = open_descriptors()
    if found is None:
        return None
    return {number: (file.st_dev, file.st_ino) for number, file in found.items() if stat.S_ISREG(file.st_mode)}


def identify(name: str, folder: int | None = None) -> str:
    """Return a text that tells a file from every other one of its file system, also from one that it had before.

    It is the file's number and, because a number is given to the next file when its own is gone, when it was made.
    Where the file system does not tell that, it is the number alone.

    Args:
        name: the file; a link is not followed.
        folder: a handle on its folder, if it is no path.

    Raises:
        OSError: it is not there.
    """
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return f"{found.st_ino}:{_birth(name, folder)}"


@cache
def _statx() -> Callable[..., int] | None:
    """Return the system's call, looked for once: that takes longer than the call."""
    call: Callable[..., int] | None = getattr(ctypes.CDLL(None), "statx", None)
    return call


def _birth(name: str, folder: int | None) -> str:
    """Return when a file was made, as statx(2) tells it, which Python has no call for; "" if it is not to be known."""
    ask = _statx()
    if ask is None:
        return ""
    answer = ctypes.create_string_buffer(_STATX_BYTES)
    if ask(_AT_FDCWD if folder is None else folder, os.fsencode(name), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, answer):
        return ""
    (mask,) = struct.unpack_from("I", answer, 0)
    seconds, nanoseconds = struct.unpack_from("qI", answer, _BTIME_AT)
    return f"{seconds}.{nanoseconds:09}" if mask & _STATX_BTIME else ""
