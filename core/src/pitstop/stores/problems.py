"""What can go wrong with a SQLite store, in words. Owns the texts; opens nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from urllib.parse import unquote

from pitstop.errors import StoreError

#: Seconds that a statement waits for another process's lock.
BUSY_TIMEOUT = 10.0
#: A file system with less room than this, in bytes, counts as full: SQLite's shared memory alone takes 32 kB.
FULL_BELOW = 65_536
#: What SQLite, the system or the conversion of a value raises.
FOREIGN = (sqlite3.Error, OSError, OverflowError, UnicodeEncodeError)

_WITHOUT = "to go on without a history: --store none"
_PROBLEMS = (
    ("SQLITE_FULL", "the disk is full", "free some space; nothing was changed"),
    ("SQLITE_BUSY", f"another process has locked it for {BUSY_TIMEOUT:.0f} s", "find out who writes for so long"),
    ("SQLITE_LOCKED", "another connection has locked it", "try again"),
    ("SQLITE_NOTADB", "it is not a database", f"name another file, or restore a copy; {_WITHOUT}"),
    (
        "SQLITE_CORRUPT",
        "it is damaged",
        f"restore a copy, or save what can be read with: sqlite3 FILE .recover; {_WITHOUT}",
    ),
    ("SQLITE_READONLY", "it is read-only", f"check who may write to the file and to its folder; {_WITHOUT}"),
    ("SQLITE_PERM", "it is not permitted to use it", "check who may write to the file and to its folder"),
    ("SQLITE_CANTOPEN", "it cannot be opened", "check the path, and who may write to the file and to its folder"),
    ("SQLITE_IOERR", "the disk cannot be read or written", f"check the disk and the system's log; {_WITHOUT}"),
    ("SQLITE_CONSTRAINT_UNIQUE", "a job id or a resource is taken", "each job needs an id of its own"),
    ("SQLITE_CONSTRAINT", "a value is not allowed", ""),
    ("SQLITE_TOOBIG", "a value is too big", "keep large data in a file and store its name"),
    ("SQLITE_NOMEM", "there is not enough memory", ""),
    ("SQLITE_SCHEMA", "its tables were changed", "name another file, or restore a copy"),
)


class InWords:
    """Turns what SQLite, the system or the conversion of a value raises into a `StoreError`. Holds no state."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FOREIGN):
            raise problem(self._url, error) from error


def problem(url: str, error: Exception) -> StoreError:
    """Return in words what went wrong with a store.

    Args:
        url: the store.
        error: what SQLite, the system or the conversion of a value raised.
    """
    name = error_name(error)
    # on a full disk SQLite cannot make what it needs to read, and says that the file is damaged
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_IOERR", "SQLITE_CANTOPEN")) and _is_full(url):
        name = "SQLITE_FULL"
    for prefix, words, hint in _PROBLEMS:
        if name.startswith(prefix):
            return StoreError(url=url, problem=f"{words} ({name}: {error})", hint=hint)
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return closed(url)
    if isinstance(error, OSError):
        return StoreError(url=url, problem=f"it cannot be opened ({error.strerror})", hint="check the path")
    if isinstance(error, OverflowError):
        return StoreError(url=url, problem=f"a number is too large to be stored ({error})")
    return StoreError(url=url, problem=f"{error} ({name or type(error).__name__})")


def closed(url: str) -> StoreError:
    """Return what says that a store was closed."""
    return StoreError(url=url, problem="it is closed", hint="open it again")


def gone(url: str, *, replaced: bool) -> StoreError:
    """Return what says that a store's file was taken away under it.

    Args:
        url: the store.
        replaced: whether there is another file in its place.
    """
    what = "its file was replaced by another" if replaced else "its file was deleted or moved away"
    hint = "the last changes are lost; restore the file if you can, and start again"
    return StoreError(url=url, problem=f"{what} while it was open", hint=hint)


def is_busy(error: sqlite3.OperationalError) -> bool:
    """Return whether another process holds the lock."""
    return error_name(error).startswith("SQLITE_BUSY")


def error_name(error: BaseException) -> str:
    """Return SQLite's name of an error, or "" for an error of anybody else."""
    # errors of the sqlite3 module itself have none
    return getattr(error, "sqlite_errorname", None) or ""


def _is_full(url: str) -> bool:
    folder = os.path.dirname(unquote(url.removeprefix("sqlite:///").partition("?")[0]))
    try:
        return shutil.disk_usage(folder or ".").free < FULL_BELOW
    except OSError:
        return False  # the folder is gone, which is another problem
