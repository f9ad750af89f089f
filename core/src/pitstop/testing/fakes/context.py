"""`FakeContext`: a job's context that a test holds in its hand. Keeps all that the job says, and tells it to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import wait
from contextlib import contextmanager
from typing import Any

from pitstop.contracts import JobLogger
from pitstop.errors import DeadlineExceededError, JobCancelledError
from pitstop.execution.cancellation import CancelScope
from pitstop.jobs import Job, LogLine, Progress, Waiting
from pitstop.logs import JobLog, JobLogHandler
from pitstop.secrets.masking import mask_value
from pitstop.secrets.places import find_secrets
from pitstop.testing.fakes.waiting import Signal, start_call

#: Seconds after which a callback of `on_cancel`, which must return quickly, counts as one that never does.
CALLBACK_PATIENCE = 1.0


class FakeContext:
    """A `pitstop.JobContext` without a store, a registry or a runner behind it. Safe to use from any thread.

        context = FakeContext()
        context.at_sign = lambda number: context.cancel() if number == 3 else None
        with pytest.raises(JobCancelledError):
            my_operation(context, table="t")
        assert context.reports[-1].done == 2

    A *sign* is what a job gives of itself: it reports progress, asks whether to stop, or says what to call when it
    must.

    Args:
        job: the job; one of the type "test" if not given.
        config: the config of that one.
        attempt: which start of the job it is, from 1.
        deadline: when it must have ended, in seconds since 1970. It is only told; `expire()` makes it come.

    Attributes:
        job, stored_job: the job; nothing is expanded here.
        attempt, deadline: as they were given.
        logger: what the job writes its log with.
        reports: every progress, just as it was reported.
        checks: how often it has asked whether to stop.
        refusals: how often the answer was that it must.
        signs: how many signs it has given.
        moments: each moment at which it gave a sign or a callback was taken back, by `time.monotonic()`, and whether it
            could be interrupted from then on.
        callers: the threads that gave them.
        alive: given at the first sign.
        at_sign: called at each sign with its number, from 1, before anything else.
        failures: what callbacks of `on_cancel` have raised, and a TimeoutError for one that does not return.
    """

    def __init__(
        self,
        job: Job | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        attempt: int = 1,
        deadline: float | None = None,
    ) -> None:
        self.job = self.stored_job = job or Job(type="test", config=config or {})
        self.attempt = attempt
        self.deadline = deadline
        self._log = JobLog(job_id=self.job.id, correlation_id=self.job.correlation_id)
        self.logger: JobLogger = self._log.logger
        self._lines: list[LogLine] = []
        self._lock = threading.RLock()
        self.failures: list[BaseException] = []
        self._scope = CancelScope(on_error=self.failures.append)
        self.reports: list[Progress] = []
        self.checks = 0
        self.refusals = 0
        self.signs = 0
        self.moments: list[tuple[float, bool]] = []
        self.callers: set[threading.Thread] = set()
        self._callbacks = 0
        self.alive = Signal("the job gave a sign of life")
        self.at_sign: Callable[[int], object] = lambda _number: None

    # -- what the job sees --------------------------------------------------------------------------------------------

    def progress(self, done: float, total: float | None = None, unit: str = "", message: str = "") -> None:
        """Keep a report, just as it is; see `JobContext`."""
        with self._lock:
            self.reports.append(Progress(done=done, total=total, unit=unit, message=message))
        self._give_sign()

    @contextmanager
    def waiting(self, what: str, *, holder: str = "", since: float | None = None) -> Iterator[Callable[[str], None]]:
        """Keep what the job says that it waits for, as a report; see `JobContext`."""

        def name_holder(holder: str) -> None:
            with self._lock:
                began = time.time() if since is None else since
                self.reports.append(Progress(waiting=Waiting(what=what, since=began, holder=holder)))

        name_holder(holder)
        self._give_sign()
        yield name_holder

    def mask(self, value: Any) -> Any:
        """Return a JSON value without the secrets of the job's config; see `JobContext`."""
        return mask_value(value, find_secrets(self.job.config))

    def check_cancelled(self) -> None:
        """Return at once, or raise if the job must stop; see `JobContext`."""
        with self._lock:
            self.checks += 1
        self._give_sign()
        try:
            self._scope.check()
        except JobCancelledError:
            with self._lock:
                self.refusals += 1
            raise

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """Have `callback` called when the job must stop, again and again until it has ended; see `JobContext`."""
        with self._scope.on_cancel(callback):
            self._note_moment(callbacks=1)
            self._give_sign()
            try:
                yield
            finally:
                self._note_moment(callbacks=-1)

    def _note_moment(self, *, callbacks: int = 0) -> None:
        """Note that the job can be heard now, with so many more callbacks."""
        with self._lock:
            self._callbacks += callbacks
            self.moments.append((time.monotonic(), self._callbacks > 0))

    def _give_sign(self) -> None:
        with self._lock:
            self._note_moment()
            self.callers.add(threading.current_thread())
            self.signs += 1
            number = self.signs
        self.alive.give()
        self.at_sign(number)

    # -- what the test does -------------------------------------------------------------------------------------------

    @property
    def stopped(self) -> JobCancelledError | None:
        """What the job has been told, or None."""
        return self._scope.error

    def cancel(self, reason: str = "cancelled by the test") -> None:
        """Tell the job to stop, as a user does who cancels it."""
        self._tell(JobCancelledError(reason=reason))

    def expire(self) -> None:
        """Tell the job to stop, as its deadline does."""
        self._tell(DeadlineExceededError(reason="its time is over"))

    def _tell(self, error: JobCancelledError) -> None:
        # from another thread, as it always comes: a callback that never returns must not take the test with it
        if wait([start_call(self._scope.cancel, error)], CALLBACK_PATIENCE).not_done:
            late = f"an on_cancel callback had not returned after {CALLBACK_PATIENCE:g} s"
            self.failures.append(TimeoutError(late))

    def close(self) -> None:
        """Say that the job has ended: no callback is called any more."""
        self._scope.close()

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """The lines of its log so far."""
        with self._lock:
            self._lines += self._log.drain()
            return tuple(self._lines)

    def messages(self, level: str | None = None) -> list[str]:
        """Return the texts of its log, in order.

        Args:
            level: only those of one level, such as "WARNING".
        """
        return [line.message for line in self.lines if level in (None, line.level)]

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Also catch what this thread writes with loguru, and with `logging` if the levels there let it pass."""
        handler = JobLogHandler()
        logging.root.addHandler(handler)
        try:
            with self._log.capture():
                yield
        finally:
            logging.root.removeHandler(handler)
