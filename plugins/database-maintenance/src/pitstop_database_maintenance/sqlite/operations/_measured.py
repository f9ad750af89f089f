"""What every operation on SQLite reports alike: figures before and after, a line before and a line after."""

from __future__ import annotations

import time
from typing import Any

from attrs import frozen

from pitstop.jobs import Result
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.session import SQLiteMeasure
from pitstop_database_maintenance.sqlite.operations.backup_retention import sweep_folders


@frozen(kw_only=True)
class Started:
    """An operation that has begun.

    Args:
        name: the operation's.
        before: the database as it was.
        at: when it began, in seconds of a clock that never goes back.
    """

    name: str
    before: SQLiteMeasure
    at: float


def begin(db: SQLiteConnection, name: str) -> Started:
    """Stop here if the job was told to, write the line before, and measure.

    Raises:
        JobCancelledError, DeadlineExceededError: the job must stop.
    """
    db.context.check_cancelled()
    db.context.logger.debug("{} of {} begins", name, db.path)
    sweep_folders(db)
    at = time.monotonic()
    return Started(name=name, before=db.measure(), at=at)


def figures(db: SQLiteConnection, started: Started, after: SQLiteMeasure, **counts: Any) -> dict[str, Any]:
    """Return a result's data: sizes in bytes, times in seconds, and what the operation counts itself.

    Of the `seconds`, `looked` went to the look for damage, and `waited` to locks of others.
    """
    before = started.before
    return {
        "bytes_before": before.bytes,
        "bytes_after": after.bytes,
        "file_bytes_before": before.file_bytes,
        "file_bytes_after": after.file_bytes,
        "wal_bytes_before": before.wal_bytes,
        "wal_bytes_after": after.wal_bytes,
        "free_pages_before": before.free_pages,
        "free_pages_after": after.free_pages,
        "page_size": after.page_size,
        "journal": journal_of(db),
        "writer_stall": round(db.stalls.writer_stall, 4),
        "reader_stall": round(db.stalls.reader_stall, 4),
        "seconds": round(time.monotonic() - started.at, 3),
        "looked": round(db.looked, 3),
        "waited": round(db.waited, 3),
        **counts,
    }


def journal_of(db: SQLiteConnection) -> str:
    """Return "wal" or "rollback": what an operation costs in the one says nothing of the other."""
    return "wal" if db.execute("PRAGMA main.journal_mode")[0][0] == "wal" else "rollback"


def end(db: SQLiteConnection, started: Started, result: Result) -> Result:
    """Write the line after, and return the result; its warnings are written by whoever runs the job."""
    db.context.logger.info("{} of {}: {}", started.name, db.path, result.summary)
    return result
