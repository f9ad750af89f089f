"""What every operation on SQLite reports alike: figures before and after, a line before and a line after."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from attrs import define

from pitstop.errors import OperationError
from pitstop.jobs import Outcome, Result
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.session import SQLiteMeasure
from pitstop_database_maintenance.sqlite.operations._leftovers import sweep_folders


@define(kw_only=True)
class OperationRun:
    """An operation that has begun, and what it ends with: each method returns its result, and logs it.

    A result's data are sizes in bytes, times in seconds, and what the operation counts itself. Of the `seconds`,
    `looked` went to the look for damage, and `waited` to locks of others.

    Attributes:
        db: the database.
        name: the operation's.
        before: the database as it was.
        began: when it began, in seconds of a clock that never goes back.
    """

    db: SQLiteConnection
    name: str
    before: SQLiteMeasure
    began: float

    def require_autocommit(self) -> None:
        """Refuse to go on within a transaction, for what has transactions of its own or can be in none.

        Raises:
            OperationError: one is open.
        """
        if self.db.in_transaction:
            raise OperationError(
                reason=f"a transaction is open on the connection to {self.db.path}", hint="commit it first"
            )

    def require_short_stall(self, seconds: float, what: str, *, hint: str) -> None:
        """Refuse to keep writers waiting for longer than the job may.

        Args:
            seconds: for how long they would wait at a stretch.
            what: what they would wait for.
            hint: what to do instead.

        Raises:
            OperationError: that is too long; nothing was touched.
        """
        most = self.db.limits.max_stall
        if most is not None and seconds > most:
            raise OperationError(
                reason=f"{what} of {self.db.path} would keep writers waiting for about {seconds:.2g} s, more than the "
                f"{most:g} s that they may wait",
                hint=f"{hint}; nothing was touched",
            )

    def changed(
        self, summary: str, *, after: SQLiteMeasure | None = None, warnings: Iterable[str] = (), **counts: Any
    ) -> Result:
        """End with something done.

        Args:
            summary: one line for a person.
            after: the database as it is, if it was measured already.
            warnings: what went wrong all the same, one line each.
            counts: what the operation counts itself; `stopped_by` and `left` if it has not done all.
        """
        return self._end(Outcome.CHANGED, summary, after, warnings, counts)

    def unchanged(
        self, summary: str, *, after: SQLiteMeasure | None = None, warnings: Iterable[str] = (), **counts: Any
    ) -> Result:
        """End with nothing to do; the arguments are those of `changed`."""
        return self._end(Outcome.UNCHANGED, summary, after, warnings, counts)

    def skipped(self, reason: str, *, warnings: Iterable[str] = (), **counts: Any) -> Result:
        """End with nothing done, and say why; the other arguments are those of `changed`."""
        return self._end(Outcome.SKIPPED, reason, None, warnings, counts)

    def _end(
        self,
        outcome: Outcome,
        summary: str,
        after: SQLiteMeasure | None,
        warnings: Iterable[str],
        counts: dict[str, Any],
    ) -> Result:
        db, before = self.db, self.before
        after = after or db.measure()
        data = {
            "bytes_before": before.bytes,
            "bytes_after": after.bytes,
            "file_bytes_before": before.file_bytes,
            "file_bytes_after": after.file_bytes,
            "wal_bytes_before": before.wal_bytes,
            "wal_bytes_after": after.wal_bytes,
            "free_pages_before": before.free_pages,
            "free_pages_after": after.free_pages,
            "page_size": after.page_size,
            "journal": "wal" if db.has_wal else "rollback",  # what the one costs says nothing of the other
            "writer_stall": round(db.stalls.writer_stall, 4),
            "reader_stall": round(db.stalls.reader_stall, 4),
            "seconds": round(time.monotonic() - self.began, 3),
            "looked": round(db.looked, 3),
            "waited": round(db.waited, 3),
        }
        db.context.logger.info("{} of {}: {}", self.name, db.path, summary)
        return Result(outcome=outcome, summary=summary, data=data | counts, warnings=warnings)


def begin(db: SQLiteConnection, name: str) -> OperationRun:
    """Stop here if the job was told to, write the line before, and measure.

    Raises:
        JobCancelledError, DeadlineExceededError: the job must stop.
    """
    db.context.check_cancelled()
    db.context.logger.debug("{} of {} begins", name, db.path)
    sweep_folders(db)
    began = time.monotonic()
    return OperationRun(db=db, name=name, before=db.measure(), began=began)
