"""How much room there is in a folder. Owns what counts as full; writes nothing."""

from __future__ import annotations

import errno
import os

#: A file system with less room than this, in bytes, is full: SQLite's shared memory alone takes 32 kB, a page up to 64.
_FULL_BELOW = 65_536
#: How the system says that there is no room.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def is_full(folder: str) -> bool:
    """Return whether nothing more can be written to a folder's file system; False if the system does not tell."""
    found = _statistics(folder)
    if found is None:
        return False
    # root may use what is kept back for it
    blocks = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    return blocks * found.f_frsize < _FULL_BELOW or _has_no_inode(found)


def takes_no_more_files(folder: str) -> bool:
    """Return whether no file can be made on a folder's file system, however many bytes are free: it has no inode left.

    File systems that make inodes as they need them have no such limit, and tell of none.
    """
    found = _statistics(folder)
    return found is not None and _has_no_inode(found)


def suggest_room(error: OSError, hint: str) -> str:
    """Return what to do when the system refuses to make or to name a file.

    Args:
        error: the system's.
        hint: what to do if it does not say that there is no room.
    """
    return "make room, or see whose quota is used up" if error.errno in NO_ROOM else hint


def require_room(error: OSError, path: str) -> None:
    """Raise an error of the system's again, with the file's name, if it says that there is no room.

    Whoever asked for the file asked for nothing wrong: in the same words it can be written another time.

    Args:
        error: what kept the file from being written.
        path: the file.

    Raises:
        OSError: there is no room for it.
    """
    if error.errno in NO_ROOM:
        raise OSError(error.errno, os.strerror(error.errno), path) from None


def _has_no_inode(found: os.statvfs_result) -> bool:
    return found.f_files > 0 and found.f_ffree == 0


def _statistics(folder: str) -> os.statvfs_result | None:
    try:
        return os.statvfs(folder)
    except OSError:
        return None
