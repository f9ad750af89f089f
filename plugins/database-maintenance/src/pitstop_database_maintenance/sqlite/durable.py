"""What makes a change to a folder last, and a file look like the one that it replaces. Knows nothing of SQLite.

None of it may be used on a file to which this process has a SQLite connection: closing a plain handle on that would
drop the connection's locks (sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pitstop.errors import OperationError
from pitstop_database_maintenance.sizes import size_text

#: renameat2(2): the flag that swaps two names, and what stands for "relative to the current folder".
_RENAME_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100
#: Systems and file systems that cannot swap two names say so with one of these.
_CANNOT: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def open_folder(folder: str) -> Iterator[int]:
    """Yield a handle on a folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def sync_folder(folder: str) -> None:
    """Make what was created, renamed and removed in a folder survive a loss of power."""
    with open_folder(folder) as handle:
        os.fsync(handle)


def exchange(one: str, other: str) -> bool:
    """Swap two names of one folder in a single step.

    Returns:
        Whether they were swapped; False if this system, or this file system, cannot do that.

    Raises:
        OSError: it can, and this failed.
    """
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is None:
        return False
    if swap(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), one, None, other)


def name_new(one: str, other: str) -> None:
    """Give a file another name that no file has, in a single step where the file system can do that.

    Raises:
        FileExistsError: there is a file of that name.
        OSError: it cannot be done.
    """
    try:
        os.link(one, other, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP):
            raise
        # no second names there, as on FAT
        if os.path.lexists(other):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), other) from None
        os.rename(one, other)
    else:
        os.unlink(one)


def require_room(folder: str, needed: int, *, what: str) -> None:
    """Refuse to begin what would end on a full disk.

    Args:
        folder: where it will be written.
        needed: how many bytes.
        what: what needs them, such as "compact of /srv/app.db".

    Raises:
        OperationError: there is too little room.
    """
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise OperationError(
            reason=f"{what} needs {size_text(needed)} in {folder}, where {size_text(free)} are free",
            hint="make room; nothing was touched",
        )


def own_alike(handle: int, model: os.stat_result) -> None:
    """Give an open file the owner and the group of another.

    Raises:
        OSError: this user may not.
    """
    own = os.fstat(handle)
    if (own.st_uid, own.st_gid) != (model.st_uid, model.st_gid):
        os.fchown(handle, model.st_uid, model.st_gid)


def attributes_of(path: str) -> dict[str, bytes]:
    """Return a file's extended attributes, among them its access control list; none where there is no such thing."""
    if not hasattr(os, "listxattr"):
        return {}
    try:
        return {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise


def look_alike(handle: int, model: os.stat_result, attributes: dict[str, bytes]) -> None:
    """Give an open file the extended attributes and the mode of another, the owner of which it has already.

    Raises:
        OSError: this user may not set one of them; the error names it.
    """
    for name, value in attributes.items():
        try:
            if name not in os.listxattr(handle) or os.getxattr(handle, name) != value:
                os.setxattr(handle, name, value)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} (attribute {name})") from None
    # after the access control list, of which a part of the mode is another view
    os.fchmod(handle, stat.S_IMODE(model.st_mode))
