"""A request: `Job`, and `Plan` for one parent and its children."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import register_at_fork
from random import Random
from typing import Any

from attrs import Factory, field, frozen

from pitstop.errors import InvalidJobError
from pitstop.jobs.json_values import as_config, as_metadata, storable
from pitstop.jobs.result import as_texts
from pitstop.jobs.status import OnCrash, Tolerance

# of our own: an application that seeds Python's would get the same ids again; seeded after a fork, because a child
# must not go on with its parent's numbers; and not the system's at each call, which costs more than the rest of an id
_random = Random()  # noqa: S311 - an id is no secret
register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """Return a new job id: 16 hexadecimal digits, 64 random bits."""
    return f"{_random.getrandbits(64):016x}"


@frozen(kw_only=True, slots=False)
class Job:
    """An immutable request.

    Args:
        type: the worker type that carries it out; for a parent, a text of the planner's.
        config: a JSON object, checked by the worker before anything runs; stored in full, `${NAME}` unexpanded.
        name: what to call it in listings; the type if empty. Passwords in it are masked, as in `resource`.
        id: 16 hexadecimal digits; generated if not given.
        parent_id: the parent's id, set by the orchestrator.
        correlation_id: the root job's id, on every log line of the whole tree; set by the orchestrator.
        resource: what the job needs alone, such as one database; None if nothing. Two running jobs never share one.
        metadata: a JSON object that Pitstop keeps and does not read.
        timeout: seconds that one attempt may take, or None for no limit.
        max_attempts: how often it may be started in all; only a `TransientError` leads to another attempt.
        tolerance: for a parent, when it counts as failed; None for a job that a worker carries out.
        on_crash: what becomes of it when its process dies, known without its worker; None: as its worker says then.

    Raises:
        InvalidJobError: a field has a value that no job can have.
    """

    type: str
    config: Mapping[str, Any] = field(factory=dict, converter=as_config)
    name: str = field(default="", converter=storable)
    id: str = field(factory=new_id)
    parent_id: str | None = None
    correlation_id: str = field(default=Factory(lambda job: job.id, takes_self=True))
    resource: str | None = field(default=None, converter=storable)
    metadata: Mapping[str, Any] = field(factory=dict, converter=as_metadata)
    timeout: float | None = None
    max_attempts: int = 3
    tolerance: Tolerance | None = None
    on_crash: OnCrash | None = None

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
        if self.on_crash not in (None, "fail", "retry"):
            raise InvalidJobError(reason=f"on_crash is {self.on_crash!r}", hint="it is 'fail' or 'retry'")

    @property
    def is_parent(self) -> bool:
        """Whether it stands for its children instead of being carried out by a worker."""
        return self.tolerance is not None


def on_crash_of(worker: object) -> OnCrash:
    """Return what a worker says becomes of its jobs when their process dies."""
    return "retry" if getattr(worker, "on_crash", "fail") == "retry" else "fail"


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
    notes: tuple[str, ...] = field(default=(), converter=as_texts)
