"""A history's file that cannot be gone on with: whether it is one at all, whose it is, and out of the way with it."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Final

from pitstop.files import find_intruders

#: Where a SQLite file's header holds the application's number (sqlite.org/fileformat2.html, section 1.3).
_PLACE_OF_APPLICATION: Final = slice(68, 72)
_HEADER: Final = 100
#: So much of a file is looked at for the text of its tables.
_BEGINNING: Final = 65536
#: The log and its index lie beside it, and go with it.
_BESIDE: Final = ("-wal", "-shm", "-journal")


def require_trusted(path: Path) -> None:
    """Check that a file is one, if it is there, and that nobody else can put another one there.

    Raises:
        OSError: it is a folder or a device, or somebody else can; nothing was made.
    """
    who = find_intruders(str(path))
    if who:
        raise PermissionError(errno.EPERM, f"somebody else could put other files in its place: {who}", str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def looks_like(path: Path, application: int, *, usual: bool) -> bool:
    """Return whether what cannot be read was a history, and no file of somebody's that was named by mistake.

    Args:
        path: the file, which this process has closed.
        application: the number in a history's header.
        usual: whether it lies where only a history does.
    """
    if usual:
        return True
    with open(path, "rb") as file:
        beginning = file.read(_BEGINNING)
    if beginning[_PLACE_OF_APPLICATION] == application.to_bytes(4, "big"):
        return True
    # its header is gone, and the text of its tables is not; or the whole first page is
    return b"CREATE TABLE remainder" in beginning or (bool(beginning) and not any(beginning[:_HEADER]))


def identify(path: Path) -> tuple[int, int] | None:
    """Return which file a path names now, be it a link; None if there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def set_aside(path: Path, identity: tuple[int, int] | None) -> Path | None:
    """Rename a history and what lies beside it, so that a new one can be begun.

    Args:
        path: where it is.
        identity: which file it was that could not be gone on with.

    Returns:
        The new name; None if another process has done it in the meantime.

    Raises:
        OSError: it cannot be renamed.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # let go of when it is closed; others who come for the same wait here
        if identity is None or identify(path) != identity:
            return None
        target = _free_name(path)
        # the log first: beside a new file it would be a foreign one
        for ending in _BESIDE:
            if os.path.lexists(f"{path}{ending}"):
                os.rename(f"{path}{ending}", f"{target}{ending}")
        os.rename(path, target)
        return target
    finally:
        os.close(folder)


def _free_name(path: Path) -> Path:
    name = f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    target, number = path.with_name(name), 1
    while any(os.path.lexists(f"{target}{ending}") for ending in ("", *_BESIDE)):
        number += 1
        target = path.with_name(f"{name}-{number}")
    return target
