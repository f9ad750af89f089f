"""Which files this process knows to be sound, so that the operations of one plan look at each file once, not thrice.

What is known of a file ends with the next change to it or to its write-ahead log, by whomever. It is told from the
file's identity, sizes and times: looking into the file would need a handle, and closing one drops SQLite's locks.
"""

from __future__ import annotations

from typing import Final

from pitstop_database_maintenance.sqlite.files.paths import resolve_link
from pitstop_database_maintenance.sqlite.surveyor.processes.proc import stat_if_there

State = tuple[tuple[int, ...], ...]

#: What a job's figures say was checked (`looked_at`), if it was everything.
ALL_PAGES: Final = "all pages"

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
    files = (stat_if_there(f"{path}{suffix}") for suffix in ("", "-wal", "-journal"))
    # that one is not there is a state as well
    return tuple((f.st_dev, f.st_ino, f.st_size, f.st_mtime_ns, f.st_ctime_ns) if f else () for f in files)
