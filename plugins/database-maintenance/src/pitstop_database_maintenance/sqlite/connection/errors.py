"""What SQLite's errors mean to the operator. Owns the translation from result codes; catches nothing itself.

Codes decide. What only SQLite's text tells, such as which collation is missing, `surveyor.schema.sqlite_texts` reads.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence

from pitstop.errors import OperationError, PitstopError
from pitstop.files import real_path
from pitstop.files.disk_space import is_full, takes_no_more_files
from pitstop.text import size_text
from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.sqlite.connection.check_answers import Problem, damage
from pitstop_database_maintenance.sqlite.surveyor.processes.proc import lock_holders, name_process
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature, missing_feature
from pitstop_database_maintenance.sqlite.surveyor.temporary_folder import temporary_folder

#: An extended result code holds its primary code in the low byte (sqlite.org/rescode.html).
_PRIMARY = 0xFF
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
#: How many problems of a damaged file are named in a message.
_NAMED = 3
#: So many who hold a lock are named.
_HOLDERS = 3
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
#: The beginnings of the names of errors that a full disk causes, and other things too.
_OF_FULL_DISKS = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")
#: What to do about a damaged file.
REPAIR = (
    "copy the file and what lies beside it first; then see what PRAGMA integrity_check says, "
    "restore a backup, or save what is left with sqlite3's .recover"
)


class SQLiteFailure(OperationError):  # noqa: N818 - it is what the operator reads as "failed", not a bug
    """A statement failed.

    Fields: `code`, SQLite's primary result code; `problems`, what was found wrong with the file, if that is known;
    `said`, what happened, for a sentence that names the file already, or "".
    """

    code: int = sqlite3.SQLITE_ERROR
    problems: tuple[Problem, ...] = ()
    said: str = ""

    @property
    def briefly(self) -> str:
        """What happened, for a message that names the file already, and says what to do."""
        return self.said or self.reason

    @property
    def advised(self) -> str:
        """`briefly`, with what to do about it."""
        return f"{self.briefly}; {self.hint}" if self.hint else self.briefly

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

    Fields: `kind`, what it is; `name`, its name.
    """

    kind: Feature
    name: str

    @property
    def missing(self) -> str:
        """What is missing, such as "the collation 'german'"."""
        return f"the {self.kind} {self.name!r}"


def result_code(error: sqlite3.Error) -> int:
    """Return the primary result code of an error; the general one if Python raised it by itself."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & _PRIMARY


def explain_error(error: sqlite3.Error, *, path: str, waited: float) -> PitstopError:
    """Return what to raise instead of SQLite's own error.

    Args:
        error: as Python's sqlite3 raised it.
        path: the database file.
        waited: how many seconds were waited for a lock.

    Returns:
        A `LockedError` for a lock of somebody else; for all that is no lock a `SQLiteFailure`.
    """
    code = result_code(error)
    if code in _BUSY:
        since = (
            f"was locked by another connection for {waited:.2g} s"
            if waited >= 0.01
            else "is locked by another connection"
        )
        hint = "let whoever holds it end its transaction, or try again later"
        return LockedError(f"{path} {since}{describe_holders(path)}; {hint}")
    missing = missing_feature(error)
    if missing is not None and missing[0] is not Feature.TOKENIZER:
        kind, named = missing
        said = f"the {kind} {named!r} of the application is not known to SQLite here"
        return MissingFeature(reason=f"{path}: {said}", code=code, kind=kind, name=named, said=said)
    reason, hint = _text(error, code, path)
    # so that whoever decides by the code takes a full disk for what it is
    if is_out_of_room(getattr(error, "sqlite_errorname", ""), path):
        return SQLiteFailure(reason=reason, hint=hint, code=sqlite3.SQLITE_FULL)
    found = (damage(str(error)),) if code == sqlite3.SQLITE_CORRUPT else ()
    # a code of which there is more to say than SQLite's text has a sentence of its own
    said = str(error) if found or not hint else ""
    return SQLiteFailure(reason=reason, hint=hint, code=code, problems=found, said=said)


def describe_holders(path: str) -> str:
    """Return who holds locks on a database, as an addition to a sentence; "" if the system does not tell."""
    others = [f"{who} {does}" for who, does in _find_holders(path)]
    return f": {', '.join(others[:_HOLDERS])}" if others else ""


def name_holders(path: str) -> str:
    """Return who holds locks on a database, to follow "held by"; "" if the system does not tell."""
    return ", ".join([who for who, _ in _find_holders(path)][:_HOLDERS])


def _find_holders(path: str) -> list[tuple[str, str]]:
    """Return the other processes that hold locks, each with what it does."""
    return [(name_process(pid, name), does) for pid, name, does in lock_holders(path) if pid > 0 and pid != os.getpid()]


def damage_error(path: str, problems: str | Sequence[Problem]) -> SQLiteFailure:
    """Return what to raise for a file that was found damaged before anything was written.

    Args:
        path: the database file.
        problems: what a check found, or what it was told by otherwise.
    """
    found = (damage(problems),) if isinstance(problems, str) else tuple(problems)
    named = "; ".join(str(problem) for problem in found[:_NAMED])
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    reason = f"{path} is damaged ({named}{more}), and nothing was written to it"
    return SQLiteFailure(reason=reason, hint=REPAIR, code=sqlite3.SQLITE_CORRUPT, problems=found, said=f"{named}{more}")


def _text(error: sqlite3.Error, code: int, path: str) -> tuple[str, str]:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if is_out_of_room(name, path):
        return explain_full_disk(path)
    if code == sqlite3.SQLITE_FULL:
        return (
            f"SQLite found no room while working on {path}, and there is some now: {_free(path)}",
            "the database is as it was; what was written for it is gone again. Look at quotas and at the folder for "
            "temporary files (SQLITE_TMPDIR); if there is room enough, a limit within the file is reached "
            "(PRAGMA max_page_count, or the largest row number), or it is damaged: run quick_check",
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return f"{path} is damaged ({error})", REPAIR
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path} is not a SQLite database, or it is encrypted ({error})", REPAIR
    if code == sqlite3.SQLITE_READONLY:
        return f"{path} cannot be written ({name})", "check the rights of the file and of its folder"
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"{path} cannot be opened ({name})", "check that the file is there, and the rights of its folder"
    if code == sqlite3.SQLITE_IOERR:
        return f"reading or writing {path} failed ({name})", "look at the system's log for the device"
    if code == sqlite3.SQLITE_INTERRUPT:
        return f"a statement on {path} was interrupted, though the job was not told to stop", "run it again"
    return f"{path}: {error}", ""


def is_out_of_room(name: str, path: str) -> bool:
    """Return whether an error comes from a full disk, which SQLite tells in several ways. Damage is none of them.

    Args:
        name: the error's extended name, such as "SQLITE_IOERR_WRITE".
        path: the database file.
    """
    if name == "SQLITE_IOERR_SHMSIZE":
        return True  # the shared memory of a database in WAL mode could not be made longer
    if not name.startswith(_OF_FULL_DISKS):
        return False
    return any(is_full(folder) for folder in _folders(path))


def explain_full_disk(path: str) -> tuple[str, str]:
    """Return what a full disk kept from being done with a database, and what to do about it.

    Args:
        path: the database file.
    """
    return f"no space left while working on {path}: {_free(path)}", "the database is as it was; make room"


def _folders(path: str) -> list[str]:
    """Return the folders that a statement on a file writes to."""
    return list(dict.fromkeys((os.path.dirname(real_path(path)), temporary_folder())))


def _free(path: str) -> str:
    return ", ".join(_free_in(folder) for folder in _folders(path))


def _free_in(folder: str) -> str:
    if takes_no_more_files(folder):
        return f"no inode is left for another file in {folder}"
    return f"{size_text(shutil.disk_usage(folder).free)} free in {folder}"
