"""`Orchestrator`: from a submission to the end of its tree, and who is told of each end.

It checks and stores submissions, runs the jobs that the runner brings back, and wakes whoever waits. Which job is
handed to the runner next is `handover`'s business. It never writes a status itself (the manager does) and never decides
one (the store's rule does).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from pitstop import logs
from pitstop.contracts import Cancelled, Finished, JobStore, Runner
from pitstop.errors import InvalidJobError, JobCancelledError, PitstopError, StoreError
from pitstop.execution import Attempt, Execution
from pitstop.handover import Handover
from pitstop.hooks import Hooks
from pitstop.jobs import Job, JobRecord, JobStatus, Plan, Progress
from pitstop.manager import JobManager, OnCrash
from pitstop.registry import Registry
from pitstop.runners.inline import InlineRunner
from pitstop.submission import Options, checked, jobs_of, plan_of, remainder
from pitstop.watcher import WATCH_INTERVAL, Watcher


class Orchestrator:
    """Runs trees of jobs.

    Args:
        store: where records are kept; a `JobManager` brings its store along.
        registry: finds workers, planners and hook plugins; a new one if not given.
        runner: where jobs run; the inline runner if not given. The orchestrator starts and stops it.

    Use it as a context manager, or call `close()`.
    """

    def __init__(
        self,
        store: JobStore | JobManager,
        *,
        registry: Registry | None = None,
        runner: Runner | None = None,
    ) -> None:
        self.manager = store if isinstance(store, JobManager) else JobManager(store)
        self.registry = registry = Registry() if registry is None else registry
        self.runner: Runner = InlineRunner(clock=self.manager.clock) if runner is None else runner
        self._hooks = Hooks(registry.hook_plugins())
        self._execution = Execution(registry, hooks=self._hooks, on_progress=self._progressed, clock=self.manager.clock)
        self._changed = threading.Condition()
        self._changes = 0
        self._attempts: dict[str, Attempt] = {}
        self._failures: dict[str, BaseException] = {}
        self._closed = False
        self._storing_lines = threading.Lock()
        self._watcher = Watcher(self._watch)
        self._handover = Handover(self.manager, self.runner, on_wait=self._watcher.start)
        self._helper: threading.Thread | None = None
        self.runner.start(self.run_job)

    @property
    def store(self) -> JobStore:
        """The store, for reading."""
        return self.manager.store

    # -- what a caller asks ----------------------------------------------------------------------------------------

    def submit(
        self,
        what: str | Job | Plan,
        config: Mapping[str, Any] | None = None,
        *,
        options: Options | None = None,
    ) -> JobRecord:
        """Check a request whole, store it whole, and let its first jobs start.

        Args:
            what: an action, a worker type, a job or a plan.
            config: for an action or a worker type.
            options: what applies to the whole tree.

        Returns:
            The root's record as it was stored.

        Raises:
            InputError: something in it is wrong; nothing was stored.
            PluginError: what it needs cannot be loaded; nothing was stored.
            StoreError: it could not be stored, or the orchestrator is closed.
        """
        if self._closed:
            raise self._closed_error()
        if isinstance(what, str):
            what = plan_of(self.registry, what, {} if config is None else config)
        elif isinstance(what, (Job, Plan)) and config is not None:
            raise InvalidJobError(reason="a job or plan was given together with a config", hint="put it into the job")
        jobs = checked(jobs_of(what, options), self.registry)
        records = self.manager.create(jobs, shared=self.runner.shared)
        for record in records:
            self._hooks.created(record)
        for record in reversed(records):
            if record.status.terminal:  # a parent without children
                self._hooks.finished(record)
        root = records[0]
        if not root.status.terminal:
            self._handover.look_after(root.id)
            if root.job.is_parent:
                self._handover.begin(root.id, records)
            else:
                self.runner.submit(root.id)
        return root

    def run(
        self,
        what: str | Job | Plan,
        config: Mapping[str, Any] | None = None,
        *,
        options: Options | None = None,
    ) -> JobRecord:
        """Submit a request and wait for its end. Returns the root's record; raises as `submit`."""
        return self.wait(self.submit(what, config, options=options).id)

    def wait(self, job_id: str, *, timeout: float | None = None) -> JobRecord:
        """Return the job's record when it has ended, or after `timeout` seconds as it is then.

        Raises:
            UnknownJobError: there is no such job.
            StoreError: the store failed under a job that ran here, or the orchestrator was closed before the end.
        """
        ends_at = None if timeout is None else time.monotonic() + timeout
        pause = 0.002
        while True:
            seen = self._changes
            record = self.store.get(job_id)
            if record.status.terminal:
                return record
            failure = self._failures.get(record.job.correlation_id)
            if failure is not None:
                raise failure
            if self._closed:
                raise self._closed_error()
            left = WATCH_INTERVAL if ends_at is None else min(WATCH_INTERVAL, ends_at - time.monotonic())
            if left <= 0:
                return record
            # what runs elsewhere tells nobody here; what runs here wakes us
            pause = min(pause * 1.5, left) if self.runner.shared else left
            with self._changed:
                self._changed.wait_for(lambda seen=seen: self._changes != seen, pause)  # type: ignore[misc]

    def cancel(self, job_id: str, *, reason: str = "cancelled") -> Cancelled:
        """Cancel a job and all below it: pending ones at once; running ones are told.

        Raises:
            UnknownJobError: there is no such job.
        """
        done = self.manager.cancel(job_id, reason=reason)
        for told in done.told:
            attempt = self._attempts.get(told)
            if attempt is not None:
                attempt.scope.tell(JobCancelledError(reason=reason))
        for cancelled in done.cancelled:
            self.runner.cancel(cancelled)
            self._handover.forget(cancelled)
        self._announce(done.closed, done.cancelled)
        if done.cancelled:
            self._handover.after_cancel(self.store.get(job_id).job.correlation_id)
        return done

    def retry(self, job_id: str) -> JobRecord:
        """Submit again what has failed or was cancelled, as a new tree from what was stored.

        Children that had completed are left out. The new root's metadata says "retry_of".

        Returns:
            The new root's record.

        Raises:
            InvalidJobError: the job has not ended, or nothing in it is left to do.
            InputError: it is no longer accepted.
        """
        record = self.store.get(job_id)
        request = remainder(self.store, record)
        if not record.status.terminal:
            raise InvalidJobError(
                reason=f"job {record.id} is {record.status}", hint="wait for its end, or cancel it, before a retry"
            )
        if request is None:
            raise InvalidJobError(reason=f"job {record.id} completed; a completed job never runs again")
        return self.submit(request, options=Options(metadata={"retry_of": record.id}))

    def rescue(self, *, adopt: bool = True) -> list[str]:
        """Bring to the right place what was left by processes that died.

        Args:
            adopt: whether to go on with their trees in this process.

        Returns:
            The ids of the roots that nobody else looks after.
        """
        orphans = self._rescue_lost()
        if not adopt:
            return orphans
        for root_id in orphans:
            pending = self._handover.pending(root_id)
            self.manager.adopt([root_id, *(record.id for record in pending)])
            self._handover.look_after(root_id)
            self._handover.begin(root_id, pending)
        for root_id in self._handover.in_engine():
            self._handover.begin(root_id, self._handover.pending(root_id))
        return orphans

    def close(self, *, wait: bool = True, keep_store: bool = False) -> None:
        """Stop the runner (with `wait`, when its jobs have ended) and, unless told otherwise, close the store."""
        self._closed = True
        self.runner.stop(wait=wait)
        self._watcher.stop()
        helper = self._helper
        if wait and helper is not None and helper is not threading.current_thread():
            helper.join()
        self.manager.close(keep_store=keep_store)
        self._notify()

    def __enter__(self) -> Orchestrator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what happens on the way -----------------------------------------------------------------------------------

    def advance(self, parent_id: str) -> None:
        """Hand over every job of a tree that may start. Doing it twice is harmless, because the claim decides."""
        self._handover.advance(parent_id)

    def run_job(self, job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
        """Claim, execute and finish a job if it can be had; what a runner calls. See `RunJob`.

        Raises:
            KeyboardInterrupt: the process was interrupted in the job, which is recorded as cancelled, as is its tree.
        """
        # Nobody is above us in a runner's thread, and a store of somebody else's may raise what it likes.
        try:
            record = self.manager.claim(job_id)
            if record is None:
                self._handover.could_not_claim(job_id)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._failed(job_id, error)
            self._handover.later(job_id)
            return
        while record is not None:
            running = record
            try:
                record = self._run(running, following)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._failed(running.id, error)
                return
            self._failures.pop(running.job.correlation_id, None)

    def _run(self, record: JobRecord, following: Callable[[], str | None]) -> JobRecord | None:
        """Run a claimed job to its end, and return the next one if it was claimed with that end."""
        attempt = Attempt.of(record, clock=self.manager.clock)
        self._attempts[record.id] = attempt
        self._watcher.start()
        finished, then = None, None
        try:
            self._hooks.started(record)
            conclusion = self._execution.run(attempt)
            then = None if conclusion.interrupted else following()
            with self._storing_lines:  # what the watcher has taken is stored before the end is
                lines = attempt.log.drain(last=True)
            finished = self.manager.finish(record, conclusion, lines=lines, then=then, shared=self.runner.shared)
        finally:
            del self._attempts[record.id]
            if finished is None and then is not None:
                self.runner.submit(then)  # the runner gave it to us, and would not come back to it
        claimed = None
        if finished is None:
            logs.report(f"job {record.id}: attempt {record.attempt} was given up before it ended; its end is ignored")
            self._handover.look_again(record.job.resource)
            self._notify()
        else:
            claimed = finished.claimed
            self._settle(finished, then)
        if conclusion.interrupted:
            self.cancel(record.job.correlation_id, reason="interrupted")
            raise KeyboardInterrupt
        return claimed

    def _failed(self, job_id: str, error: BaseException) -> None:
        """Tell whoever waits for a job's tree that the store fails under it."""
        logs.report(f"job {job_id} could not be carried through: {type(error).__name__}: {error}")
        try:
            self._failures[self.store.get(job_id).job.correlation_id] = error
        except Exception as second:  # then `wait`, which reads the store too, raises by itself
            logs.report(f"job {job_id} cannot be read: {type(second).__name__}: {second}")
        self._notify()

    def _settle(self, finished: Finished, then: str | None) -> None:
        record = finished.record
        if record.status is JobStatus.PENDING:
            # a lost job of a tree that nobody looks after waits until somebody adopts it
            if self._handover.is_ours(record.job.correlation_id):
                self.runner.submit(record.id, not_before=record.not_before)
        else:
            self._hooks.finished(record)
        self._announce(finished.closed, finished.cancelled)
        if record.job.parent_id is None and record.status.terminal:
            self._handover.forget(record.id)
        if then is not None and finished.claimed is None:
            self._handover.could_not_claim(then)
        if finished.cancelled:
            self._handover.after_cancel(record.job.correlation_id)
        if record.job.resource is not None:
            self._handover.wake(record.job.resource)
        self._notify()

    def _announce(self, closed: tuple[JobRecord, ...], cancelled: tuple[str, ...]) -> None:
        if self._hooks.wants_finished:
            for job_id in cancelled:
                self._hooks.finished(self.store.get(job_id))
        for parent in closed:
            self._hooks.finished(parent)
            self._handover.forget(parent.id)
        if closed or cancelled:
            self._notify()

    def _progressed(self, record: JobRecord, progress: Progress) -> None:
        try:
            self.manager.progress(record, progress)
        except StoreError as error:
            logs.report(f"progress was not stored: {error}")  # no reason for the work itself to fail
        self._hooks.progress(record.job, progress)
        self._notify()

    def _closed_error(self) -> StoreError:
        return StoreError(url=self.store.url, problem="this orchestrator is closed", hint="make another one")

    def _notify(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    # -- what no call tells ----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._attempts:
            self._look_after_attempts()
        if self._handover.waits and (self._helper is None or not self._helper.is_alive()):
            # not in this thread: the inline runner runs a job where it is handed over, and somebody must go on watching
            self._helper = threading.Thread(target=self._hand_over_again, name="pitstop-helper", daemon=True)
            self._helper.start()

    def _look_after_attempts(self) -> None:
        for attempt in list(self._attempts.values()):
            with self._storing_lines:
                self.store.add_lines(attempt.log.drain())
        for job_id in self.manager.heartbeat():
            told = self._attempts.get(job_id)
            if told is not None:
                told.scope.tell(JobCancelledError(reason="cancelled"))

    def _hand_over_again(self) -> None:
        try:
            self._rescue_lost()
        except Exception as error:  # also what a foreign store raises: others still get their turn
            logs.report(f"jobs of processes that died could not be looked for, and are again later: {error}")
        self._handover.again(held={attempt.record.job.resource for attempt in list(self._attempts.values())})

    def _rescue_lost(self) -> list[str]:
        rescued = self.manager.rescue(on_crash=self._on_crash)
        for finished in rescued.lost:
            self._settle(finished, None)
        return list(rescued.orphans)

    def _on_crash(self, worker_type: str) -> OnCrash:
        try:
            worker = self.registry.worker(worker_type)
        except PitstopError as error:
            logs.report(f"lost jobs of {worker_type!r} are not tried again: {error}")
            return "fail"
        return "retry" if getattr(worker, "on_crash", "fail") == "retry" else "fail"
