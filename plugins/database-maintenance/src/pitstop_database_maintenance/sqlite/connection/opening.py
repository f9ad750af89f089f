"""Opens one database file. Owns how it is found and addressed, what its companions are called, and how texts are read.

SQLite takes any bytes for a text, such as a table's name in Latin-1. Python would raise at the first that it cannot
decode, and so no operation could even read the schema. So what cannot be decoded becomes half of a character
("surrogateescape", as Python does it for the names of files). No statement can say such a name: `Session.quote` refuses
it.
"""

from __future__ import annotations

import os
import sqlite3
from functools import partial
from typing import Final, Literal

from pitstop.errors import InvalidJobError, OperationError
from pitstop_database_maintenance.databases.urls import absolute_path, parse
from pitstop_database_maintenance.sqlite.connection.callbacks import CallbackConnection
from pitstop_database_maintenance.sqlite.connection.errors import explain_error
from pitstop_database_maintenance.sqlite.files.identity import Found, find_file, open_same
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_view import connection_uri

#: Why something was left out of which `is_valid_utf8` is not so.
NOT_UTF8: Final = "its name is not valid UTF-8, so that no statement can name it; have the application rename it"
_DECODE: Final = partial(str, encoding="utf-8", errors="surrogateescape")


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
        alone: see `immutable` of `connection_uri`.

    Raises:
        OperationError: it cannot be opened, or it is another file.
        TransientError: it is locked.
    """
    uri = connection_uri(path, mode=mode, immutable=alone)

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


def decode_any_text(connection: sqlite3.Connection) -> None:
    """Have a connection return every text, valid or not."""
    connection.text_factory = _DECODE


def is_valid_utf8(name: str) -> bool:
    """Return whether a statement can name an object of this name: not if it is no valid UTF-8."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def replace_undecodable(text: str | bytes) -> str:
    """Return a text with a replacement character, which is a letter to SQLite, for what could not be decoded."""
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return raw.decode("utf-8", "replace")
