"""Execution: every way in which an attempt can end becomes a result, and no secret gets out."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pitstop.contracts import JobContext
from pitstop.errors import (
    DeadlineExceededError,
    InvalidJobError,
    JobCancelledError,
    OperationError,
    PitstopError,
    TransientError,
)
from pitstop.execution.execution import Attempt, Execution
from pitstop.jobs import AttemptResult, Job, JobRecord, JobStatus, Outcome, Progress, Result
from pitstop.registry.registry import Registry

from ..helpers import PATIENCE, Actor, FakeClock, Gate, job

Execute = Callable[..., AttemptResult]
SECRET = "hunter2-long"
ENVIRONMENT = {"DB_PASSWORD": SECRET}


class UnreadableError(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


class UnreadablePitstopError(PitstopError):
    """An error of an outsider whose text cannot be had."""

    reason: Any = None

    def text(self) -> str:
        return self.reason.upper()


class StrangeBaseError(BaseException):
    """What is no Exception."""


def raising(error: BaseException) -> Callable[[object], None]:
    def act(context: object) -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("returned", "outcome", "data"),
    [
        (None, Outcome.CHANGED, {}),
        ({"pages": 3}, Outcome.CHANGED, {"pages": 3}),
        (Result.changed("did it", pages=3), Outcome.CHANGED, {"pages": 3}),
        (Result.unchanged("nothing to do"), Outcome.UNCHANGED, {}),
        (Result.skipped("too small", pages=(1, 2)), Outcome.SKIPPED, {"pages": [1, 2]}),
    ],
)
def test_execution_accepts_every_kind_of_result(
    execute: Execute, returned: object, outcome: Outcome, data: dict[str, Any]
) -> None:
    """A Result, a mapping and None all complete the job."""
    attempt_result = execute(lambda context: returned)
    assert (attempt_result.kind, attempt_result.error) == ("completed", None)
    assert attempt_result.result is not None
    assert (attempt_result.result.outcome, attempt_result.result.data) == (outcome, data)


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (5, "returned int; it returns a Result"),
        ("done", "returned str; it returns a Result"),
        ({"when": object()}, "which JSON cannot hold"),
        ({"ratio": math.nan}, "which JSON cannot hold"),
        ({1: "one"}, "has the key 1"),
        (Result(data={"deep": [{"x": {1, 2}}]}), "which JSON cannot hold"),
    ],
)
def test_execution_fails_what_returns_no_result(execute: Execute, returned: object, says: str) -> None:
    """A worker that returns something else has failed, and the error says what came and what is expected."""
    attempt_result = execute(lambda context: returned)
    assert attempt_result.kind == "failed"
    assert attempt_result.error is not None
    assert attempt_result.error.type == "InvalidJobError"
    assert says in attempt_result.error.message


def test_execution_survives_data_that_contains_itself(execute: Execute) -> None:
    """Endless data fails the job instead of ending the process."""
    endless: dict[str, Any] = {}
    endless["self"] = endless
    assert execute(lambda context: endless).kind == "failed"


def test_execution_records_a_pitstop_error_without_traceback(execute: Execute) -> None:
    """The text of a foreseen error says all."""
    error = execute(raising(OperationError(reason="the disk is full", hint="free some"))).error
    assert error is not None
    assert (error.type, error.message) == ("OperationError", "the disk is full; free some")
    assert error.traceback == ""


def test_execution_records_an_unforeseen_error_with_traceback(execute: Execute) -> None:
    """Any other exception is recorded with its type, its text and where it came from."""
    attempt_result = execute(raising(KeyError("size")))
    assert attempt_result.kind == "failed"
    assert attempt_result.error is not None
    assert (attempt_result.error.type, attempt_result.error.message) == ("KeyError", "KeyError: 'size'")
    assert "test_execution.py" in attempt_result.error.traceback


@pytest.mark.parametrize("error", [UnreadableError(), UnreadablePitstopError()], ids=["foreign", "pitstop"])
def test_execution_survives_an_error_without_readable_text(execute: Execute, error: Exception) -> None:
    """An error whose str() raises fails the job and nothing else."""
    attempt_result = execute(raising(error))
    assert attempt_result.kind == "failed"
    assert attempt_result.error is not None
    assert attempt_result.error.type == type(error).__name__
    assert "cannot be read" in attempt_result.error.message


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), StrangeBaseError("odd"), MemoryError()])
def test_execution_fails_the_job_for_any_exit(execute: Execute, error: BaseException) -> None:
    """A plugin's sys.exit and the like end the job, never the host."""
    attempt_result = execute(raising(error))
    assert (attempt_result.kind, attempt_result.interrupted) == ("failed", False)
    assert attempt_result.error is not None
    assert attempt_result.error.type == type(error).__name__


def test_execution_takes_an_interruption_for_a_cancellation(execute: Execute) -> None:
    """Ctrl-C in a job cancels it and is told to the caller."""
    attempt_result = execute(raising(KeyboardInterrupt()))
    assert (attempt_result.kind, attempt_result.interrupted) == ("cancelled", True)
    assert attempt_result.error is not None
    assert attempt_result.error.message == "interrupted"


def test_execution_calls_a_transient_error_transient(execute: Execute) -> None:
    """Only the manager knows whether another attempt remains."""
    attempt_result = execute(raising(TransientError(reason="the server is starting")))
    assert attempt_result.kind == "transient"
    assert attempt_result.error is not None
    assert attempt_result.error.message == "the server is starting"


def test_execution_fails_a_cancellation_that_nobody_asked_for(execute: Execute) -> None:
    """A worker cannot declare itself cancelled."""
    attempt_result = execute(raising(JobCancelledError(reason="I do not want to")))
    assert attempt_result.kind == "failed"


def test_execution_cancels_before_the_worker_starts(execute: Execute, actor: Actor) -> None:
    """What is told before `execute` is never begun."""
    attempt_result = execute(None, prepare=lambda attempt: attempt.scope.cancel(JobCancelledError(reason="not now")))
    assert attempt_result.kind == "cancelled"
    assert attempt_result.error is not None
    assert attempt_result.error.message == "not now"
    assert actor.ran == []


@pytest.mark.parametrize("way", ["check", "callback", "cause"])
def test_execution_cancels_a_running_job(execute: Execute, way: str) -> None:
    """A job that is told stops at its next check, by its callback, or with an error raised from the telling."""
    scopes: list[Any] = []

    def act(context: Any) -> None:
        told = JobCancelledError(reason="enough")
        if way == "callback":
            called = threading.Event()
            with context.on_cancel(called.set):
                scopes[0].cancel(told)
                assert called.wait(PATIENCE)
            context.check_cancelled()
        scopes[0].cancel(told)
        if way == "cause":
            try:
                context.check_cancelled()
            except JobCancelledError as error:
                raise RuntimeError("interrupted statement") from error
        context.check_cancelled()

    attempt_result = execute(act, prepare=lambda attempt: scopes.append(attempt.scope))
    assert attempt_result.kind == "cancelled"
    assert attempt_result.error is not None
    assert (attempt_result.error.type, attempt_result.error.message) == ("JobCancelledError", "enough")


def test_execution_completes_what_was_done_before_the_cancel_came(execute: Execute) -> None:
    """A cancel that loses the race reports completed."""
    scopes: list[Any] = []

    def act(context: object) -> dict[str, Any]:
        scopes[0].cancel(JobCancelledError(reason="too late"))
        return {"rows": 1}

    attempt_result = execute(act, prepare=lambda attempt: scopes.append(attempt.scope))
    assert attempt_result.kind == "completed"
    assert attempt_result.result is not None
    assert attempt_result.result.warnings == ()


def test_execution_fails_at_the_deadline(execute: Execute) -> None:
    """A job whose time is over fails, and is not cancelled: nobody asked for that."""
    attempt_result = execute(Gate().until_cancelled, fields={"timeout": 0.02})
    assert attempt_result.kind == "failed"
    assert attempt_result.error is not None
    assert attempt_result.error.type == DeadlineExceededError.__name__
    assert attempt_result.error.message == "its time is over: 0.02 s"


def test_execution_warns_of_an_ignored_deadline(execute: Execute) -> None:
    """A worker that goes on after its deadline and completes has completed, with a warning."""

    def act(context: Any) -> Result:
        told = threading.Event()
        with context.on_cancel(told.set):
            assert told.wait(PATIENCE)
        return Result.changed("all the same")

    attempt_result = execute(act, fields={"timeout": 0.25})
    assert attempt_result.kind == "completed"
    assert attempt_result.result is not None
    assert attempt_result.result.warnings == ("it did not stop when its time was over (0.25 s)",)


def test_execution_logs_what_a_callback_raises(execute: Execute) -> None:
    """A callback that raises costs a line in the log."""
    scopes: list[Any] = []

    def act(context: Any) -> None:
        with context.on_cancel(lambda: 1 / 0):
            scopes[0].cancel(JobCancelledError(reason="stop"))
        context.check_cancelled()

    attempt_result = execute(act, prepare=lambda attempt: scopes.append(attempt.scope))
    assert attempt_result.kind == "cancelled"
    assert any("ZeroDivisionError" in line.message for line in execute.lines)  # type: ignore[attr-defined]


def test_execution_fails_without_the_worker(execute: Execute) -> None:
    """A worker that has been uninstalled since the job was submitted makes it fail in words."""
    attempt_result = execute(None, job=Job(type="actt"))
    assert attempt_result.kind == "failed"
    assert attempt_result.error is not None
    assert "did you mean 'act'?" in attempt_result.error.message


def test_execution_validates_again_with_the_expanded_config(execute: Execute, actor: Actor) -> None:
    """What the environment brings is checked before the worker starts."""
    seen: list[Any] = []

    def refuse(asked: Job) -> None:
        seen.append(asked.config)
        raise InvalidJobError(reason=f"the password {asked.config['password']!r} is too short")

    actor.on_validate = refuse
    attempt_result = execute(None, fields={"config": {"password": "${DB_PASSWORD}"}}, environment=ENVIRONMENT)
    assert seen == [{"password": SECRET}]
    assert actor.ran == []
    assert attempt_result.error is not None
    assert SECRET not in attempt_result.error.message
    assert "${DB_PASSWORD}" in attempt_result.error.message


def test_execution_fails_without_the_variable(execute: Execute, actor: Actor) -> None:
    """A variable that is not set where the job runs is named."""
    attempt_result = execute(None, fields={"config": {"password": "${DB_PASSWORD}"}}, environment={})
    assert attempt_result.error is not None
    assert "no variable 'DB_PASSWORD'" in attempt_result.error.message
    assert actor.ran == []


def test_execution_masks_secrets_everywhere(execute: Execute, actor: Actor) -> None:
    """An expanded value is in the worker's config, and in nothing that leaves it."""
    progress: list[Progress] = []

    def act(context: Any) -> Result:
        assert context.job.config["url"] == f"db://me:{SECRET}@host"
        context.logger.info("connecting with {}", SECRET, given=SECRET)
        context.progress(1, 1, unit=SECRET, message=f"as {SECRET}")
        return Result.changed(f"used {SECRET}", warnings=[f"{SECRET} is weak"], data_of=[SECRET])

    attempt_result = execute(
        act,
        fields={"config": {"url": "db://me:${DB_PASSWORD}@host"}},
        environment=ENVIRONMENT,
        on_progress=lambda record, told: progress.append(told),
    )
    assert attempt_result.kind == "completed"
    assert progress
    assert actor.configs[0]["url"].endswith(f"{SECRET}@host")
    for told in (attempt_result, progress, execute.lines):  # type: ignore[attr-defined]
        assert SECRET not in repr(told)
        assert "${DB_PASSWORD}" in repr(told)


def test_execution_lets_a_plugin_mask_what_it_writes_elsewhere(execute: Execute) -> None:
    """`mask` knows what is secret in this job, and the stored job has the reference as it was written."""
    seen: list[Any] = []

    def act(context: Any) -> None:
        seen.append(context.mask({"sent": [f"password {SECRET}", 5], "at": f"db://me:{SECRET}@host"}))
        seen.append(context.stored_job.config)

    execute(act, fields={"config": {"url": "db://me:${DB_PASSWORD}@host"}}, environment=ENVIRONMENT)
    assert SECRET not in repr(seen)
    assert seen == [
        {"sent": ["password ${DB_PASSWORD}", 5], "at": "db://me:${DB_PASSWORD}@host"},
        {"url": "db://me:${DB_PASSWORD}@host"},
    ]


def test_execution_gives_a_plugin_no_store(execute: Execute) -> None:
    """A context has what its contract says, and nothing by which records could be read or written."""
    offered: set[str] = set()
    execute(lambda context: offered.update(name for name in dir(context) if not name.startswith("_")))
    assert offered == {name for name in dir(JobContext) if not name.startswith("_")} | set(JobContext.__annotations__)
    assert not offered & {"store", "manager", "record", "orchestrator", "status", "finish"}


def test_execution_masks_secrets_in_a_traceback(execute: Execute) -> None:
    """An unforeseen error shows no secret in its text, its traceback or the log."""

    def act(context: Any) -> None:
        try:
            raise ValueError(f"cannot connect with {context.job.config['password']}")
        except ValueError as error:
            raise RuntimeError(f"gave up on {SECRET}") from error

    attempt_result = execute(act, fields={"config": {"password": "${DB_PASSWORD}"}}, environment=ENVIRONMENT)
    assert attempt_result.error is not None
    assert "cannot connect with ${DB_PASSWORD}" in attempt_result.error.traceback
    assert SECRET not in repr(attempt_result)
    assert SECRET not in repr(execute.lines)  # type: ignore[attr-defined]


def test_execution_throttles_progress_and_never_goes_back(execute: Execute, clock: FakeClock) -> None:
    """Progress is passed on four times a second at most, in order, and the end always."""
    told: list[Progress] = []

    def act(context: Any) -> None:
        for step in range(100):
            context.progress(step, 100)
            clock.time += 0.01
        context.progress(50, 100)  # a worker that counts wrongly
        clock.time += 1
        context.progress(3, 100)
        context.progress(100, 100)

    execute(act, clock=clock, on_progress=lambda record, progress: told.append(progress))
    done = [progress.done for progress in told]
    assert done == sorted(done)
    assert done[-2:] == [99, 100]
    assert len(done) <= 7


def test_execution_tells_attempt_and_deadline(execute: Execute) -> None:
    """A worker can ask which start it is and when it must have ended."""
    seen: list[Any] = []
    record = JobRecord(job=job("one", timeout=60.0), status=JobStatus.RUNNING, attempt=4, started_at=1000.0)
    execute(lambda context: seen.append((context.attempt, context.deadline)), record=record)
    assert seen == [(4, 1060.0)]


def test_execution_logs_with_the_correlation_id(execute: Execute) -> None:
    """Every line carries the job, the tree and the worker type."""
    asked = job("one", correlation_id="the-root")
    execute(lambda context: context.logger.info("hello"), job=asked)
    (line,) = execute.lines  # type: ignore[attr-defined]
    assert (line.message, line.job_id, line.correlation_id) == ("hello", asked.id, "the-root")
    assert line.extra["worker_type"] == "act"


def test_execution_logs_how_it_ended(execute: Execute) -> None:
    """The last line says why a job failed, braces and all."""
    execute(raising(OperationError(reason="no table {name}")))
    last = execute.lines[-1]  # type: ignore[attr-defined]
    assert (last.level, last.message) == ("ERROR", "failed: no table {name}")


def test_execution_finds_a_worker_through_the_registry(registry: Registry, execute: Execute) -> None:
    """A worker that cannot be made fails the job in words."""
    registry.remove_worker("act")
    attempt_result = execute(None)
    assert attempt_result.error is not None
    assert attempt_result.error.type == "UnknownNameError"


STOPS = [(JobCancelledError("stop"), "cancelled"), (DeadlineExceededError("late"), "failed")]


@pytest.mark.parametrize(("told", "kind"), STOPS)
def test_execution_takes_what_a_told_job_raises_as_its_stop(
    registry: Registry, actor: Actor, told: Any, kind: str
) -> None:
    """A driver's own "interrupted" is how a job stops that was told to; its log keeps what it was."""
    attempt = Attempt.of(JobRecord(job=Job(type="act"), status=JobStatus.RUNNING, attempt=1))

    def interrupted(context: Any) -> None:
        attempt.scope.cancel(told)
        raise OSError("interrupted system call")

    actor.acts["*"] = interrupted
    attempt_result = Execution(registry).run(attempt)
    assert attempt_result.kind == kind
    assert attempt_result.error is not None
    assert attempt_result.error.message == str(told)
    assert any("interrupted system call" in line.message for line in attempt.log.drain())
