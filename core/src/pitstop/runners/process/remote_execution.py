"""`RemoteExecution`: carries out an attempt in a child process, and makes a result of whatever becomes of that.

It passes on the child's lines and progress, tells it to stop, and kills it when it does not. It takes the place of
`pitstop.execution.execution.Execution`; where the child comes from is the runner's business.
"""

from __future__ import annotations

import os
import time
from typing import Literal, Protocol

from pitstop import logs
from pitstop.children import Message
from pitstop.errors import DeadlineExceededError, PitstopError
from pitstop.execution.execution import Attempt, Execution, log_end
from pitstop.jobs import AttemptResult, ErrorRecord, Job, JobRecord, on_crash_of
from pitstop.jobs.variables import names_in
from pitstop.registry.registry import Registry
from pitstop.runners.local import Lock
from pitstop.runners.process.child import Child
from pitstop.runners.process.import_references import Additions
from pitstop.runners.process.protocol import job_message, read_attempt_result, read_line, read_progress, stop_message


class Children(Protocol):
    """Who has the children: the runner."""

    def take(self) -> Child:
        """Return a child for this thread's job. Raises ChildError."""

    def give_back(self, child: Child) -> None:
        """Take back what `take` returned, whatever became of it."""


class RemoteExecution:
    """Runs attempts in child processes.

    Args:
        local: the execution whose place it takes: it knows who wants to hear of progress, and the environment.
        registry: what a child's registry is made after.
        lock: returns the file descriptor of this process's liveness lock, if it has one. A child holds the lock too, so
            that nobody takes its job for lost while it lives.
        children: where this thread gets a child from, ready for a job.
        grace: seconds between telling a job to stop and killing its process.
    """

    def __init__(self, local: Execution, *, registry: Registry, lock: Lock, children: Children, grace: float) -> None:
        self._local = local
        self._registry = registry
        self._lock = lock
        self._children = children
        self._grace = grace
        self._additions: Additions | None = None

    @property
    def additions(self) -> Additions:
        """What was added to the registry by code until now."""
        if self._additions is None or self._additions.changes != self._registry.changes:
            self._additions = Additions.of(self._registry)
        return self._additions

    def check(self, job: Job) -> None:
        """Refuse a job that needs what a child cannot import. Raises InvalidJobError."""
        additions = self.additions
        if additions.unreachable:
            additions.check(job, self._registry)

    def set_up_message(self) -> Message:
        """Return what a child is told before its first job."""
        added = [{"group": e.group, "name": e.name, "target": e.target} for e in self.additions.entries]
        return {"registry": self._registry.arguments, "added": added}

    def run(self, attempt: Attempt) -> AttemptResult:
        """Carry out an attempt. Raises nothing: whatever happens is in the result."""
        with attempt.log.capture():
            try:
                self.check(attempt.record.job)
                attempt_result = self._run_in_child(attempt)
            except PitstopError as error:  # no child, or nothing that one could do
                attempt_result = _conclude_failure(error)
                log_end(attempt_result, attempt)
            finally:
                attempt.scope.close()
        return attempt_result

    def _run_in_child(self, attempt: Attempt) -> AttemptResult:
        child = self._children.take()
        try:
            attempt_result = self._follow_child(attempt, child)
            if attempt_result is None:
                attempt_result = self._conclude_death(attempt, child)
                log_end(attempt_result, attempt)
        finally:
            self._children.give_back(child)
        return attempt_result

    def _follow_child(self, attempt: Attempt, child: Child) -> AttemptResult | None:
        """Return how it ended, or None if the child was gone before it had said so."""
        child.jobs += 1
        stop = _Stop(child, attempt, grace=self._grace)
        try:
            with attempt.scope.on_cancel(stop):
                self._send_job(attempt.record, child)
                while (message := child.receive()) is not None:
                    if message.get("number") != child.jobs:
                        continue  # a thread that an earlier job has left behind
                    if "line" in message:
                        attempt.log.keep(read_line(message, attempt.record.job), own=message["own"])
                    elif "progress" in message:
                        self._pass_on(message, attempt.record)
                    else:
                        return read_attempt_result(message)
        except BaseException:
            child.kill()  # whatever it was, nobody listens to it any more
            raise
        return None

    def _send_job(self, record: JobRecord, child: Child) -> None:
        mentioned = names_in(record.job.config)
        environment = {name: self._local.environment[name] for name in mentioned if name in self._local.environment}
        message = job_message(record, number=child.jobs, environment=environment, folder=_working_folder())
        try:
            child.channel.send(message, descriptor=self._lock() if child.jobs == 1 else None)
        except OSError:
            return  # it is gone, and what it leaves behind says how

    def _pass_on(self, message: Message, record: JobRecord) -> None:
        try:
            self._local.on_progress(record, read_progress(message))
        except Exception as error:  # a foreign store's; no reason for the work itself to fail
            logs.warn(f"progress was not passed on: {type(error).__name__}: {error}")

    def _conclude_death(self, attempt: Attempt, child: Child) -> AttemptResult:
        report = child.report()
        if report:
            attempt.log.write("ERROR", f"its process said:\n{report}")
        told, record = attempt.scope.error, attempt.record
        if told is not None:
            killed = f"it did not stop within {self._grace:g} s, and its process was killed"
            how = killed if child.was_killed else f"its process {child.ending}"
            kind: Literal["failed", "cancelled"] = "failed" if isinstance(told, DeadlineExceededError) else "cancelled"
            return AttemptResult(kind=kind, error=ErrorRecord(type=type(told).__name__, message=f"{told}; {how}"))
        error = ErrorRecord(type="CrashedError", message=f"its process {child.ending}")
        return AttemptResult(kind="transient" if self._may_repeat(record.job) else "failed", error=error)

    def _may_repeat(self, job: Job) -> bool:
        if job.on_crash is not None:
            return job.on_crash == "retry"
        try:
            worker = self._registry.worker(job.type)
        except PitstopError as error:
            logs.warn(f"it is not tried again: {error}")
            return False
        return on_crash_of(worker) == "retry"


class _Stop:
    """What an attempt's scope calls again and again once the job is to stop: tells the child, and in the end kills it.

    Args:
        child: who runs it.
        attempt: what it runs.
        grace: seconds until it is killed.
    """

    def __init__(self, child: Child, attempt: Attempt, *, grace: float) -> None:
        self._child = child
        self._scope = attempt.scope
        self._number = child.jobs
        self._grace = grace
        self._since: float | None = None
        self._sent = False

    def __call__(self) -> None:
        error = self._scope.error
        if error is None or self._child.was_killed:
            return
        if self._since is None:
            self._since = time.monotonic()
        if not self._sent:
            try:
                self._sent = self._child.channel.send_now(stop_message(error, number=self._number))
            except OSError:
                self._sent = True  # it is gone; whoever listens to it finds out
        if time.monotonic() - self._since >= self._grace:
            self._child.was_killed = True
            self._child.kill()


def _working_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _conclude_failure(error: PitstopError) -> AttemptResult:
    return AttemptResult(kind="failed", error=ErrorRecord(type=type(error).__name__, message=str(error)))
