"""Whether a crash left a journal that has to be rolled back. Owns SQLite's rule for that; rolls nothing back."""

from __future__ import annotations

import os
import sys
import time
from struct import pack, unpack

#: The byte of the database file that a connection locks before it begins a journal (os.h, RESERVED_BYTE).
_RESERVED = 0x40000001
#: Seconds after which a journal that seems hot is looked at again. A writer that commits between the look at its
#: journal and the question for its lock would else be taken for a crash.
_AGAIN = 0.005


def is_hot(path: str, file: int) -> bool:
    """Return whether the next connection would roll back a journal: one is there, has a header, and nobody writes.

    The rule is that of sqlite.org/lockingv3.html, section 4.1; a super-journal is not looked for.

    Args:
        path: the database.
        file: a descriptor of it.
    """
    first = _begun(path)
    if first is None or _is_reserved(file):
        return False
    time.sleep(_AGAIN)
    return _begun(path) == first and not _is_reserved(file)


def _begun(path: str) -> tuple[int, int, int] | None:
    """Return which journal is there, and when it was written to; None if there is none, or one that is over."""
    try:
        journal = os.open(f"{path}-journal", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # a journal that was ended by overwriting its header, or that is empty, is over
        if not os.pread(journal, 1, 0).strip(b"\0"):
            return None
        found = os.fstat(journal)
        return found.st_ino, found.st_size, found.st_mtime_ns
    finally:
        os.close(journal)


def _is_reserved(file: int) -> bool:
    """Return whether somebody is writing, asked without taking a lock. Outside Linux, where it is unknown, False."""
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    # struct flock: type, whence, start, length, process
    asked = pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, _RESERVED, 1, 0)
    try:
        answer = fcntl.fcntl(file, fcntl.F_GETLK, asked)
    except OSError:
        return False
    return bool(unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK)
