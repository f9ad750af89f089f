"""Opens one database file. Owns finding it by its URL, and that what is opened is the file that was found."""

from __future__ import annotations

import os
import sqlite3
from typing import Literal

from pitstop.errors import InvalidJobError, OperationError
from pitstop_database_maintenance.databases.urls import absolute_path, parse
from pitstop_database_maintenance.sqlite.connection.callbacks import CallbackConnection
from pitstop_database_maintenance.sqlite.connection.errors import explain_error
from pitstop_database_maintenance.sqlite.connection.identity import Found, find_file, open_same
from pitstop_database_maintenance.sqlite.connection.text_encoding import decode_any_text
from pitstop_database_maintenance.sqlite.connection.uri import connection_uri


def database_path(url: str) -> str:
    """Return the absolute path of the file that a URL, or a bare path, names.

    Raises:
        InvalidJobError: it names a database of another kind.
    """
    path = parse(url).path
    if path is None:
        raise InvalidJobError(reason=f"{url!r} is not a SQLite database", hint="give a path or a sqlite:/// URL")
    return absolute_path(path)


def find_database(path: str) -> Found:
    """Return which file an absolute path leads to.

    Raises:
        InvalidJobError: a link on the way is somebody else's.
        OperationError: there is no file.
    """
    try:
        return find_file(path)
    except OSError as error:
        raise _cannot_open(path, error, "check that the file is there, and the rights of its folders") from None


def open_connection(
    path: str,
    mode: Literal["ro", "rw"],
    *,
    busy_seconds: float = 0.0,
    found: Found | None = None,
    alone: bool = False,
) -> sqlite3.Connection:
    """Open a file in autocommit.

    Args:
        path: absolute.
        mode: "ro" or "rw".
        busy_seconds: for how long SQLite itself waits for a lock of somebody else, within a statement.
        found: which file it must be; None takes whatever has the name.
        alone: see `uri.connection_uri`.

    Raises:
        OperationError: it cannot be opened, or it is another file.
        TransientError: it is locked.
    """
    uri = connection_uri(path, mode=mode, alone=alone)

    def connect() -> sqlite3.Connection:
        # autocommit: Python begins no transaction of its own, in which VACUUM would be refused
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_seconds, factory=CallbackConnection)

    try:
        connection = connect() if found is None else open_same(connect, path, found.stat)
    except OSError as error:
        raise _cannot_open(path, error, "check that the file is there, and its folders") from None
    except sqlite3.Error as error:
        raise explain_error(error, path=path, waited=busy_seconds) from error
    decode_any_text(connection)
    return connection


def file_bytes(path: str) -> int:
    """Return how big a file is; 0 if there is none.

    Raises:
        OSError: that cannot be told.
    """
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _cannot_open(path: str, error: OSError, hint: str) -> OperationError:
    return OperationError(reason=f"{path} cannot be opened: {error.strerror}", hint=hint)
