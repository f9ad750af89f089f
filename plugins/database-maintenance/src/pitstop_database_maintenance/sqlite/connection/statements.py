"""Runs statements on one connection. Owns stopping them when the job must stop, and what their errors become."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, Final, cast

from pitstop.errors import OperationError, PitstopError
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.sqlite.connection.busy import retry_while_busy
from pitstop_database_maintenance.sqlite.connection.callbacks import CallbackConnection
from pitstop_database_maintenance.sqlite.connection.errors import (
    SQLiteFailure,
    damage_error,
    describe_python_error,
    explain_error,
    result_code,
)

#: How often `Statements.first` is asked before it gives up: it may be once before, and once within, the first step.
_ASKED: Final = 3
#: What Python's library raises for a statement.
_RAISED: Final = (sqlite3.Error, UnicodeEncodeError, UnicodeDecodeError, MemoryError)

Rows = list[tuple[Any, ...]]
Parameters = Sequence[Any] | Mapping[str, Any]


class Statements:
    """The statements of one job on one connection.

    Attributes:
        connection: the connection; see `use`.
        patient: whether a lock of somebody else is waited for.
        before_write: called when a connection on which nothing may be written has refused a statement; returns whether
            it may be written by now, so that the statement is run again.
    """

    def __init__(self, db: Database, path: str, connection: sqlite3.Connection, *, steps: int) -> None:
        """Take over an open connection.

        Args:
            db: is asked, while a statement runs, whether the job must stop.
            path: the file, for messages.
            connection: in autocommit.
            steps: how often it is asked, in instructions of SQLite's virtual machine.
        """
        self.patient = True
        self.before_write: Callable[[], bool] = lambda: False
        self._db = db
        self._path = path
        self._steps = steps
        self._stop: Exception | None = None
        self._closing = threading.Lock()
        self.use(connection)

    def use(self, connection: sqlite3.Connection) -> None:
        """Run what follows on this connection."""
        connection.set_progress_handler(self._must_abort, self._steps)
        with self._closing:
            self.connection, self._open = connection, True

    def ask_every(self, steps: int) -> None:
        """From now on ask every so many instructions whether the job must stop."""
        self.connection.set_progress_handler(self._must_abort, steps)

    def execute(self, sql: str, parameters: Parameters, *, busy_seconds: float) -> Rows:
        """Run one statement and return its rows; see `Session.execute`.

        Args:
            sql, parameters: the statement.
            busy_seconds: for how long a lock of somebody else is waited for.
        """
        # as `translate_errors`, without a context manager: a job runs hundreds of statements that take microseconds
        try:
            rows = self._run_when_free(sql, parameters, busy_seconds)
        except _RAISED as error:
            raise self._translate(error) from error
        self._raise_callback_failure()
        return rows

    def _run_when_free(self, sql: str, parameters: Parameters, busy_seconds: float) -> Rows:
        try:
            return self._run(sql, parameters)
        except sqlite3.OperationalError as error:
            code = result_code(error)
            if code == sqlite3.SQLITE_READONLY and self.before_write():
                return self.execute(sql, parameters, busy_seconds=busy_seconds)
            if not self.patient or code != sqlite3.SQLITE_BUSY:
                raise
        return retry_while_busy(self._db, self._path, lambda: self._run(sql, parameters), seconds=busy_seconds)

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement one at a time; see `Session.each`."""
        with self.translate_errors(), closing(self.connection.cursor()) as cursor:
            yield from cursor.execute(sql)

    def execute_with_step_budget(self, sql: str, *, steps: int, busy_seconds: float) -> str | None:
        """Return the first thing that a statement says; see `Session.first`."""
        asked = 0

        def enough() -> int:
            nonlocal asked
            asked += 1
            return int(asked > _ASKED) or self._must_abort()

        self.connection.set_progress_handler(enough, steps)
        try:
            return str(self.execute(sql, (), busy_seconds=busy_seconds)[0][0])
        except SQLiteFailure as failure:
            if failure.code == sqlite3.SQLITE_INTERRUPT and asked > _ASKED:
                return None
            raise
        finally:
            self.ask_every(self._steps)

    def interrupt(self) -> None:
        """Stop the statement that runs now; does nothing when none runs or the connection is closed."""
        with self._closing:
            if self._open:
                self.connection.interrupt()

    def close(self) -> None:
        """Close the connection; does nothing a second time."""
        # an interrupt from another thread must not meet a connection that is just being freed
        with self._closing:
            was_open, self._open = self._open, False
        if was_open:
            self._forget_interrupt()
        self.connection.close()

    def _forget_interrupt(self) -> None:
        """Have an interrupt that came after the last statement forgotten, as SQLite does when the next one begins.

        Else it would stop the checkpoint at closing, and the write-ahead log would stay beside the file.
        """
        self.connection.set_progress_handler(None, 0)
        with suppress(sqlite3.Error):
            self.connection.execute("SELECT 1").fetchall()

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turn what Python's library raises within into what an operator can read."""
        try:
            yield
        except _RAISED as error:
            raise self._translate(error) from error
        self._raise_callback_failure()

    def _translate(self, error: Exception) -> Exception:
        """Return what to raise for what Python's library raised; what a callback raised is raised at once."""
        if isinstance(error, sqlite3.Error):
            self._raise_callback_failure()
            return self._explain(error)
        if isinstance(error, UnicodeEncodeError):
            reason = f"a text that was given to {self._path} holds half of a character, which UTF-8 has not"
            return OperationError(reason=reason, hint="give another one")
        return damage_error(self._path, describe_python_error(cast("UnicodeDecodeError | MemoryError", error)))

    def _run(self, sql: str, parameters: Parameters) -> Rows:
        rows = self.connection.execute(sql, parameters).fetchall()
        stop = self._take_stop()
        if stop is not None:
            raise stop  # a module was stopped in a statement of its own, and went on as if that had ended
        return rows

    def _must_abort(self) -> int:
        """Tell SQLite whether to abort; an interrupt that comes between two statements goes nowhere, this does not."""
        try:
            self._db.check_stop()
        except Exception as stop:
            # raised through SQLite it would be lost: it is kept, and raised where the statement was asked for
            self._stop = stop
            return 1
        return 0

    def _take_stop(self) -> Exception | None:
        stop, self._stop = self._stop, None
        return stop

    def _raise_callback_failure(self) -> None:
        """Raise what a collation or a function of the application has raised while the statement ran."""
        failure = self.connection.take_failure() if isinstance(self.connection, CallbackConnection) else None
        if failure is not None:
            raise failure.explain(self._path) from failure.error

    def _explain(self, error: sqlite3.Error) -> Exception:
        stop = self._take_stop()
        if stop is not None:
            return stop  # whatever SQLite makes of having been stopped: FTS4 calls its index malformed then
        if result_code(error) in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY):
            # whoever was told to stop while waiting for a lock is to stop, not to try again
            try:
                self._db.check_stop()
            except PitstopError as job_stop:
                return job_stop
        return explain_error(error, path=self._path, waited=self._db.waited)
