"""Whether somebody holds a lock on a file, asked without taking one. Owns the question; Linux only, else unknown.

A lock is asked for by the system's own test (F_GETLK), which sees those of all processes, also of other users and of
other containers; of these it does not tell the number. A process does not see its own locks, and the child of a survey
has none.
"""

from __future__ import annotations

import os
import sys
from struct import pack, unpack

#: struct flock of 64-bit Linux: type, whence, start, length, process.
_FLOCK = "hhqqi4x"


def can_ask() -> bool:
    """Return whether this system can be asked."""
    return sys.platform.startswith("linux")


def holder(file: int, first: int, length: int = 1, *, exclusive: bool = False) -> int | None:
    """Return the process that holds a lock on one of these bytes, 0 if it cannot be told; None if nobody does.

    Args:
        file: a descriptor.
        first, length: the bytes.
        exclusive: whether only a lock counts that keeps all others out.
    """
    if not can_ask():
        return None
    import fcntl

    kind = fcntl.F_RDLCK if exclusive else fcntl.F_WRLCK
    try:
        answer = fcntl.fcntl(file, fcntl.F_GETLK, pack(_FLOCK, kind, os.SEEK_SET, first, length, 0))
    except OSError:
        return None
    kind, _, _, _, pid = unpack(_FLOCK, answer)
    return None if kind == fcntl.F_UNLCK else max(int(pid), 0)
