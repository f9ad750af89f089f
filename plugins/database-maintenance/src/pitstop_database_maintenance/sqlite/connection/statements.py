"""Runs statements on one connection. Owns stopping them when the job must stop, waiting for locks, and their errors."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any, ClassVar, Final

from pitstop.contracts import JobContext
from pitstop.errors import OperationError, PitstopError
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.sqlite.connection.callbacks import CallbackConnection
from pitstop_database_maintenance.sqlite.connection.errors import (
    SQLiteFailure,
    damage_error,
    describe_holders,
    explain_error,
    name_holders,
    result_code,
)
from pitstop_database_maintenance.sqlite.connection.lock_waits import busy_sleeps
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import describe_python_error

#: How often `execute_with_step_budget` is asked before it gives up: it may be once before, and once within, the first
#: step.
_ASKED: Final = 3
#: After how many seconds of waiting for a lock it is told that it is waited for, and who holds it.
_REPORT_AFTER: Final = 1.0
#: What Python's library raises for a statement.
_RAISED: Final = (sqlite3.Error, UnicodeEncodeError, UnicodeDecodeError, MemoryError)

Rows = list[tuple[Any, ...]]
Parameters = Sequence[Any] | Mapping[str, Any]


class StatementRunner(Database):
    """The statements of one job on one connection, in autocommit.

    Attributes:
        path: the file, absolute.
        context: the job's.
        waited: how many seconds went to waiting for locks of others.
    """

    #: How long a lock of somebody else is waited for, in seconds: Python's own default for a connection.
    BUSY_SECONDS: ClassVar[float] = 5.0
    #: How often, in instructions of SQLite's virtual machine, it is asked whether to go on. 50 000 take about a
    #: millisecond, in which asking costs nothing that can be measured.
    STEPS: ClassVar[int] = 50_000

    def __init__(self, path: str, connection: sqlite3.Connection, context: JobContext) -> None:
        """Take over an open connection."""
        self.path = path
        self.context = context
        self.waited = 0.0
        self._patient = True
        self._unstoppable = False
        self._stop: Exception | None = None
        self._closing = threading.Lock()
        self._use(connection)

    def _use(self, connection: sqlite3.Connection) -> None:
        """Run what follows on this connection."""
        connection.set_progress_handler(self._must_abort, self.STEPS)
        with self._closing:
            self._connection, self._open = connection, True

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises:
            JobCancelledError, DeadlineExceededError: the job was asked to stop while it ran.
            TransientError: somebody else held a lock for longer than `BUSY_SECONDS`.
            OperationError: it failed; see `pitstop_database_maintenance.sqlite.connection.errors`.
        """
        # as `_translate_errors`, without a context manager: a job runs hundreds of statements that take microseconds
        try:
            rows = self._run_when_free(sql, parameters)
        except _RAISED as error:
            raise self._translate(error) from error
        self._raise_callback_failure()
        return rows

    def _run_when_free(self, sql: str, parameters: Parameters) -> Rows:
        try:
            return self._run(sql, parameters)
        except sqlite3.OperationalError as error:
            code = result_code(error)
            if code == sqlite3.SQLITE_READONLY and self._require_sound_to_write():
                return self.execute(sql, parameters)
            if not self._patient or code != sqlite3.SQLITE_BUSY:
                raise
        return self._retry_while_busy(sql, parameters)

    def _require_sound_to_write(self) -> bool:
        """Called when a connection that may not write has refused a statement; return whether it may by now."""
        return False

    def _retry_while_busy(self, sql: str, parameters: Parameters) -> Rows:
        """Run a statement that met a lock of somebody else, as soon as that is gone.

        It is waited here and not within SQLite, where nothing could end it, and nothing would tell how long it took.
        """
        began, waited, patience, sleeps = time.monotonic(), 0.0, self.patience, busy_sleeps()
        name_holder: Callable[[str], None] | None = None
        with ExitStack() as waiting:
            try:
                while True:
                    self.check_stop()
                    if name_holder is not None:
                        name_holder(name_holders(self.path))  # it may have passed to another
                    elif waited > _REPORT_AFTER:
                        self.context.logger.warning("{} is locked{}; waiting", self.path, describe_holders(self.path))
                        lock, since = f"the lock of {os.path.basename(self.path)}", time.time() - waited
                        named = self.context.waiting(lock, holder=name_holders(self.path), since=since)
                        name_holder = waiting.enter_context(named)
                    time.sleep(next(sleeps))
                    try:
                        waited = time.monotonic() - began
                        return self._run(sql, parameters)
                    except sqlite3.OperationalError as error:
                        if result_code(error) != sqlite3.SQLITE_BUSY or waited >= patience:
                            raise
            finally:
                self.waited += waited

    @property
    def patience(self) -> float:
        """For how many seconds a lock of somebody else may be waited for now: `BUSY_SECONDS`, or what is left of them.

        Not less than 0, and with 0 it is tried once.
        """
        return max(0.0, min(self.BUSY_SECONDS, self.limits.lock_wait - self.waited))

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement that only reads, one at a time, for answers that need not fit into memory.

        Raises:
            JobCancelledError, DeadlineExceededError, TransientError, OperationError: as `execute`; a lock is not
                waited for.
        """
        with self._translate_errors(), closing(self._connection.cursor()) as cursor:
            yield from cursor.execute(sql)

    def execute_with_step_budget(self, sql: str, *, steps: int) -> str | None:
        """Return the first thing that a statement says; None if it says nothing in more than twice so many steps.

        Raises:
            JobCancelledError, DeadlineExceededError, TransientError, OperationError: as `execute`.
        """
        asked = 0

        def enough() -> int:
            nonlocal asked
            asked += 1
            return int(asked > _ASKED) or self._must_abort()

        self._connection.set_progress_handler(enough, steps)
        try:
            return str(self.execute(sql)[0][0])
        except SQLiteFailure as failure:
            if failure.code == sqlite3.SQLITE_INTERRUPT and asked > _ASKED:
                return None
            raise
        finally:
            self._connection.set_progress_handler(self._must_abort, self.STEPS)

    @contextmanager
    def no_lock_wait(self) -> Iterator[None]:
        """Have statements within wait for no lock, for who decides by itself when to try again."""
        before, self._patient = self._patient, False
        try:
            yield
        finally:
            self._patient = before

    def disable_cancellation(self) -> None:
        """From now on let nothing stop the operation: what cannot be undone is done, and is to be told as it is."""
        self._unstoppable = True

    def check_stop(self) -> None:
        """As `Database.check_stop`, until `disable_cancellation`."""
        if not self._unstoppable:
            super().check_stop()

    def cancel_requested(self) -> bool:
        """Return whether the operation would have been stopped by now."""
        try:
            super().check_stop()
        except PitstopError:
            return True
        return False

    def interrupt(self) -> None:
        """Stop the statement that runs now; does nothing when none runs or the connection is closed."""
        with self._closing:
            if self._open and not self._unstoppable:
                self._connection.interrupt()

    def disconnect(self) -> None:
        """Close the connection, but not the job with the file; `reconnect` goes on. Does nothing a second time."""
        # an interrupt from another thread must not meet a connection that is just being freed
        with self._closing:
            was_open, self._open = self._open, False
        if was_open:
            self._forget_interrupt()
        self._connection.close()

    def _forget_interrupt(self) -> None:
        """Have an interrupt that came after the last statement forgotten, as SQLite does when the next one begins.

        Else it would stop the checkpoint at closing, and the write-ahead log would stay beside the file.
        """
        self._connection.set_progress_handler(None, 0)
        with suppress(sqlite3.Error):
            self._connection.execute("SELECT 1").fetchall()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
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
            reason = f"a text that was given to {self.path} holds half of a character, which UTF-8 has not"
            return OperationError(reason=reason, hint="give another one")
        return damage_error(self.path, describe_python_error(error))

    def _run(self, sql: str, parameters: Parameters) -> Rows:
        rows = self._connection.execute(sql, parameters).fetchall()
        stop = self._take_stop()
        if stop is not None:
            raise stop  # a module was stopped in a statement of its own, and went on as if that had ended
        return rows

    def _must_abort(self) -> int:
        """Tell SQLite whether to abort; an interrupt that comes between two statements goes nowhere, this does not."""
        try:
            self.check_stop()
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
        if isinstance(self._connection, CallbackConnection):
            self._connection.raise_failure(self.path)

    def _explain(self, error: sqlite3.Error) -> Exception:
        stop = self._take_stop()
        if stop is not None:
            return stop  # whatever SQLite makes of having been stopped: FTS4 calls its index malformed then
        if result_code(error) in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY):
            # whoever was told to stop while waiting for a lock is to stop, not to try again
            try:
                self.check_stop()
            except PitstopError as job_stop:
                return job_stop
        return explain_error(error, path=self.path, waited=self.waited)
