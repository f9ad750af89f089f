"""Whether a file can be worked on at all. Owns what is refused before anything has changed, and changes nothing.

Only SQLite opens the file: in a process that has a connection to it, closing a plain handle would drop the locks that
this connection holds (sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import Literal

from pitstop.errors import InvalidJobError
from pitstop.files import real_path
from pitstop.text import size_text
from pitstop_database_maintenance.databases.paths import require_file
from pitstop_database_maintenance.sqlite.connection.errors import (
    REPAIR,
    explain_full_disk,
    is_out_of_room,
    result_code,
)
from pitstop_database_maintenance.sqlite.files.filesystem import describe_folder
from pitstop_database_maintenance.sqlite.files.paths import companion_path
from pitstop_database_maintenance.sqlite.files.unreadable_files import guess_content
from pitstop_database_maintenance.sqlite.guards.own_files import require_files_in_place
from pitstop_database_maintenance.sqlite.surveyor.format.journal import explain_emptiness
from pitstop_database_maintenance.sqlite.surveyor.format.wal import is_sound
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import (
    Corruption,
    corruption,
    describe_python_error,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_view import connection_uri

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
            on a network or FUSE file system; its write-ahead log would be lost; or somebody works on it with files
            that were taken away.
    """
    if require_file(path).st_size == 0:
        raise InvalidJobError(reason=f"{path} {explain_emptiness(os.path.realpath(path))}", hint="check the path")
    real = real_path(path)
    _check_rights(path, real)
    require_files_in_place(path, real=real, error=InvalidJobError)
    if not force:
        _check_file_system(path, real)
        _check_log(path)
    _check_content(path)


def _check_rights(path: str, real: str) -> None:
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


def _check_file_system(path: str, real: str) -> None:
    """Refuse what SQLite's makers advise against: its locks fail on many of these (sqlite.org/useovernet.html)."""
    folder = describe_folder(os.path.dirname(real))
    if folder.hazard:
        raise InvalidJobError(
            reason=f"{path} is on a {folder.hazard}, where SQLite's locks cannot be relied on",
            hint="run where its disk is; or, if nobody else uses the file meanwhile, set the option 'force'",
        )


def _check_log(path: str) -> None:
    """Refuse a file beside which lies a log that SQLite cannot read: whoever opens the file loses what is in it."""
    try:
        # SQLite locks the file and its -shm, so that this costs nobody a lock
        with open(companion_path(path, "-wal"), "rb") as file:
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
    had_log = os.path.exists(companion_path(path, "-wal"))
    try:
        _read_header(path, "ro")
    except sqlite3.Error as error:
        refused = _refusal(error, path)
        if refused is not None:
            raise refused from None
    except (UnicodeDecodeError, MemoryError) as error:
        raise _damage_error(path, describe_python_error(error)) from None
    if not had_log and os.path.exists(companion_path(path, "-wal")):
        # reading a database in WAL mode creates an empty -wal and -shm; only a connection that may write removes them
        try:
            _read_header(path, "rw")
        except sqlite3.Error as error:
            if result_code(error) not in _NOT_THE_FILE:
                raise InvalidJobError(reason=f"{path} cannot be opened for writing: {error}") from None


def _read_header(path: str, mode: Literal["ro", "rw"]) -> None:
    with closing(sqlite3.connect(connection_uri(path, mode=mode), uri=True, timeout=0)) as connection:
        connection.execute("PRAGMA schema_version").fetchall()
        connection.execute("PRAGMA page_count").fetchall()


def _damage_error(path: str, problem: str) -> InvalidJobError:
    return InvalidJobError(reason=f"{path} is truncated or damaged: {problem}", hint=REPAIR)


def _refusal(error: sqlite3.Error, path: str) -> InvalidJobError | None:
    code = result_code(error)
    if code in _NOT_THE_FILE:
        return None
    if code == sqlite3.SQLITE_NOTADB:
        what, hint = guess_content(path)
        return InvalidJobError(reason=f"{path} is not a SQLite database: {what}", hint=hint)
    if code == sqlite3.SQLITE_CORRUPT:
        about = corruption(error)
        if about is Corruption.SCHEMA:
            return InvalidJobError(
                reason=f"SQLite {sqlite3.sqlite_version} here cannot read the schema of {path}: {error}",
                hint="if a newer SQLite wrote it ('pitstop inspect' says which one did), run Pitstop with a Python "
                f"that has one; else it is damaged: {REPAIR}",
            )
        plain = about is Corruption.UNSPECIFIED
        return _damage_error(path, "its beginning and its size do not agree" if plain else str(error))
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if is_out_of_room(name, path):
        # to read a database in WAL mode, SQLite makes files beside it
        reason, hint = explain_full_disk(path)
        return InvalidJobError(reason=reason, hint=hint)
    if code == sqlite3.SQLITE_CANTOPEN:
        return InvalidJobError(
            reason=f"{path} cannot be opened with what lies beside it", hint="check the rights of its -wal and -shm"
        )
    return InvalidJobError(reason=f"{path} cannot be read: {error} ({name})", hint="check the file and its device")
