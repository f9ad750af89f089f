"""SQLite connections on which the n-th statement of a process kills it, or fails as on a full or broken disk.

The connections are real, and so is what they write; only what happens at the n-th statement is ours.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Literal

Fault = Literal["kill before", "kill after", "SQLITE_BUSY", "SQLITE_FULL", "SQLITE_IOERR_WRITE", "none"]
#: How SQLite words them.
_WORDS = {
    "SQLITE_BUSY": "database is locked",
    "SQLITE_FULL": "database or disk is full",
    "SQLITE_IOERR_WRITE": "disk I/O error",
}


class Faults:
    """What happens at which statement of this process; counted over all its connections.

    Args:
        fault: what.
        at: at which statement, from 1; it happens once.
        times: at how many statements after each other, for an error.
    """

    def __init__(self, fault: Fault, at: int, *, times: int = 1) -> None:
        self.count = 0
        self.happened = False
        self._fault = fault
        self._at = range(at, at + times)
        self._lock = threading.Lock()

    def install(self) -> None:
        """Have every connection that is opened from now on go through here."""
        connect = sqlite3.connect

        def faulty(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection: _Connection = connect(*arguments, **{"factory": _Connection, **options})
            connection.faults = self
            return connection

        sqlite3.connect = faulty  # type: ignore[assignment]

    def around(self, connection: sqlite3.Connection, sql: str, call: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        """Carry out a statement, unless it is its turn."""
        with self._lock:
            self.count += 1
            turn = self.count in self._at
        if not turn or self._fault == "none":
            return call()
        if self._fault == "kill before":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._fault == "kill after":
            call()
            os.kill(os.getpid(), signal.SIGKILL)
        self.happened = True
        raise self._error(connection)

    def _error(self, connection: sqlite3.Connection) -> sqlite3.OperationalError:
        # a full or broken disk makes SQLite roll back by itself; a lock does not
        if self._fault != "SQLITE_BUSY" and connection.in_transaction:
            super(_Connection, connection).execute("ROLLBACK")
        error = sqlite3.OperationalError(_WORDS[self._fault])
        error.sqlite_errorname = self._fault
        error.sqlite_errorcode = getattr(sqlite3, self._fault)
        return error


class _Connection(sqlite3.Connection):
    """A real connection that asks before each statement."""

    faults: Faults

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        run = super().execute
        return self.faults.around(self, sql, lambda: run(sql, *values))

    def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
        run = super().executemany
        return self.faults.around(self, sql, lambda: run(sql, rows))
