"""What SQLite's errors mean for a store, and the next step. Owns the texts; opens nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from pitstop.errors import StoreError
from pitstop.files.disk_space import NO_ROOM, is_full

#: Seconds that a statement waits for another process's lock.
BUSY_TIMEOUT = 10.0
#: What SQLite, the system or the conversion of a value raises.
FOREIGN = (sqlite3.Error, OSError, OverflowError, UnicodeEncodeError)

_WITHOUT = "to go on without a history: --store none"
_CHECK_RIGHTS = "check who may write to the file and to its folder, or name another place with --store"


class Meaning(NamedTuple):
    """What one of SQLite's errors means for a store.

    Args:
        prefix: how SQLite's names of such errors begin.
        words: what is wrong.
        hint: the next step.
        passing: whether it may be gone the next time although nobody has seen to the store.
    """

    prefix: str
    words: str
    hint: str = ""
    passing: bool = False


_FULL = Meaning("SQLITE_FULL", "the disk is full", "free some space; nothing was changed", passing=True)
_MEANINGS = (
    _FULL,
    Meaning(
        "SQLITE_BUSY",
        f"another process has locked it for {BUSY_TIMEOUT:.0f} s",
        "find out who writes for so long",
        passing=True,
    ),
    Meaning("SQLITE_LOCKED", "another connection has locked it", "try again", passing=True),
    Meaning("SQLITE_NOTADB", "it is not a database", f"name another file, or restore a copy; {_WITHOUT}"),
    Meaning(
        "SQLITE_CORRUPT",
        "it is damaged",
        f"restore a copy, or save what can be read with: sqlite3 FILE .recover; {_WITHOUT}",
    ),
    Meaning("SQLITE_READONLY", "it is read-only", f"{_CHECK_RIGHTS}; {_WITHOUT}"),
    Meaning("SQLITE_PERM", "it is not permitted to use it", _CHECK_RIGHTS),
    Meaning("SQLITE_CANTOPEN", "it cannot be opened", f"check the path; {_CHECK_RIGHTS}"),
    Meaning("SQLITE_IOERR", "the disk cannot be read or written", f"check the disk and the system's log; {_WITHOUT}"),
    Meaning("SQLITE_CONSTRAINT_UNIQUE", "a job id or a resource is taken", "each job needs an id of its own"),
    Meaning("SQLITE_CONSTRAINT", "a value is not allowed"),
    Meaning("SQLITE_TOOBIG", "a value is too big", "keep large data in a file and store its name"),
    Meaning("SQLITE_NOMEM", "there is not enough memory", passing=True),
    Meaning("SQLITE_SCHEMA", "its tables were changed", f"name another file, or restore a copy; {_WITHOUT}"),
    # the plain error: a statement that does not fit the tables, which are no more as we made them
    Meaning(
        "SQLITE_ERROR", "its tables are not as they should be", f"name another file, or restore a copy; {_WITHOUT}"
    ),
)


class ErrorTranslator:
    """Turns what SQLite, the system or the conversion of a value raises into a `StoreError`. Holds no state."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FOREIGN):
            raise store_error(self._url, error) from error


def store_error(url: str, error: Exception) -> StoreError:
    """Return the error of a store that says what went wrong and what to do.

    Args:
        url: the store.
        error: what SQLite, the system or the conversion of a value raised.
    """
    name = error_name(error)
    meaning = next((one for one in _MEANINGS if name.startswith(one.prefix)), None) if name else None
    if meaning is not None:
        if _lacks_room(name, url):
            meaning = _FULL
        elif meaning is _FULL:
            meaning = _full_despite_room(url)
        elif meaning.prefix == "SQLITE_CORRUPT" and not has_log(_path(url)):
            meaning = meaning._replace(
                hint=f"if it is a copy, the -wal file of the original belongs to it; {meaning.hint}"
            )
        problem = f"{meaning.words} ({name}: {error})"
        return StoreError(url=url, problem=problem, hint=meaning.hint, passing=meaning.passing)
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return closed_error(url)
    if isinstance(error, OSError):
        return _system_error(url, error)
    if isinstance(error, OverflowError):
        return StoreError(url=url, problem=f"a number is too large to be stored ({error})")
    return StoreError(url=url, problem=f"{error} ({name or type(error).__name__})")


def _system_error(url: str, error: OSError) -> StoreError:
    full = error.errno in NO_ROOM
    what = f"{error.strerror or error}{'' if error.filename is None else f': {os.fsdecode(error.filename)}'}"
    hint = _FULL.hint if full else f"check the path, or name another place with --store; {_WITHOUT}"
    return StoreError(url=url, problem=f"it cannot be opened ({what})", hint=hint, passing=full)


def closed_error(url: str) -> StoreError:
    """Return what says that a store was closed."""
    return StoreError(url=url, problem="it is closed", hint="open it again")


def missing_file_error(url: str, *, replaced: bool) -> StoreError:
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


def _lacks_room(name: str, url: str) -> bool:
    """Return whether an error of SQLite's comes from a full disk, which it reports in several ways.

    Damage is none of them, however full the disk is: it does not go away with room.
    """
    if name == "SQLITE_IOERR_SHMSIZE":
        return True  # what processes share of the log could not be made longer
    return name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")) and is_full(_folder(url))


def _full_despite_room(url: str) -> Meaning:
    # SQLite says so also of a page number in a damaged file that no database can have
    return Meaning(
        "SQLITE_FULL",
        f"SQLite finds no room, although {_free(url) / 1e6:.1f} MB are free in its folder",
        "look at quotas and at the folder for temporary files; if there is room, check the file: "
        "sqlite3 FILE 'PRAGMA integrity_check'",
    )


def _free(url: str) -> float:
    """Return the bytes that are free where the store is; infinite if nobody can tell."""
    try:
        return shutil.disk_usage(_folder(url)).free
    except OSError:
        return float("inf")  # the folder is gone, which is another problem


def has_log(path: Path) -> bool:
    """Return whether a write-ahead log lies beside a file, with anything in it."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    except OSError:
        return False


def _folder(url: str) -> str:
    return str(_path(url).parent)


def _path(url: str) -> Path:
    return Path(unquote(url.removeprefix("sqlite:///").partition("?")[0]))
