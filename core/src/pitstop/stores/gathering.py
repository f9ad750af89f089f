"""`Gathering`: many threads write through one connection, and those that come at the same time share one commit.

Whoever finds the connection free leads: it begins a transaction, carries out its own operation and all that have been
queued meanwhile, commits once, and hands each its answer. While it waits for the disk the next ones queue up, and the
first of them leads then. No thread of its own, and no delay for a caller who is alone.

Owns who uses the connection when, and which operations share a transaction's fate. Knows no statement and no file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from random import random
from threading import Lock
from typing import Any, Generic, TypeVar

from pitstop.stores import problems

T = TypeVar("T")
Row = tuple[Any, ...]
#: So many operations share a commit at most, so that the first of them does not wait for ever.
TOGETHER = 200
#: The longest pause, in seconds, between two looks whether another process has given the lock back. SQLite's own
#: waiting comes to 0.1, in which a busy process has long taken it again.
LONGEST_PAUSE = 0.01


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
    """How far a transaction has come; tells what an interruption has interrupted."""

    OPERATIONS = 1
    SENT = 2
    FAILED = 3


Work = Callable[[Transaction], T]


class Operation(Generic[T]):
    """What one caller wants, and what came of it.

    Args:
        work: what is to be done, all of it or nothing. It may be called a second time after what it did was undone.
        alone: whether it is one statement, which needs no BEGIN and COMMIT around it when nobody shares the commit.
        relaxed: whether it may be lost with the power.
    """

    __slots__ = ("alone", "awaited", "done", "error", "followers", "gate", "relaxed", "result", "since", "work")

    def __init__(self, work: Work[T], *, alone: bool, relaxed: bool) -> None:
        self.work = work
        self.alone = alone
        self.relaxed = relaxed
        self.gate = Lock()
        self.since = 0.0
        self.followers: list[Operation[Any]] = []
        self.awaited: list[Operation[Any]] = []
        self.result: T
        self.error: Exception | None = None
        self.done = False


class Gathering:
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
        self._lock = Lock()  # around the two fields below, never held for long
        self._leader: Operation[Any] | None = None
        self._queue: list[Operation[Any]] = []
        self._stage = Stage.OPERATIONS

    def write(self, work: Work[T], *, alone: bool = False, relaxed: bool = False) -> T:
        """Carry out an operation in a transaction, together with those of other threads, and return its result.

        An error of the operation is its caller's alone. An error of the commit is everybody's who shares it.
        """
        mine = Operation(work, alone=alone, relaxed=relaxed)
        try:
            with self._lock:
                if self._leader is None:
                    self._leader = mine
                else:
                    mine.since = time.monotonic()
                    mine.gate.acquire()
                    self._queue.append(mine)
            if self._leader is not mine:
                mine.gate.acquire()  # until another leader has done it, or leaves the lead to this one
            if self._leader is mine:
                self._lead(mine)
        finally:
            if mine.done and self._leader is mine:
                self._surely_leave(mine)
        if mine.error is not None:
            raise mine.error
        return mine.result

    def read(self, sql: str, values: Sequence[object]) -> list[Row] | None:
        """Return the rows of a statement that takes no time, or None if somebody is writing."""
        me = Operation(_nothing, alone=True, relaxed=True)
        try:
            with self._lock:
                if self._leader is not None:
                    return None
                self._leader = me
            return self._raw.execute(sql, values).fetchall()
        finally:
            if self._leader is me:
                self._surely_leave(me)

    def wait(self) -> None:
        """Return when everything that was asked for until now has been done."""
        with self._lock:
            if self._leader is None:
                return
        self.write(_nothing, alone=True, relaxed=True)

    # -- leading ---------------------------------------------------------------------------------------------------

    def _lead(self, mine: Operation[Any]) -> None:
        self._stage = Stage.OPERATIONS
        try:
            if mine.alone and not self._queue:
                self._alone(mine)
            else:
                self._together(mine, apart=False)
        except Exception as error:
            if mine.followers and self._stage is Stage.OPERATIONS:
                self._again(mine)
            else:
                _settle(mine, error)
        else:
            _settle(mine, None)

    def _alone(self, mine: Operation[Any]) -> None:
        self._set_level(relaxed=mine.relaxed)
        mine.result = self._patiently(mine, lambda: mine.work(self._transaction))
        self._check()

    def _again(self, mine: Operation[Any]) -> None:
        """Carry out once more what one of several operations has spoiled, each now so that it fails alone."""
        try:
            self._together(mine, apart=True)
        except Exception as error:
            _settle(mine, error)
        else:
            _settle(mine, None)

    def _together(self, mine: Operation[Any], *, apart: bool) -> None:
        raw = self._raw
        relaxed = mine.relaxed and all(each.relaxed for each in (*mine.followers, *self._queue))
        self._set_level(relaxed=relaxed)
        self._patiently(mine, lambda: raw.execute("BEGIN IMMEDIATE"))
        try:
            if apart:
                for operation in (mine, *mine.followers):
                    self._apart(operation)
            else:
                mine.result = mine.work(self._transaction)
                self._let_join(mine, relaxed=relaxed)
            self._stage = Stage.SENT
            raw.execute("COMMIT")
        except Exception:
            if self._stage is Stage.SENT:
                self._stage = Stage.FAILED
            self._undo()
            raise
        self._check()

    def _let_join(self, mine: Operation[Any], *, relaxed: bool) -> None:
        """Carry out what others have queued, as far as it asks for no more durability than this commit has."""
        while self._queue and len(mine.followers) < TOGETHER:
            with self._lock:
                fits = [each for each in self._queue if each.relaxed or not relaxed]
                rest = [each for each in self._queue if relaxed and not each.relaxed]
                mine.followers, self._queue = mine.followers + fits, rest
            if not fits:
                return
            for operation in fits:
                operation.result = operation.work(self._transaction)

    def _apart(self, operation: Operation[Any]) -> None:
        raw = self._raw
        operation.error = None
        raw.execute("SAVEPOINT apart")
        try:
            operation.result = operation.work(self._transaction)
        except Exception as error:
            if not raw.in_transaction:
                raise  # SQLite has given up the whole transaction, as on a full disk
            operation.error = error
            raw.execute("ROLLBACK TO apart")
        raw.execute("RELEASE apart")

    def _undo(self) -> None:
        # SQLite has rolled back by itself after some errors, such as a full disk
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    def _set_level(self, *, relaxed: bool) -> None:
        level = "NORMAL" if relaxed else self._strict
        if level != self._level:
            self._level = None  # in case this is interrupted
            self._raw.execute(f"PRAGMA synchronous = {level}")
            self._level = level

    def _patiently(self, mine: Operation[Any], call: Callable[[], T]) -> T:
        """Return what `call` does, trying again while another process has the lock."""
        pause = 0.0002
        while True:
            try:
                return call()
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                mine.since = mine.since or now
                if not problems.is_busy(error) or self._raw.in_transaction:
                    raise
                if now >= mine.since + problems.BUSY_TIMEOUT:
                    raise
            time.sleep(pause * (0.5 + random()))  # noqa: S311 - so that two who wait do not look at the same moments
            pause = min(2 * pause, LONGEST_PAUSE)

    # -- handing over ----------------------------------------------------------------------------------------------

    def _surely_leave(self, mine: Operation[Any]) -> None:
        try:
            self._leave(mine)
        except BaseException:  # Ctrl-C may come here, too; what is done already is not done twice
            self._leave(mine)
            raise

    def _leave(self, mine: Operation[Any]) -> None:
        """Answer those whose operations are done and let the first of the others lead.

        Or, after an interruption while it waited, give up the place in the queue.
        """
        if self._leader is mine:
            if not mine.done:
                self._clear_up(mine)
            with self._lock:
                if not mine.followers and not self._queue:
                    self._leader = None
                    return
                left = [each for each in mine.followers if not each.done]
                queue = left + [each for each in self._queue if each not in left]
                mine.awaited = [each for each in mine.followers if each.done] + queue[:1]
                self._queue, self._leader = queue[1:], queue[0] if queue else None
        else:
            with self._lock:
                if mine in self._queue:
                    self._queue.remove(mine)
            if self._leader is mine:  # it got the lead just now
                self._leave(mine)
        for operation in mine.awaited:
            if operation.gate.locked():
                operation.gate.release()

    def _clear_up(self, mine: Operation[Any]) -> None:
        """Find out what became of a transaction in which the leader was interrupted."""
        if self._stage is Stage.SENT and not self._raw.in_transaction:
            _settle(mine, None)  # committed, and nobody has heard of it
        else:
            self._undo()


def _settle(mine: Operation[Any], error: Exception | None) -> None:
    for operation in (mine, *mine.followers):
        operation.error = error or operation.error
        operation.done = True


def _nothing(_transaction: Transaction) -> None:
    return None
