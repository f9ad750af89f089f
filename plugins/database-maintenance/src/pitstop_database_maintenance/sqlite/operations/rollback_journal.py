"""`rollback_journal`: roll back the journal that a crash left. Owns telling of it; SQLite does it when it opens a file.

That is what every program does that opens such a database, so that nobody sees a transaction that was not committed.
Until somebody opens it, nothing that is read of the file by itself can be trusted. A journal that may be another file's
is not opened at all: see `admission`.
"""

from __future__ import annotations

from pitstop.jobs import Result
from pitstop.text import size_text
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations._measured import begin


def rollback_journal(db: SQLiteConnection) -> Result:
    """Roll back the transaction that a crash interrupted, and look whether the database is sound then.

    Args:
        db: the database.

    Raises:
        OperationError: the journal could not be rolled back, or the database is damaged.
        JobCancelledError, DeadlineExceededError: the job was asked to stop; the journal is rolled back then.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "rollback_journal")
    size = db.rolled_back
    if not size:
        return run.unchanged("no journal to roll back", journal_bytes=0)
    require_sound(db)
    return run.changed(f"a journal of {size_text(size)} that a crash had left was rolled back", journal_bytes=size)
