"""`Orchestrator`: from a submission to the end of its tree, for whoever submits, waits, cancels and retries.

It checks and stores submissions, and waits for ends. How jobs are carried out is the business of `job_runner`, and
which job goes to the runner next that of `dispatcher`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from types import TracebackType
from typing import Any

from pitstop.contracts import BaseRunner, Cancelled, JobStore, Runner
from pitstop.contracts.members import warn_of_misspelt_members
from pitstop.errors import InputError, InvalidJobError, InvalidPlanError, StoreError
from pitstop.jobs import AttemptResult, Job, JobRecord, JobStatus, Plan, cancellation
from pitstop.orchestration.job_runner import JobRunner
from pitstop.orchestration.liveness import LEASE
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.rescue import Rescue
from pitstop.orchestration.submission import (
    SubmitOptions,
    expand_request,
    flatten_request,
    retry_request,
    validate_jobs,
)
from pitstop.registry.registry import Registry
from pitstop.runners.inline import InlineRunner
from pitstop.runners.local import LocalRunner


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
        self._jobs = JobRunner(self.manager, registry=registry, runner=self.runner)
        self._hooks, self._dispatcher, self._waiters = self._jobs.hooks, self._jobs.dispatcher, self._jobs.waiters
        self.runner.start(self._jobs.run_job)

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
        self._jobs.rescue_first()
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
        self._jobs.rescue_first()
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
        with self.runner.make_room() if isinstance(self.runner, LocalRunner) else nullcontext():
            return self._wait(record, timeout)

    def _refuse_circle(self, record: JobRecord) -> None:
        """Refuse to wait within a job for what waits for that job."""
        running = self._jobs.current
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
        ends_at = None if timeout is None else time.monotonic() + timeout
        with self._waiters.waiting(job_id) as ended:
            # not before: a poll that finds nobody waiting is the last one for long
            if self.runner.shared or not self._dispatcher.is_ours(record.job.correlation_id):
                self._jobs.monitor.poll_soon()  # it may end in another process, which tells nobody here
            else:
                self._jobs.monitor.start()
            while True:
                ended.clear()
                record = self.store.get(job_id)
                if record.status.terminal:
                    return record
                failure = self._jobs.failures.get(record.job.correlation_id)
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
        return self._jobs.cancel(job_id, reason=reason)

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
        rescued = self._jobs.rescue(whole=True)
        for root_id in rescued.orphans if adopt else ():
            pending = self._dispatcher.pending(root_id)
            self.manager.adopt([root_id, *(record.id for record in pending)])
            self._dispatcher.own_tree(root_id)
            self._dispatcher.dispatch_tree(root_id, pending)
        for root_id in self._dispatcher.find_engine_trees() if adopt else ():
            self._dispatcher.dispatch_tree(root_id, self._dispatcher.pending(root_id))
        lost = tuple(finished.record for finished in rescued.lost)
        return Rescue(lost=lost, roots=rescued.orphans, left=rescued.left)

    def run_job(self, job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
        """Claim, execute and finish a job if it can be had; what a runner calls. See `RunJob`.

        Raises:
            KeyboardInterrupt: the process was interrupted in the job, which is recorded as cancelled, as is its tree.
        """
        self._jobs.run_job(job_id, following)

    def close(self, *, wait: bool = True, keep_store: bool = False) -> None:
        """Stop the runner (with `wait`, when its jobs have ended) and, unless told otherwise, close the store."""
        self._jobs.closing.set()
        self.runner.stop(wait=wait)
        self._jobs.monitor.stop(wait=wait)
        self.manager.close(keep_store=keep_store)
        self._waiters.notify_all()
        self._jobs.report_undone()

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
        runner = self.runner
        if not isinstance(runner, LocalRunner) or not runner.reserve():
            records = self.manager.create([job], shared=runner.shared)
            self._notify_created(records)
            self._dispatch_first(records)
            return records[0]
        claimed = None
        try:
            record, claimed = self.manager.create_running(job)
            self._hooks.notify_created(record)
        except BaseException:
            runner.release()
            if claimed is not None:  # interrupted in a hook: it will not start any more
                self.manager.finish(claimed, AttemptResult(kind="cancelled", error=cancellation("interrupted")))
            raise
        self._dispatcher.own_tree(job.id)
        if claimed is not None:
            self._jobs.claimed[job.id] = claimed
        runner.submit_reserved(job.id)
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

        def dispatch() -> None:
            if root.job.is_parent:
                self._dispatcher.dispatch_tree(root.id, records)
            else:
                self.runner.submit(root.id)

        # it is stored: an error here would make its submitter believe that it is not
        self._jobs.do_or_defer(f"handing over the first jobs of {root.id}", dispatch)

    def _check_open(self) -> None:
        if self._jobs.closing.is_set():
            raise StoreError(url=self.store.url, problem="this orchestrator is closed", hint="make another one")
