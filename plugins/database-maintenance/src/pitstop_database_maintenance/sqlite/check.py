"""Whether a file can be worked on at all. Owns what is refused before anything has changed, and changes nothing.

Only SQLite opens the file: in a process that has a connection to it, closing a plain handle would drop the locks that
this connection holds (sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing

from pitstop.errors import InvalidJobError, nearest
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.sqlite.errors import REPAIR, code_of, what_it_tells
from pitstop_database_maintenance.sqlite.filesystem import folder_of
from pitstop_database_maintenance.sqlite.foreign import what_it_may_be
from pitstop_database_maintenance.sqlite.surveyor.log import is_sound
from pitstop_database_maintenance.sqlite.uri import connection_uri

#: These say nothing against the file: somebody holds a lock now, or a crash left a journal that only a connection which
#: may write can roll back. Both are for the operation to meet.
_NOT_THE_FILE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_READONLY)
_EFFECTIVE = os.access in os.supports_effective_ids


def check_file(path: str, *, force: bool = False) -> None:
    """Refuse a file on which no maintenance is possible.

    Args:
        path: absolute.
        force: whether a file system on which locks cannot be relied on, or a log that cannot be read, is no reason to
            refuse.

    Raises:
        InvalidJobError: it is missing, no regular file, empty, not to be read or written, no sound SQLite database, or
            on a network or FUSE file system; or its write-ahead log would be lost.
    """
    _check_kind(path)
    _check_rights(path)
    if not force:
        _check_file_system(path)
        _check_log(path)
    _check_content(path)


def _check_kind(path: str) -> None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise _not_found(path) from None
    except OSError as error:
        raise InvalidJobError(
            reason=f"{path} cannot be looked at: {error.strerror}", hint="check the path and the rights of its folders"
        ) from None
    if stat.S_ISDIR(found.st_mode):
        raise InvalidJobError(reason=f"{path} is a folder", hint="give the database file itself")
    if not stat.S_ISREG(found.st_mode):
        raise InvalidJobError(reason=f"{path} is no regular file", hint="give the database file itself")
    if found.st_size == 0:
        raise InvalidJobError(reason=f"{path} is empty: no database was ever written to it", hint="check the path")


def _not_found(path: str) -> InvalidJobError:
    if os.path.islink(path):
        target = os.path.realpath(path)
        return InvalidJobError(reason=f"{path} is a link to {target}, which is not there", hint="check the link")
    folder, name = os.path.split(path)
    hint = f"maintenance never creates a database; {_nearby(folder, name)}"
    return InvalidJobError(reason=f"{path} was not found", hint=hint)


def _nearby(folder: str, name: str) -> str:
    try:
        close = nearest(name, os.listdir(folder))
    except OSError:
        # that the folder is missing, or closed to us, is itself the most useful thing to say
        return f"the folder {folder} is not there or may not be listed"
    return f"did you mean {os.path.join(folder, close)!r}?" if close else "check the path"


def _check_rights(path: str) -> None:
    real = os.path.realpath(path)
    folder = os.path.dirname(real)
    if not _may(real, os.R_OK):
        raise InvalidJobError(reason=f"{path} may not be read by this user", hint="run as its owner")
    if os.statvfs(real).f_flag & os.ST_RDONLY:
        raise InvalidJobError(
            reason=f"the file system of {path} is mounted read-only", hint="run where it can be written"
        )
    if not _may(real, os.W_OK):
        raise InvalidJobError(
            reason=f"{path} is read-only for this user", hint="run as a user who may write to it, or change its mode"
        )
    if not _may(folder, os.W_OK | os.X_OK):
        raise InvalidJobError(
            reason=f"the folder {folder} is read-only for this user, and SQLite's journal must be created in it",
            hint="run as its owner",
        )


def _may(path: str, mode: int) -> bool:
    return os.access(path, mode, effective_ids=_EFFECTIVE)


def _check_file_system(path: str) -> None:
    """Refuse what SQLite's makers advise against: its locks fail on many of these (sqlite.org/useovernet.html)."""
    folder = folder_of(os.path.realpath(path))
    if folder.hazard:
        raise InvalidJobError(
            reason=f"{path} is on a {folder.hazard}, where SQLite's locks cannot be relied on",
            hint="run where its disk is; or, if nobody else uses the file meanwhile, set the option 'force'",
        )


def _check_log(path: str) -> None:
    """Refuse a file beside which lies a log that SQLite cannot read: whoever opens the file loses what is in it."""
    try:
        # SQLite locks the file and its -shm, so that this costs nobody a lock
        with open(f"{path}-wal", "rb") as file:
            header, size = file.read(32), os.fstat(file.fileno()).st_size
    except OSError:
        return  # there is none; or whoever opens the file is told why it cannot be read
    if size > len(header) and not is_sound(header):
        raise InvalidJobError(
            reason=f"the write-ahead log of {path} ({size_text(size)}) cannot be read: its header is damaged. SQLite "
            "would take it for empty, and remove it",
            hint="copy the file and its -wal first; if nothing in it matters, set the option 'force'",
        )


def _check_content(path: str) -> None:
    had_log = os.path.exists(f"{path}-wal")
    try:
        _read_header(path)
    except sqlite3.Error as error:
        refused = _refused(error, path)
        if refused is not None:
            raise refused from None
    except (UnicodeDecodeError, MemoryError) as error:
        raise _damaged(path, what_it_tells(error)) from None
    if not had_log and os.path.exists(f"{path}-wal"):
        _remove_log(path)


def _read_header(path: str) -> None:
    with closing(sqlite3.connect(connection_uri(path, mode="ro"), uri=True, timeout=0)) as connection:
        connection.execute("PRAGMA schema_version").fetchall()
        connection.execute("PRAGMA page_count").fetchall()


def _remove_log(path: str) -> None:
    # reading a database in WAL mode creates an empty -wal and -shm; only a connection that may write removes them
    try:
        with closing(sqlite3.connect(connection_uri(path, mode="rw"), uri=True, timeout=0)) as connection:
            connection.execute("PRAGMA schema_version").fetchall()
    except sqlite3.Error as error:
        if code_of(error) not in _NOT_THE_FILE:
            raise InvalidJobError(reason=f"{path} cannot be opened for writing: {error}") from None


def _damaged(path: str, problem: str) -> InvalidJobError:
    return InvalidJobError(reason=f"{path} is truncated or damaged: {problem}", hint=REPAIR)


def _refused(error: sqlite3.Error, path: str) -> InvalidJobError | None:
    code = code_of(error)
    if code in _NOT_THE_FILE:
        return None
    if code == sqlite3.SQLITE_NOTADB:
        what, hint = what_it_may_be(path)
        return InvalidJobError(reason=f"{path} is not a SQLite database: {what}", hint=hint)
    if code == sqlite3.SQLITE_CORRUPT:
        if "malformed database schema" in str(error):
            return InvalidJobError(
                reason=f"SQLite {sqlite3.sqlite_version} here cannot read the schema of {path}: {error}",
                hint="if a newer SQLite wrote it ('pitstop inspect' says which one did), run Pitstop with a Python "
                f"that has one; else it is damaged: {REPAIR}",
            )
        # without more to say SQLite has only read the first page, and looked how long the file is
        plain = str(error) == "database disk image is malformed"
        return _damaged(path, "its beginning and its size do not agree" if plain else str(error))
    if code == sqlite3.SQLITE_CANTOPEN:
        return InvalidJobError(
            reason=f"{path} cannot be opened with what lies beside it", hint="check the rights of its -wal and -shm"
        )
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return InvalidJobError(reason=f"{path} cannot be read: {error} ({name})", hint="check the file and its device")
