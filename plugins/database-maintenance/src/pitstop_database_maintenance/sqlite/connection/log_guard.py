"""Keeps a write-ahead log out of its file. Owns when what is in a log may be moved into the file, and moving it.

SQLite moves pages while somebody commits, and whoever closes the last connection moves all of them. Neither happens
before the file is known to be sound with its log: the first is switched off, and a connection that may not write is
kept open, so that this one is the last.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.connection.identity import Found
from pitstop_database_maintenance.sqlite.connection.opening import file_bytes, open_connection
from pitstop_database_maintenance.sqlite.connection.uri import beside

#: After how many pages in the log SQLite moves them by itself, its own default (SQLITE_DEFAULT_WAL_AUTOCHECKPOINT).
_AUTO_CHECKPOINT: Final = 1000

_Execute = Callable[[str], list[tuple[Any, ...]]]


class LogGuard:
    """Whether the write-ahead log of one file may be moved, for one connection to it.

    Attributes:
        may_move: whether what is in the log is known to be right, so that it may be moved into the file.
    """

    def __init__(self, path: str, *, may_move: bool = True) -> None:
        """Begin without a keeper of the log; see `hold`."""
        self.may_move = may_move
        self._path = path
        self._keeper: sqlite3.Connection | None = None

    @property
    def handles(self) -> int:
        """How many handles on the file the keeper has."""
        return int(self._keeper is not None)

    def hold(self, found: Found, *, busy_seconds: float) -> None:
        """Have nobody move what lies in the log now; does nothing if there is none.

        The last connection to close moves a log, if it may write. After a failure the keeper is the last, and it may
        not: the file and its log stay as they were.

        Args:
            found: the file.
            busy_seconds: for how long a lock of somebody else is waited for.

        Raises:
            OperationError: the file cannot be opened.
        """
        if not file_bytes(beside(self._path, "-wal")):
            return
        self.may_move = False
        self._keeper = open_connection(self._path, "ro", busy_seconds=busy_seconds, found=found)
        # whatever fails here, the connection that is to work meets it too, and reports it
        with suppress(sqlite3.Error):
            self._keeper.execute("PRAGMA schema_version").fetchall()  # only now is the log open

    def apply(self, execute: _Execute) -> None:
        """Set up a connection that was opened; `execute` runs a statement on it."""
        if not self.may_move:
            execute("PRAGMA wal_autocheckpoint = 0")

    def allow_moving(self, execute: _Execute) -> None:
        """From now on let SQLite move the log: what comes of it was found to be sound."""
        if not self.may_move:
            self.may_move = True
            execute(f"PRAGMA wal_autocheckpoint = {_AUTO_CHECKPOINT}")

    def move(self, execute: _Execute, how: Literal["PASSIVE", "TRUNCATE"]) -> tuple[int, int, int]:
        """Run a checkpoint; see `SQLiteConnection.move_log`.

        Raises:
            OperationError: what would come of it is not known to be sound.
        """
        self._require_moving()
        busy, frames, copied = execute(f"PRAGMA main.wal_checkpoint({how})")[0]
        return busy, frames, copied

    def release(self) -> None:
        """From now on let whoever closes the last connection move the log.

        Raises:
            OperationError: what would come of it is not known to be sound.
        """
        self._require_moving()
        self.close()

    def close(self) -> None:
        """Close the keeper, whatever is in the log; does nothing a second time."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()

    def _require_moving(self) -> None:
        if not self.may_move:
            raise OperationError(
                reason=f"the write-ahead log of {self._path} was not moved into the file: nobody has looked yet "
                "whether the database is sound with it",
                hint="the operation is to call require_sound first; tell its makers",
            )
