"""Waits for locks of others. Owns how often a statement is tried again, and who is told what it waits for.

It is waited here and not within SQLite, where nothing could end it, and nothing would tell how long it took.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.sqlite.connection.errors import holders, result_code, who_holds
from pitstop_database_maintenance.sqlite.connection.lock_waits import busy_sleeps

#: After how many seconds of waiting for a lock it is told that it is waited for, and who holds it.
_REPORT_AFTER: Final = 1.0


def retry_while_busy(
    db: Database, path: str, run: Callable[[], list[tuple[Any, ...]]], *, seconds: float
) -> list[tuple[Any, ...]]:
    """Run a statement that met a lock of somebody else, as soon as that is gone.

    Args:
        db: whose job waits; what it has waited is added to its `waited`.
        path: the file.
        run: runs the statement.
        seconds: for how long to wait, at most; `db.limits` may say less.

    Returns:
        The rows.

    Raises:
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop.
        sqlite3.OperationalError: the lock was not gone by then, or the statement failed.
    """
    began, waited = time.monotonic(), 0.0
    name_holder: Callable[[str], None] | None = None
    patience = min(seconds, db.limits.lock_wait - db.waited)
    waiting = ExitStack()
    try:
        for sleep in busy_sleeps():
            db.check_stop()
            if name_holder is not None:
                name_holder(holders(path))  # it may have passed to another
            elif waited > _REPORT_AFTER:
                db.context.logger.warning("{} is locked{}; waiting", path, who_holds(path))
                lock, since = f"the lock of {os.path.basename(path)}", time.time() - waited
                named = db.context.waiting(lock, holder=holders(path), since=since)
                name_holder = waiting.enter_context(named)
            time.sleep(sleep)
            try:
                waited = time.monotonic() - began
                return run()
            except sqlite3.OperationalError as error:
                if result_code(error) != sqlite3.SQLITE_BUSY or waited >= patience:
                    raise
    finally:
        db.waited += waited
        waiting.close()
    raise AssertionError("the sleeps never end")
