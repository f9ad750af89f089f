"""How long others were kept waiting. Owns the meter, and what a lock of some length looks like to who waits for it."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate, chain, repeat, takewhile
from typing import Final

#: How long SQLite sleeps between two tries for a lock, in seconds; the last one again and again (main.c,
#: sqliteDefaultBusyCallback). A writer notices that a lock is free only when it wakes.
_SLEEPS: Final = tuple(ms / 1000 for ms in (1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100))
#: How much longer than asked each of these sleeps takes, with the try after it. Measured on Linux 6 with SQLite 3.40.1:
#: waits of 1.1, 3.2, 9, 19, 54, 130, 230 and 330 ms where the sleeps add up to 1, 3, 8, 18, 53, 128, 228 and 328.
_LATE: Final = 0.00015
#: How long after a lock was taken a busy writer comes for it, at most: one that makes 400 transactions a second.
_COMES_WITHIN: Final = 0.0025
#: For how many seconds a writer may be kept waiting if nobody said for how long.
DEFAULT_STALL: Final = 0.05
#: How much of the longest lock that keeps to a stall is aimed at. The rest is for what nobody can foresee: a sync that
#: takes twice as long as the one before.
_AIM: Final = 0.4
#: How many of the longest locks are remembered; all shorter ones together change nothing of the longest wait.
_REMEMBERED: Final = 64


def busy_sleeps() -> Iterator[float]:
    """Yield, without end, how long SQLite sleeps between two tries for a lock, in seconds."""
    return chain(_SLEEPS, repeat(_SLEEPS[-1]))


def wake_times() -> Iterator[float]:
    """Yield, without end, how long after it began to wait a connection with SQLite's busy timeout tries again."""
    return accumulate(sleep + _LATE for sleep in busy_sleeps())


def worst_wait(held: float) -> float:
    """Return how long a connection that uses SQLite's busy timeout waits, at worst, for a lock held so many seconds."""
    return next(wake for wake in wake_times() if wake >= held)


def current_sleep(waited: float) -> float:
    """Return how long the sleep takes that a connection is in when it has waited for so many seconds."""
    return next(sleep for sleep, wake in zip(busy_sleeps(), wake_times(), strict=False) if wake > waited)


def longest_wait(held: Sequence[float]) -> float:
    """Return the longest wait that a busy writer most likely sees beside locks that were held so many seconds each.

    It comes for a lock that is held already, up to 2.5 ms after it was taken, and its wait ends at one of the moments
    at which it wakes. Which one is chance where a lock ends just after such a moment; the more locks there are, the
    more likely is the later one. Returned is the median over these chances.
    """
    return next((wake for wake in wake_times() if _chance_of_no_longer(wake, held) >= 0.5), 0.0) if held else 0.0


def _chance_of_no_longer(wait: float, held: Sequence[float]) -> float:
    return math.prod(min(1.0, max(0.0, (_COMES_WITHIN - (lock - wait)) / _COMES_WITHIN)) for lock in held)


def aim(max_stall: float) -> float:
    """Return how long a slice should hold its lock, in seconds, so that no writer waits longer than `max_stall`.

    A writer that waits sees that the lock is free only when it wakes, so that a lock as long as the stall would be too
    long by up to the sleep that it ends in.
    """
    longest = max(takewhile(lambda wake: wake <= max_stall, wake_times()), default=max_stall)
    return _AIM * longest


@lru_cache(maxsize=16)  # the same for each of thousands of databases
def expected_stall(max_stall: float | None = None) -> float:
    """Return how long a writer will most likely wait at worst, in seconds, beside slices that keep to `max_stall`."""
    return longest_wait([aim(DEFAULT_STALL if max_stall is None else max_stall)] * 8)


class Stalls:
    """Keeps for how long one connection held locks that writers, or readers, wait for.

    Attributes:
        writers, readers: the longest lock that each of them waits for, in seconds.
        count: how many locks there were.
        after: seconds that a writer needs when its wait is over, for its own commit; told by whoever has measured
            what a small one takes, else 0.
    """

    def __init__(self) -> None:
        """Begin with nothing held."""
        self.writers = 0.0
        self.readers = 0.0
        self.count = 0
        self.after = 0.0
        self._longest: dict[bool, list[float]] = {False: [], True: []}

    @contextmanager
    def measure(self, *, readers: bool = False) -> Iterator[None]:
        """Measure a lock that is held from now on until the block is left.

        Args:
            readers: whether readers wait too.
        """
        began = time.monotonic()
        try:
            yield
        finally:
            self.add(time.monotonic() - began, readers=readers)

    def add(self, seconds: float, *, readers: bool = False) -> None:
        """Count a lock that was held for so long."""
        self.count += 1
        self.writers = max(self.writers, seconds)
        self._remember(seconds, readers=False)
        if readers:
            self.add_for_readers(seconds)

    def add_for_readers(self, seconds: float) -> None:
        """Count the part of a lock for which readers wait, where that is not all of it."""
        self.readers = max(self.readers, seconds)
        self._remember(seconds, readers=True)

    def _remember(self, seconds: float, *, readers: bool) -> None:
        longest = self._longest[readers]
        if len(longest) < _REMEMBERED:
            heapq.heappush(longest, seconds)
        else:
            heapq.heappushpop(longest, seconds)

    @property
    def writer_stall(self) -> float:
        """The longest wait, in seconds, as a busy writer with SQLite's busy timeout sees it; 0 if nothing was held."""
        return longest_wait(self._longest[False]) + self.after if self.count else 0.0

    @property
    def reader_stall(self) -> float:
        """The same for readers."""
        return longest_wait(self._longest[True])
