"""What SQLite's errors mean to the operator. Owns the translation from result codes; catches nothing itself.

Codes decide. SQLite's text is read only for what the application's own collations and functions are called, because
there the code is the general one.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3

from pitstop.errors import OperationError, PitstopError, TransientError
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.sqlite.temporary import temporary_folder

#: An extended result code holds its primary code in the low byte (sqlite.org/rescode.html).
_PRIMARY = 0xFF
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
#: After these, no other statement on the same file succeeds either.
_HOPELESS = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_INTERRUPT,
)
_MISSING = (
    (re.compile(r"no such collation sequence: (?P<name>.+)"), "collation"),
    (re.compile(r"no such function: (?P<name>.+)"), "function"),
    (re.compile(r"unknown function: (?P<name>.+?)(\(\))?$"), "function"),
    (re.compile(r"unsafe use of (?P<name>.+?)(\(\))?$"), "function"),
    (re.compile(r"no such module: (?P<name>.+)"), "module"),
)
#: What to do about a damaged file.
REPAIR = (
    "copy the file and what lies beside it first; then see what PRAGMA integrity_check says, "
    "restore a backup, or save what is left with sqlite3's .recover"
)


class SQLiteFailure(OperationError):  # noqa: N818 - it is what the operator reads as "failed", not a bug
    """A statement failed.

    Fields: `code`, SQLite's primary result code.
    """

    code: int = sqlite3.SQLITE_ERROR

    @property
    def hopeless(self) -> bool:
        """Whether every other statement on the file would fail as well."""
        return self.code in _HOPELESS

    @property
    def damaged(self) -> bool:
        """Whether SQLite found the file damaged, in whole or in part."""
        return self.code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class MissingFeature(SQLiteFailure):
    """The schema uses a collation, function or module that only the application registers.

    Fields: `kind`, "collation", "function" or "module"; `name`, its name.
    """

    kind: str
    name: str

    @property
    def missing(self) -> str:
        """What is missing, such as "the collation 'german'"."""
        return f"the {self.kind} {self.name!r}"


def code_of(error: sqlite3.Error) -> int:
    """Return the primary result code of an error; the general one if Python raised it by itself."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & _PRIMARY


def explained(error: sqlite3.Error, *, path: str, waited: float) -> PitstopError:
    """Return what to raise instead of SQLite's own error.

    Args:
        error: as Python's sqlite3 raised it.
        path: the database file.
        waited: how many seconds were waited for a lock.

    Returns:
        A `TransientError` for a lock that somebody else held for too long, else a `SQLiteFailure`.
    """
    code = code_of(error)
    if code in _BUSY:
        return TransientError(
            f"{path} was locked by another connection for more than {waited:g} s; "
            "let whoever holds it end its transaction, or try again later"
        )
    missing = _missing(str(error))
    if missing:
        kind, named = missing
        reason = f"{path}: the {kind} {named!r} of the application is not known to SQLite here"
        return MissingFeature(reason=reason, code=code, kind=kind, name=named)
    reason, hint = _text(error, code, path)
    return SQLiteFailure(reason=reason, hint=hint, code=code)


def damaged(path: str, problems: str) -> SQLiteFailure:
    """Return what to raise for a file that a check found damaged before anything was written.

    Args:
        path: the database file.
        problems: what the check said.
    """
    reason = f"{path} is damaged ({problems}), and nothing was written to it"
    return SQLiteFailure(reason=reason, hint=REPAIR, code=sqlite3.SQLITE_CORRUPT)


def what_it_tells(error: UnicodeDecodeError | MemoryError) -> str:
    """Return what an error of Python's own, raised while it took over SQLite's answer, says of the file."""
    if isinstance(error, MemoryError):
        return "it claims sizes for which there is no memory"
    return "a name or a text in it is not valid UTF-8"


def _missing(text: str) -> tuple[str, str] | None:
    for pattern, kind in _MISSING:
        found = pattern.search(text)
        if found:
            return kind, found["name"]
    return None


def _text(error: sqlite3.Error, code: int, path: str) -> tuple[str, str]:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code == sqlite3.SQLITE_FULL:
        return f"no space left while working on {path}: {_free(path)}", "the database is as it was; make room"
    if code == sqlite3.SQLITE_CORRUPT:
        return f"{path} is damaged ({error})", REPAIR
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path} is not a SQLite database, or it is encrypted ({error})", REPAIR
    if code == sqlite3.SQLITE_READONLY:
        return f"{path} cannot be written ({name})", "check the rights of the file and of its folder"
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"{path} cannot be opened ({name})", "check that the file is there, and the rights of its folder"
    if code == sqlite3.SQLITE_IOERR:
        return f"reading or writing {path} failed ({name}): {_free(path)}", "look at the system's log for the device"
    if code == sqlite3.SQLITE_INTERRUPT:
        return f"a statement on {path} was interrupted, though the job was not told to stop", "run it again"
    return f"{path}: {error}", ""


def _free(path: str) -> str:
    folders = dict.fromkeys((os.path.dirname(os.path.realpath(path)), temporary_folder()))
    return ", ".join(f"{size_text(shutil.disk_usage(folder).free)} free in {folder}" for folder in folders)
