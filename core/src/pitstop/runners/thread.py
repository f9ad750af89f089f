"""The thread runner: jobs run side by side in threads of this process. For services and the command line."""

from __future__ import annotations

import atexit
import heapq
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pitstop.clock import Clock, SystemClock
from pitstop.contracts import RunJob
from pitstop.errors import InvalidValueError
from pitstop.runners.local import LocalRunner


class ThreadRunner(LocalRunner):
    """Runs up to `threads` jobs at a time. Threads are started when there is work, and end with `stop`.

    Args:
        threads: how many at most; by default one for each processor, but at most 8.
        clock: tells when a delayed retry is due.

    Raises:
        InvalidValueError: `threads` is less than 1.
    """

    def __init__(self, threads: int | None = None, *, clock: Clock | None = None) -> None:
        if threads is not None and threads < 1:
            raise InvalidValueError(where="ThreadRunner", name="threads", problem=f"{threads} is less than 1")
        self._limit = threads or min(8, os.cpu_count() or 1)
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, str]] = []
        self._submitted = 0
        self._idle = 0
        self._busy = 0
        self._kept = 0
        self._reserved: deque[str] = deque()
        self._stopped = False
        self._threads: list[threading.Thread] = []
        self._run_job: RunJob | None = None

    def start(self, run_job: RunJob) -> None:
        """Begin; see `Runner`."""
        self._run_job = run_job
        # A service that forgets to stop us must still end, and not in the middle of a statement.
        atexit.register(_stop_if_alive, weakref.ref(self))

    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        """Queue a job; see `Runner`."""
        with self._changed:
            if self._stopped:
                return
            self._submitted += 1
            heapq.heappush(self._queue, (not_before or 0.0, self._submitted, job_id))
            self._wake_one()

    def reserve(self) -> bool:
        """Keep a thread free for the job to come; see `LocalRunner`."""
        with self._changed:
            due = len(self._queue) if self._queue and self._queue[0][0] <= self._clock.now() else 0
            if self._stopped or self._busy + self._kept + len(self._reserved) + due >= self._limit:
                return False
            self._kept += 1
            return True

    def release(self) -> None:
        """Give the place back; see `LocalRunner`."""
        with self._changed:
            self._kept -= 1
            self._changed.notify_all()  # who stops waits for it

    def submit_reserved(self, job_id: str) -> None:
        """Run a job in the place that was kept; see `LocalRunner`."""
        with self._changed:
            self._kept -= 1
            self._reserved.append(job_id)
            self._wake_one()

    @contextmanager
    def make_room(self) -> Iterator[None]:
        """Let another thread run jobs while this one, within a job, waits for one; see `LocalRunner`."""
        if threading.current_thread() not in self._threads:
            yield
            return
        with self._changed:
            self._limit += 1
            self._wake_one()
        try:
            yield
        finally:
            with self._changed:
                self._limit -= 1

    def cancel(self, job_id: str) -> None:
        """Drop a job that has not started; see `Runner`."""
        with self._changed:
            self._queue = [entry for entry in self._queue if entry[2] != job_id]
            heapq.heapify(self._queue)

    def stop(self, *, wait: bool = True) -> None:
        """Take no more jobs; see `Runner`."""
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
            threads = [thread for thread in self._threads if thread is not threading.current_thread()]
        for thread in threads if wait else ():
            thread.join()

    def _wake_one(self) -> None:
        # not "if nobody is idle": one that was woken a moment ago is still counted, and takes only one job
        if self._idle < len(self._queue) + len(self._reserved) and len(self._threads) < self._limit:
            name = f"pitstop-runner-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._changed.notify()

    def _work(self) -> None:
        assert self._run_job is not None, "start() comes before submit()"
        while (job_id := self._next()) is not None:
            # only the main thread can be interrupted; here a worker raised it, and its job is recorded as cancelled
            with suppress(KeyboardInterrupt):
                self._run_job(job_id, self._pop_following)
            with self._changed:
                self._busy -= 1
                if self._queue:
                    self._changed.notify()  # a thread that was lent may wait until there are fewer

    def _next(self) -> str | None:
        """Return the next job that is due, waiting for it, or None when there will be none."""
        with self._changed:
            # what was reserved is running already, and is carried out even when no more jobs are taken
            while self._reserved or self._kept or not self._stopped:
                if self._reserved:
                    self._busy += 1
                    return self._reserved.popleft()
                may_run = self._busy < self._limit
                pause = self._queue[0][0] - self._clock.now() if self._queue and may_run else None
                if not self._stopped and pause is not None and pause <= 0:
                    self._busy += 1
                    return heapq.heappop(self._queue)[2]
                self._idle += 1
                try:
                    self._changed.wait(pause)
                finally:
                    self._idle -= 1
            return None

    def _pop_following(self) -> str | None:
        with self._changed:
            if not self._stopped and self._busy <= self._limit and self._is_due():
                return heapq.heappop(self._queue)[2]
        return None

    def _is_due(self) -> bool:
        return bool(self._queue) and self._queue[0][0] <= self._clock.now()


def _stop_if_alive(reference: weakref.ref[ThreadRunner]) -> None:
    runner = reference()
    if runner is not None:
        runner.stop()
