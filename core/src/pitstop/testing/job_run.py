"""`run_job`: one job in memory, from its check to its record, as it would run anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from attrs import frozen

from pitstop.contracts import JobContext, Worker
from pitstop.contracts.hooks import hookimpl
from pitstop.contracts.operation_worker import OperationWorker
from pitstop.errors import InvalidValueError
from pitstop.jobs import ErrorRecord, Job, JobRecord, JobStatus, LogLine, Outcome, Progress, Result
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.submission import SubmitOptions
from pitstop.registry.catalog import WORKERS
from pitstop.registry.registry import Registry
from pitstop.runners.inline import InlineRunner
from pitstop.stores.memory import MemoryStore
from pitstop.testing.fakes.clock import FakeClock


@frozen(kw_only=True)
class JobRun:
    """What became of one job.

    Args:
        record: the job as the store keeps it.
        lines: its log.
        progress: every report of its progress, as it was passed on: what goes back is not.
    """

    record: JobRecord
    lines: tuple[LogLine, ...]
    progress: tuple[Progress, ...]

    @property
    def status(self) -> JobStatus:
        """Completed, failed or cancelled."""
        return self.record.status

    @property
    def ok(self) -> bool:
        """Whether it completed."""
        return self.record.status is JobStatus.COMPLETED

    @property
    def result(self) -> Result:
        """What it says of itself.

        Raises:
            AssertionError: it did not complete; the text says why.
        """
        if self.record.result is None:
            raise AssertionError(f"the job has no result, it {self.status}: {self._why()}")
        return self.record.result

    @property
    def outcome(self) -> Outcome:
        """Changed, unchanged or skipped. Raises as `result`."""
        return self.result.outcome

    @property
    def error(self) -> ErrorRecord:
        """Why it failed or was cancelled.

        Raises:
            AssertionError: it completed.
        """
        if self.record.error is None:
            raise AssertionError(f"the job has no error, it completed: {self.record.result}")
        return self.record.error

    def messages(self, level: str | None = None) -> list[str]:
        """Return the texts of its log, in order.

        Args:
            level: only those of one level, such as "WARNING".
        """
        return [line.message for line in self.lines if level in (None, line.level)]

    def _why(self) -> str:
        error = self.record.error
        return f"{error.message}\n{error.traceback}".rstrip() if error else "for no reason that was kept"


def run_job(
    worker_or_operation: str | Worker | type[Worker] | Callable[..., Any],
    config: Mapping[str, Any] | None = None,
    *,
    target: object = None,
    timeout: float | None = None,
    max_attempts: int | None = None,
    registry: Registry | None = None,
    clock: FakeClock | None = None,
) -> JobRun:
    """Run one job in memory, in this thread, and return what became of it.

    It goes the way of every job: it is checked, stored, claimed, checked again, executed and finished. Nothing is left
    behind, nothing is shown, and nothing sleeps: a retry's wait passes on a `FakeClock`.

    Args:
        worker_or_operation: a worker, or its class; an operation's function; or the type of an installed worker.
        config: the job's config; for a function its parameters.
        target: for a function, what it gets as its first argument; the job's context if it is None.
        timeout: seconds that each attempt may take, on the real clock.
        max_attempts: how often the job may be started; only a `TransientError` leads to another attempt.
        registry: finds what is needed beside the worker; a new one if not given.
        clock: the time of the records, and of the waits between attempts.

    Raises:
        InputError: the worker refuses the job; nothing was run.
        PluginError: what it needs cannot be loaded.
    """
    registry = Registry() if registry is None else registry
    reports = _Reports()
    clock = FakeClock(tick=1.0) if clock is None else clock
    with ExitStack() as stack:
        job = _add(stack, registry, worker_or_operation, config, target)
        registry.add_hooks(reports)
        stack.callback(registry.remove_hooks, reports)
        manager = JobManager(MemoryStore(), clock=clock, jitter=lambda: 0.5)
        orchestrator = Orchestrator(manager, registry=registry, runner=InlineRunner(clock=clock))
        stack.enter_context(orchestrator)
        record = orchestrator.run(job, options=SubmitOptions(timeout=timeout, max_attempts=max_attempts))
        lines = tuple(orchestrator.store.lines(record.id))
    return JobRun(record=record, lines=lines, progress=tuple(reports.seen))


class _Reports:
    """A hook plugin that keeps what is passed on of a job's progress."""

    def __init__(self) -> None:
        self.seen: list[Progress] = []

    @hookimpl
    def pitstop_job_progress(self, progress: Progress) -> None:
        self.seen.append(progress)


def _add(stack: ExitStack, registry: Registry, what: Any, config: Mapping[str, Any] | None, target: object) -> Job:
    """Return the job, and add to the registry what it needs until the stack is unwound."""
    if isinstance(what, str):
        return Job(type=what, config=config or {})
    is_worker = hasattr(what, "execute")
    if not is_worker and not callable(what):
        problem = f"expected a worker, a function or the type of a worker, got {type(what).__name__}"
        raise InvalidValueError(where="run_job", name="worker_or_operation", problem=problem)
    worker: Any = what if is_worker else _OneOperation(what, target)
    job_type = worker.worker_type
    for entry, earlier in registry.added():
        if (entry.group, entry.name) == (WORKERS, job_type):
            stack.callback(registry.add_worker, earlier)
    registry.add_worker(worker, replace=True)
    stack.callback(registry.remove_worker, job_type)
    if is_worker:
        return Job(type=job_type, config=config or {})
    registry.add_operation(job_type, worker.name, what)
    stack.callback(registry.remove_operation, job_type, worker.name)
    return Job(type=job_type, name=worker.name, config={"operation": worker.name, "parameters": config or {}})


class _OneOperation(OperationWorker):
    """Hands its operation a target, or the job's context if that is None."""

    def __init__(self, function: object, target: object) -> None:
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.worker_type = f"test of {self.name}"
        self._target = target

    @contextmanager
    def target(self, job: Job, context: JobContext) -> Iterator[Any]:
        yield context if self._target is None else self._target
