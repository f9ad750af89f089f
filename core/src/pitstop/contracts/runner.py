"""What a runner promises, the base that has the optional members, and what a runner is given to call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pitstop.jobs import Job


class Runner(Protocol):
    """Where jobs run: it gets ids and calls `run_job` with each, once or more, here or in another process.

    Handing over a job twice is harmless, and so is losing an id when the process ends: the claim decides, and the store
    remembers. But somebody must then call `Orchestrator.rescue()`: a local process at its next start; with an engine, a
    periodic task of the engine's.

    What else Pitstop asks of a runner is optional: `BaseRunner` has it, with defaults. A runner that does not derive
    from it may have these members all the same.

    Attributes:
        shared: whether what was handed over outlives this process and may run in another one, as with an engine.
    """

    shared: bool

    @abstractmethod
    def start(self, run_job: RunJob) -> None:
        """Begin; `run_job` is what to call with each id. Called once, before any `submit`."""

    @abstractmethod
    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        """See to it that `run_job(job_id)` is called, not before a time given in seconds since 1970."""

    def cancel(self, job_id: str) -> None:
        """Drop a job that has not started yet, if that can be done cheaply. A running one is told by other means."""

    @abstractmethod
    def stop(self, *, wait: bool = True) -> None:
        """Take no more jobs; with `wait`, return only when none is running here."""


class BaseRunner(Runner):
    """A `Runner` with every optional member, so that a subclass has only what it does otherwise."""

    shared: bool = False

    if not TYPE_CHECKING:

        def __init__(self, *arguments, **options):
            # a Protocol's own would not call that of an author's other base
            super(Protocol, self).__init__(*arguments, **options)

    def cancel(self, job_id: str) -> None:
        """Drop a job that has not started yet; by default it is kept, and cannot be claimed when its turn comes."""

    def check(self, job: Job) -> None:
        """Refuse a job that could not be executed there, before it is stored; by default none.

        Raises:
            InvalidJobError: says why.
        """


class RunJob(Protocol):
    """What a runner calls. Whatever happens is in the job's record.

    Raises:
        KeyboardInterrupt: the process was interrupted within the job; the job and its tree are cancelled by then.
    """

    def __call__(self, job_id: str, following: Callable[[], str | None] = ...) -> None:
        """Claim, execute and finish a job, if it can be had.

        Args:
            job_id: which.
            following: returns the id of the next job that this runner would start here, or None. It is claimed in the
                transaction that ends the first one, which saves one commit a job.
        """
