"""`Orchestrator`: what may start next in a tree of jobs, and who is told when something has ended.

It checks and stores submissions, hands jobs over to the runner, runs those that the runner brings back, and wakes
whoever waits. It never writes a status itself (the manager does) and never decides one (the store's rule does).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pitstop import logs
from pitstop.contracts import Cancelled, Finished, JobQuery, JobStore, Runner
from pitstop.errors import InvalidJobError, JobCancelledError, PitstopError, UnknownJobError
from pitstop.execution import Attempt, Execution
from pitstop.hooks import Hooks
from pitstop.jobs import Job, JobRecord, JobStatus, Plan, Progress
from pitstop.manager import JobManager, OnCrash
from pitstop.runners.inline import InlineRunner
from pitstop.submission import Options, checked, jobs_of, plan_of

if TYPE_CHECKING:
    from pitstop.registry import Registry

#: How often this process looks for what no call tells it: a cancel from another process, a resource that another
#: process has freed, the death of an owner. In seconds.
WATCH_INTERVAL = 0.5


class Orchestrator:
    """Runs trees of jobs.

    Args:
        store: where records are kept; a `JobManager` brings its store along.
        registry: finds workers, planners and hook plugins.
        runner: where jobs run; the inline runner if not given. The orchestrator starts and stops it.

    Use it as a context manager, or call `close()`.
    """

    def __init__(
        self,
        store: JobStore | JobManager,
        *,
        registry: Registry,
        runner: Runner | None = None,
    ) -> None:
        self.manager = store if isinstance(store, JobManager) else JobManager(store)
        self.registry = registry
        self.runner: Runner = runner or InlineRunner(clock=self.manager.clock)
        self._hooks = Hooks(registry.hook_plugins())
        self._execution = Execution(registry, hooks=self._hooks, on_progress=self._progressed, clock=self.manager.clock)
        self._changed = threading.Condition()
        self._changes = 0
        self._attempts: dict[str, Attempt] = {}
        self._trees: set[str] = set()
        self._blocked: set[str] = set()
        self._failure: BaseException | None = None
        self._watcher = _Watcher(self._watch)
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
            StoreError: it could not be stored.
        """
        if isinstance(what, str):
            what = plan_of(self.registry, what, {} if config is None else config)
        elif config is not None:
            raise InvalidJobError(reason="a job or plan was given together with a config", hint="put it into the job")
        jobs = checked(jobs_of(what, options), self.registry)
        records = self.manager.create(jobs, shared=self.runner.shared)
        for record in records:
            self._hooks.created(record)
        root = records[0]
        if root.status.terminal:
            self._hooks.finished(root)
        elif root.job.is_parent:
            self._look_after(root.id)
            self.advance(root.id)
        else:
            self._look_after(root.id)
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
            StoreError: the store failed under a job that ran here.
        """
        ends_at = None if timeout is None else time.monotonic() + timeout
        pause = 0.002
        while True:
            seen = self._changes
            record = self.store.get(job_id)
            if record.status.terminal:
                return record
            if self._failure is not None:
                raise self._failure
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
        self._announce(done.closed, done.cancelled)
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
        request = self._remainder(record)
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
        self.manager.adopt(orphans)
        for root_id in orphans:
            self._look_after(root_id)
            self.advance(root_id)
        return orphans

    def close(self, *, wait: bool = True, keep_store: bool = False) -> None:
        """Stop the runner (with `wait`, when its jobs have ended) and, unless told otherwise, close the store."""
        self.runner.stop(wait=wait)
        self._watcher.stop()
        self.manager.close(keep_store=keep_store)

    def __enter__(self) -> Orchestrator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what happens on the way -----------------------------------------------------------------------------------

    def advance(self, parent_id: str) -> None:
        """Hand over every job of a tree that may start. Doing it twice is harmless, because the claim decides."""
        for job_id in self.store.ready(parent_id, now=self.manager.clock.now()):
            self.runner.submit(job_id)

    def run_job(self, job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
        """Claim, execute and finish a job if it can be had; what a runner calls. See `RunJob`.

        Raises:
            KeyboardInterrupt: the process was interrupted in the job, which is recorded as cancelled, as is its tree.
        """
        try:
            record = self.manager.claim(job_id)
            if record is None:
                self._could_not_claim(job_id)
            while record is not None:
                record = self._run(record, following)
        except PitstopError as error:
            # Nobody is above us in a runner's thread: whoever waits for the job must hear of it.
            self._failure = error
            logs.report(f"job {job_id} could not be carried through: {error}")
            self._notify()

    def _run(self, record: JobRecord, following: Callable[[], str | None]) -> JobRecord | None:
        """Run a claimed job to its end, and return the next one if it was claimed with that end."""
        attempt = Attempt.of(record, clock=self.manager.clock)
        self._attempts[record.id] = attempt
        self._watcher.start()
        try:
            self._hooks.started(record)
            conclusion = self._execution.run(attempt)
            then = None if conclusion.interrupted else following()
            finished = self.manager.finish(record, conclusion, lines=attempt.log.drain(last=True), then=then)
        finally:
            del self._attempts[record.id]
        claimed = None
        if finished is None:
            logs.report(f"job {record.id}: attempt {record.attempt} was given up before it ended; its end is ignored")
        else:
            claimed = finished.claimed
            self._settle(finished, then)
        if conclusion.interrupted:
            self.cancel(record.job.correlation_id, reason="interrupted")
            raise KeyboardInterrupt
        return claimed

    def _settle(self, finished: Finished, then: str | None) -> None:
        record = finished.record
        if record.status is JobStatus.PENDING:
            self.runner.submit(record.id, not_before=record.not_before)
        else:
            self._hooks.finished(record)
        self._announce(finished.closed, finished.cancelled)
        if record.job.parent_id is None and record.status.terminal:
            self._trees.discard(record.id)
        if then is not None and finished.claimed is None:
            self._could_not_claim(then)
        if record.job.resource is not None:
            self._wake(record.job.resource)
        self._notify()

    def _announce(self, closed: tuple[JobRecord, ...], cancelled: tuple[str, ...]) -> None:
        if self._hooks.wants_finished:
            for job_id in cancelled:
                self._hooks.finished(self.store.get(job_id))
        for parent in closed:
            self._hooks.finished(parent)
            self._trees.discard(parent.id)
        if closed or cancelled:
            self._notify()

    def _wake(self, resource: str) -> None:
        """Hand over the first job that waits for a resource which is free now.

        A runner of this process takes only jobs of trees that were submitted here: another process may have workers
        that this one does not know.
        """
        for waiting in self.store.waiting(resource):
            if self.runner.shared or waiting.job.correlation_id in self._trees:
                self.runner.submit(waiting.id, not_before=waiting.not_before)
                return

    def _could_not_claim(self, job_id: str) -> None:
        # purged, taken by another process, or its resource is busy; in the last case its turn comes with a wake
        if not self.runner.shared:
            self._blocked.add(job_id)
            self._watcher.start()

    def _progressed(self, record: JobRecord, progress: Progress) -> None:
        self.manager.progress(record, progress)
        self._hooks.progress(record.job, progress)
        self._notify()

    def _look_after(self, root_id: str) -> None:
        self._trees.add(root_id)

    def _notify(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def _remainder(self, record: JobRecord) -> Job | Plan | None:
        job = record.job
        fresh = Job(
            type=job.type,
            config=job.config,
            name=job.name,
            resource=job.resource,
            metadata=job.metadata,
            timeout=job.timeout,
            max_attempts=job.max_attempts,
            tolerance=job.tolerance,
        )
        if not job.is_parent:
            return None if record.status is JobStatus.COMPLETED else fresh
        query = JobQuery(parent_id=record.id, oldest_first=True, limit=None)
        children = [self._remainder(child) for child in self.store.select(query)]
        left = [child for child in children if child is not None]
        return Plan(parent=fresh, children=left) if left else None

    # -- what no call tells ----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._attempts:
            self._look_after_attempts()
        if self._blocked:
            self._retry_blocked()

    def _look_after_attempts(self) -> None:
        for attempt in list(self._attempts.values()):
            self.store.add_lines(attempt.log.drain())
        for job_id in self.manager.heartbeat():
            told = self._attempts.get(job_id)
            if told is not None:
                told.scope.tell(JobCancelledError(reason="cancelled"))

    def _retry_blocked(self) -> None:
        self._rescue_lost()
        blocked, self._blocked = self._blocked, set()
        for job_id in blocked:
            record = self._still_pending(job_id)
            if record is not None:
                self.runner.submit(job_id, not_before=record.not_before)

    def _still_pending(self, job_id: str) -> JobRecord | None:
        try:
            record = self.store.get(job_id)
        except UnknownJobError:
            return None
        return record if record.status is JobStatus.PENDING else None

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


class _Watcher:
    """A thread that calls `watch` every WATCH_INTERVAL seconds, from the first job on."""

    def __init__(self, watch: Callable[[], None]) -> None:
        self._call = watch
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="pitstop-watcher", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(WATCH_INTERVAL):
            try:
                self._call()
            except PitstopError as error:
                logs.report(f"looking after running jobs failed, and is tried again: {error}")
