"""`Orchestrator`: from a submission to the end of its tree, and who is notified when a job ends.

It checks and stores submissions, runs the jobs that the runner brings back, and wakes whoever waits. Which job goes to
the runner next is the business of `dispatcher`. It never writes a status itself (the manager does) and never decides
one (the store's rule does).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from types import TracebackType
from typing import Any, cast

from pitstop import logs
from pitstop.contracts import (
    BaseRunner,
    Cancelled,
    CompletionReceipt,
    JobStore,
    Runner,
    Unreadable,
)
from pitstop.contracts.members import warn_of_misspelt_members
from pitstop.errors import (
    InputError,
    InvalidJobError,
    InvalidPlanError,
    PitstopError,
    StoreError,
    UnreadableRecordError,
)
from pitstop.execution.execution import Attempt, Execution, Executor
from pitstop.execution.hooks import Hooks
from pitstop.jobs import AttemptResult, Job, JobRecord, JobStatus, Plan, Progress, cancellation
from pitstop.orchestration.completions import CompletionWriter
from pitstop.orchestration.dispatcher import Dispatcher
from pitstop.orchestration.liveness import LEASE
from pitstop.orchestration.manager import JobManager, RescueReport
from pitstop.orchestration.monitor import StoreMonitor
from pitstop.orchestration.rescue import Rescue, Rescuer
from pitstop.orchestration.submission import (
    SubmitOptions,
    expand_request,
    flatten_request,
    retry_request,
    validate_jobs,
)
from pitstop.orchestration.supervisor import Supervisor, describe_abandoned
from pitstop.orchestration.waiters import JobWaiters
from pitstop.registry.registry import Registry
from pitstop.runners.inline import InlineRunner
from pitstop.runners.thread import ThreadRunner


class Orchestrator:
    """Runs trees of jobs.

    Args:
        store: where records are kept; a `JobManager` brings its store along.
        registry: finds workers, planners and hook plugins; a new one if not given.
        runner: where jobs run; the inline runner if not given. The orchestrator starts and stops it. What looks like a
            misspelt member of `BaseRunner` is warned of.

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
        warn_of_misspelt_members(self.runner, BaseRunner)
        self._reserving = cast("BaseRunner", self.runner) if hasattr(self.runner, "reserve") else None
        self._hooks = Hooks(registry.hook_plugins())
        local = Execution(registry, hooks=self._hooks, on_progress=self._store_progress, clock=self.manager.clock)
        self._executor: Executor = (
            self.runner.make_executor(local, registry=registry, lock=lambda: self.manager.process_lock.descriptor)
            if isinstance(self.runner, ThreadRunner)
            else local
        )
        self._supervisor = Supervisor(self.manager)
        self._waiters = JobWaiters.for_store(self.store)
        self._claimed: dict[str, JobRecord] = {}
        self._failures: dict[str, BaseException] = {}
        self._closing = threading.Event()
        self._current = threading.local()  # the job that each thread carries out
        self._deferred: list[tuple[str, Callable[[], None]]] = []
        self._rescuer = Rescuer(self.manager, registry)
        self._completions = CompletionWriter(
            self.manager,
            shared=self.runner.shared,
            closing=self._closing,
            on_refusal=lambda: self._monitor.poll_soon(),
        )
        self._monitor = StoreMonitor(
            self.store,
            self._supervisor,
            self._waiters,
            has_waiting=lambda: self._dispatcher.has_waiting or self._completions.has_deferred or bool(self._deferred),
            on_change=self._retry_deferred,
            owns_trees=lambda: self._dispatcher.owns_trees,
        )
        self._dispatcher = Dispatcher(self.manager, self.runner, on_waiting=self._monitor.poll_soon)
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
        options: SubmitOptions | None = None,
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
        self._check_open()
        self._rescue_first()
        jobs = self._expand(what, config, options)
        if len(jobs) == 1 and not jobs[0].is_parent:
            return self._submit_one(jobs[0])
        records = self.manager.create(jobs, shared=self.runner.shared)
        self._notify_created(records)
        self._dispatch_first(records)
        return records[0]

    def submit_many(
        self,
        requests: Iterable[str | Job | Plan | tuple[str, Mapping[str, Any]]],
        *,
        options: SubmitOptions | None = None,
    ) -> list[JobRecord]:
        """Check many requests, store them in one transaction, and let their first jobs start.

        A hundred in one transaction take a twentieth of the time that they take one by one.

        Args:
            requests: each as for `submit`; an action or worker type with its config is a pair.
            options: what applies to each tree.

        Returns:
            The roots' records in the order of the requests.

        Raises:
            InvalidPlanError: something in some of them is wrong, each told with its number; nothing was stored.
            PluginError, StoreError: as `submit`; nothing was stored.
        """
        self._check_open()
        self._rescue_first()
        trees, problems = [], []
        for number, request in enumerate(requests, 1):
            what, config = request if isinstance(request, tuple) else (request, None)
            try:
                trees.append(self._expand(what, config, options))
            except InputError as error:
                problems.append((f"request {number}", str(error)))
        if problems:
            raise InvalidPlanError(problems=tuple(problems))
        records = iter(self.manager.create([job for tree in trees for job in tree], shared=self.runner.shared))
        stored = [[next(records) for _ in tree] for tree in trees]
        for tree in stored:
            self._notify_created(tree)
        for tree in stored:
            self._dispatch_first(tree)
        return [tree[0] for tree in stored]

    def run(
        self,
        what: str | Job | Plan,
        config: Mapping[str, Any] | None = None,
        *,
        options: SubmitOptions | None = None,
    ) -> JobRecord:
        """Submit a request and wait for its end. Returns the root's record; raises as `submit`."""
        return self.wait(self.submit(what, config, options=options).id)

    def wait(self, job_id: str, *, timeout: float | None = None) -> JobRecord:
        """Return the job's record when it has ended, or after `timeout` seconds as it is then.

        Raises:
            UnknownJobError: there is no such job.
            StoreError: the store failed under a job that ran here, or the orchestrator was closed before the end.
            InvalidJobError: it is asked within a job that the other one waits for, so that neither would ever end.
        """
        record = self.store.get(job_id)
        if record.status.terminal:
            return record
        if timeout is None:
            self._refuse_circle(record)
        # a job that waits for another must not keep it from starting
        with self.runner.lend() if isinstance(self.runner, ThreadRunner) else nullcontext():
            return self._wait(record, timeout)

    def _refuse_circle(self, record: JobRecord) -> None:
        """Refuse to wait within a job for what waits for that job."""
        running: JobRecord | None = getattr(self._current, "record", None)
        if running is None or running.job.correlation_id != record.job.correlation_id:
            needs = running is not None and record.status is JobStatus.PENDING and record.job.resource is not None
            if running is not None and needs and record.job.resource == running.job.resource:
                raise self._circle_error(running, record, f"needs {record.job.resource}, which this job has")
            return
        above: JobRecord | None = running
        while above is not None:
            if above.id == record.id:
                raise self._circle_error(running, record, "is this job, or ends only when this job has ended")
            above = None if above.job.parent_id is None else self.store.get(above.job.parent_id)
        if record.job.resource is not None and record.job.resource == running.job.resource:
            raise self._circle_error(running, record, f"needs {record.job.resource}, which this job has")

    @staticmethod
    def _circle_error(running: JobRecord, record: JobRecord, why: str) -> InvalidJobError:
        return InvalidJobError(
            reason=f"job {running.id} waits for job {record.id}, which {why}", hint="it would never end; give a timeout"
        )

    def _wait(self, record: JobRecord, timeout: float | None) -> JobRecord:
        job_id = record.id
        if isinstance(self.runner, InlineRunner):
            self.runner.run_queued()
        ends_at = None if timeout is None else time.monotonic() + timeout
        with self._waiters.waiting(job_id) as ended:
            # not before: a poll that finds nobody waiting is the last one for long
            if self.runner.shared or not self._dispatcher.is_ours(record.job.correlation_id):
                self._monitor.poll_soon()  # it may end in another process, which tells nobody here
            else:
                self._monitor.start()
            while True:
                ended.clear()
                record = self.store.get(job_id)
                if record.status.terminal:
                    return record
                failure = self._failures.get(record.job.correlation_id)
                if failure is not None:
                    raise failure
                self._check_open()
                # a safety net: the job is looked at again even if a notification is lost
                left = LEASE if ends_at is None else min(LEASE, ends_at - time.monotonic())
                if left <= 0:
                    return record
                ended.wait(left)

    def cancel(self, job_id: str, *, reason: str = "cancelled") -> Cancelled:
        """Cancel a job and all below it: pending ones at once; running ones are told.

        Raises:
            UnknownJobError: there is no such job.
        """
        done = self.manager.cancel(job_id, reason=reason)
        for stopping in done.stopping:
            self._supervisor.cancel(stopping, reason)
        for cancelled in done.cancelled:
            self.runner.cancel(cancelled)
            self._dispatcher.disown_tree(cancelled)
        self._notify_ends(done.closed, done.cancelled)
        if done.cancelled:
            self._dispatch_or_defer(f"those behind job {job_id}", lambda: self._recheck_after_cancel(job_id))
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
        request = retry_request(self.store, record)
        if not record.status.terminal:
            raise InvalidJobError(
                reason=f"job {record.id} is {record.status}", hint="wait for its end, or cancel it, before a retry"
            )
        if request is None:
            raise InvalidJobError(reason=f"job {record.id} completed; a completed job never runs again")
        return self.submit(request, options=SubmitOptions(metadata={"retry_of": record.id}))

    def rescue(self, *, adopt: bool = True) -> Rescue:
        """Bring to the right place what was left by processes that died.

        Args:
            adopt: whether to go on with their trees in this process.

        Returns:
            What was lost, what goes on, and what is left to others.
        """
        rescued = self._rescue_lost(whole=True)
        for root_id in rescued.orphans if adopt else ():
            pending = self._dispatcher.pending(root_id)
            self.manager.adopt([root_id, *(record.id for record in pending)])
            self._dispatcher.own_tree(root_id)
            self._dispatcher.dispatch_tree(root_id, pending)
        for root_id in self._dispatcher.find_engine_trees() if adopt else ():
            self._dispatcher.dispatch_tree(root_id, self._dispatcher.pending(root_id))
        lost = tuple(finished.record for finished in rescued.lost)
        return Rescue(lost=lost, roots=rescued.orphans, left=rescued.left)

    def close(self, *, wait: bool = True, keep_store: bool = False) -> None:
        """Stop the runner (with `wait`, when its jobs have ended) and, unless told otherwise, close the store."""
        self._closing.set()
        self.runner.stop(wait=wait)
        self._monitor.stop(wait=wait)
        self.manager.close(keep_store=keep_store)
        self._waiters.notify_all()

    def __enter__(self) -> Orchestrator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what happens on the way -----------------------------------------------------------------------------------

    def _expand(
        self, what: str | Job | Plan, config: Mapping[str, Any] | None, options: SubmitOptions | None
    ) -> list[Job]:
        if isinstance(what, str):
            what = expand_request(self.registry, what, {} if config is None else config)
        elif isinstance(what, (Job, Plan)) and config is not None:
            raise InvalidJobError(reason="a job or plan was given together with a config", hint="put it into the job")
        return validate_jobs(flatten_request(what, options), self.registry, also=getattr(self.runner, "check", None))

    def _submit_one(self, job: Job) -> JobRecord:
        """Store a job without relatives; where the runner can start it at once, claimed already: one commit less."""
        reserving = self._reserving
        if reserving is None or not reserving.reserve():
            (record,) = self.manager.create([job], shared=self.runner.shared)
            self._hooks.notify_created(record)
            self._dispatcher.own_tree(job.id)
            self.runner.submit(job.id)
            return record
        claimed = None
        try:
            record, claimed = self.manager.create_running(job)
            self._hooks.notify_created(record)
        except BaseException:
            reserving.release()
            if claimed is not None:  # interrupted in a hook: it will not start any more
                self.manager.finish(claimed, AttemptResult(kind="cancelled", error=cancellation("interrupted")))
            raise
        self._dispatcher.own_tree(job.id)
        if claimed is not None:
            self._claimed[job.id] = claimed
        reserving.submit_reserved(job.id)
        return record

    def _notify_created(self, records: list[JobRecord]) -> None:
        for record in records:
            self._hooks.notify_created(record)
        for record in reversed(records):
            if record.status.terminal:  # a parent without children
                self._hooks.notify_finished(record)

    def _dispatch_first(self, records: list[JobRecord]) -> None:
        root = records[0]
        if root.status.terminal:
            return
        self._dispatcher.own_tree(root.id)
        if root.job.is_parent:
            # it is stored: an error here would make its submitter believe that it is not
            self._dispatch_or_defer(
                f"the first jobs of {root.id}", lambda: self._dispatcher.dispatch_tree(root.id, records)
            )
        else:
            self.runner.submit(root.id)

    def advance(self, parent_id: str) -> None:
        """Hand over every job of a tree that may start. Doing it twice is harmless, because the claim decides."""
        self._dispatcher.advance(parent_id)

    def run_job(self, job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
        """Claim, execute and finish a job if it can be had; what a runner calls. See `RunJob`.

        Raises:
            KeyboardInterrupt: the process was interrupted in the job, which is recorded as cancelled, as is its tree.
        """
        # Nobody is above us in a runner's thread, and a store of somebody else's may raise what it likes.
        try:
            record = self._claimed.pop(job_id, None) or self._claim(job_id)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._record_failure(job_id, error)
            self._dispatcher.dispatch_later(job_id)
            return
        while record is not None:
            running = record
            try:
                record = self._run(running, following)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._record_failure(running.id, error)
                return
            self._failures.pop(running.job.correlation_id, None)

    def _run(self, record: JobRecord, following: Callable[[], str | None]) -> JobRecord | None:
        """Run a claimed job to its end, and return the next one if it was claimed with that end."""
        attempt = Attempt.of(record, clock=self.manager.clock)
        self._supervisor.begin(attempt)
        self._monitor.start()
        finished, then = None, None
        try:
            self._hooks.notify_started(record)
            outer, self._current.record = getattr(self._current, "record", None), record
            try:
                attempt_result = self._executor.run(attempt)
            finally:
                self._current.record = outer
            then = None if attempt_result.interrupted else following()
            finished = self._completions.store(record, attempt_result, self._supervisor.last_lines(attempt), then)
        finally:
            self._supervisor.end(attempt)
            if finished is None and then is not None:
                self.runner.submit(then)  # the runner gave it to us, and would not come back to it
        claimed = None
        if finished is None:
            logs.warn(describe_abandoned(record))
            self._dispatcher.recheck(record.job.resource)
            if self._dispatcher.is_ours(record.job.correlation_id):
                # who took it for lost left it pending, if it may be tried again
                self._dispatcher.dispatch_later(record.id)
            self._waiters.notify_all()
        else:
            claimed = finished.claimed
            self._complete(finished, then)
        if attempt_result.interrupted:
            self.cancel(record.job.correlation_id, reason="interrupted")
            raise KeyboardInterrupt
        return claimed

    def _record_failure(self, job_id: str, error: BaseException) -> None:
        """Keep the error with which the store fails under a job, for those who wait for its tree."""
        logs.warn(f"job {job_id} could not be carried through: {type(error).__name__}: {error}")
        try:
            self._failures[self.store.get(job_id).job.correlation_id] = error
        except Exception as second:  # then `wait`, which reads the store too, raises by itself
            logs.warn(f"job {job_id} cannot be read: {type(second).__name__}: {second}")
        self._waiters.notify_all()

    def _complete(self, finished: CompletionReceipt, then: str | None) -> None:
        record = finished.record
        if record.status is not JobStatus.PENDING:
            self._hooks.notify_finished(record)
        self._notify_ends(finished.closed, finished.cancelled)
        if record.job.parent_id is None and record.status.terminal:
            self._dispatcher.disown_tree(record.id)
        # the end is stored, and nobody would come back to what follows from it
        self._dispatch_or_defer(f"what follows job {record.id}", lambda: self._dispatch_after(finished, then))
        self._waiters.notify(record.id)

    def _dispatch_after(self, finished: CompletionReceipt, then: str | None) -> None:
        record = finished.record
        # a lost job of a tree that nobody looks after waits until somebody adopts it
        if record.status is JobStatus.PENDING and self._dispatcher.is_ours(record.job.correlation_id):
            self.runner.submit(record.id, not_before=record.not_before)
        if finished.unreadable is not None:
            self._end_unreadable(finished.unreadable)
        elif then is not None and finished.claimed is None:
            self._on_claim_refused(then)
        if finished.cancelled:
            self._dispatcher.recheck_after_cancel(record.job.correlation_id)
        if record.job.resource is not None:
            self._dispatcher.dispatch_next(record.job.resource)

    def _on_claim_refused(self, job_id: str) -> None:
        try:
            self._dispatcher.on_claim_refused(job_id)
        except UnreadableRecordError as error:
            logs.warn(str(error))
            self._waiters.notify_all()

    def _claim(self, job_id: str) -> JobRecord | None:
        try:
            record = self.manager.claim(job_id)
        except UnreadableRecordError as error:
            self._end_unreadable(Unreadable(id=error.id, seq=error.seq, problem=error.flaw))
            return None
        if record is None:
            self._on_claim_refused(job_id)
        return record

    def _end_unreadable(self, unreadable: Unreadable) -> None:
        """End what was claimed here and cannot be run."""
        logs.warn(f"job {unreadable.id} fails: its record cannot be read: {unreadable.problem}")

        def end() -> None:
            finished = self.manager.fail_unreadable(unreadable)
            if finished is not None:
                self._complete(finished, None)

        self._dispatch_or_defer(f"those behind job {unreadable.id}", end)

    def _recheck_after_cancel(self, job_id: str) -> None:
        self._dispatcher.recheck_after_cancel(self.store.get(job_id).job.correlation_id)

    def _dispatch_or_defer(self, what: str, hand_over: Callable[[], None]) -> None:
        """Hand jobs over. If the store cannot say which, it is asked again later: doing it twice is harmless."""
        try:
            hand_over()
        except StoreError as error:
            logs.warn(f"{what} could not be handed over, and is again later: {error}")
            self._deferred.append((what, hand_over))
            self._monitor.poll_soon()

    def _notify_ends(self, closed: tuple[JobRecord, ...], cancelled: tuple[str, ...]) -> None:
        if self._hooks.wants_finished:
            for job_id in cancelled:
                self._notify_hooks(job_id)
        for parent in closed:
            self._hooks.notify_finished(parent)
            self._dispatcher.disown_tree(parent.id)
            self._waiters.notify(parent.id)
        self._waiters.notify(*cancelled)

    def _notify_hooks(self, job_id: str) -> None:
        try:
            record = self.store.get(job_id)
        except PitstopError as error:
            logs.warn(f"hooks were not told of the end of job {job_id}: {error}")
        else:
            self._hooks.notify_finished(record)

    def _store_progress(self, record: JobRecord, progress: Progress) -> None:
        try:
            self.manager.progress(record, progress)
        except StoreError as error:
            logs.warn(f"progress was not stored: {error}")  # no reason for the work itself to fail
        self._hooks.notify_progress(record.job, progress)

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise StoreError(url=self.store.url, problem="this orchestrator is closed", hint="make another one")

    # -- what no notification covers -------------------------------------------------------------------------------

    def _retry_deferred(self) -> None:
        """See to what waits for something that no notification covers."""
        for record, finished in self._completions.store_deferred():
            self._failures.pop(record.job.correlation_id, None)
            if finished is not None:
                self._complete(finished, None)
        deferred, self._deferred = self._deferred, []
        for what, hand_over in deferred:
            self._dispatch_or_defer(what, hand_over)
        try:
            self._rescue_lost()
        except Exception as error:  # also what a foreign store raises: others still get their turn
            logs.warn(f"jobs of processes that died could not be looked for, and are again later: {error}")
        self._dispatcher.dispatch_waiting(held=self._supervisor.held_resources())

    def _rescue_first(self) -> None:
        """Before the first job of this process: mark what others lost, so that nothing waits for what they held."""
        if not self._rescuer.is_first:
            return
        try:
            self._rescue_lost()
        except PitstopError as error:
            logs.warn(f"jobs of processes that died could not be looked for: {error}")

    def _rescue_lost(self, *, whole: bool = False) -> RescueReport:
        rescued = self._rescuer.rescue(whole=whole)
        for finished in rescued.lost:
            self._complete(finished, None)
        return rescued
