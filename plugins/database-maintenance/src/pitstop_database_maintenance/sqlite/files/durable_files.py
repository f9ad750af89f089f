"""What makes a change to a folder last, and a file look like the one that it replaces. Knows nothing of SQLite.

None of it may be used on a file to which this process has a SQLite connection: closing a plain handle on that would
drop the connection's locks (sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from pitstop.errors import OperationError
from pitstop.files import ReplacedError, open_folder
from pitstop.text import size_text

#: renameat2(2): the flag that swaps two names.
_RENAME_EXCHANGE: Final = 2
#: Systems and file systems that cannot swap two names say so with one of these.
_CANNOT: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
#: The extended attribute that holds an access control list (acl(5)).
_ACL: Final = "system.posix_acl_access"


@contextmanager
def refuse_os_errors(what: str, hint: str) -> Iterator[None]:
    """Report an error of the system within as what could not be done because of it.

    Raises:
        OperationError: there was one.
    """
    try:
        yield
    except OSError as error:
        raise OperationError(reason=f"{what}: {error.strerror}", hint=hint) from None


@contextmanager
def use_folder(folder: str) -> Iterator[int]:
    """Yield a handle on a folder (`pitstop.files.open_folder`).

    Raises:
        OperationError: it cannot be had.
    """
    with ExitStack() as stack:
        hint = "give the path of the folder itself, and check its rights; nothing was touched"
        with refuse_os_errors(f"the folder {folder} cannot be used", hint):
            handle = stack.enter_context(open_folder(folder))
        yield handle


def sync_folder(folder: int) -> None:
    """Make what was created, renamed and removed in a folder, of which this is a handle, survive a loss of power."""
    os.fsync(folder)


def swap_names(one: str, other: str, *, folders: tuple[int, int]) -> bool:
    """Swap two names in a single step.

    Args:
        one, other: the files; what counts of them is their names within `folders`.
        folders: a handle on the folder of each.

    Returns:
        Whether they were swapped; False if this system, or this file system, cannot do that.

    Raises:
        OSError: it can, and this failed.
    """
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is None:
        return False
    first, second = (os.fsencode(os.path.basename(path)) for path in (one, other))
    if swap(folders[0], first, folders[1], second, _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), one, None, other)


@contextmanager
def pin(name: str, folder: int | None = None) -> Iterator[int | None]:
    """Yield a handle by which a file can be told from every other, and with which nothing can be read or locked.

    Closing it drops nobody's locks, unlike that of a plain one. While it is open no other file has the same number.

    Args:
        name: the file; if a link bears it, it is the link.
        folder: a handle on its folder, if it is no path.

    Returns:
        None where the system has no such handles.

    Raises:
        OSError: it is not there.
    """
    if not hasattr(os, "O_PATH"):
        yield None
        return
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


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


def copy_owner(handle: int, model: os.stat_result) -> None:
    """Give an open file the owner and the group of another.

    Raises:
        OSError: this user may not.
    """
    own = os.fstat(handle)
    if (own.st_uid, own.st_gid) != (model.st_uid, model.st_gid):
        os.fchown(handle, model.st_uid, model.st_gid)


def read_attributes(path: str, found: os.stat_result) -> dict[str, bytes]:
    """Return a file's extended attributes, among them its access control list; none where there is no such thing.

    Args:
        path: it, links resolved.
        found: which file it is.

    Raises:
        OperationError: another file has that name by now, or it cannot be looked at.
    """
    if not hasattr(os, "listxattr"):
        return {}
    try:
        with pin(path) as handle:
            if handle is not None and not os.path.samestat(os.fstat(handle), found):
                raise ReplacedError(path)
            own = path if handle is None else f"/proc/self/fd/{handle}"
            return {name: os.getxattr(own, name) for name in os.listxattr(own)}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise OperationError(
            reason=f"the rights of {path} cannot be looked at: {error.strerror}",
            hint="see who puts other files in its place; nothing was touched",
        ) from None


def copy_rights(handle: int, model: os.stat_result, attributes: Mapping[str, bytes]) -> None:
    """Give an open file the extended attributes and the mode of another, the owner of which it has already.

    Raises:
        OSError: this user may not set one of them; the error names it.
    """
    if _ACL not in attributes:
        _drop_list(handle)
    for name, value in attributes.items():
        try:
            if name not in os.listxattr(handle) or os.getxattr(handle, name) != value:
                os.setxattr(handle, name, value)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} (attribute {name})") from None
    # after the access control list, of which a part of the mode is another view
    os.fchmod(handle, stat.S_IMODE(model.st_mode))


def limit_rights(handle: int, model: os.stat_result, attributes: Mapping[str, bytes]) -> None:
    """Let nobody read or write an open file, except its owner, who may not read or write another one.

    It gets the other's mode; of that, what belongs to a group is not given to another group, and what an access
    control list allows some is not given to all of a group: with another owner or group there is no list that would
    say the same.

    Args:
        handle: the file.
        model: the other one.
        attributes: its extended attributes.

    Raises:
        OSError: it cannot be done.
    """
    own = os.fstat(handle)
    _drop_list(handle)
    mode = stat.S_IMODE(model.st_mode)
    user, group, other = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    if _ACL in attributes:
        if (own.st_uid, own.st_gid) == (model.st_uid, model.st_gid) and _set_list(handle, attributes[_ACL]):
            return
        group = other = 0
    if own.st_uid != model.st_uid:
        group, other = group & user, other & user
    if own.st_gid != model.st_gid:
        # members of the one are others to the other
        group = other = group & other
    os.fchmod(handle, user << 6 | group << 3 | other)


def _drop_list(handle: int) -> None:
    """Remove an access control list that a new file has from its folder: a mode would give rights to all in it."""
    if hasattr(os, "removexattr"):
        try:
            os.removexattr(handle, _ACL)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.ENOTSUP):
                raise


def _set_list(handle: int, value: bytes) -> bool:
    """Set an access control list, and with it the mode; return whether that is possible there."""
    try:
        os.setxattr(handle, _ACL, value)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            return False
        raise
    return True
