"""`JobRunner`: claims, executes and finishes the jobs that a runner brings, and sees to what follows from their ends.

Owns what is done again when the store, or an engine, refuses it: an end must not be lost, nor a job that may start. It
never writes a status itself (the manager does) and never decides one (the store's rule does).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pitstop import logs
from pitstop.contracts import Cancelled, CompletionReceipt, JobStore, Runner, Unreadable, ends_with_process
from pitstop.errors import PitstopError, StoreError, UnknownJobError, UnreadableRecordError
from pitstop.execution.execution import Attempt, Execution, Executor
from pitstop.execution.hooks import Hooks
from pitstop.jobs import AttemptResult, ErrorRecord, JobRecord, JobStatus, LogLine, OnCrash, Progress, on_crash_of
from pitstop.orchestration.dispatcher import Dispatcher
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.monitor import StoreMonitor
from pitstop.orchestration.rescue import RescueReport
from pitstop.orchestration.supervisor import Supervisor, describe_abandoned
from pitstop.orchestration.waiters import JobWaiters
from pitstop.registry.registry import Registry
from pitstop.runners.local import LocalRunner

#: Seconds between two attempts to store an end that the store refuses, at first and at most; and after how many those
#: who wait for the job are told, while it is still tried now and then.
REPEAT_SOON, REPEAT_LATE = 0.05, 2.0
END_PATIENCE = 10.0
#: What is wrong with one job, and not with the store or a runner: nothing is tried again for one that is gone.
_NEVER_BETTER = (UnknownJobError, UnreadableRecordError)


class JobRunner:
    """Runs jobs in one process. Safe to use from any thread.

    Args:
        manager: brings the store, the clock and the owner.
        registry: finds workers and hook plugins.
        runner: brings the jobs, and is given those that may start.

    Attributes:
        claimed: jobs that were claimed when they were created, by their ids.
        failures: the errors with which the store failed under jobs, by the ids of their trees.
        closing: set when nobody waits any longer.
        hooks, supervisor, waiters, dispatcher, monitor: what helps it, for the orchestrator.
    """

    def __init__(self, manager: JobManager, *, registry: Registry, runner: Runner) -> None:
        self._manager = manager
        self._store: JobStore = manager.store
        self._runner = runner
        self.claimed: dict[str, JobRecord] = {}
        self.failures: dict[str, BaseException] = {}
        self.closing = threading.Event()
        self.hooks = Hooks(registry.hook_plugins())
        self.supervisor = Supervisor(manager)
        self.waiters = JobWaiters.for_store(self._store)
        self.monitor = StoreMonitor(
            self._store,
            self.supervisor,
            self.waiters,
            has_waiting=lambda: self.dispatcher.has_waiting or bool(self._deferred),
            on_change=self._do_what_waits,
            owns_trees=lambda: self.dispatcher.owns_trees,
        )
        self.dispatcher = Dispatcher(manager, runner, on_waiting=self.monitor.poll_soon)
        self._registry = registry
        self._left: set[str] = set()  # what was lost, and is reported to be left to others
        self._has_rescued = ends_with_process(self._store)  # then nobody has left anything
        self._deferred: list[tuple[str, Callable[[], None]]] = []
        self._current = threading.local()  # the job that each thread carries out
        local = Execution(registry, hooks=self.hooks, on_progress=self._store_progress, clock=manager.clock)
        self._executor: Executor = (
            runner.make_executor(local, registry=registry, lock=lambda: manager.process_lock.descriptor)
            if isinstance(runner, LocalRunner)
            else local
        )

    @property
    def current(self) -> JobRecord | None:
        """The job that the calling thread carries out."""
        record: JobRecord | None = getattr(self._current, "record", None)
        return record

    def run_job(self, job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
        """Claim, execute and finish a job if it can be had. See `Orchestrator.run_job`."""
        # Nobody is above us in a runner's thread, and a store of somebody else's may raise what it likes.
        try:
            record = self.claimed.pop(job_id, None) or self._claim(job_id)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._record_failure(job_id, error)
            self.dispatcher.dispatch_later(job_id)
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
            self.failures.pop(running.job.correlation_id, None)

    def cancel(self, job_id: str, *, reason: str) -> Cancelled:
        """Cancel a job and all below it. See `Orchestrator.cancel`."""
        done = self._manager.cancel(job_id, reason=reason)
        for stopping in done.stopping:
            self.supervisor.cancel(stopping, reason)
        for cancelled in done.cancelled:
            self._runner.cancel(cancelled)
            self.dispatcher.disown_tree(cancelled)
        self._notify_ends(done.closed, done.cancelled)
        if done.cancelled:

            def recheck() -> None:
                self.dispatcher.recheck_after_cancel(self._store.get(job_id).job.correlation_id)

            self.do_or_defer(f"handing over those behind job {job_id}", recheck)
        return done

    def do_or_defer(self, what: str, act: Callable[[], None]) -> None:
        """Do what is harmless to do twice. If the store or the runner refuses, it is done again later.

        Args:
            what: names it, for the log.
            act: does it. Whatever it raises is no reason to forget it: a runner's engine, and a store of somebody
                else's, raise errors of their own.
        """
        try:
            act()
        except _NEVER_BETTER as error:
            logs.warn(f"{what} failed: {error}")
        except Exception as error:
            logs.warn(f"{what} failed, and is tried again: {error}")
            self._defer(what, act)

    def report_undone(self) -> None:
        """Warn of what is not done again any more, because this process ends."""
        undone, self._deferred = self._deferred, []
        for what, _ in undone:
            logs.warn(f"{what} is left undone; Orchestrator.rescue() takes it up, in whichever process calls it")

    def rescue(self, *, whole: bool = False) -> RescueReport:
        """Bring to the right place what processes that died have lost, and see to what follows from that."""
        self._has_rescued = True
        rescued = self._manager.rescue(on_crash=self._find_on_crash, whole=whole)
        for job_id in set(rescued.left) - self._left:
            self._left.add(job_id)
            logs.warn(f"job {job_id} was lost, and is left to a process that knows its worker")
        for receipt in rescued.lost:
            self._complete(receipt, None)
        return rescued

    def rescue_first(self) -> None:
        """Before the first job of this process: mark what others lost, so that nothing waits for what they held."""
        if self._has_rescued:
            return
        try:
            self.rescue()
        except PitstopError as error:
            logs.warn(f"jobs of processes that died could not be looked for: {error}")

    def _find_on_crash(self, worker_type: str) -> OnCrash | None:
        """Return what a worker type wants when its process dies, or None if that is not known here."""
        try:
            return on_crash_of(self._registry.worker(worker_type))
        except PitstopError:
            return None

    # -- one job ---------------------------------------------------------------------------------------------------

    def _claim(self, job_id: str) -> JobRecord | None:
        try:
            record = self._manager.claim(job_id)
        except UnreadableRecordError as error:
            self._end_unreadable(Unreadable(id=error.id, seq=error.seq, problem=error.flaw))
            return None
        if record is None:
            self._on_claim_refused(job_id)
        return record

    def _run(self, record: JobRecord, following: Callable[[], str | None]) -> JobRecord | None:
        """Run a claimed job to its end, and return the next one if it was claimed with that end."""
        attempt = Attempt.of(record, clock=self._manager.clock)
        self.supervisor.begin(attempt)
        self.monitor.start()
        receipt, then = None, None
        try:
            self.hooks.notify_started(record)
            outer, self._current.record = self.current, record
            try:
                attempt_result = self._executor.run(attempt)
            finally:
                self._current.record = outer
            then = None if attempt_result.interrupted else following()
            receipt = self._store_end(record, attempt_result, self.supervisor.last_lines(attempt), then)
        finally:
            self.supervisor.end(attempt)
            if receipt is None and then is not None:
                self._runner.submit(then)  # the runner gave it to us, and would not come back to it
        if receipt is None:
            logs.warn(describe_abandoned(record))
            self.dispatcher.recheck(record.job.resource)
            if self.dispatcher.is_ours(record.job.correlation_id):
                # who took it for lost left it pending, if it may be tried again
                self.dispatcher.dispatch_later(record.id)
            self.waiters.notify_all()
        else:
            self._complete(receipt, then)
        if attempt_result.interrupted:
            self.cancel(record.job.correlation_id, reason="interrupted")
            raise KeyboardInterrupt
        return None if receipt is None else receipt.claimed

    def _store_end(
        self, record: JobRecord, attempt_result: AttemptResult, lines: tuple[LogLine, ...], then: str | None
    ) -> CompletionReceipt | None:
        """Store an end. One that the store refuses is stored again, and again later.

        Raises:
            StoreError: it could not be stored for long, and is put aside; or never can be.
        """
        pause, gives_up_at = REPEAT_SOON, time.monotonic() + END_PATIENCE
        shared = self._runner.shared
        while True:
            try:
                return self._manager.finish(record, attempt_result, lines=lines, then=then, shared=shared)
            except StoreError as error:
                if error.lasting and attempt_result.kind != "failed":
                    message = f"it {attempt_result.kind}, but its end cannot be stored: {error}"
                    attempt_result = AttemptResult(kind="failed", error=ErrorRecord(type="StoreError", message=message))
                    lines = ()
                    continue
                if error.lasting:
                    raise
                if self.closing.is_set() or time.monotonic() > gives_up_at:

                    def store_late(
                        attempt_result: AttemptResult = attempt_result, lines: tuple[LogLine, ...] = lines
                    ) -> None:
                        receipt = self._manager.finish(record, attempt_result, lines=lines, shared=shared)
                        self.failures.pop(record.job.correlation_id, None)
                        if receipt is not None:
                            self._complete(receipt, None)

                    self._defer(f"storing the end of job {record.id}", store_late)
                    raise
                logs.warn(f"the end of job {record.id} could not be stored, and is stored again: {error}")
            self.closing.wait(pause)
            pause = min(2 * pause, REPEAT_LATE)

    def _record_failure(self, job_id: str, error: BaseException) -> None:
        """Keep the error with which the store fails under a job, for those who wait for its tree."""
        logs.warn(f"job {job_id} could not be carried through: {type(error).__name__}: {error}")
        try:
            self.failures[self._store.get(job_id).job.correlation_id] = error
        except Exception as second:  # then `wait`, which reads the store too, raises by itself
            logs.warn(f"job {job_id} cannot be read: {type(second).__name__}: {second}")
        self.waiters.notify_all()

    def _end_unreadable(self, unreadable: Unreadable) -> None:
        """End what was claimed here and cannot be run."""
        logs.warn(f"job {unreadable.id} fails: its record cannot be read: {unreadable.problem}")

        def end() -> None:
            receipt = self._manager.fail_unreadable(unreadable)
            if receipt is not None:
                self._complete(receipt, None)

        self.do_or_defer(f"ending job {unreadable.id}", end)

    def _store_progress(self, record: JobRecord, progress: Progress) -> None:
        try:
            self._manager.progress(record, progress)
        except StoreError as error:
            logs.warn(f"progress was not stored: {error}")  # no reason for the work itself to fail
        self.hooks.notify_progress(record.job, progress)

    # -- what follows from an end ----------------------------------------------------------------------------------

    def _complete(self, receipt: CompletionReceipt, then: str | None) -> None:
        record = receipt.record
        if record.status is not JobStatus.PENDING:
            self.hooks.notify_finished(record)
        self._notify_ends(receipt.closed, receipt.cancelled)
        if record.job.parent_id is None and record.status.terminal:
            self.dispatcher.disown_tree(record.id)
        # the end is stored, and nobody would come back to what follows from it
        self.do_or_defer(f"handing over what follows job {record.id}", lambda: self._dispatch_successors(receipt, then))
        self.waiters.notify(record.id)

    def _dispatch_successors(self, receipt: CompletionReceipt, then: str | None) -> None:
        record = receipt.record
        # a lost job of a tree that nobody looks after waits until somebody adopts it
        if record.status is JobStatus.PENDING and self.dispatcher.is_ours(record.job.correlation_id):
            self._runner.submit(record.id, not_before=record.not_before)
        if receipt.unreadable is not None:
            self._end_unreadable(receipt.unreadable)
        elif then is not None and receipt.claimed is None:
            self._on_claim_refused(then)
        if receipt.cancelled:
            self.dispatcher.recheck_after_cancel(record.job.correlation_id)
        if record.job.resource is not None:
            self.dispatcher.dispatch_next(record.job.resource)

    def _on_claim_refused(self, job_id: str) -> None:
        try:
            self.dispatcher.on_claim_refused(job_id)
        except UnreadableRecordError as error:
            logs.warn(str(error))
            self.waiters.notify_all()

    def _notify_ends(self, closed: tuple[JobRecord, ...], cancelled: tuple[str, ...]) -> None:
        for job_id in cancelled if self.hooks.wants_finished else ():
            try:
                record = self._store.get(job_id)
            except PitstopError as error:
                logs.warn(f"hooks were not told of the end of job {job_id}: {error}")
            else:
                self.hooks.notify_finished(record)
        for parent in closed:
            self.hooks.notify_finished(parent)
            self.dispatcher.disown_tree(parent.id)
            self.waiters.notify(parent.id)
        self.waiters.notify(*cancelled)

    # -- what no notification covers -------------------------------------------------------------------------------

    def _defer(self, what: str, act: Callable[[], None]) -> None:
        self._deferred.append((what, act))
        self.monitor.poll_soon()

    def _do_what_waits(self) -> None:
        """See to what waits for something that no notification covers."""
        deferred, self._deferred = self._deferred, []
        for what, act in deferred:
            try:
                act()
            except _NEVER_BETTER as error:
                logs.warn(f"{what} failed: {error}")
            except Exception:  # it was reported when it failed first
                self._deferred.append((what, act))
        try:
            self.rescue()
        except Exception as error:  # also what a foreign store raises: others still get their turn
            logs.warn(f"jobs of processes that died could not be looked for, and are again later: {error}")
        self.dispatcher.dispatch_waiting(held=self.supervisor.held_resources())
