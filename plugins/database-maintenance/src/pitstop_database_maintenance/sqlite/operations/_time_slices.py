"""Work in slices: short transactions, as long as a writer may be kept waiting, with pauses in which others get on.

Owns how large a slice may be, how it is begun and committed without keeping anybody longer than asked, and how long
the pause after it lasts; does none of the work. Why it is so, and what was measured: docs/decisions/slices.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.lock_waits import DEFAULT_STALL, aim, current_sleep

#: How much of the aim may go by before the commit, which writes and syncs, begins.
_BEFORE_COMMIT: Final = 0.75
#: How many steps the first slice has, how much more the next may have than this one, and how much less at most.
_FIRST: Final = 16
_QUICKLY, _SLOWLY, _LESS = 2.0, 1.25, 0.5
#: Seconds between two tries for a lock. SQLite's own waiting sleeps up to 100 ms, in which busy writers take the lock
#: forty times; a connection that waits so never gets its turn beside them.
_TRY: Final = 0.001
#: The shortest pause without a write-ahead log while others write, in seconds: who has waited for long, for them as
#: well, sleeps for 100 ms.
_ROLLBACK_PAUSE: Final = 0.11
#: At most this much of a pause at once, in seconds, between two questions whether to stop.
_NAP: Final = 0.05
#: KiB of pages that a slice may change in memory. Were it less, SQLite would write, and sync, in the middle of it.
_CACHE: Final = 262_144


class Pace:
    """How many steps the next slice may have: as many as take the time aimed at, told from those before.

    Attributes:
        aim: seconds for which a slice should hold its lock.
        size: how many steps the next one may have.
    """

    def __init__(self, aim: float, *, least: int = 1) -> None:
        """Begin with a small slice; it grows quickly.

        Args:
            aim: seconds for which a slice should hold its lock.
            least: as many steps a slice has in any case. Where a commit alone takes longer than is aimed at, fewer
                steps would only make more slices.
        """
        self.aim = aim
        self.size = max(least, _FIRST)
        self._least = least

    def learn(self, steps: int, seconds: float) -> None:
        """Learn how long a slice of so many steps held its lock.

        It grows by little, and shrinks at once: too small a slice costs time, too large a one makes a writer wait.
        """
        fitting = steps * self.aim / max(seconds, 1e-6)
        most = steps * (_QUICKLY if seconds < self.aim / 2 else _SLOWLY)
        self.size = max(self._least, round(min(max(fitting, _LESS * steps), max(most, steps + 1))))


def limit_stall(db: SQLiteConnection, asked: float | None = None) -> float:
    """Return for how many seconds a writer may be kept waiting: as asked, but no longer than the job may."""
    return min((stall for stall in (asked, db.limits.max_stall) if stall is not None), default=DEFAULT_STALL)


class Slices:
    """Runs slices on one database, within `prepare`.

    Attributes:
        max_stall: seconds for which a writer may be kept waiting.
        wal: whether the database has a write-ahead log.
        count: how many slices there were.
        held: for how many seconds they kept writers out, all together.
    """

    def __init__(self, db: SQLiteConnection, *, max_stall: float | None = None, least: int = 1) -> None:
        """Prepare for slices that keep no writer waiting for longer than `max_stall` seconds, or as the job may.

        Args:
            db: the database.
            max_stall: in seconds.
            least: as many steps a slice has in any case; see `Pace`.
        """
        self.max_stall = limit_stall(db, max_stall)
        self.pace = Pace(aim(self.max_stall), least=least)
        self.wal = db.has_wal
        self.count = 0
        self.held = 0.0
        self._db = db
        self._last = 0.0
        self._seen: int | None = None
        self._commit_takes = math.inf

    @contextmanager
    def prepare(self) -> Iterator[None]:
        """Have the connection fit for slices within: it waits for no lock by itself, and writes only when told to."""
        wanted = {"wal_autocheckpoint": 0, "cache_size": -_CACHE}
        before = {name: self._db.execute(f"PRAGMA {name}")[0][0] for name in wanted}
        self._set(wanted)
        try:
            with self._db.no_lock_wait():
                yield
        finally:
            self._set(before)

    def _set(self, settings: dict[str, int]) -> None:
        for name, value in settings.items():
            self._db.execute(f"PRAGMA {name} = {value}")

    def run(self, step: Callable[[int], bool], check: Callable[[int], object] | None = None) -> int:
        """Do as many steps as the time aimed at allows, in one transaction; again while readers do not let it commit.

        Args:
            step: does one step, told how many were done in this slice; returns False if none was left to do.
            check: is told, before the commit, how many were done; what it raises undoes the slice.

        Returns:
            How many steps were done.

        Raises:
            TransientError: somebody else held a lock for longer than `BUSY_SECONDS`, or readers left no moment to
                commit in.
            PitstopError: what a step raised, or the job was asked to stop; this slice is undone.
        """
        began, patience = time.monotonic(), self._db.patience
        while (steps := self._try_slice(step, check)) is None:
            self.pause()
            waited = time.monotonic() - began
            if waited >= patience:
                self._db.waited += waited
                path = self._db.path
                raise LockedError(f"readers of {path} left no moment to commit in for {waited:.2g} s; try again later")
        return steps

    def _try_slice(self, step: Callable[[int], bool], check: Callable[[int], object] | None) -> int | None:
        """Do one slice; return None if it was undone because readers would not let it commit."""
        self.begin()
        began = time.monotonic()
        steps = 0
        try:
            until = began + _BEFORE_COMMIT * self.pace.aim
            while step(steps):
                steps += 1
                if steps >= self.pace.size or time.monotonic() >= until:
                    break
            if check is not None:
                check(steps)
            committed = self._commit()
        finally:
            self._db.rollback()  # which does nothing after a commit
            self._last = time.monotonic() - began
            self._db.stalls.add(self._last)
        self.count += 1
        self.held += self._last
        if steps:
            self.pace.learn(steps, self._last)
        return steps if committed else None

    def begin(self) -> None:
        """Take the lock for writing, as soon as it is free.

        Raises:
            TransientError: somebody else held it for longer than `BUSY_SECONDS`.
        """
        began, patience = time.monotonic(), self._db.patience
        while not self._try_statement("BEGIN IMMEDIATE", waited=time.monotonic() - began, patience=patience):
            time.sleep(_TRY)

    def _commit(self) -> bool:
        """Commit, or give up while a reader is in the way: whoever wants to write waits for the reader, and for us."""
        began = time.monotonic()
        try:
            while not self._try_statement("COMMIT"):
                if time.monotonic() - began >= self.pace.aim:
                    return False
                time.sleep(_TRY)
        finally:
            took = time.monotonic() - began
            if not self.wal:
                self._db.stalls.add_for_readers(took)
        # what a commit takes at least, who waited for this one takes for its own
        self._commit_takes = min(self._commit_takes, took)
        self._db.stalls.after = self._commit_takes
        return True

    def _try_statement(self, statement: str, *, waited: float = 0.0, patience: float = math.inf) -> bool:
        try:
            self._db.execute(statement)
        except LockedError:
            if waited < patience:
                return False
            # in vain: to wait for one's turn, as every writer does, takes nothing of what the run may wait for locks
            self._db.waited += waited
            raise
        return True

    def pause(self) -> None:
        """Let others get on: for at least as long as the last slice, and until who waited for it has tried twice.

        Raises:
            JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop.
        """
        until = time.monotonic() + self.gap(others=self._others_write())
        while True:
            self._db.check_stop()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _NAP))

    def _others_write(self) -> bool:
        """Return whether somebody else has written since the last pause, or holds a lock now."""
        try:
            # changes with each commit of another connection (sqlite.org/pragma.html#pragma_data_version)
            seen = self._db.pragma("data_version")
        except LockedError:
            return True
        before, self._seen = self._seen, seen
        return seen != before

    def gap(self, *, others: bool) -> float:
        """Return how long the pause after the last slice is, in seconds; `others` says whether somebody else writes."""
        enough = max(self._last, 2 * current_sleep(self._last))
        return max(enough, _ROLLBACK_PAUSE) if others and not self.wal else enough
