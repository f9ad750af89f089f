"""`RemoteExecution`: carries out an attempt in a child process, and makes a conclusion of whatever becomes of that.

It passes on the child's lines and progress, tells it to stop, and kills it when it does not. It takes the place of
`pitstop.execution.Execution`; where the child comes from is the runner's business.
"""

from __future__ import annotations

import os
import time
from typing import Literal, Protocol

from pitstop import logs
from pitstop.errors import DeadlineExceededError, PitstopError
from pitstop.execution import Attempt, Execution, note_end
from pitstop.expansion import names_in
from pitstop.jobs import Conclusion, ErrorRecord, Job, JobRecord
from pitstop.owners import Owner
from pitstop.registry import Registry
from pitstop.runners.child import Child
from pitstop.runners.messages import (
    Message,
    conclusion_of,
    job_message,
    line_of,
    progress_of,
    stop_message,
)
from pitstop.runners.references import Additions


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
        owner: whose lock a child holds too, so that nobody takes its job for lost while it lives.
        children: where this thread gets a child from, ready for a job.
        grace: seconds between telling a job to stop and killing its process.
    """

    def __init__(self, local: Execution, *, registry: Registry, owner: Owner, children: Children, grace: float) -> None:
        self._local = local
        self._registry = registry
        self._owner = owner
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

    def run(self, attempt: Attempt) -> Conclusion:
        """Carry out an attempt. Raises nothing: whatever happens is in the conclusion."""
        with attempt.log.capture():
            try:
                self.check(attempt.record.job)
                conclusion = self._in_child(attempt)
            except PitstopError as error:  # no child, or nothing that one could do
                conclusion = _failed(error)
                note_end(conclusion, attempt)
            finally:
                attempt.scope.close()
        return conclusion

    def _in_child(self, attempt: Attempt) -> Conclusion:
        child = self._children.take()
        try:
            conclusion = self._carried_out(attempt, child)
            if conclusion is None:
                conclusion = self._ended_by_death(attempt, child)
                note_end(conclusion, attempt)
        finally:
            self._children.give_back(child)
        return conclusion

    def _carried_out(self, attempt: Attempt, child: Child) -> Conclusion | None:
        """Return how it ended, or None if the child was gone before it had said so."""
        child.jobs += 1
        stop = _Stop(child, attempt, grace=self._grace)
        try:
            with attempt.scope.calling(stop):
                self._give(attempt.record, child)
                while (message := child.receive()) is not None:
                    if message.get("number") != child.jobs:
                        continue  # a thread that an earlier job has left behind
                    if "line" in message:
                        attempt.log.keep(line_of(message, attempt.record.job), own=message["own"])
                    elif "progress" in message:
                        self._pass_on(message, attempt.record)
                    else:
                        return conclusion_of(message)
        except BaseException:
            child.kill()  # whatever it was, nobody listens to it any more
            raise
        return None

    def _give(self, record: JobRecord, child: Child) -> None:
        mentioned = names_in(record.job.config)
        environment = {name: self._local.environment[name] for name in mentioned if name in self._local.environment}
        message = job_message(record, number=child.jobs, environment=environment, folder=_folder())
        try:
            child.link.send(message, descriptor=self._owner.descriptor if child.jobs == 1 else None)
        except OSError:
            return  # it is gone, and what it leaves behind says how

    def _pass_on(self, message: Message, record: JobRecord) -> None:
        try:
            self._local.on_progress(record, progress_of(message))
        except Exception as error:  # a foreign store's; no reason for the work itself to fail
            logs.report(f"progress was not passed on: {type(error).__name__}: {error}")

    def _ended_by_death(self, attempt: Attempt, child: Child) -> Conclusion:
        report = child.report()
        if report:
            attempt.log.logger.error(f"its process said:\n{report}")
        told, record = attempt.scope.error, attempt.record
        if told is not None:
            killed = f"it did not stop within {self._grace:g} s, and its process was killed"
            how = killed if child.was_killed else f"its process {child.ending}"
            kind: Literal["failed", "cancelled"] = "failed" if isinstance(told, DeadlineExceededError) else "cancelled"
            return Conclusion(kind=kind, error=ErrorRecord(type=type(told).__name__, message=f"{told}; {how}"))
        error = ErrorRecord(type="CrashedError", message=f"its process {child.ending}")
        return Conclusion(kind="transient" if self._may_repeat(record.job) else "failed", error=error)

    def _may_repeat(self, job: Job) -> bool:
        try:
            worker = self._registry.worker(job.type)
        except PitstopError as error:
            logs.report(f"it is not tried again: {error}")
            return False
        return getattr(worker, "on_crash", "fail") == "retry"


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
                self._sent = self._child.link.send_now(stop_message(error, number=self._number))
            except OSError:
                self._sent = True  # it is gone; whoever listens to it finds out
        if time.monotonic() - self._since >= self._grace:
            self._child.was_killed = True
            self._child.kill()


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _failed(error: PitstopError) -> Conclusion:
    return Conclusion(kind="failed", error=ErrorRecord(type=type(error).__name__, message=str(error)))
