"""Writes a report into a file: whole or not at all, never over what must not be lost. Knows nothing of its content."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress

from pitstop.errors import InvalidValueError

_WHERE = "pitstop report"
_NAME = "--html"
#: What SQLite keeps beside a database, under its name with one of these.
_BESIDE = ("", "-wal", "-shm", "-journal")


def check_target(path: str, *, databases: Iterable[str], force: bool) -> None:
    """Refuse a file that a report must not be written to, before anything has been done for it.

    Args:
        path: the file that is to be written.
        databases: paths of databases; neither they nor what SQLite keeps beside them is ever written over.
        force: whether another file that is there may be replaced.

    Raises:
        InvalidValueError: what is wrong with it, and what to do.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.basename(path):
        raise _refused(f"{path!r} names no file; give one, such as {os.path.join(path, 'report.html')!r}")
    if not os.path.isdir(folder):
        raise _refused(f"there is no folder {folder!r}; make it, or name another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(f"no file can be made in {folder!r} by this user; name another folder")
    for database in databases:
        if any(_same(path, database + suffix) for suffix in _BESIDE):
            raise _refused(f"{path!r} belongs to the database {database!r} itself; name another file")
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            raise _refused(f"{path!r} is a link to nowhere; remove it, or name another file") from None
        return
    if not stat.S_ISREG(found.st_mode):
        raise _refused(f"{path!r} is no ordinary file; name another")
    if not force:
        raise exists(path)


def write(path: str, text: str, *, force: bool) -> None:
    """Write a text into a file so that, whatever happens, there is all of it or nothing of it.

    Args:
        path: the file; a link is followed.
        text: what it shall hold; what UTF-8 has no form for is escaped.
        force: whether it may replace a file that is there.

    Raises:
        InvalidValueError: it is there, and `force` is not given.
        OSError: it cannot be written.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(6)}")
    try:
        # as any file that this user makes: the report is for reading
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if force:
            os.replace(beside, target)
        else:
            _publish(beside, target, asked=path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)


def exists(path: str) -> InvalidValueError:
    """Return the error that a file is there already."""
    return _refused(f"{path!r} is there already; name a new file, or add --force to replace it")


def _publish(beside: str, target: str, *, asked: str) -> None:
    """Give a file its name, if nobody has taken the name meanwhile."""
    try:
        os.link(beside, target)
    except FileExistsError:
        raise exists(asked) from None
    except OSError:
        # a file system without hard links: hold the name with an empty file, and replace that
        try:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            raise exists(asked) from None
        os.replace(beside, target)


def _same(one: str, other: str) -> bool:
    """Return whether two paths lead to one file, or would if it were there."""
    with suppress(OSError):
        if os.path.samefile(one, other):
            return True
    return os.path.realpath(one) == os.path.realpath(other)


def _refused(problem: str) -> InvalidValueError:
    return InvalidValueError(where=_WHERE, name=_NAME, problem=problem)
