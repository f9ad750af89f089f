"""The process runner: jobs run side by side, each in a child process. For work that may crash, hang or leak.

It is the thread runner whose threads each keep a child: a thread claims, stores and finishes, its child executes. So
there is one pool, and only this process touches the store (docs/decisions/process-runner.md).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress

from pitstop.clock import Clock
from pitstop.errors import InvalidValueError
from pitstop.execution.execution import Execution
from pitstop.jobs import Job
from pitstop.registry.registry import Registry
from pitstop.runners.local import Lock
from pitstop.runners.process.child import Child, ChildError
from pitstop.runners.process.environment import VARIABLE, environment_for_child, parse_names
from pitstop.runners.process.remote_execution import RemoteExecution
from pitstop.runners.thread import ThreadRunner

#: After so many jobs a child gives way to a new one, so that what a library leaks is bounded. A start takes some tenth
#: of a second, which comes to a tenth of a millisecond for each job.
JOBS_PER_PROCESS = 1000
#: Seconds that a job has to stop after it was told to. Long enough for a statement to be rolled back; docker gives its
#: containers as long.
GRACE = 10.0


class ProcessRunner(ThreadRunner):
    """Runs up to `processes` jobs at a time, each in a child process that is kept for the next ones.

    A child gets a fresh interpreter and a registry of its own. What a crash, `os._exit` or a kill ends is one job.

    Args:
        processes: how many at most; by default one for each processor, but at most 8.
        jobs_per_process: after how many a child is replaced.
        grace: seconds that a job has to stop after a cancel or its deadline; then its process is killed.
        environment: names of variables that children get, and beginnings of names such as "PG*", beside those that
            every program needs and those of `PITSTOP_CHILD_ENV`. What a config mentions as `${NAME}` is sent with its
            job, and needs no naming.
        python: the interpreter; this process's own if not given.
        clock: tells when a delayed retry is due.

    Raises:
        InvalidValueError: one of them cannot be.
    """

    def __init__(
        self,
        processes: int | None = None,
        *,
        jobs_per_process: int = JOBS_PER_PROCESS,
        grace: float = GRACE,
        environment: Iterable[str] = (),
        python: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        for name, value, least in (("processes", processes, 1), ("jobs_per_process", jobs_per_process, 1)):
            if value is not None and value < least:
                raise InvalidValueError(where="ProcessRunner", name=name, problem=f"{value} is less than {least}")
        if not 0 <= grace < float("inf"):
            raise InvalidValueError(where="ProcessRunner", name="grace", problem=f"{grace} is no number of seconds")
        super().__init__(processes, clock=clock)
        self._jobs_per_process = jobs_per_process
        self._grace = grace
        self._environment = (*parse_names(environment), *parse_names(os.environ.get(VARIABLE, "")))
        self._python = sys.executable if python is None else python
        self._remote: RemoteExecution | None = None
        self._held = threading.local()  # what each thread holds: the child for the job that it has or is about to claim
        self._idle_children: list[Child] = []
        self._children_lock = threading.Lock()

    def make_executor(self, local: Execution, *, registry: Registry, lock: Lock) -> RemoteExecution:
        """Return what carries out attempts in this runner's children, and start the first of them.

        It starts while the first request is still planned, checked and stored.
        """
        self._remote = RemoteExecution(local, registry=registry, lock=lock, children=self, grace=self._grace)
        with suppress(ChildError):  # the first job says so
            self._idle_children.append(self._start_child())
        return self._remote

    def check(self, job: Job) -> None:
        """Refuse a job that needs what was added by code and cannot be imported; see `BaseRunner`.

        Raises:
            InvalidJobError: says what it is, and what to do.
        """
        if self._remote is not None:
            self._remote.check(job)

    def stop(self, *, wait: bool = True) -> None:
        """Take no more jobs; see `Runner`."""
        super().stop(wait=wait)
        with self._children_lock:
            idle, self._idle_children = self._idle_children, []
        for child in idle:
            child.let_go()  # all at once, and then wait for each
        for child in idle:
            child.close()

    # -- children --------------------------------------------------------------------------------------------------

    def take(self) -> Child:
        """Return a child for this thread's job: the one that it holds, or one that is idle, or a new one.

        Raises:
            ChildError: none can be started.
        """
        child = self._held_child() or self._idle_child() or self._start_child()
        self._held.child = None
        try:
            child.wait_until_ready()
        except BaseException:
            child.close()
            raise
        assert self._remote is not None
        if child.changes < 0:
            child.changes = self._remote.additions.changes
            with suppress(OSError):  # it is gone already; its first job finds out how
                child.channel.send(self._remote.set_up_message())
        return child

    def give_back(self, child: Child) -> None:
        """Take back what `take` returned: the next job, of whichever thread, gets it while it is warm."""
        with self._children_lock:
            if not self._stopped:
                self._idle_children.append(child)
                return
        child.close()

    def _held_child(self) -> Child | None:
        child: Child | None = getattr(self._held, "child", None)
        return child

    def _idle_child(self) -> Child | None:
        """Return the child that was idle for the shortest time, or None. One that is no longer fit is closed."""
        while True:
            with self._children_lock:
                if not self._idle_children:
                    return None
                child = self._idle_children.pop()
            if self._is_fit(child):
                return child
            child.close()

    def _is_fit(self, child: Child) -> bool:
        assert self._remote is not None
        return (
            not child.is_gone
            and child.jobs < self._jobs_per_process
            and child.changes in (-1, self._remote.additions.changes)
            and child.path == sys.path
        )

    def _start_child(self) -> Child:
        return Child(python=self._python, environment=environment_for_child(self._environment))

    # -- jobs ------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            super()._work()
        finally:
            self._return_child()

    def _next(self) -> str | None:
        self._return_child()
        job_id = super()._next()
        if job_id is not None and self._remote is not None:
            # before the job is claimed, so that a start is no part of its time
            with suppress(ChildError):  # the job says so, if it still is so then
                self._held.child = self.take()
        return job_id

    def _pop_following(self) -> str | None:
        if self._remote is None:
            return super()._pop_following()
        child = self._held_child() or self._idle_child()
        if child is None:
            return None  # the next job waits for a new child, and is claimed when that is ready
        self._held.child = child
        job_id = super()._pop_following()
        if job_id is None:
            self._return_child()
        return job_id

    def _return_child(self) -> None:
        """Give back a child whose job could not be claimed."""
        child = self._held_child()
        self._held.child = None
        if child is not None:
            self.give_back(child)
