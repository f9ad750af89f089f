"""Whether a check may look at a database in place or has to look at a copy. Owns that choice; counts the stalls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from attrs import frozen

from pitstop_database_maintenance.sqlite.checks.snapshot import snapshot
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.lock_waits import worst_wait

#: Bytes of database at which one connection runs a quick_check in a second. Measured on two cores, from the system's
#: cache: 300 MB in 0.33 s.
QUICK_CHECK_RATE: Final = 900e6


@frozen(kw_only=True)
class Place:
    """Where a check looks.

    Args:
        db: the connection to look with: the job's own, or one to a copy.
        original: the job's own.
        rollback: whether readers keep writers waiting, because there is no write-ahead log.
        may_lock: whether the check may keep writers out for as long as one quick_check takes.
    """

    db: SQLiteConnection
    original: SQLiteConnection
    rollback: bool
    may_lock: bool

    @property
    def copied(self) -> bool:
        """Whether it is a copy."""
        return self.db is not self.original

    def count(self, seconds: float, locked: float = 0.0) -> None:
        """Count what one statement kept others waiting.

        Args:
            seconds: how long it read.
            locked: for how long of that, or beyond it, it kept writers out in any journal mode.
        """
        if self.copied:
            return
        if self.rollback:
            self.original.stalls.add(seconds, readers=True)
        if locked:
            self.original.stalls.add(locked)

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Count what the statement within keeps others waiting."""
        began = self.db.clock()
        try:
            yield
        finally:
            self.count(self.db.clock() - began)


@contextmanager
def place_to_check(db: SQLiteConnection, check: str, seconds: float, *, locks: bool = False) -> Iterator[Place]:
    """Yield where to look so that no writer waits longer than the job may make it wait.

    Args:
        db: the database.
        check: the operation.
        seconds: how long its longest statement takes; 0 if there is nothing to check.
        locks: whether it keeps writers out in any journal mode.

    Raises:
        OperationError: a copy would be needed, and cannot be had.
    """
    limit = db.limits.max_stall
    rollback = not db.has_wal
    if limit is None or not seconds or not (rollback or locks) or worst_wait(seconds) <= limit:
        look = worst_wait(db.measure().bytes / QUICK_CHECK_RATE)
        yield Place(db=db, original=db, rollback=rollback, may_lock=limit is None or look <= limit)
        return
    db.context.logger.info(
        "{} of {} would keep writers waiting for about {:.2g} s: a copy is checked", check, db.path, seconds
    )
    with snapshot(db, max_stall=limit) as copy:
        yield Place(db=copy, original=db, rollback=rollback, may_lock=True)
