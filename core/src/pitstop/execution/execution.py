"""Running one claimed job: expand, look up, validate, execute, conclude. Persists nothing and decides no status.

Every way in which a job can end becomes an `AttemptResult`; what follows from it is the manager's business.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Any, Literal, Protocol

from attrs import evolve, field, frozen

from pitstop.clock import Clock, SystemClock
from pitstop.contracts import JobLogger, Worker
from pitstop.errors import DeadlineExceededError, InvalidJobError, JobCancelledError, PitstopError, TransientError
from pitstop.execution.cancellation import CancelScope
from pitstop.execution.hooks import Hooks
from pitstop.jobs import AttemptResult, ErrorRecord, Job, JobRecord, Outcome, Progress, Result, Waiting, json_object
from pitstop.jobs.variables import Expanded, expand
from pitstop.logs import JobLog
from pitstop.secrets.masking import mask, mask_value

#: Progress is passed on at most once in so many seconds: more than four times a second nobody can read.
PROGRESS_INTERVAL = 0.25


class WorkerSource(Protocol):
    """Where the worker of a type comes from: the registry."""

    def worker(self, worker_type: str) -> Worker:
        """Return the worker."""


@frozen(kw_only=True)
class Attempt:
    """One attempt at a job while it runs: the signal to stop, and the log.

    Args:
        record: the claimed record.
        scope: tells it to stop.
        log: collects its lines.
    """

    record: JobRecord
    scope: CancelScope = field(repr=False)
    log: JobLog = field(repr=False)

    @classmethod
    def of(cls, record: JobRecord, *, clock: Clock | None = None, make_log: Callable[..., JobLog] = JobLog) -> Attempt:
        """Return the attempt that a claimed record stands for; its deadline starts now.

        Args:
            record: the claimed record.
            clock: the time of its log's lines.
            make_log: `JobLog`, or what takes the same arguments.
        """
        job = record.job
        bound: dict[str, Any] = {"worker_type": job.type}
        if isinstance(job.config.get("operation"), str):
            bound["operation"] = job.config["operation"]
        now = (clock or SystemClock()).now
        log = make_log(job_id=job.id, correlation_id=job.correlation_id, bound=bound, now=now)
        scope = CancelScope(
            timeout=job.timeout,
            on_error=lambda error: log.write("ERROR", f"an on_cancel callback raised {_describe(error)}"),
        )
        return cls(record=record, scope=scope, log=log)


class Executor(Protocol):
    """Carries out attempts: `Execution`, or what takes its place."""

    def run(self, attempt: Attempt, /) -> AttemptResult:
        """Carry out an attempt. Raises nothing: whatever happens is in the result."""


class Execution:
    """Runs attempts.

    Args:
        workers: where workers come from.
        hooks: what to call around them.
        on_progress: gets a record and its progress, a few times a second.
        environment: what `${NAME}` is expanded from.
        clock: the time.
    """

    def __init__(
        self,
        workers: WorkerSource,
        *,
        hooks: Hooks | None = None,
        on_progress: Callable[[JobRecord, Progress], None] = lambda _record, _progress: None,
        environment: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
    ) -> None:
        self._workers = workers
        self._hooks = hooks or Hooks()
        self.on_progress = on_progress
        self.environment = environment
        self._clock = clock or SystemClock()

    def run(self, attempt: Attempt) -> AttemptResult:
        """Carry out an attempt. Raises nothing: whatever happens is in the result."""
        job, log = attempt.record.job, attempt.log
        with log.capture():
            try:
                expanded = expand(job.config, self.environment)
                log.secrets = expanded.secrets
                worker = self._workers.worker(job.type)
                attempt_result = self._conclude_return(attempt, self._execute(attempt, worker, expanded))
            except BaseException as error:
                attempt_result = self._conclude_error(error, attempt)
            finally:
                attempt.scope.close()
            log_end(attempt_result, attempt)
        return attempt_result

    def _execute(self, attempt: Attempt, worker: Worker, expanded: Expanded) -> object:
        job = attempt.record.job
        if expanded.config != job.config:
            job = evolve(job, config=expanded.config)
        context = Context(attempt, job, on_progress=self.on_progress, clock=self._clock)
        attempt.scope.check()
        worker.validate(job)
        return self._hooks.execute_wrapped(job, context, lambda: worker.execute(job, context))

    def _conclude_return(self, attempt: Attempt, returned: object) -> AttemptResult:
        if returned is None and attempt.scope.error is None:
            return AttemptResult(kind="completed", result=Result())
        result = _read_result(returned, attempt.record.job)
        secrets = attempt.log.secrets
        warnings = [mask(str(warning), secrets) for warning in result.warnings]
        if isinstance(attempt.scope.error, DeadlineExceededError):
            warnings.append(f"it did not stop when its time was over ({attempt.record.job.timeout:g} s)")
        masked = Result(
            outcome=result.outcome,
            summary=mask(result.summary, secrets),
            data=mask_value(result.data, secrets),
            warnings=warnings,
        )
        return AttemptResult(kind="completed", result=masked)

    def _conclude_error(self, error: BaseException, attempt: Attempt) -> AttemptResult:
        told, secrets = attempt.scope.error, attempt.log.secrets
        if isinstance(error, KeyboardInterrupt):
            record = ErrorRecord(type="JobCancelledError", message="interrupted")
            return AttemptResult(kind="cancelled", error=record, interrupted=True)
        if told is not None:
            # what a job raises after it was told to stop is how it stops, be it a driver's own "interrupted"
            if not isinstance(error, JobCancelledError):
                attempt.log.write("WARNING", f"when it was told to stop it raised {_describe(error)}")
            kind: Literal["failed", "cancelled"] = "failed" if isinstance(told, DeadlineExceededError) else "cancelled"
            return AttemptResult(kind=kind, error=_make_error_record(told, secrets))
        if isinstance(error, TransientError):
            return AttemptResult(kind="transient", error=_make_error_record(error, secrets))
        return AttemptResult(kind="failed", error=_make_error_record(error, secrets))


class Context:
    """What a worker gets beside the job; see `pitstop.contracts.JobContext`."""

    def __init__(
        self, attempt: Attempt, job: Job, *, on_progress: Callable[[JobRecord, Progress], None], clock: Clock
    ) -> None:
        self._attempt = attempt
        self._on_progress = on_progress
        self._clock = clock
        self._lock = RLock()  # a hook on progress may report progress
        self._reported_at = float("-inf")
        self._done = 0.0
        self._last_progress = Progress()
        self.job = job

    @property
    def logger(self) -> JobLogger:
        """What writes to the job's log; see `JobContext`."""
        return self._attempt.log.logger

    @property
    def stored_job(self) -> Job:
        """The job as it is stored, its config not expanded; see `JobContext`."""
        return self._attempt.record.job

    @property
    def attempt(self) -> int:
        """Which start of this job it is, from 1."""
        return self._attempt.record.attempt

    @property
    def deadline(self) -> float | None:
        """When it must have ended, in seconds since 1970, or None."""
        started, timeout = self._attempt.record.started_at, self.job.timeout
        return None if timeout is None or started is None else started + timeout

    def progress(self, done: float, total: float | None = None, unit: str = "", message: str = "") -> None:
        """Tell how far the job is; see `JobContext`."""
        with self._lock:
            self._done = max(self._done, done)
            now = self._clock.monotonic()
            if now - self._reported_at < PROGRESS_INTERVAL and done != total:
                return
            self._reported_at = now
            secrets = self._attempt.log.secrets
            told = Progress(done=self._done, total=total, unit=mask(unit, secrets), message=mask(message, secrets))
            self._report(evolve(told, waiting=self._last_progress.waiting))

    @contextmanager
    def waiting(self, what: str, *, holder: str = "", since: float | None = None) -> Iterator[Callable[[str], None]]:
        """Say that the job waits; see `JobContext`."""
        secrets = self._attempt.log.secrets
        began = self._clock.now() if since is None else since
        wait = Waiting(what=mask(what, secrets), since=began, holder=mask(holder, secrets))

        def name_holder(holder: str) -> None:
            nonlocal wait
            holder = mask(holder, secrets)
            if holder != wait.holder:
                wait = evolve(wait, holder=holder)
                self._report_wait(wait)

        outer = self._last_progress.waiting
        self._report_wait(wait)
        try:
            yield name_holder
        finally:
            self._report_wait(outer)

    def _report_wait(self, wait: Waiting | None) -> None:
        with self._lock:
            self._report(evolve(self._last_progress, waiting=wait))

    def _report(self, progress: Progress) -> None:
        # under the lock, so that what two threads report is passed on in order
        self._last_progress = progress
        self._on_progress(self._attempt.record, progress)

    def mask(self, value: Any) -> Any:
        """Return a JSON value without the job's secrets; see `JobContext`."""
        return mask_value(value, self._attempt.log.secrets)

    def check_cancelled(self) -> None:
        """Return at once, or raise if the job must stop; see `JobContext`."""
        self._attempt.scope.check()

    def on_cancel(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        """Have `callback` called when the job must stop; see `JobContext`."""
        return self._attempt.scope.on_cancel(callback)


def log_end(attempt_result: AttemptResult, attempt: Attempt) -> None:
    """Write into an attempt's log how it ended."""
    log, record = attempt.log, attempt.record
    for warning in attempt_result.result.warnings if attempt_result.result else ():
        log.write("WARNING", warning)
    if attempt_result.error is None:
        return
    if attempt_result.kind == "transient":
        tried = f"attempt {record.attempt} of {record.job.max_attempts} failed"
        log.write("WARNING", f"{tried}: {attempt_result.error.message}")
    elif attempt_result.kind == "cancelled":
        log.write("WARNING", f"cancelled: {attempt_result.error.message}")
    else:
        log.write("ERROR", f"failed: {attempt_result.error.message}")


def _read_result(returned: object, job: Job) -> Result:
    if returned is None:
        return Result(outcome=Outcome.CHANGED)
    if isinstance(returned, Mapping):
        returned = Result(data=returned)
    if not isinstance(returned, Result):
        raise InvalidJobError(
            reason=f"the worker of {job.type!r} returned {type(returned).__name__}",
            hint="it returns a Result, a mapping, or None",
        )
    data = json_object(returned.data, what="the result's data")
    return Result(outcome=returned.outcome, summary=returned.summary, data=data, warnings=returned.warnings)


def _make_error_record(error: BaseException, secrets: tuple[tuple[str, str], ...]) -> ErrorRecord:
    foreseen = isinstance(error, PitstopError)
    # the frames of this module say nothing about the fault
    trace = "" if foreseen else "".join(traceback.format_exception(error))
    message = _read_text(error) if foreseen else _describe(error)
    return ErrorRecord(type=type(error).__name__, message=mask(message, secrets), traceback=mask(trace, secrets))


def _read_text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:
        return f"its text cannot be read ({type(second).__name__})"


def _describe(error: BaseException) -> str:
    text = _read_text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
