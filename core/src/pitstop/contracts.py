"""The protocols that an outsider may implement, each with its promises in its docstring. No behaviour stands here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from attrs import frozen

from pitstop.jobs import (
    Conclusion,
    Counts,
    ErrorRecord,
    Job,
    JobRecord,
    JobStatus,
    LogLine,
    Plan,
    Progress,
    Result,
    StatusChange,
)
from pitstop.operations import Operation


class JobLogger(Protocol):
    """Writes lines to a job's log. `{}` in the message is filled from the arguments, as loguru does.

    Without arguments the message is taken as it is, so that a brace in it does no harm. A field is a name or a number:
    one that reaches into its argument, such as `{0.attribute}`, is not filled in, because a part of the message may
    come from a user. Keyword arguments are also kept with the line as its `extra`.
    """

    def debug(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what only somebody who looks for a fault wants to read."""

    def info(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what was done."""

    def warning(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what went wrong without making the job fail."""

    def error(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what makes the job fail."""

    def bind(self, **extra: object) -> JobLogger:
        """Return a logger whose lines all carry `extra`."""


class JobContext(Protocol):
    """What a worker gets beside the job: how to tell, to ask and to stop. Safe to use from any thread."""

    @property
    def job(self) -> Job:
        """The job, with its config expanded."""

    @property
    def logger(self) -> JobLogger:
        """Writes to the job's log, bound to its id, correlation id, type and operation."""

    @property
    def attempt(self) -> int:
        """Which start of this job it is, from 1."""

    @property
    def deadline(self) -> float | None:
        """When it must have ended, in seconds since 1970, or None."""

    def progress(self, done: float, total: float | None = None, unit: str = "", message: str = "") -> None:
        """Tell how far the job is. Cheap: what comes faster than a few times a second is not written.

        Args:
            done: units done so far; never goes back within an attempt.
            total: units in all, or None if unknown.
            unit: what is counted, such as "indexes".
            message: what is being done now.
        """

    def check_cancelled(self) -> None:
        """Return at once, or raise if the job must stop.

        Raises:
            JobCancelledError: it was cancelled.
            DeadlineExceededError: its time is over.
        """

    def on_cancel(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        """Have `callback` called when the job must stop: from another thread, and repeatedly until the job has ended.

        Called repeatedly because an interruption that comes between two statements of a database goes nowhere. It must
        return quickly and may be called when there is nothing to stop. An exception from it is logged.

        Returns:
            A context manager; leaving it takes the callback back. When the job has been told already, the callback is
            called at once.
        """


@runtime_checkable
class Worker(Protocol):
    """Carries out jobs of one type. Made by calling the registered class without arguments; used by many threads.

    Optional attributes:
        on_crash: "fail" (the default) or "retry": what becomes of a job whose process died under it.
        resource: a method `resource(job) -> str | None` that names what the job needs alone, for jobs that do not say.
        example: a method `example(operation) -> str` that returns a command line that runs an operation of this type.
            Without it, `pitstop operations NAME` shows a `pitstop run` with `operation` and `parameters` in the config.
        facts: a method `facts(operation) -> Mapping[str, str]` that returns what else a person should know of an
            operation, by headings of a word or two.
    """

    worker_type: str

    def validate(self, job: Job) -> None:
        """Refuse a job that cannot succeed, before anything has started. Changes nothing.

        `${NAME}` in the config is not expanded when a job is submitted, but is when this is called again just before
        `execute`.

        Raises:
            InvalidJobError: the job is not as it must be.
        """

    def execute(self, job: Job, context: JobContext) -> Result | Mapping[str, Any] | None:
        """Do what the job asks.

        Returns:
            A `Result`; a mapping, which becomes the data of one whose outcome is "changed"; or None for just "changed".

        Raises:
            TransientError: it may succeed at the next attempt.
            Exception: anything else makes the job fail with its text.
        """


class Planner(Protocol):
    """Turns one action into a parent and its children."""

    def __call__(self, config: Mapping[str, Any], /) -> Plan:
        """Return what is to be done. Reads nothing but `config` and changes nothing.

        Raises:
            InputError: the config is not as it must be.
        """


class Lookup(Protocol):
    """What a worker may ask of the registry: what other plugins offer. See `Registry`."""

    def names(self, group: str) -> list[str]:
        """Return the names that a group offers, sorted; nothing is imported."""

    def load(self, group: str, name: str) -> Any:
        """Return what is registered under a name, imported now if need be.

        Raises:
            UnknownNameError, ConflictError, BlockedError, PluginError: there is no one thing of that name to use.
        """

    def operation(self, worker_type: str, name: str) -> Operation:
        """Return an operation of a worker type. Raises as `load`."""

    def operation_names(self, worker_type: str) -> list[str]:
        """Return the names of the operations of a worker type, sorted; nothing is imported."""


# Tuples, where other records are attrs classes: each job makes several of these, and a frozen attrs class takes three
# times as long to make.


class Claim(NamedTuple):
    """Who asks to run a job.

    Args:
        job_id: which job.
        owner: the id of the asking process.
        now: the time, in seconds since 1970.
        lease_until: until when the job is the owner's unless extended.
        job: the job itself, for a caller who knows it; a store may save itself reading it.
    """

    job_id: str
    owner: str
    now: float
    lease_until: float
    job: Job | None = None


class Ending(NamedTuple):
    """How one attempt of a running job ended, for `JobStore.finish`.

    Args:
        job_id, attempt: whose end it is; an end of an older attempt changes nothing.
        status: completed, failed or cancelled, or pending for another attempt.
        now: the time, in seconds since 1970.
        result, error: what came of it.
        not_before: when another attempt may start at the earliest.
        owner: who looks after it until then; None if any process may take it.
        lines: log lines that have not been stored yet.
        record: the record as it was claimed, for a caller who has it; a store may save itself reading it.
    """

    job_id: str
    attempt: int
    status: JobStatus
    now: float
    result: Result | None = None
    error: ErrorRecord | None = None
    not_before: float | None = None
    owner: str | None = None
    lines: tuple[LogLine, ...] = ()
    record: JobRecord | None = None


class Finished(NamedTuple):
    """What `JobStore.finish` did.

    Args:
        record: the job after its end.
        closed: the parents that ended with it, innermost first.
        cancelled: ids of pending jobs that were cancelled because their parent stops at the first failures.
        claimed: the job that was claimed in the same transaction, if one was asked for and free.
    """

    record: JobRecord
    closed: tuple[JobRecord, ...] = ()
    cancelled: tuple[str, ...] = ()
    claimed: JobRecord | None = None


@frozen(kw_only=True)
class Cancelled:
    """What `JobStore.cancel` did.

    Args:
        cancelled: ids of pending jobs that are cancelled now.
        told: ids of running jobs that are marked to stop.
        closed: the parents that ended with it, innermost first.
    """

    cancelled: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    closed: tuple[JobRecord, ...] = ()


class Running(NamedTuple):
    """A job that an owner runs, as its store sees it.

    Args:
        job_id, attempt: which attempt of which job; the owner's own older attempts of it are stale.
        stop: why it is to stop, or None if it may go on.
    """

    job_id: str
    attempt: int
    stop: str | None = None


@frozen(kw_only=True)
class JobQuery:
    """Which jobs to list, newest first. A field that is None does not restrict.

    Args:
        statuses, types: any of these.
        parent_id: children of this job.
        correlation_id: jobs of this tree.
        resource: jobs that need this resource.
        owner: jobs that this process looks after.
        roots: only jobs without a parent.
        leaves: only jobs that a worker carries out, no parents.
        oldest_first: the other way round.
        beyond: go on after the job with this `seq`, for paging.
        limit: how many at most.
    """

    statuses: tuple[JobStatus, ...] | None = None
    types: tuple[str, ...] | None = None
    parent_id: str | None = None
    correlation_id: str | None = None
    resource: str | None = None
    owner: str | None = None
    roots: bool = False
    leaves: bool = False
    oldest_first: bool = False
    beyond: int | None = None
    limit: int | None = 100


class JobStore(Protocol):
    """Keeps job records and log lines. Used by many threads; one that is durable also by many processes.

    Every method but `purge` is one transaction: it happens whole or not at all, also when the process dies in it.
    Callers in several threads may share one commit; each still succeeds or fails alone. The store enforces what only it
    can see: a status changes by compare-and-set on status and attempt; two running jobs never share a resource; with
    each child's change the parent's counts, and with the last child's end the parent's status (by
    `pitstop.jobs.parent_status`), change in the same transaction, up to the root; and every change of a status is
    appended to the job's history in that transaction too. It makes no other decision, reads no clock and runs nothing.

    Every method raises `StoreError` when the store cannot be read or written.
    """

    @property
    def url(self) -> str:
        """How to open it again, passwords included; "memory:" for one that ends with the process."""

    @property
    def path(self) -> Path | None:
        """The file, if it is one; processes keep their lock files beside it, so that the death of one is seen at once.

        Without a file, what a process that died was running is lost only when its lease ends.
        """

    def create(self, records: Sequence[JobRecord], *, then: Claim | None = None) -> JobRecord | None:
        """Add records, parents before their children, whose counts are already right. `seq` is given here.

        Args:
            records: the records.
            then: a claim of one of them, in the same transaction.

        Returns:
            The running record, if `then` was given and the job can be had; as `claim`.

        Raises:
            StoreError: one has an id that is taken; then none was added.
        """

    def get(self, job_id: str) -> JobRecord:
        """Return one record.

        Raises:
            UnknownJobError: there is none with exactly this id.
        """

    def ids(self, prefix: str, *, limit: int = 10) -> list[str]:
        """Return the ids that begin with `prefix`, sorted."""

    def select(self, query: JobQuery) -> list[JobRecord]:
        """Return the records that fit."""

    def count(self, query: JobQuery) -> Counts:
        """Return how many records fit, by status; `limit` and `beyond` do not count."""

    def claim(self, claim: Claim) -> JobRecord | None:
        """Make a pending job running, with a new attempt, if its time has come and no running job has its resource.

        Returns:
            The running record, or None if it cannot be had now. Never raises for an unknown job: it may be purged.
        """

    def finish(self, ending: Ending, *, then: Claim | None = None) -> Finished | None:
        """End an attempt, settle its parents, store its lines and, in the same transaction, claim the next job.

        A pending status puts the job back for another attempt, with the ending's owner and without a lease. When a
        parent that stops at failures has more of them than it tolerates, its pending descendants are cancelled.

        Returns:
            What was done, or None if the job is not running this attempt; then nothing was changed but `then` claimed
            nothing either.
        """

    def cancel(self, job_id: str, *, now: float, reason: str) -> Cancelled:
        """Cancel a job and its descendants: pending ones at once, running ones by marking them.

        Raises:
            UnknownJobError: there is no such job.
        """

    def adopt(self, job_ids: Sequence[str], *, owner: str, lease_until: float) -> None:
        """Make `owner` the one who looks after these pending jobs and running parents."""

    def heartbeat(self, owner: str, *, lease_until: float) -> list[Running]:
        """Extend the lease of all that `owner` runs, and return the leaf jobs among it."""

    def running(self, owner: str) -> list[Running]:
        """Return the leaf jobs that `owner` runs; changes nothing."""

    def version(self) -> int:
        """Return a number that is another one after another process has changed something. Cheap: it is asked often.

        A store that no other process can use always returns the same.
        """

    def progress(self, job_id: str, attempt: int, progress: Progress) -> None:
        """Note how far a job is, if it is still running this attempt."""

    def ready(self, parent_id: str, *, now: float) -> list[str]:
        """Return the ids of leaf jobs below a parent (or the job itself, if it is one) that may start, in plan order.

        Such a job is pending, its resource is free, and no earlier pending job of the tree needs the same resource.
        """

    def waiting(self, resource: str, *, limit: int = 10) -> list[JobRecord]:
        """Return pending jobs that need a resource, in order of creation, whatever tree they are in."""

    def add_lines(self, lines: Sequence[LogLine]) -> None:
        """Store log lines."""

    def lines(self, job_id: str, *, tree: bool = False) -> Iterable[LogLine]:
        """Return the lines of a job, or of all jobs with this correlation id, in order of time."""

    def history(self, job_id: str, *, tree: bool = False) -> Iterable[StatusChange]:
        """Return every change of status of a job, or of all jobs with this correlation id, in the order they happened.

        The first change of each job is its creation.
        """

    def purge(self, *, before: float, statuses: Sequence[JobStatus]) -> int:
        """Remove whole trees whose root ended in one of `statuses` before a time, with their logs and histories.

        Each tree goes in one transaction, but not all trees in one: others may write in between.

        Returns:
            How many jobs were removed.
        """

    def close(self) -> None:
        """Release what is held; afterwards nothing else may be called."""


def ends_with_process(store: JobStore) -> bool:
    """Whether what a store keeps ends with this process, so that no other one can ever use it."""
    return store.url == "memory:"


class Runner(Protocol):
    """Where jobs run: it gets ids and calls `run_job` with each, once or more, here or in another process.

    Handing over a job twice is harmless, and so is losing an id when the process ends: the claim decides, and the store
    remembers. But somebody must then call `Orchestrator.rescue()`: a local process at its next start; with an engine, a
    periodic task of the engine's.

    Optional methods, for a runner that only executes elsewhere what is claimed and finished here:
        remote_execution: `remote_execution(local, *, registry, owner) -> Executes`, called once, before `start`, with
            the execution that would run jobs in this process; what it returns is used instead.
        check: `check(job) -> None` raises InvalidJobError for a job that could not be executed there.

    Attributes:
        shared: whether what was handed over outlives this process and may run in another one, as with an engine.
    """

    shared: bool

    def start(self, run_job: RunJob) -> None:
        """Begin; `run_job` is what to call with each id. Called once, before any `submit`."""

    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        """See to it that `run_job(job_id)` is called, not before a time given in seconds since 1970."""

    def cancel(self, job_id: str) -> None:
        """Drop a job that has not started yet, if that can be done cheaply. A running one is told by other means."""

    def stop(self, *, wait: bool = True) -> None:
        """Take no more jobs; with `wait`, return only when none is running here."""


class ReservingRunner(Runner, Protocol):
    """A runner that can say beforehand that a job will start at once; optional, found by its method `reserve`.

    Such a job is created and claimed in one transaction, which saves a commit. Each reservation is used once: by
    `submit_reserved` or `release`.
    """

    def reserve(self) -> bool:
        """Keep a place free for a job that is about to be submitted by this thread. Returns whether there is one."""

    def release(self) -> None:
        """Give the place back: there will be no job."""

    def submit_reserved(self, job_id: str) -> None:
        """Call `run_job(job_id)` at once in the place that was kept, also after `stop`: the job is running already."""


class Executes(Protocol):
    """Carries out attempts; see `pitstop.execution`."""

    def run(self, attempt: Any, /) -> Conclusion:
        """Carry out an `Attempt`. Raises nothing: whatever happens is in the conclusion."""


class RunJob(Protocol):
    """What a runner calls. Whatever happens is in the job's record.

    Raises:
        KeyboardInterrupt: the process was interrupted within the job; the job and its tree are cancelled by then.
    """

    def __call__(self, job_id: str, following: Callable[[], str | None] = ...) -> None:
        """Claim, execute and finish a job, if it can be had.

        Args:
            job_id: which.
            following: returns the id of the next job that this runner would start here, or None. It is claimed in the
                transaction that ends the first one, which saves one commit a job.
        """


__all__ = [
    "Cancelled",
    "Claim",
    "Ending",
    "Executes",
    "Finished",
    "JobContext",
    "JobLogger",
    "JobQuery",
    "JobStore",
    "Lookup",
    "Planner",
    "ReservingRunner",
    "RunJob",
    "Runner",
    "Running",
    "Worker",
    "ends_with_process",
]
