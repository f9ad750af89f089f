"""Which copies `backup` has made of which database. Owns what is noted of a copy, and which older ones may go.

A name says little: three databases of one folder may have copies of one name, another database may have come to an old
path, and somebody may have put a file of his own in the place of a copy. So each copy is noted in the history: its path
and which file it is, and the database's path and which file that is. What is not known to be a copy of this very
database, and to be as it was made, is never removed.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterable
from typing import Final

from attrs import asdict

from pitstop.files import is_named
from pitstop.text import count_noun
from pitstop_database_maintenance.history.copy_records import COPY, Copy
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.files.identity import identify

#: How the history calls what is kept of a file that took the place of another one.
REPLACED: Final = "replaced file"
#: Of how many copies of one database it is known that they are, at least.
_KNOWN: Final = 1000
#: How many names are in a warning.
_TOLD: Final = 3


def note_copy(
    db: SQLiteConnection, folder: int, path: str, template: str, *, made: os.stat_result, keep: int | None
) -> str:
    """Note a copy that was just made.

    Args:
        db: the database.
        folder: a handle on the folder of the copy.
        path: the copy.
        template: what its name was made of; "" if it was given.
        made: which file it is.
        keep: how many are to be kept.

    Returns:
        Why it was not noted; "" if it was.
    """
    if db.history is None:
        return "there is no history" if keep is not None else ""
    name = os.path.basename(path)
    try:
        file = identify(name, folder)
        if not is_named(made, folder, name):
            return "somebody has put another file in its place"
        copy = Copy(
            path=path,
            file=file,
            size=made.st_size,
            modified=made.st_mtime_ns,
            template=template,
            database=db.real,
            of=identify(db.real),
        )
        db.history.add_snapshot(COPY, asdict(copy), at_most=max(_KNOWN, 2 * (keep or 0)))
    except (OSError, sqlite3.Error) as error:
        return f"it could not be noted: {error}"
    return ""


def note_replaced(db: SQLiteConnection, old: str, new: str) -> None:
    """Note that a file has taken the place of another one, and is the same database all the same.

    Args:
        db: the database.
        old, new: which files (`identify`).
    """
    if db.history is None:
        return
    try:
        db.history.add_snapshot(REPLACED, {"old": old, "new": new}, at_most=_KNOWN)
    except (OSError, sqlite3.Error) as error:
        db.context.logger.warning(
            "that {} is the same database as before was not noted, so that older copies will stay: {}", db.path, error
        )


def find_older(
    db: SQLiteConnection, folder: int, path: str, template: str, *, keep: int, names: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Return the names of the copies beside a new one that may go, and why others may not.

    Args:
        db: the database.
        folder: a handle on their folder.
        path: the new one, which stays.
        template: only copies of which the names were made of it count.
        keep: how many are to stay, the new one among them.
        names: what in the folder is named like a copy of this database.

    Raises:
        sqlite3.Error, OSError: the history cannot be read, or the folder cannot be looked at.
    """
    where, new = os.path.split(path)
    known = _copies(db, where)
    ours, warnings = [], []
    same = _identities(db) if known else set()
    for name, copy in known.items():
        if copy.template != template or name == new:
            continue
        problem = _reason_to_keep(folder, name, copy)
        if copy.of not in same:
            problem = problem or f"it is a copy of another file, which was {copy.database} then"
        if problem is None:
            ours.append(name)
        elif problem:
            warnings.append(f"{copy.path} was kept: {problem}")
    if len(warnings) > _TOLD:
        warnings[_TOLD:] = [f"{len(warnings) - _TOLD} more were kept for such reasons"]
    strange = sorted(name for name in names if name not in known and name != new)
    if strange:
        what = count_noun(len(strange), "file")
        warnings.append(
            f"{what} in {where} named like copies of this database stayed, because it is not known of which file they "
            f"were made: {', '.join(strange[:_TOLD])}{', ...' if len(strange) > _TOLD else ''}"
        )
    return ours[max(keep - 1, 0) :], warnings


def _copies(db: SQLiteConnection, where: str) -> dict[str, Copy]:
    """Return what is known of a database's copies in a folder, by name, the newest first."""
    real = os.path.realpath(where)
    database = db.real
    found: dict[str, Copy] = {}
    for kept in db.history.snapshots(COPY) if db.history else []:
        copy = Copy.parse(kept.data)
        if copy is None or copy.database != database:
            continue
        beside, name = os.path.split(copy.path)
        if beside == where or os.path.realpath(beside) == real:
            found.setdefault(name, copy)
    return found


def _identities(db: SQLiteConnection) -> set[str]:
    """Return which files a database has been: the one that it is, and those whose place that took by our own hand."""
    same = {identify(db.real)}
    for kept in db.history.snapshots(REPLACED) if db.history else []:
        if isinstance(kept.data, dict) and kept.data.get("new") in same and isinstance(kept.data.get("old"), str):
            same.add(kept.data["old"])
    return same


def _reason_to_keep(folder: int, name: str, copy: Copy) -> str | None:
    """Return why a copy is not to be removed; "" if it is not there any more, None if it is as it was made."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or identify(name, folder) != copy.file:
            return "somebody has put another file in its place"
    except FileNotFoundError:
        return ""
    if (found.st_size, found.st_mtime_ns) != (copy.size, copy.modified):
        return "somebody has written to it"
    for suffix in ("-wal", "-journal"):
        try:
            os.stat(name + suffix, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
        return "somebody works with it, or has left a log beside it"
    return None
