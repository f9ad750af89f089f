"""Telling a running job to stop: because somebody cancelled it, or because its time is over.

Owns the signal and its delivery to callbacks. It kills nothing and writes nothing: a job that ignores the signal goes
on until it returns.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pitstop.errors import DeadlineExceededError, JobCancelledError

#: How often callbacks of a job that has been told are called again, in seconds. An interruption that comes between two
#: statements of a database goes nowhere, so that once is not enough.
REPEAT = 0.05


class CancelScope:
    """Whether one running job must stop, and what to call when it must. Safe to use from any thread.

    Args:
        timeout: seconds from now until it must, or None.
        on_error: gets what a callback raised.
    """

    def __init__(
        self, *, timeout: float | None = None, on_error: Callable[[BaseException], None] | None = None
    ) -> None:
        self._lock = threading.RLock()  # a callback may ask `check`
        self._callbacks: list[Callable[[], object]] = []
        self._on_error = on_error
        self._ends_at = None if timeout is None else time.monotonic() + timeout
        self._timeout = timeout
        self._closed = False
        self.error: JobCancelledError | None = None
        if timeout is not None:
            _watchdog.watch(self)

    def cancel(self, error: JobCancelledError) -> None:
        """Make the job stop, for the reason that `error` gives. Only the first reason counts."""
        with self._lock:
            if self.error is not None or self._closed:
                return
            self.error = error
        self._call_back()
        _watchdog.watch(self)

    def check(self) -> None:
        """Return, or raise what the job was told.

        Raises:
            JobCancelledError, DeadlineExceededError: the job must stop.
        """
        if self.error is None and self._ends_at is not None:
            self.tick()
        if self.error is not None:
            raise self.error

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call `callback` when the job must stop, now if it must already, until the end of the block."""
        with self._lock:
            self._callbacks.append(callback)
            told = self.error is not None
        if told:
            self._call_back()
        try:
            yield
        finally:
            with self._lock:
                if callback in self._callbacks:  # closing has taken them all
                    self._callbacks.remove(callback)

    def close(self) -> None:
        """Say that the job has ended: nothing is called any more."""
        with self._lock:
            self._closed = True
            self._callbacks.clear()

    def tick(self) -> float | None:
        """Do what is due, and return in how many seconds to come back, or None for never."""
        if self._closed:
            return None
        if self.error is not None:
            self._call_back(wait=False)
            return REPEAT
        if self._ends_at is None:
            return None
        left = self._ends_at - time.monotonic()
        if left > 0:
            return left
        with self._lock:
            if self.error is None:
                self.error = DeadlineExceededError(reason=f"its time is over: {self._timeout:g} s")
        self._call_back()
        return REPEAT

    def _call_back(self, *, wait: bool = True) -> None:
        # under the lock, so that no callback is called after its block has been left; who watches over all jobs does
        # not wait for it, because a callback that never returns in another thread would keep it from all the others
        if not self._lock.acquire(blocking=wait):
            return
        try:
            for callback in () if self._closed else tuple(self._callbacks):
                try:
                    callback()
                except BaseException as error:
                    # also SystemExit, which would end the thread that watches every other job
                    if self._on_error is not None:
                        with suppress(Exception):  # whoever cannot even report it must not end that thread either
                            self._on_error(error)
        finally:
            self._lock.release()


class _Watchdog:
    """One thread for the deadlines and repeated calls of all jobs here; it ends when there is nothing to watch."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._scopes: set[CancelScope] = set()
        self._thread: threading.Thread | None = None

    def watch(self, scope: CancelScope) -> None:
        with self._wake:
            self._scopes.add(scope)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pitstop-watchdog", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._scopes:
                    self._thread = None
                    return
                scopes = tuple(self._scopes)
            pauses = {scope: scope.tick() for scope in scopes}
            with self._wake:
                self._scopes -= {scope for scope, pause in pauses.items() if pause is None}
                left = [pause for pause in pauses.values() if pause is not None]
                if self._scopes and self._scopes <= set(scopes):
                    # never longer than a second, so that a job that has ended is not kept alive by its deadline
                    self._wake.wait(min([*left, 1.0]))


_watchdog = _Watchdog()
