"""`FakeClock`: a time that a test sets. Nothing that waits on it sleeps."""

from __future__ import annotations

import threading


class FakeClock:
    """A `pitstop.clock.Clock` whose sleep advances the time at once. Safe to use from any thread.

    Args:
        now: the time that it shows at first, in seconds since 1970.
        tick: by how many seconds each look at `monotonic()` advances it. With 1.0 every progress of a job is passed on,
            which by the real clock happens a few times a second.

    Attributes:
        time: what it shows, in seconds since 1970; a test may set it.
        slept: how long each sleep was, in seconds, in order.
    """

    def __init__(self, now: float = 1_000_000.0, *, tick: float = 0.0) -> None:
        self.time = now
        self.slept: list[float] = []
        self._tick = tick
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return what it shows, in seconds since 1970."""
        return self.time

    def monotonic(self) -> float:
        """Return what it shows, one tick later."""
        with self._lock:
            self.time += self._tick
            return self.time

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass, at once."""
        self.advance(seconds)
        self.slept.append(seconds)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        with self._lock:
            self.time += seconds
