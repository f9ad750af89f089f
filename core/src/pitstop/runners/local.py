"""`LocalRunner`: what the orchestrator asks of Pitstop's own runners beyond what a `Runner` promises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from pitstop.contracts import BaseRunner

if TYPE_CHECKING:
    from pitstop.execution.execution import Execution, Executor
    from pitstop.registry.registry import Registry

#: Returns the file descriptor of the lock that says that this process is alive; None if its store needs none.
Lock = Callable[[], int | None]


class LocalRunner(BaseRunner):
    """A runner whose jobs are claimed in this process.

    `reserve`, `release` and `submit_reserved` belong together: a job without relatives for which a place is kept is
    created and claimed in one transaction (docs/decisions/started-as-it-is-stored.md). Each place that was kept is used
    once.
    """

    @abstractmethod
    def reserve(self) -> bool:
        """Keep a place free for a job that is about to be submitted by this thread. Returns whether there is one."""

    @abstractmethod
    def release(self) -> None:
        """Give the place back: there will be no job."""

    @abstractmethod
    def submit_reserved(self, job_id: str) -> None:
        """Call `run_job(job_id)` at once in the place that was kept, also after `stop`: the job is running already."""

    @abstractmethod
    def make_room(self) -> AbstractContextManager[None]:
        """Let other jobs run while this thread waits for one, if it runs a job itself, which must not keep them out."""

    def make_executor(self, local: Execution, *, registry: Registry, lock: Lock) -> Executor:
        """Return what carries out the attempts of the jobs; called once by the orchestrator, before `start`.

        Args:
            local: carries them out in this process.
            registry: finds workers.
            lock: returns the file descriptor of this process's liveness lock; None if it needs none.
        """
        return local
