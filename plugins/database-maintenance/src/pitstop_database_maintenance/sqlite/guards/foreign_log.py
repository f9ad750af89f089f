"""Whether damage comes from a write-ahead log that is another file's. Owns that question, and what to do about it.

A log does not say to which file it belongs. Where a backup was put back and a newer log was left beside it, SQLite
takes over its pages, and finds, or makes, a database of two halves. What tells is that the file by itself is sound and
with the log it is not. `surveyor.log_ownership` has what can be told without reading the whole file, which `admission`
asks for before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.guards.own_files import LOG_ADVICE

if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection


class UnsoundLog(SQLiteFailure):
    """A file is sound by itself, and not with the write-ahead log beside it."""


@contextmanager
def attribute_damage_to_log(db: SQLiteConnection) -> Iterator[None]:
    """Where damage is found within, while what is in the log has not been moved, tell whether the log brought it.

    Raises:
        UnsoundLog: the file by itself is sound.
    """
    try:
        yield
    except SQLiteFailure as failure:
        if db.may_move_the_log or not failure.damaged or not _is_sound_alone(db):
            raise
        reason = (
            f"{db.path} is sound by itself, and not with the write-ahead log beside it, which may be another file's; "
            f"nothing was written to it (with the log: {failure.briefly})"
        )
        raise UnsoundLog(reason=reason, hint=LOG_ADVICE, code=failure.code, problems=failure.problems) from failure


def _is_sound_alone(db: SQLiteConnection) -> bool:
    """Return whether SQLite finds nothing wrong with the structure of the file as it is without its log."""
    try:
        with db.second("ro", alone=True) as reader:
            reader.execute("PRAGMA ignore_check_constraints = ON")
            return reader.execute("PRAGMA main.quick_check(1)") == [("ok",)]
    except OperationError:
        return False  # nothing speaks for the file by itself
