"""Which files this process knows to be sound, so that the operations of one plan look at each file once, not thrice.

What is known of a file ends with the next change to it or to its write-ahead log, by whomever. It is told from the
file's identity, sizes and times: looking into the file would need a handle, and closing one drops SQLite's locks.
"""

from __future__ import annotations

import os

from pitstop_database_maintenance.sqlite.connection.opening import resolve_link

State = tuple[tuple[int, ...], ...]

_known: dict[str, State] = {}


def remember(path: str) -> None:
    """Note that a file is sound as it is now. It must have been closed: closing may write to it."""
    _known[path] = _state(path)


def forget(path: str) -> None:
    """Note that a file was found not to be sound."""
    _known.pop(path, None)


def is_known(path: str) -> bool:
    """Return whether a file is as it was when it was remembered."""
    return path in _known and _known[path] == _state(path)


def _state(path: str) -> State:
    path = resolve_link(path)
    return tuple(_figures(f"{path}{suffix}") for suffix in ("", "-wal", "-journal"))


def _figures(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()  # not there, which is a state as well
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
