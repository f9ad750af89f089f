"""What a connection promises of statements: rows, parameters, errors, and that one can be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from pitstop.errors import DeadlineExceededError, JobCancelledError, OperationError, TransientError
from pitstop.testing import FakeContext, Signal
from pitstop.testing.contracts.worker.trial import call_isolated, describe_error
from pitstop_database_maintenance.databases.database import Database, Measure
from pitstop_database_maintenance.testing.database.base import KindContract, catch_error, check_failure

#: What is written and must come back as it was.
_TEXTS = ("plain", "'; DROP TABLE x; --", 'it\'s "quoted"', "100% :name ? %s", "new\nline", "\U0001f3ce", "")


class ExecutingPromises(KindContract):
    """A statement runs, fails or stops, and says so."""

    __test__ = False

    def test_execute_returns_rows_as_a_list(self, folder: Path) -> None:
        """A query returns all of its rows at once, and a statement that has none returns an empty list."""
        with self.connect(self.make_url(folder)) as db:
            rows = db.execute("SELECT 1")
            assert isinstance(rows, list), f"execute returns {type(rows).__name__}; it must return a list"
            assert [row[0] for row in rows] == [1], f"SELECT 1 returns {rows!r}"
            none = db.execute(self.create_table(db.quote("t")))
            assert none == [], f"a statement without rows returns {none!r}; it must return an empty list"

    def test_execute_takes_parameters(self, folder: Path) -> None:
        """Values go beside the statement, by position and by name, and come back as they were."""
        with self.connect(self.make_url(folder)) as db:
            table = db.quote("t")
            db.execute(self.create_table(table))
            self.fill(db, table, dict(enumerate(_TEXTS)))
            query = f"SELECT said FROM {table} WHERE id = "  # noqa: S608 - quoted
            for number, text in enumerate(_TEXTS):
                by_position = db.execute(query + self.placeholder, (number,))
                by_name = db.execute(query + self.named_placeholder, {"name": number})
                assert [row[0] for row in by_position] == [text], f"{text!r} comes back as {by_position!r}"
                assert [row[0] for row in by_name] == [text], f"asked for by name, {text!r} comes back as {by_name!r}"

    def test_execute_is_for_good(self, folder: Path) -> None:
        """An operation has no other word for it: what it executed is there for the next connection."""
        url = self.make_url(folder)
        with self.connect(url) as db:
            table = db.quote("t")
            db.execute(self.create_table(table))
            self.fill(db, table, {1: "there"})
        with self.connect(url) as db:
            rows = db.execute(f"SELECT said FROM {table}")  # noqa: S608 - quoted
        assert [row[0] for row in rows] == ["there"], f"what was written is {rows!r} for the next connection"

    def test_execute_fails_in_words(self, folder: Path) -> None:
        """A statement that fails raises an `OperationError` or a `TransientError`, and the connection goes on."""
        with self.connect(self.make_url(folder)) as db:
            failure = catch_error(lambda: db.execute(self.failing_statement))
            check_failure(failure, f"execute({self.failing_statement!r})", OperationError, TransientError)
            assert not isinstance(failure, JobCancelledError), "a statement that fails is said to be cancelled"
            assert db.execute("SELECT 1"), "after a statement that failed the connection is of no use"

    @pytest.mark.parametrize("why", ["cancelled", "its time is over"])
    def test_execute_stops_when_the_job_is_told(self, folder: Path, why: str) -> None:
        """Told while a statement runs, it raises what the job was told, within `stops_within` seconds."""
        if not self.long_statement:
            return  # the author has none
        context = FakeContext()
        statement = self._start_long_statement(folder, context)
        (FakeContext.cancel if why == "cancelled" else FakeContext.expire)(context)
        in_time = statement.wait_for_end(self.stops_within)
        statement.end()
        wanted = JobCancelledError if why == "cancelled" else DeadlineExceededError
        assert in_time, f"told to stop ({why}), a statement went on for more than {self.stops_within:g} s"
        check_failure(statement.error, f"a statement of a job that was told to stop ({why})", wanted)

    def test_execute_refuses_to_begin_for_a_job_that_was_told(self, folder: Path) -> None:
        """Told before a long statement begins, the job does not wait for its end."""
        if not self.long_statement:
            return  # the author has none
        context = FakeContext()
        context.cancel()
        statement = _Running(partial(self.connect, self.make_url(folder), context), self.long_statement)
        in_time = statement.wait_for_end(self.stops_within)
        statement.end()
        assert in_time, f"told to stop before, a statement went on for more than {self.stops_within:g} s"
        check_failure(statement.error, "a statement of a job that had been told to stop", JobCancelledError)

    def test_interrupt_stops_a_statement(self, folder: Path) -> None:
        """Called from another thread, it ends the statement within `stops_within`, and the connection goes on."""
        if not self.long_statement:
            return  # the author has none
        statement = self._start_long_statement(folder, FakeContext())
        in_time = statement.interrupt_until_end(self.stops_within)
        statement.end()
        assert in_time, f"interrupted, a statement went on for more than {self.stops_within:g} s"
        check_failure(
            statement.error, "a statement that was interrupted", OperationError, TransientError, JobCancelledError
        )
        failure = statement.error_afterwards
        assert failure is None, f"the statement after an interrupted one raised {describe_error(failure)}"

    def test_interrupt_with_nothing_to_stop(self, folder: Path) -> None:
        """While no statement runs it does nothing, however often it is called, and the next statement runs."""
        with self.connect(self.make_url(folder)) as db:
            for _ in range(3):
                failure = catch_error(partial(call_isolated, db.interrupt))
                assert failure is None, f"interrupt with nothing to stop raised {describe_error(failure)}"
            failure = catch_error(lambda: db.execute("SELECT 1"))
            assert failure is None, f"the statement after an interruption raised {describe_error(failure)}"

    def _start_long_statement(self, folder: Path, context: FakeContext) -> _Running:
        """Return the long statement, which runs."""
        statement = _Running(partial(self.connect, self.make_url(folder), context), self.long_statement)
        ended = statement.wait_for_end(0.03)
        assert not ended, f"long_statement is to run for half a minute, and ended at once: {statement.error!r}"
        return statement

    def test_measure_grows_with_the_data(self, folder: Path) -> None:
        """It tells a size in bytes, of which what is free is a part, and more data make it more."""
        with self.connect(self.make_url(folder)) as db:
            table = db.quote("t")
            db.execute(self.create_table(table))
            before = _check_measure(db.measure())
            self.fill(db, table, {0: "row " * 500})
            for doubling in range(9):
                db.execute(f"INSERT INTO {table} SELECT id + {2**doubling}, said FROM {table}")  # noqa: S608 - quoted
            after = _check_measure(db.measure())
        assert after.bytes > before.bytes, f"a megabyte was written, and it still measures {before.bytes} bytes"


class _Running:
    """A statement on a connection in a thread of its own, which has begun or is just about to.

    Args:
        connect: opens the connection, which stays in the thread that made it.
        sql: the statement.

    Attributes:
        error: what it, or opening the connection, raised.
        error_afterwards: what the next statement on the connection raised.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[Database]], sql: str) -> None:
        self.error: BaseException | None = None
        self.error_afterwards: BaseException | None = None
        self._db: Database | None = None
        self._connect = connect
        self._sql = sql
        self._begun = Signal("the thread of a statement has a connection, or has failed")
        self._over = False
        self._thread = threading.Thread(target=self._run, name="trial-statement", daemon=True)
        self._thread.start()
        self._begun.wait()

    def _run(self) -> None:
        try:
            with self._connect() as db:
                self._db = db
                self._begun.give()
                self.error = catch_error(partial(db.execute, self._sql))
                self._over = True
                self.error_afterwards = catch_error(partial(db.execute, "SELECT 1"))
        except BaseException as error:
            self.error = self.error or error
        finally:
            self._begun.give()

    def wait_for_end(self, seconds: float) -> bool:
        """Wait for the end. Returns whether it came in time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def interrupt_until_end(self, seconds: float) -> bool:
        """Interrupt it again and again until it ends. Returns whether it did in time."""
        ends = time.monotonic() + seconds
        while not self._over and not self.wait_for_end(0.02) and time.monotonic() < ends:
            self.interrupt()
        return self._over

    def interrupt(self) -> None:
        """Interrupt it once."""
        if self._db is not None:
            self._db.interrupt()

    def end(self) -> None:
        """Interrupt it for a while, so that no statement outlives its test."""
        for _ in range(10):
            if self.wait_for_end(0.05):
                return
            self.interrupt()


def _check_measure(measure: Measure) -> Measure:
    assert isinstance(measure, Measure), f"measure returns {measure!r}, not a Measure"
    for what, number in (("bytes", measure.bytes), ("free_bytes", measure.free_bytes)):
        assert isinstance(number, int), f"it measures {number!r} {what}, not a whole number"
        assert number >= 0, f"it measures {number} {what}, which is less than nothing"
    assert measure.free_bytes <= measure.bytes, f"{measure.free_bytes} of {measure.bytes} bytes are free"
    return measure
