"""What was added to a registry by code, named so that a child process can import it; and what cannot be named so.

A registry's own finds are found again by the child's registry. A class, function or module that was added by hand is
sent as `module:name`, if that is where it can be had; an object that only this process has is told of in an error.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from attrs import field, frozen

from pitstop.contracts.operation_worker import OperationWorker
from pitstop.errors import InvalidJobError, OperationError
from pitstop.jobs import Job
from pitstop.registry.catalog import HOOKS, OPERATIONS, PLANNERS, WORKERS
from pitstop.registry.entry_points import EntryPoint
from pitstop.registry.registry import Registry

HINT = "put it into a module or package that can be imported, or use the thread runner"


@frozen(kw_only=True)
class Additions:
    """What was added by hand, for a child.

    Args:
        changes: the registry's `changes` at that time.
        entries: what the child's registry is given.
        unreachable: what no child can import: the entry and the thing.
    """

    changes: int
    entries: tuple[EntryPoint, ...] = ()
    unreachable: tuple[tuple[EntryPoint, Any], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, registry: Registry) -> Additions:
        """Return what was added to a registry until now."""
        changes, entries, unreachable = registry.changes, [], []
        for entry, thing in registry.added():
            reference = _find_worker_reference(thing) if entry.group == WORKERS else find_reference(thing)
            if reference is not None:
                entries.append(_with_target(entry, reference))
            elif entry.group == HOOKS and not hasattr(thing, "pitstop_around_execute"):
                continue  # its hooks are called in this process
            elif entry.group != PLANNERS:  # planning happens in this process, too
                unreachable.append((entry, thing))
                if entry.group.startswith(OPERATIONS):
                    entries.append(_with_target(entry, f"{__name__}:unreachable_operation"))
        return cls(changes=changes, entries=tuple(entries), unreachable=tuple(unreachable))

    def check(self, job: Job, registry: Registry) -> None:
        """Refuse a job that needs what no child can import.

        Args:
            job: has been validated by its worker.
            registry: knows the worker.

        Raises:
            InvalidJobError: says what it is, and what to do.
        """
        for entry, thing in self.unreachable:
            if entry.group == HOOKS:
                raise _refusal("a hook plugin that wraps every job", entry)
            if entry.group == WORKERS and entry.name == job.type:
                raise _refusal(f"the worker of {job.type!r}", entry)
            if entry.group == OPERATIONS + job.type:
                worker = registry.worker(job.type)
                if isinstance(worker, OperationWorker) and worker.operation(job).function is thing:
                    raise _refusal(f"the operation {entry.name!r}", entry)


def _with_target(entry: EntryPoint, target: str) -> EntryPoint:
    """Return an entry that names something else."""
    return EntryPoint(group=entry.group, name=entry.name, target=target)


def find_reference(thing: object) -> str | None:
    """Return "module:name" of something that another process can import, or None."""
    if isinstance(thing, ModuleType):
        return thing.__name__ if sys.modules.get(thing.__name__) is thing and thing.__name__ != "__main__" else None
    name = getattr(thing, "__qualname__", None)
    if isinstance(name, str):
        return _reachable(getattr(thing, "__module__", None), name, thing)
    # an object has no name of its own, but its class's module may have given it one
    module = sys.modules.get(type(thing).__module__)
    names: Mapping[str, Any] = {} if module is None else vars(module)
    for known, value in list(names.items()):
        if value is thing:
            return _reachable(module.__name__ if module else None, known, thing)
    return None


def _find_worker_reference(thing: object) -> str | None:
    """Return the reference to a worker's class: a child makes its own. None if that would be another worker."""
    if isinstance(thing, type):
        return find_reference(thing)
    own = {name for name in getattr(thing, "__dict__", {"?": None}) if name != "lookup"}
    return None if own else find_reference(type(thing))


def _reachable(module: str | None, name: str, thing: object) -> str | None:
    if module in (None, "__main__", "__mp_main__") or "<" in name:
        return None
    value: Any = sys.modules.get(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    return f"{module}:{name}" if value is thing else None


def _refusal(what: str, entry: EntryPoint) -> InvalidJobError:
    return InvalidJobError(
        reason=f"{what} was added by code ({entry.target}), and a child process cannot import it", hint=HINT
    )


def unreachable_operation(*_: object, **__: object) -> None:
    """Stand in a child process for an operation that only its parent has.

    Raises:
        OperationError: always.
    """
    raise OperationError(reason="this operation was added by code, and a child process cannot import it", hint=HINT)
