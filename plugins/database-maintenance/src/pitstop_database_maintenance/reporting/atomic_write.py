"""Writes a report into a file: whole or not at all, never over what must not be lost. Knows nothing of its content."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from pitstop.errors import InvalidValueError
from pitstop.files import write_whole
from pitstop.files.disk_space import require_room
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.databases.target_names import is_database, is_open_here, require_usable_target

_WHERE = "pitstop report"
_NAME = "--html"


def check_target(path: str, *, kind: type[Database], databases: Iterable[str], force: bool) -> None:
    """Refuse a file that a report must not be written to, before anything has been done for it.

    Args:
        path: the file that is to be written.
        kind: of databases that are files; none of them, nor a part of one, is ever written over.
        databases: paths of databases that are in use.
        force: whether another file that is there may be replaced.

    Raises:
        InvalidValueError: what is wrong with it, and what to do.
    """
    require_usable_target(path, kind=kind, databases=databases, where=_WHERE, name=_NAME, example="report.html")
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        raise _refusal(f"{path!r} is a link to {os.readlink(path)!r}; name the file itself, or remove the link")
    if not stat.S_ISREG(found.st_mode):
        raise _refusal(f"{path!r} is no ordinary file; name another")
    if not force:
        raise _existing_refusal(path)
    # by another name than the one that was looked at it may be open here, and locks on it be lost
    if not is_open_here(found) and is_database(path, kind):
        raise _refusal(f"{path!r} is a {kind.noun}, which no report replaces; name another file")


def write_report(path: str, text: str, *, force: bool) -> None:
    """Write a text into a file so that, whatever happens, there is all of it or nothing of it.

    Args:
        path: the file; a link is not followed.
        text: what it shall hold; what UTF-8 has no form for is escaped.
        force: whether it may replace a file that is there.

    Raises:
        InvalidValueError: it is there, and `force` is not given, or it is no plain file.
        OSError: it cannot be written.
    """
    try:
        write_whole(path, text.encode("utf-8", "backslashreplace"), replace=force)
    except FileExistsError:
        raise _existing_refusal(path) from None
    except OSError as error:
        require_room(error, path)
        raise


def _existing_refusal(path: str) -> InvalidValueError:
    return _refusal(f"{path!r} is there already; name a new file, or add --force to replace it")


def _refusal(problem: str) -> InvalidValueError:
    return InvalidValueError(where=_WHERE, name=_NAME, problem=problem)
