"""`GroupCommitter`: many threads write through one connection, and those that come at the same time share one commit.

The thread that finds the connection free leads: it begins a transaction, runs every write in the queue, its own among
them, commits once, and wakes the threads whose writes are done. While it waits for the disk the next ones queue up, and
one of them leads then. No thread of its own, and no delay for a caller who is alone.

Ctrl-C may raise KeyboardInterrupt in the main thread between any two steps, also within a `finally`. So nothing hangs
on a step that must follow another: the lead is a lock that `with` gives back, every caller can lead and does whenever
its own write is not done, and the next leader first clears up what an interrupted one may have left.

Owns who uses the connection when, and which operations share a transaction's fate. Knows no statement and no file.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import Enum
from random import random
from threading import Lock
from typing import Any, Generic, TypeVar

from pitstop.stores.sqlite import errors

T = TypeVar("T")
Row = tuple[Any, ...]
#: So many operations share a commit at most, so that the first of them does not wait for ever.
LARGEST_BATCH = 200
#: The longest pause, in seconds, between two looks whether another process has given the lock back. SQLite's own
#: waiting comes to 0.1, in which a busy process has long taken it again.
LONGEST_PAUSE = 0.01
#: The longest time, in seconds, that a caller waits to be woken; only after an interruption does it take that long.
LONGEST_WAIT = 0.05


class Transaction:
    """A write transaction that is open, and what may be done in it."""

    __slots__ = ("_raw",)

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def run(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        return self._raw.execute(sql, values).fetchall()

    def insert(self, sql: str, values: Sequence[object]) -> int:
        """Run an INSERT of one row and return its rowid."""
        return self._raw.execute(sql, values).lastrowid or 0

    def change(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        return self._raw.execute(sql, values).rowcount

    def run_each(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of values."""
        self._raw.executemany(sql, rows)


class Stage(Enum):
    """How far a transaction has come, and so what an interruption has interrupted."""

    WRITES = 1
    SENT = 2
    FAILED = 3


Work = Callable[[Transaction], T]


class PendingWrite(Generic[T]):
    """What one caller wants, and what came of it.

    Args:
        work: what is to be done, all of it or nothing. It may be called again after what it did was undone.
        alone: whether it is one statement, which needs no BEGIN and COMMIT around it when nobody shares the commit.
        relaxed: whether it may be lost with the power.
    """

    __slots__ = ("alone", "done", "error", "gate", "relaxed", "result", "since", "work")

    def __init__(self, work: Work[T], *, alone: bool, relaxed: bool) -> None:
        self.work = work
        self.alone = alone
        self.relaxed = relaxed
        self.gate: Lock | None = None  # of one that waits for another to lead
        self.since = time.monotonic()
        self.result: T
        self.error: Exception | None = None
        self.done = False

    def wake(self) -> None:
        """Have its caller look whether it is done, or may lead."""
        gate = self.gate
        if gate is not None and gate.locked():
            with suppress(RuntimeError):  # woken by two
                gate.release()


class GroupCommitter:
    """The one connection of a process that writes to a file.

    Args:
        raw: the connection, in autocommit mode and without a busy timeout of its own.
        strict: how SQLite calls the durability of what is not relaxed: "FULL" or "NORMAL".
        check: called after each commit before anybody hears of it; what it raises reaches every caller of the commit.
    """

    def __init__(self, raw: sqlite3.Connection, *, strict: str, check: Callable[[], None]) -> None:
        self._raw = raw
        self._transaction = Transaction(raw)
        self._strict = strict
        self._check = check
        self._level: str | None = None
        self._queue: deque[PendingWrite[Any]] = deque()
        self._lead = Lock()  # around all below, and the connection
        self._batch: list[PendingWrite[Any]] = []
        self._stage = Stage.WRITES

    def write(self, work: Work[T], *, alone: bool = False, relaxed: bool = False) -> T:
        """Carry out a write in a transaction, together with those of other threads, and return its result.

        An error of the write is its caller's alone. An error of the commit is everybody's who shares it.
        """
        mine = PendingWrite(work, alone=alone, relaxed=relaxed)
        try:
            self._queue.append(mine)
            # the leader checks the queue again after it has given back the lead: one of us sees the other
            if not self._may_lead(mine):
                self._wait(mine)
            if not mine.done:
                with self._lead:
                    self._lead_until_done(mine)
        finally:
            if not mine.done:
                self._withdraw(mine)
            if self._queue:
                self._wake_next()
        if mine.error is not None:
            raise mine.error
        return mine.result

    def read(self, sql: str, values: Sequence[object]) -> list[Row] | None:
        """Return the rows of a statement that takes no time, or None if somebody is writing."""
        if self._lead.locked():
            return None
        try:
            with self._lead:
                self._recover()
                return self._raw.execute(sql, values).fetchall()
        finally:
            if self._queue:
                self._wake_next()

    def close(self) -> None:
        """Close the connection when everything that was asked for until now has been done."""
        if self._queue or self._lead.locked():
            self.write(_do_nothing, alone=True, relaxed=True)
        with self._lead:  # closing a connection that another thread uses ends the process
            self._recover()
            self._raw.close()

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _wait(self, mine: PendingWrite[Any]) -> None:
        """Wait until another one has done it, or until it may lead."""
        gate = Lock()
        gate.acquire()
        mine.gate = gate
        if not mine.done and not self._may_lead(mine):
            gate.acquire(timeout=LONGEST_WAIT)

    def _may_lead(self, mine: PendingWrite[Any]) -> bool:
        # the first in the queue, which has been woken: who overtakes it would lead with few, and the rest wait again
        queue = self._queue
        return not self._lead.locked() and bool(queue) and queue[0] is mine

    def _withdraw(self, mine: PendingWrite[Any]) -> None:
        """Take a write out of the queue after an interruption: nobody waits for it any more."""
        with suppress(ValueError):
            self._queue.remove(mine)

    def _wake_next(self) -> None:
        with suppress(IndexError):  # it was done in between
            self._queue[0].wake()

    # -- leading ---------------------------------------------------------------------------------------------------

    def _lead_until_done(self, mine: PendingWrite[Any]) -> None:
        try:
            self._recover()
            while not mine.done:
                if mine not in self._queue:
                    self._queue.append(mine)  # one that was interrupted had taken it
                if mine.alone and len(self._queue) == 1:
                    self._write_alone(mine)
                else:
                    self._write_batch(mine)
        finally:
            self._recover()

    def _write_alone(self, mine: PendingWrite[Any]) -> None:
        self._queue.popleft()
        try:
            self._set_level(relaxed=mine.relaxed)
            mine.result = self._wait_for_lock(mine, lambda: mine.work(self._transaction))
            self._check()
        except Exception as error:
            mine.error = error
        mine.done = True

    def _write_batch(self, mine: PendingWrite[Any]) -> None:
        relaxed = all(each.relaxed for each in tuple(self._queue))
        try:
            self._begin(mine, relaxed=relaxed)
        except Exception as error:
            self._withdraw(mine)  # the others try themselves, each for as long as it may
            mine.error, mine.done = error, True
            return
        try:
            self._run_queued(relaxed=relaxed)
            self._commit()
        except Exception as error:
            self._roll_back()
            if self._stage is Stage.WRITES and len(self._batch) > 1:
                self._write_one_by_one(mine, relaxed=relaxed)
            else:
                self._settle_batch(error)
        else:
            self._settle_batch(None)

    def _begin(self, mine: PendingWrite[Any], *, relaxed: bool) -> None:
        self._stage = Stage.WRITES
        self._set_level(relaxed=relaxed)
        self._wait_for_lock(mine, lambda: self._raw.execute("BEGIN IMMEDIATE"))

    def _run_queued(self, *, relaxed: bool) -> None:
        """Run the writes in the queue, and those that join it, unless they need a stricter commit than this one."""
        queue, batch = self._queue, self._batch
        while queue and len(batch) < LARGEST_BATCH and (queue[0].relaxed or not relaxed):
            write = queue.popleft()
            batch.append(write)
            write.result = write.work(self._transaction)

    def _commit(self) -> None:
        self._stage = Stage.SENT
        try:
            self._raw.execute("COMMIT")
        except Exception:
            self._stage = Stage.FAILED
            raise
        self._check()

    def _write_one_by_one(self, mine: PendingWrite[Any], *, relaxed: bool) -> None:
        """Carry out once more what one of several operations has spoiled, each now so that it fails alone."""
        try:
            self._begin(mine, relaxed=relaxed)
            for write in self._batch:
                self._write_in_savepoint(write)
            self._commit()
        except Exception as error:
            self._roll_back()
            self._settle_batch(error)
        else:
            self._settle_batch(None)

    def _write_in_savepoint(self, write: PendingWrite[Any]) -> None:
        raw = self._raw
        write.error = None
        raw.execute("SAVEPOINT one")
        try:
            write.result = write.work(self._transaction)
        except Exception as error:
            if not raw.in_transaction:
                raise  # SQLite has given up the whole transaction, as on a full disk
            write.error = error
            raw.execute("ROLLBACK TO one")
        raw.execute("RELEASE one")

    def _settle_batch(self, error: Exception | None) -> None:
        """Tell everybody of this transaction what came of it."""
        for write in self._batch:
            write.error = error or write.error
            write.done = True
        batch, self._batch = self._batch, []
        for write in batch:
            write.wake()

    def _recover(self) -> None:
        """See to it that no transaction is open and nobody waits for an answer, whatever was interrupted before."""
        if self._batch and self._stage is Stage.SENT and not self._raw.in_transaction:
            self._settle_batch(None)  # committed, and nobody has heard of it
        self._roll_back()
        self._batch = []  # who is not done leads in turn, and does it then

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors, such as a full disk
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    def _set_level(self, *, relaxed: bool) -> None:
        level = "NORMAL" if relaxed else self._strict
        if level != self._level:
            self._level = None  # in case this is interrupted
            self._raw.execute(f"PRAGMA synchronous = {level}")
            self._level = level

    def _wait_for_lock(self, mine: PendingWrite[Any], call: Callable[[], T]) -> T:
        """Return what `call` does, trying again while another process has the lock."""
        pause = 0.0002
        while True:
            try:
                return call()
            except sqlite3.OperationalError as error:
                if not errors.is_busy(error) or self._raw.in_transaction:
                    raise
                if time.monotonic() >= mine.since + errors.BUSY_TIMEOUT:
                    raise
            time.sleep(pause * (0.5 + random()))  # noqa: S311 - so that two who wait do not look at the same moments
            pause = min(2 * pause, LONGEST_PAUSE)


def _do_nothing(_transaction: Transaction) -> None:
    return None
