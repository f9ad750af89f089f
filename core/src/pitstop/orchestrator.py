"""`Orchestrator`: from a submission to the end of its tree, and who is told of each end.

It checks and stores submissions, runs the jobs that the runner brings back, and wakes whoever waits. Which job is
handed to the runner next is `handover`'s business. It never writes a status itself (the manager does) and never decides
one (the store's rule does).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, cast

from pitstop import logs
from pitstop.contracts import (
    Cancelled,
    Executes,
    Finished,
    JobStore,
    ReservingRunner,
    Runner,
    ends_with_process,
)
from pitstop.ends import Ends
from pitstop.errors import InputError, InvalidJobError, InvalidPlanError, PitstopError, StoreError
from pitstop.execution import Attempt, Execution
from pitstop.handover import Handover
from pitstop.hooks import Hooks
from pitstop.jobs import Conclusion, ErrorRecord, Job, JobRecord, JobStatus, Plan, Progress, cancellation
from pitstop.logs import LogLine
from pitstop.lookout import Lookout
from pitstop.manager import JobManager, OnCrash
from pitstop.owners import LEASE
from pitstop.registry import Registry
from pitstop.runners.inline import InlineRunner
from pitstop.submission import Options, checked, jobs_of, plan_of, remainder
from pitstop.supervisor import Supervisor, given_up

#: Seconds between two attempts to store an end that the store refuses, at first and at most; and after how many those
#: who wait for the job are told, while it is still tried now and then.
REPEAT_SOON, REPEAT_LATE = 0.05, 2.0
END_PATIENCE = 10.0


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
        self._reserving = cast("ReservingRunner", self.runner) if hasattr(self.runner, "reserve") else None
        self._hooks = Hooks(registry.hook_plugins())
        local = Execution(registry, hooks=self._hooks, on_progress=self._progressed, clock=self.manager.clock)
        elsewhere = getattr(self.runner, "remote_execution", None)
        self._execution: Executes = (
            local if elsewhere is None else elsewhere(local, registry=registry, owner=self.manager.owner)
        )
        self._supervisor = Supervisor(self.manager)
        self._ends = Ends.of(self.store)
        self._claimed: dict[str, JobRecord] = {}
        self._failures: dict[str, BaseException] = {}
        self._closing = threading.Event()
        self._unstored: list[_End] = []
        self._undone: list[tuple[str, Callable[[], None]]] = []
        self._has_rescued = False
        self._lookout = Lookout(
            self.store,
            self._supervisor,
            self._ends,
            waits=lambda: self._handover.waits or bool(self._unstored or self._undone),
            again=self._again,
            looks_after=lambda: self._handover.looks_after,
        )
        self._handover = Handover(self.manager, self.runner, on_wait=self._lookout.look_soon)
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
        self._check_open()
        self._rescue_first()
        jobs = self._jobs_of(what, config, options)
        if len(jobs) == 1 and not jobs[0].is_parent:
            return self._submit_one(jobs[0])
        records = self.manager.create(jobs, shared=self.runner.shared)
        self._created(records)
        self._begin(records)
        return records[0]

    def submit_many(
        self,
        requests: Iterable[str | Job | Plan | tuple[str, Mapping[str, Any]]],
        *,
        options: Options | None = None,
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
                trees.append(self._jobs_of(what, config, options))
            except InputError as error:
                problems.append((f"request {number}", str(error)))
        if problems:
            raise InvalidPlanError(problems=tuple(problems))
        records = iter(self.manager.create([job for tree in trees for job in tree], shared=self.runner.shared))
        stored = [[next(records) for _ in tree] for tree in trees]
        for tree in stored:
            self._created(tree)
        for tree in stored:
            self._begin(tree)
        return [tree[0] for tree in stored]

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
        record = self.store.get(job_id)
        if record.status.terminal:
            return record
        if isinstance(self.runner, InlineRunner):
            self.runner.run_queued()  # a job that waits for another would else keep it from starting
        ends_at = None if timeout is None else time.monotonic() + timeout
        if self.runner.shared or not self._handover.is_ours(record.job.correlation_id):
            self._lookout.look_soon()  # it may end in another process, which tells nobody here
        else:
            self._lookout.start()
        with self._ends.waiting(job_id) as ended:
            while True:
                ended.clear()
                record = self.store.get(job_id)
                if record.status.terminal:
                    return record
                failure = self._failures.get(record.job.correlation_id)
                if failure is not None:
                    raise failure
                self._check_open()
                # a net under what wakes us, no clock to go by
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
        for told in done.told:
            self._supervisor.tell(told, reason)
        for cancelled in done.cancelled:
            self.runner.cancel(cancelled)
            self._handover.forget(cancelled)
        self._announce(done.closed, done.cancelled)
        if done.cancelled:
            self._surely(f"those behind job {job_id}", lambda: self._after_cancel(job_id))
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
        self._closing.set()
        self.runner.stop(wait=wait)
        self._lookout.stop(wait=wait)
        self.manager.close(keep_store=keep_store)
        self._ends.tell_all()

    def __enter__(self) -> Orchestrator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what happens on the way -----------------------------------------------------------------------------------

    def _jobs_of(self, what: str | Job | Plan, config: Mapping[str, Any] | None, options: Options | None) -> list[Job]:
        if isinstance(what, str):
            what = plan_of(self.registry, what, {} if config is None else config)
        elif isinstance(what, (Job, Plan)) and config is not None:
            raise InvalidJobError(reason="a job or plan was given together with a config", hint="put it into the job")
        return checked(jobs_of(what, options), self.registry, also=getattr(self.runner, "check", None))

    def _submit_one(self, job: Job) -> JobRecord:
        """Store a job without relatives; where the runner can start it at once, claimed already: one commit less."""
        reserving = self._reserving
        if reserving is None or not reserving.reserve():
            (record,) = self.manager.create([job], shared=self.runner.shared)
            self._hooks.created(record)
            self._handover.look_after(job.id)
            self.runner.submit(job.id)
            return record
        claimed = None
        try:
            record, claimed = self.manager.create_running(job)
            self._hooks.created(record)
        except BaseException:
            reserving.release()
            if claimed is not None:  # interrupted in a hook: it will not start any more
                self.manager.finish(claimed, Conclusion(kind="cancelled", error=cancellation("interrupted")))
            raise
        self._handover.look_after(job.id)
        if claimed is not None:
            self._claimed[job.id] = claimed
        reserving.submit_reserved(job.id)
        return record

    def _created(self, records: list[JobRecord]) -> None:
        for record in records:
            self._hooks.created(record)
        for record in reversed(records):
            if record.status.terminal:  # a parent without children
                self._hooks.finished(record)

    def _begin(self, records: list[JobRecord]) -> None:
        root = records[0]
        if root.status.terminal:
            return
        self._handover.look_after(root.id)
        if root.job.is_parent:
            # it is stored, so that an error here would make its submitter believe what is not so
            self._surely(f"the first jobs of {root.id}", lambda: self._handover.begin(root.id, records))
        else:
            self.runner.submit(root.id)

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
            record = self._claimed.pop(job_id, None) or self.manager.claim(job_id)
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
        self._supervisor.begin(attempt)
        self._lookout.start()
        finished, then = None, None
        try:
            self._hooks.started(record)
            conclusion = self._execution.run(attempt)
            then = None if conclusion.interrupted else following()
            finished = self._finish(record, conclusion, self._supervisor.last_lines(attempt), then)
        finally:
            self._supervisor.end(attempt)
            if finished is None and then is not None:
                self.runner.submit(then)  # the runner gave it to us, and would not come back to it
        claimed = None
        if finished is None:
            logs.report(given_up(record))
            self._handover.look_again(record.job.resource)
            if self._handover.is_ours(record.job.correlation_id):
                self._handover.later(record.id)  # who took it for lost left it pending, if it may be tried again
            self._ends.tell_all()
        else:
            claimed = finished.claimed
            self._settle(finished, then)
        if conclusion.interrupted:
            self.cancel(record.job.correlation_id, reason="interrupted")
            raise KeyboardInterrupt
        return claimed

    def _finish(
        self, record: JobRecord, conclusion: Conclusion, lines: tuple[LogLine, ...], then: str | None
    ) -> Finished | None:
        """Store an end. One that the store refuses is stored again, and again later: it must not be lost."""
        pause, gives_up_at = REPEAT_SOON, time.monotonic() + END_PATIENCE
        while True:
            try:
                return self.manager.finish(record, conclusion, lines=lines, then=then, shared=self.runner.shared)
            except StoreError as error:
                if error.lasting and conclusion.kind != "failed":
                    conclusion, lines = _unstorable(conclusion, error), ()
                    continue
                if error.lasting:
                    raise
                if self._closing.is_set() or time.monotonic() > gives_up_at:
                    self._unstored.append(_End(record, conclusion, lines))
                    self._lookout.look_soon()
                    raise
                logs.report(f"the end of job {record.id} could not be stored, and is stored again: {error}")
            self._closing.wait(pause)
            pause = min(2 * pause, REPEAT_LATE)

    def _store_late(self, end: _End) -> None:
        """Store an end that the store has refused for long."""
        record = end.record
        try:
            finished = self.manager.finish(record, end.conclusion, lines=end.lines, shared=self.runner.shared)
        except Exception:  # it was reported when it failed first
            self._unstored.append(end)
            return
        self._failures.pop(record.job.correlation_id, None)
        if finished is not None:
            self._settle(finished, None)

    def _failed(self, job_id: str, error: BaseException) -> None:
        """Tell whoever waits for a job's tree that the store fails under it."""
        logs.report(f"job {job_id} could not be carried through: {type(error).__name__}: {error}")
        try:
            self._failures[self.store.get(job_id).job.correlation_id] = error
        except Exception as second:  # then `wait`, which reads the store too, raises by itself
            logs.report(f"job {job_id} cannot be read: {type(second).__name__}: {second}")
        self._ends.tell_all()

    def _settle(self, finished: Finished, then: str | None) -> None:
        record = finished.record
        if record.status is not JobStatus.PENDING:
            self._hooks.finished(record)
        self._announce(finished.closed, finished.cancelled)
        if record.job.parent_id is None and record.status.terminal:
            self._handover.forget(record.id)
        # the end is stored, and nobody would come back to what follows from it
        self._surely(f"what follows job {record.id}", lambda: self._go_on(finished, then))
        self._ends.tell(record.id)

    def _go_on(self, finished: Finished, then: str | None) -> None:
        record = finished.record
        # a lost job of a tree that nobody looks after waits until somebody adopts it
        if record.status is JobStatus.PENDING and self._handover.is_ours(record.job.correlation_id):
            self.runner.submit(record.id, not_before=record.not_before)
        if then is not None and finished.claimed is None:
            self._handover.could_not_claim(then)
        if finished.cancelled:
            self._handover.after_cancel(record.job.correlation_id)
        if record.job.resource is not None:
            self._handover.wake(record.job.resource)

    def _after_cancel(self, job_id: str) -> None:
        self._handover.after_cancel(self.store.get(job_id).job.correlation_id)

    def _surely(self, what: str, hand_over: Callable[[], None]) -> None:
        """Hand jobs over. If the store cannot say which, it is asked again later: doing it twice is harmless."""
        try:
            hand_over()
        except StoreError as error:
            logs.report(f"{what} could not be handed over, and is again later: {error}")
            self._undone.append((what, hand_over))
            self._lookout.look_soon()

    def _announce(self, closed: tuple[JobRecord, ...], cancelled: tuple[str, ...]) -> None:
        if self._hooks.wants_finished:
            for job_id in cancelled:
                self._tell_hooks(job_id)
        for parent in closed:
            self._hooks.finished(parent)
            self._handover.forget(parent.id)
            self._ends.tell(parent.id)
        self._ends.tell(*cancelled)

    def _tell_hooks(self, job_id: str) -> None:
        try:
            record = self.store.get(job_id)
        except PitstopError as error:
            logs.report(f"hooks were not told of the end of job {job_id}: {error}")
        else:
            self._hooks.finished(record)

    def _progressed(self, record: JobRecord, progress: Progress) -> None:
        try:
            self.manager.progress(record, progress)
        except StoreError as error:
            logs.report(f"progress was not stored: {error}")  # no reason for the work itself to fail
        self._hooks.progress(record.job, progress)

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise StoreError(url=self.store.url, problem="this orchestrator is closed", hint="make another one")

    # -- what no call tells ----------------------------------------------------------------------------------------

    def _again(self) -> None:
        """See to what waits for something that nobody tells."""
        unstored, self._unstored = self._unstored, []
        for end in unstored:
            self._store_late(end)
        undone, self._undone = self._undone, []
        for what, hand_over in undone:
            self._surely(what, hand_over)
        try:
            self._rescue_lost()
        except Exception as error:  # also what a foreign store raises: others still get their turn
            logs.report(f"jobs of processes that died could not be looked for, and are again later: {error}")
        self._handover.again(held=self._supervisor.held())

    def _rescue_first(self) -> None:
        """Before the first job of this process: mark what others lost, so that nothing waits for what they held."""
        if self._has_rescued or ends_with_process(self.store):
            return
        try:
            self._rescue_lost()
        except PitstopError as error:
            logs.report(f"jobs of processes that died could not be looked for: {error}")

    def _rescue_lost(self) -> list[str]:
        self._has_rescued = True
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


class _End(NamedTuple):
    """An end that is not stored yet."""

    record: JobRecord
    conclusion: Conclusion
    lines: tuple[LogLine, ...]


def _unstorable(conclusion: Conclusion, error: StoreError) -> Conclusion:
    message = f"it {conclusion.kind}, but its end cannot be stored: {error}"
    return Conclusion(kind="failed", error=ErrorRecord(type="StoreError", message=message))
