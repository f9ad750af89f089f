"""The inline runner: jobs run in the thread that submits them, one after the other. For scripts and tests."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pitstop.clock import Clock, SystemClock
from pitstop.contracts import RunJob
from pitstop.runners.local import LocalRunner


class InlineRunner(LocalRunner):
    """Runs a job before `submit` returns, or, when it was submitted from within a job, when that one has ended.

    A retry that must wait is waited for, so that when `submit` returns nothing is left.

    Args:
        clock: waits before a delayed retry.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        self._thread: int | None = None
        self._queue: list[tuple[float, int, str]] = []
        self._submitted = 0
        self._stopped = False
        self._run_job: RunJob | None = None

    def start(self, run_job: RunJob) -> None:
        """Begin; see `Runner`."""
        self._run_job = run_job

    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        """Run a job; see `Runner`."""
        with self._lock:
            if self._stopped:
                return
            self._submitted += 1
            heapq.heappush(self._queue, (not_before or 0.0, self._submitted, job_id))
            if self._thread is not None:
                return
            self._thread = threading.get_ident()
        self._drain_or_end()

    def reserve(self) -> bool:
        """Keep this thread free for the job to come; see `LocalRunner`."""
        with self._lock:
            if self._stopped or self._thread is not None or self._queue:
                return False
            self._thread = threading.get_ident()
            return True

    def release(self) -> None:
        """Give the place back; see `LocalRunner`."""
        self._drain_or_end()

    def submit_reserved(self, job_id: str) -> None:
        """Run a job in the place that was kept; see `LocalRunner`."""
        self._drain_or_end(job_id)

    @contextmanager
    def make_room(self) -> Iterator[None]:
        """Run what is queued, if this is called from within a job; see `LocalRunner`."""
        if self._thread == threading.get_ident():
            assert self._run_job is not None, "start() comes before submit()"
            while (job_id := self._pop_following()) is not None:
                self._run_job(job_id, self._pop_following)
        yield

    def cancel(self, job_id: str) -> None:
        """Drop a job that has not started; see `Runner`."""
        with self._lock:
            self._queue = [entry for entry in self._queue if entry[2] != job_id]
            heapq.heapify(self._queue)

    def stop(self, *, wait: bool = True) -> None:
        """Take no more jobs; see `Runner`."""
        with self._lock:
            self._stopped = True
            self._queue.clear()
            # from within a job there is nothing to wait for: it would be for itself
            while wait and self._thread not in (None, threading.get_ident()):
                self._ended.wait()

    def _end(self) -> None:
        self._thread = None
        if self._stopped:  # only who stops waits for it
            self._ended.notify_all()

    def _drain_or_end(self, first: str | None = None) -> None:
        try:
            self._drain(first)
        except BaseException:
            with self._lock:
                self._end()
            raise

    def _drain(self, first: str | None) -> None:
        assert self._run_job is not None, "start() comes before submit()"
        if first is not None:
            self._run_job(first, self._pop_following)
        while True:
            with self._lock:
                if not self._queue:
                    # in the same breath as the check, so that no submit of another thread falls between
                    self._end()
                    return
                not_before, order, job_id = heapq.heappop(self._queue)
                pause = not_before - self._clock.now()
                if pause > 0:
                    heapq.heappush(self._queue, (not_before, order, job_id))
            if pause > 0:
                # in short steps: a job that may run at once can come from another thread meanwhile
                self._clock.sleep(min(pause, 0.1))
                continue
            self._run_job(job_id, self._pop_following)

    def _pop_following(self) -> str | None:
        with self._lock:
            if self._queue and self._queue[0][0] <= self._clock.now():
                return heapq.heappop(self._queue)[2]
        return None
