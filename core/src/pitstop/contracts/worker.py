"""What a worker is, the base that has the optional members, and the context in which a worker carries out a job."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pitstop.jobs import Job, OnCrash, Result
from pitstop.operations import Operation


class JobLogger(Protocol):
    """What a worker needs of loguru's logger, which is what it gets, bound to the job; the rest of it is there too.

    loguru fills in `{}` in a message that has arguments, as `str.format` does; one without arguments stays as it is.
    Keyword arguments are also kept with the line as its `extra`. A text that comes from a user is an argument or the
    whole message, and never part of a message with arguments.
    """

    def debug(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what only somebody who looks for a fault wants to read."""

    def info(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what was done."""

    def warning(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what went wrong without making the job fail."""

    def error(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what makes the job fail."""

    def exception(self, message: str, /, *args: object, **extra: object) -> None:
        """Write an error with the traceback of the exception that is being handled."""

    def bind(self, **extra: object) -> JobLogger:
        """Return a logger whose lines all carry `extra`."""


class JobContext(Protocol):
    """What a worker gets beside the job: how to tell, to ask and to stop. Safe to use from any thread."""

    @property
    def job(self) -> Job:
        """The job, with its config expanded."""

    @property
    def stored_job(self) -> Job:
        """The job as it is stored: what comes from the environment is in its config as `${NAME}`.

        Whoever keeps part of a config, so that something can be done again later, takes it from this one.
        """

    @property
    def logger(self) -> JobLogger:
        """Writes to the job's log, bound to its id, correlation id, type and operation."""

    @property
    def attempt(self) -> int:
        """Which start of this job it is, from 1."""

    @property
    def deadline(self) -> float | None:
        """When it must have ended, in seconds since 1970, or None."""

    def progress(self, done: float, total: float | None = None, unit: str = "", message: str = "") -> None:
        """Tell how far the job is. Cheap: what comes faster than a few times a second is not written.

        Args:
            done: units done so far; never goes back within an attempt.
            total: units in all, or None if unknown.
            unit: what is counted, such as "indexes".
            message: what is being done now.
        """

    def mask(self, value: Any) -> Any:
        """Return a text, or any other JSON value, as it may be kept or shown: without this job's secrets.

        What the worker returns, raises, logs and reports is masked by Pitstop. This is for what it writes elsewhere.

        Args:
            value: a text, or any JSON value; keys of objects are masked too.

        Returns:
            A copy with `${NAME}` for what came from the environment, and `***` for every other secret.
        """

    def waiting(
        self, what: str, *, holder: str = "", since: float | None = None
    ) -> AbstractContextManager[Callable[[str], None]]:
        """Say that the job waits for something, for as long as the block lasts: it is shown instead of its progress.

        Each use is written twice, so use it for what has taken a second already.

        Args:
            what: what it waits for, to follow "waiting for": "the lock of app.db".
            holder: who has it, to follow "held by": "process 4711 (python)"; "" if nobody knows.
            since: since when it waits, in seconds since 1970; if not given, since now.

        Returns:
            A context manager. It yields a function that is given the holder when that becomes known, or changes.
        """

    def check_cancelled(self) -> None:
        """Return at once, or raise if the job must stop.

        Raises:
            JobCancelledError: it was cancelled.
            DeadlineExceededError: its time is over.
        """

    def on_cancel(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        """Have `callback` called when the job must stop: from another thread, and repeatedly until the job has ended.

        Called repeatedly because an interruption that comes between two statements of a database goes nowhere. It must
        return quickly and may be called when there is nothing to stop. An exception from it is logged.

        Returns:
            A context manager; leaving it takes the callback back. When the job has been told already, the callback is
            called at once.
        """


@runtime_checkable
class Worker(Protocol):
    """Carries out jobs of one type. Made by calling the registered class without arguments; used by many threads.

    What else Pitstop asks of a worker is optional: `BaseWorker` has it, with defaults. A worker that does not derive
    from it may have these members all the same.
    """

    worker_type: str

    @abstractmethod
    def validate(self, job: Job) -> None:
        """Refuse a job that cannot succeed, before anything has started. Changes nothing.

        `${NAME}` in the config is not expanded when a job is submitted, but is when this is called again just before
        `execute`.

        Raises:
            InvalidJobError: the job is not as it must be.
        """

    @abstractmethod
    def execute(self, job: Job, context: JobContext) -> Result | Mapping[str, Any] | None:
        """Do what the job asks.

        Returns:
            A `Result`; a mapping, which becomes the data of one whose outcome is "changed"; or None for just "changed".

        Raises:
            TransientError: it may succeed at the next attempt.
            Exception: anything else makes the job fail with its text.
        """


class BaseWorker(Worker):
    """A `Worker` with every optional member, so that a subclass has only what it does otherwise.

    Attributes:
        worker_type: the job type that it carries out.
        on_crash: what becomes of a job whose process died under it, "fail" or "retry". It is stored with each job when
            that is submitted, so that a process that does not know the worker knows it too.
    """

    worker_type: str
    on_crash: OnCrash = "fail"

    if not TYPE_CHECKING:

        def __init__(self, *arguments, **options):
            # a Protocol's own would not call that of an author's other base
            super(Protocol, self).__init__(*arguments, **options)

    def resource(self, job: Job) -> str | None:
        """Return what a job that does not say so itself needs alone, such as one database; None for nothing."""
        return None

    def example(self, operation: Operation, words: Sequence[str] = ()) -> str:
        """Return a command line that runs an operation of this type.

        Args:
            operation: what is to be run.
            words: what the user named for it, such as a file; if nothing, something made up.

        By default "": then `pitstop operations NAME` shows a `pitstop run` with `operation` and `parameters`.
        """
        return ""

    def facts(self, operation: Operation) -> Mapping[str, str]:
        """Return what else a person should know of an operation, by headings of a word or two; by default nothing."""
        return {}
