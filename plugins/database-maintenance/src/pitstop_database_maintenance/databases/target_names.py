"""What a file may not be written over: names to which a kind of database or Pitstop gives a meaning, and databases."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from pitstop.errors import InvalidValueError
from pitstop.files import OWN, open_descriptors, open_folder
from pitstop_database_maintenance.databases.database import Database

#: Beside a job store, the folder of its runners' locks.
_RUNNERS: Final = "-runners"


def require_usable_target(
    path: str, *, kind: type[Database], databases: Iterable[str], where: str, name: str, example: str
) -> None:
    """Refuse a file that cannot be written by this user, that is a database, or whose name has a meaning.

    Args:
        path: the file that is to be written.
        kind: of the databases that may be beside it.
        databases: paths of databases that are in use.
        where, name: what was asked for, and by which parameter, for the error.
        example: what such a file could be called.

    Raises:
        InvalidValueError: what is wrong with it, and what to do.
    """
    folder, problem = os.path.dirname(os.path.abspath(path)), ""
    used = next((database for database in databases if _is_same(path, database)), None)
    if not os.path.basename(path):
        problem = f"{path!r} names no file; give one, such as {os.path.join(path, example)!r}"
    elif not os.path.isdir(folder):
        problem = f"there is no folder {folder!r}; make it, or name another"
    elif not os.access(folder, os.W_OK | os.X_OK):
        problem = f"no file can be made in {folder!r} by this user; name another folder"
    elif used is not None:
        problem = f"{path!r} belongs to the database {used!r}; name another file"
    else:
        try:
            with open_folder(folder):
                pass
        except OSError as error:
            problem = f"{folder!r} cannot be used: {error.strerror}; name another folder"
    if problem:
        raise InvalidValueError(where=where, name=name, problem=problem)
    require_free_name(path, kind=kind, where=where, name=name)


def require_free_name(path: str, *, kind: type[Database], where: str, name: str) -> None:
    """Refuse a file whose name would have it taken for a part of a database, or for what Pitstop needs for a while.

    Args:
        path: the file that is to be written.
        kind: of the databases that may be beside it.
        where, name: what was asked for, and by which parameter, for the error.

    Raises:
        InvalidValueError: what the name means, and what to do.
    """
    last = os.path.basename(path)
    meaning = ""
    if kind.claims(last):
        meaning = f"a {kind.noun} beside it would take a file of such a name for a part of itself"
    elif OWN in last:
        meaning = "Pitstop removes a file of such a name when it is left over"
    elif last.endswith(_RUNNERS):
        meaning = "Pitstop keeps the locks of a job store under such a name"
    if meaning:
        raise InvalidValueError(where=where, name=name, problem=f"{path!r} will not do: {meaning}; name another file")


def _is_same(one: str, other: str) -> bool:
    """Return whether two paths lead to one file, or would if it were there."""
    with suppress(OSError):
        if os.path.samefile(one, other):
            return True
    return os.path.realpath(one) == os.path.realpath(other)


def is_open_here(found: os.stat_result) -> bool:
    """Return whether this process has a file open."""
    return (found.st_dev, found.st_ino) in open_here()


def open_here() -> set[tuple[int, int]]:
    """Return which files this process has open, by their devices and numbers."""
    return {(file.st_dev, file.st_ino) for file in (open_descriptors() or {}).values()}


def is_database(path: str, kind: type[Database]) -> bool:
    """Return whether a file is, or was, a database of a kind.

    It must not be open in this process: locks on it could be lost when it is closed here.

    Raises:
        OSError: it cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return kind.recognizes(handle)
    finally:
        os.close(handle)
