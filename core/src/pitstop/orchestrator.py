"""`Orchestrator`: what may start next in a tree of jobs, and who is told when something has ended.

It checks and stores submissions, hands jobs over to the runner, runs those that the runner brings back, and wakes
whoever waits. It never writes a status itself (the manager does) and never decides one (the store's rule does).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from attrs import evolve

from pitstop import logs
from pitstop.contracts import Cancelled, Finished, JobQuery, JobStore, Runner
from pitstop.errors import InvalidJobError, JobCancelledError, PitstopError, StoreError, UnknownJobError
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
        self.runner: Runner = InlineRunner(clock=self.manager.clock) if runner is None else runner
        self._hooks = Hooks(registry.hook_plugins())
        self._execution = Execution(registry, hooks=self._hooks, on_progress=self._progressed, clock=self.manager.clock)
        self._changed = threading.Condition()
        self._changes = 0
        self._attempts: dict[str, Attempt] = {}
        self._trees: set[str] = set()
        self._busy: set[str] = set()  # resources that jobs here wait for, and that may be free before anybody tells
        self._early: set[str] = set()  # jobs whose time had not come when they were handed over
        self._failure: BaseException | None = None
        self._closed = False
        self._waits = threading.Lock()  # around _busy and _early
        self._storing_lines = threading.Lock()
        self._watcher = _Watcher(self._watch)
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
        elif config is not None:
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
            self._look_after(root.id)
            if root.job.is_parent:
                self._begin(root.id, records)
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
            if self._failure is not None:
                raise self._failure
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
            self._trees.discard(cancelled)
        self._announce(done.closed, done.cancelled)
        if done.cancelled:
            self._free_what_was_cancelled(self.store.get(job_id).job.correlation_id)
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
        for root_id in orphans:
            pending = self._pending(root_id)
            self.manager.adopt([root_id, *(record.id for record in pending)])
            self._look_after(root_id)
            self._begin(root_id, pending)
        for root_id in self._in_engine():
            self._begin(root_id, self._pending(root_id))
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
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # Nobody is above us in a runner's thread: whoever waits for the job must hear of it, also of what is no
            # PitstopError, because a store of somebody else's may raise what it likes.
            self._failure = error
            logs.report(f"job {job_id} could not be carried through: {type(error).__name__}: {error}")
            self._notify()

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
            finished = self.manager.finish(record, conclusion, lines=lines, then=then)
        finally:
            del self._attempts[record.id]
            if finished is None and then is not None:
                self.runner.submit(then)  # the runner gave it to us, and would not come back to it
        claimed = None
        if finished is None:
            logs.report(f"job {record.id}: attempt {record.attempt} was given up before it ended; its end is ignored")
            self._look_again(record.job.resource)
            self._notify()
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
            # a lost job of a tree that nobody looks after waits until somebody adopts it
            if self.runner.shared or record.job.correlation_id in self._trees:
                self.runner.submit(record.id, not_before=record.not_before)
        else:
            self._hooks.finished(record)
        self._announce(finished.closed, finished.cancelled)
        if record.job.parent_id is None and record.status.terminal:
            self._trees.discard(record.id)
        if then is not None and finished.claimed is None:
            self._could_not_claim(then)
        if finished.cancelled:
            self._free_what_was_cancelled(record.job.correlation_id)
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

    def _pending(self, root_id: str) -> list[JobRecord]:
        statuses = (JobStatus.PENDING,)
        return self.store.select(
            JobQuery(correlation_id=root_id, statuses=statuses, leaves=True, oldest_first=True, limit=None)
        )

    def _in_engine(self) -> list[str]:
        """Return the roots that only the engine looks after, if our runner is one: no process misses what it loses."""
        if not self.runner.shared:
            return []
        live = JobQuery(statuses=(JobStatus.PENDING, JobStatus.RUNNING), roots=True, oldest_first=True, limit=None)
        return [root.id for root in self.store.select(live) if root.owner is None]

    def _wake(self, resource: str, *, soonest: float = 0.0) -> None:
        """Hand over the first job that waits for a resource which is free now, or may be at `soonest`.

        A runner of this process takes only jobs of trees that were submitted here: another process may have workers
        that this one does not know.
        """
        delayed = set()
        now = self.manager.clock.now()
        for waiting in self._waiting(resource):
            tree = waiting.job.correlation_id
            if tree in delayed or not (self.runner.shared or tree in self._trees):
                continue
            self.runner.submit(waiting.id, not_before=max(waiting.not_before or 0.0, soonest) or None)
            if waiting.not_before is None or waiting.not_before <= now:
                return
            delayed.add(tree)  # until then another tree may have it, but no later job of this one

    def _waiting(self, resource: str) -> Iterator[JobRecord]:
        found = self.store.waiting(resource)
        yield from found
        if self.runner.shared or len(found) < 10:
            return
        # more than one answer holds, perhaps all of another process: ask for those of this one
        me = self.manager.owner.id
        query = JobQuery(statuses=(JobStatus.PENDING,), resource=resource, owner=me, leaves=True, oldest_first=True)
        while found:
            found = self.store.select(evolve(query, beyond=found[-1].seq))
            yield from found

    def _begin(self, root_id: str, records: Iterable[JobRecord]) -> None:
        """Hand over what may start, and keep an eye on what waits: for its time, or for what another tree holds."""
        ready = self.store.ready(root_id, now=self.manager.clock.now())
        may_start = set(ready)
        pending = [record for record in records if record.status is JobStatus.PENDING]
        free = {record.job.resource for record in pending if record.id in may_start}
        self._look_again(*{record.job.resource for record in pending} - free)
        for record in pending:
            if record.not_before is not None and record.id not in may_start:
                self.runner.submit(record.id, not_before=record.not_before)
        for job_id in ready:
            self.runner.submit(job_id)

    def _could_not_claim(self, job_id: str) -> None:
        # purged, cancelled, taken by another process, too early, or its resource is busy
        try:
            record = self.store.get(job_id)
        except UnknownJobError:
            return
        now = self.manager.clock.now()
        early = record.status is JobStatus.PENDING and record.not_before is not None and record.not_before > now
        if early and not self.runner.shared:
            with self._waits:
                self._early.add(job_id)
            self._watcher.start()
        elif early:
            # an engine whose clock is ahead of ours would bring it back at once
            self.runner.submit(job_id, not_before=max(record.not_before or now, now + WATCH_INTERVAL))
        self._look_again(record.job.resource)

    def _free_what_was_cancelled(self, correlation_id: str) -> None:
        # it may have been its turn, and then nobody's end wakes the next one
        cancelled = JobQuery(correlation_id=correlation_id, statuses=(JobStatus.CANCELLED,), leaves=True, limit=None)
        self._look_again(*{record.job.resource for record in self.store.select(cancelled)})

    def _look_again(self, *resources: str | None) -> None:
        """See to it that a job gets a resource here although nobody may tell when it is free."""
        named = {resource for resource in resources if resource is not None}
        if self.runner.shared:
            # not now: the engine would bring the id back at once, again and again, for as long as the resource is held
            for resource in named:
                self._wake(resource, soonest=self.manager.clock.now() + WATCH_INTERVAL)
        elif named:
            with self._waits:
                self._busy |= named
            self._watcher.start()

    def _progressed(self, record: JobRecord, progress: Progress) -> None:
        try:
            self.manager.progress(record, progress)
        except StoreError as error:
            logs.report(f"progress was not stored: {error}")  # no reason for the work itself to fail
        self._hooks.progress(record.job, progress)
        self._notify()

    def _closed_error(self) -> StoreError:
        return StoreError(url=self.store.url, problem="this orchestrator is closed", hint="make another one")

    def _look_after(self, root_id: str) -> None:
        if not self.runner.shared:
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
        if (self._busy or self._early) and (self._helper is None or not self._helper.is_alive()):
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
        with self._waits:
            busy, self._busy = self._busy, set()
            early, self._early = self._early, set()
        try:
            self._rescue_lost()
            held = {attempt.record.job.resource for attempt in list(self._attempts.values())}
            for resource in busy - held:  # what is held here is handed on when that job ends
                self._wake(resource)
            for job_id in early:
                self.runner.submit(job_id)
        except Exception as error:
            with self._waits:
                self._busy |= busy
                self._early |= early
            logs.report(f"jobs that wait could not be handed over, and are again later: {error}")

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
            except Exception as error:  # also what a foreign store raises: without heartbeats the jobs would be lost
                logs.report(f"looking after running jobs failed, and is tried again: {error}")
