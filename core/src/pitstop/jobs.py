"""What a job is and what can become of it: pure, frozen records and the two rules of the state machine. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import isfinite
from os import register_at_fork
from random import Random
from typing import Any, Final, Literal

from attrs import Factory, evolve, field, frozen

from pitstop.errors import InvalidJobError
from pitstop.logs import LogLine as LogLine
from pitstop.logs import printable
from pitstop.masking import MASK, is_secret_name, mask

OnError = Literal["continue", "stop"]
#: How many levels a config, metadata or a result's data may have: whoever walks it comes far from Python's own limit.
DEEPEST = 100
#: Python refuses to write a number of more than 4300 digits.
_LARGEST = 10**4000


class JobStatus(StrEnum):
    """The five statuses of a job."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether a job in this status has ended for good."""
        return not TRANSITIONS[self]


#: Which status may follow which. The only place that knows; terminal statuses lead nowhere.
#: `running -> pending` happens only through a retry or a rescue.
TRANSITIONS: Final[Mapping[JobStatus, frozenset[JobStatus]]] = {
    JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PENDING}),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}


class Outcome(StrEnum):
    """What came of a completed job."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"


def _outcome(value: Outcome | str) -> Outcome:
    return value if type(value) is Outcome else Outcome(value)


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    if type(values) is tuple:
        return values
    # a text is iterable too, and one warning is not many of one letter
    return (values,) if isinstance(values, str) else tuple(values)


@frozen(kw_only=True)
class Result:
    """What a completed job says of itself.

    Args:
        outcome: `CHANGED`; `UNCHANGED`: looked, and there was nothing to do; `SKIPPED`: `summary` says why.
        summary: one line for a person.
        data: figures for a program; a JSON object.
        warnings: what went wrong without making the job fail, one line each.
    """

    outcome: Outcome = field(default=Outcome.CHANGED, converter=_outcome)
    summary: str = ""
    data: Mapping[str, Any] = Factory(dict)
    warnings: tuple[str, ...] = field(default=(), converter=_texts)

    @classmethod
    def changed(cls, summary: str, *, warnings: Iterable[str] = (), **data: Any) -> Result:
        """Return a result that says that something was done; keyword arguments become its data."""
        return cls(outcome=Outcome.CHANGED, summary=summary, data=data, warnings=warnings)

    @classmethod
    def unchanged(cls, summary: str, *, warnings: Iterable[str] = (), **data: Any) -> Result:
        """Return a result that says that there was nothing to do."""
        return cls(outcome=Outcome.UNCHANGED, summary=summary, data=data, warnings=warnings)

    @classmethod
    def skipped(cls, reason: str, *, warnings: Iterable[str] = (), **data: Any) -> Result:
        """Return a result that says that nothing was done, and why."""
        return cls(outcome=Outcome.SKIPPED, summary=reason, data=data, warnings=warnings)


@frozen(kw_only=True)
class ErrorRecord:
    """Why a job failed or was cancelled, as it is stored.

    Args:
        type: the name of the error's class, such as "OperationError".
        message: its text, secrets masked.
        traceback: where it came from, for errors that no rule foresees; "" for those whose text says all.
    """

    type: str
    message: str
    traceback: str = ""


def cancellation(reason: str) -> ErrorRecord:
    """Return what the record of a cancelled job says."""
    return ErrorRecord(type="JobCancelledError", message=reason)


@frozen(kw_only=True)
class Conclusion:
    """How an attempt ended.

    Args:
        kind: "completed", "failed", "cancelled", or "transient": failed, but another attempt may succeed.
        result: of a completed one.
        error: of any other.
        interrupted: whether the process itself was told to stop (Ctrl-C); the caller raises KeyboardInterrupt again.
    """

    kind: Literal["completed", "failed", "cancelled", "transient"]
    result: Result | None = None
    error: ErrorRecord | None = None
    interrupted: bool = False


@frozen(kw_only=True)
class Progress:
    """How far a running job is.

    Args:
        done: units done, from 0.
        total: units in all, or None when that is not known.
        unit: what is counted, such as "indexes".
        message: what is being done now.
    """

    done: float = 0
    total: float | None = None
    unit: str = ""
    message: str = ""


@frozen(kw_only=True)
class Tolerance:
    """When a parent counts as failed. A job that has a tolerance is a parent: it has children and no worker.

    Args:
        on_error: "continue" runs the other children all the same; "stop" cancels the pending ones.
        max_failures: how many children may fail before the parent is failed (and, with "stop", before it stops).
    """

    on_error: OnError = field(default="continue")
    max_failures: int = field(default=0)

    @on_error.validator
    def _check_on_error(self, _: object, value: object) -> None:
        if value not in ("continue", "stop"):
            raise InvalidJobError(reason=f"on_error is {value!r}", hint="it is 'continue' or 'stop'")

    @max_failures.validator
    def _check_max_failures(self, _: object, value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidJobError(reason=f"max_failures is {value!r}", hint="it is a whole number from 0")


@frozen(kw_only=True)
class Counts:
    """How many children of a parent (or jobs of a store) are in each status."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """How many there are in all."""
        return self.pending + self.running + self.completed + self.failed + self.cancelled

    def plus(self, status: JobStatus, number: int = 1) -> Counts:
        """Return the counts with `number` more (or, if negative, fewer) in `status`."""
        return evolve(self, **{status.value: getattr(self, status.value) + number})

    def __str__(self) -> str:
        return f"{self.pending} pending, {self.running} running, {self.completed} completed, {self.failed} failed" + (
            f", {self.cancelled} cancelled" if self.cancelled else ""
        )


def parent_status(counts: Counts, tolerance: Tolerance, *, cancel_requested: bool = False) -> JobStatus:
    """Return a parent's status from its children's. This is the one rule, used everywhere.

    Args:
        counts: the children, by status.
        tolerance: how many of them may fail.
        cancel_requested: whether somebody asked to cancel the parent. Then it ends cancelled as soon as any child was
            really stopped by that, although others had completed; a cancel that came too late changes nothing.

    Returns:
        `RUNNING` while any child is pending or running. Then `CANCELLED` if all are (or as above), `FAILED` if more
        failed than are tolerated, and otherwise `COMPLETED`, also for a parent without children.
    """
    if counts.pending or counts.running:
        return JobStatus.RUNNING
    if counts.cancelled and (cancel_requested or counts.cancelled == counts.total):
        return JobStatus.CANCELLED
    if counts.failed > tolerance.max_failures:
        return JobStatus.FAILED
    return JobStatus.COMPLETED


# of our own: an application that seeds Python's would get the same ids again; seeded anew after a fork, because a child
# must not go on with its parent's numbers; and not the system's at each call, which costs more than the rest of an id
_random = Random()  # noqa: S311 - an id is no secret
register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """Return a new job id: 16 hexadecimal digits, 64 random bits."""
    return f"{_random.getrandbits(64):016x}"


def json_object(value: object, *, what: str) -> dict[str, Any]:
    """Return a copy of `value` that is plain JSON, so that what is stored is what was given.

    Args:
        value: a mapping; tuples in it become lists.
        what: names it in errors, such as "config".

    Raises:
        InvalidJobError: it is not a mapping, something in it is not JSON (NaN and infinity are not), or it is nested
            deeper than `DEEPEST`; it says where.
    """
    if not isinstance(value, Mapping):
        raise InvalidJobError(reason=f"{what} is {type(value).__name__}, not an object", hint="give a mapping")
    return _json_entries(value, what, 1) if value else {}


def _json_entries(value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    # the exact types of JSON first, and no call for them: every job pays for this, twice
    return {
        key if type(key) is str else _json_key(key, where): entry
        if type(entry) in _JSON_ATOMS or (type(entry) is int and -_LARGEST < entry < _LARGEST)
        else _json_value(entry, where, key, depth)
        for key, entry in value.items()
    }


_JSON_ATOMS = frozenset({str, bool, type(None)})


def _json_value(value: object, where: str, key: object, depth: int) -> Any:
    if value is None or isinstance(value, (str, bool)) or (isinstance(value, int) and -_LARGEST < value < _LARGEST):
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    where = f"{where}[{key!r}]"
    if isinstance(value, (list, tuple, Mapping)):
        if depth >= DEEPEST:
            what = where.partition("[")[0]
            raise InvalidJobError(
                f"{what} is nested too deeply", hint=f"it may contain itself; {DEEPEST} levels are taken"
            )
        if isinstance(value, Mapping):
            return _json_entries(value, where, depth + 1)
        return [_json_value(entry, where, index, depth + 1) for index, entry in enumerate(value)]
    secret, large = is_secret_name(where), isinstance(value, int)
    shown = MASK if secret else "a number of thousands of digits" if large else repr(value)
    raise InvalidJobError(
        reason=f"{where} is {shown} ({type(value).__name__}), which JSON cannot hold",
        hint="use texts, finite numbers, booleans, null, lists and objects",
    )


def _json_key(key: object, where: str) -> str:
    if isinstance(key, str):
        return key
    raise InvalidJobError(reason=f"{where} has the key {key!r} ({type(key).__name__})", hint="keys of JSON are texts")


def _as_config(value: object) -> dict[str, Any]:
    return json_object(value, what="config")


def _as_metadata(value: object) -> dict[str, Any]:
    return json_object(value, what="metadata")


def _storable(value: Any) -> Any:
    # A name and a resource are shown in every listing. A file name may hold bytes that are no UTF-8, which no database
    # and no terminal takes.
    if value is None or value == "":
        return value
    if not isinstance(value, str):
        raise InvalidJobError(reason=f"a job's name or resource is {value!r}", hint="give a text, or leave it out")
    value = printable(mask(value))
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


@frozen(kw_only=True, slots=False)
class Job:
    """An immutable request.

    Args:
        type: the worker type that carries it out; for a parent, a text of the planner's.
        config: a JSON object, checked by the worker before anything runs; stored in full, `${NAME}` unexpanded.
        name: what to call it in listings; the type if empty. Passwords in it are masked, as in `resource`.
        id: 16 hexadecimal digits; made anew if not given.
        parent_id: the parent's id, set by the orchestrator.
        correlation_id: the root job's id, on every log line of the whole tree; set by the orchestrator.
        resource: what the job needs alone, such as one database; None if nothing. Two running jobs never share one.
        metadata: a JSON object that Pitstop keeps and does not read.
        timeout: seconds that one attempt may take, or None for no limit.
        max_attempts: how often it may be started in all; only a `TransientError` leads to another attempt.
        tolerance: for a parent, when it counts as failed; None for a job that a worker carries out.

    Raises:
        InvalidJobError: a field has a value that no job can have.
    """

    type: str
    config: Mapping[str, Any] = field(factory=dict, converter=_as_config)
    name: str = field(default="", converter=_storable)
    id: str = field(factory=new_id)
    parent_id: str | None = None
    correlation_id: str = field(default=Factory(lambda job: job.id, takes_self=True))
    resource: str | None = field(default=None, converter=_storable)
    metadata: Mapping[str, Any] = field(factory=dict, converter=_as_metadata)
    timeout: float | None = None
    max_attempts: int = 3
    tolerance: Tolerance | None = None

    def __attrs_post_init__(self) -> None:
        # in one place, because a validator of attrs for each field costs a call more
        if not self.type or not isinstance(self.type, str):
            raise InvalidJobError(reason=f"a job's type is {self.type!r}", hint="name a worker type")
        if not self.name:
            object.__setattr__(self, "name", self.type)
        if self.timeout is not None:
            _check_timeout(self.timeout)
        attempts = self.max_attempts
        if type(attempts) is not int or attempts < 1:
            raise InvalidJobError(reason=f"max_attempts is {attempts!r}", hint="give a whole number from 1")

    @property
    def is_parent(self) -> bool:
        """Whether it stands for its children instead of being carried out by a worker."""
        return self.tolerance is not None


def _check_timeout(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise InvalidJobError(reason=f"timeout is {value!r}", hint="give seconds, more than 0")


def _children(values: Iterable[Job | Plan]) -> tuple[Job | Plan, ...]:
    return tuple(values)


@frozen(kw_only=True)
class Plan:
    """What a planner makes of one action: a parent and what is to be done under it, in order.

    Args:
        parent: the parent job; it gets a default `Tolerance` if it has none.
        children: jobs, and plans for a deeper tree. Ids of parents and roots are set when the plan is submitted.
        notes: what the planner wants the user to know, one line each; kept in the parent's metadata as "notes".
    """

    parent: Job
    children: tuple[Job | Plan, ...] = field(default=(), converter=_children)
    notes: tuple[str, ...] = field(default=(), converter=_texts)


@frozen(kw_only=True)
class StatusChange:
    """One step in the life of a job.

    Args:
        job_id: whose.
        at: when, in seconds since 1970, UTC.
        old: the status before; None for the creation.
        new: the status after.
        attempt: how often it had been started by then.
        owner: who made it run or looked after it; None if nobody did.
        reason: why it failed, was cancelled or was put back, in a few words; "" for what needs none.
    """

    job_id: str
    at: float
    old: JobStatus | None
    new: JobStatus
    attempt: int = 0
    owner: str | None = None
    reason: str = ""


@frozen(
    kw_only=True, slots=False
)  # a frozen class with slots takes half as long again to make, and each job makes some
class JobRecord:
    """What the store knows of a job. Times are seconds since 1970, UTC.

    Args:
        job: the request.
        status: where it stands.
        attempt: how often it was started; the fencing token of a running job.
        seq: its place in the order of creation, set by the store.
        created_at, not_before, started_at, finished_at: when it was created, may start at the earliest (a delayed
            retry), was last started, and ended.
        owner: who looks after it: while pending the process that submitted it (None if any may take it), while running
            the process that runs it.
        lease_until: when a running job counts as lost unless its owner has extended the lease.
        cancel_requested_at: when somebody asked to cancel it.
        progress, result, error: the latest of each. A pending job that waits for a retry has the last error.
        counts: its children by status, for a parent.
    """

    job: Job
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    seq: int = 0
    created_at: float = 0.0
    not_before: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    owner: str | None = None
    lease_until: float | None = None
    cancel_requested_at: float | None = None
    progress: Progress | None = None
    result: Result | None = None
    error: ErrorRecord | None = None
    counts: Counts = Counts()

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took, or None if it has not ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, self.finished_at - self.started_at)
