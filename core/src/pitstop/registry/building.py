"""What is used of an entry, made of what its target names, by its group: checked, and a worker instantiated."""

from __future__ import annotations

import sys

from pitstop.callables import call_fault
from pitstop.registry.catalog import CHECKS, COMMANDS, HOOKS, OPERATIONS, PLANNERS, RUNNERS, STORES, TEMPLATES
from pitstop.registry.entry_points import EntryPoint
from pitstop.registry.loading import PluginTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pitstop.contracts import Lookup, Planner, Worker
    from pitstop.operations import Operation


def find_builder(group: str) -> Callable[[EntryPoint, Any], Any] | None:
    """Return what makes of a loaded target what is used of it, in a group of Pitstop's own; None in any other."""
    return build_operation if group.startswith(OPERATIONS) else _BUILDERS.get(group)


def check_callable(_entry: EntryPoint, loaded: Any) -> Any:
    """Return what was loaded, which must be a function or a class.

    Raises:
        PluginTypeError: it cannot be called.
    """
    if not callable(loaded):
        raise PluginTypeError(f"it is of type {type(loaded).__name__}, which cannot be called")
    if fault := call_fault(loaded):
        raise PluginTypeError(f"it {fault}")
    return loaded


def check_runner(entry: EntryPoint, loaded: Any) -> Any:
    """Return a loaded class of runners, or a function that makes one.

    Raises:
        PluginTypeError: it cannot be called, or one of its methods would not do its work when it is called.
    """
    check_callable(entry, loaded)
    for name in _RUNNER_METHODS:
        if callable(method := getattr(loaded, name, None)) and (fault := call_fault(method)):
            raise PluginTypeError(f"its method {name!r} {fault}")
    return loaded


def check_hook_plugin(_entry: EntryPoint, loaded: Any) -> Any:
    """Return a loaded module or object with hook functions.

    Raises:
        PluginTypeError: it has none.
    """
    from pitstop.contracts.hooks import find_fault

    fault = find_fault(loaded)
    if fault is not None:
        raise PluginTypeError(fault)
    return loaded


def hook_plugin_name(plugin: object) -> str:
    """Return the name under which a hook plugin is added by hand."""
    named = plugin if hasattr(plugin, "__qualname__") or hasattr(plugin, "__spec__") else type(plugin)
    name: str = getattr(named, "__name__", type(plugin).__name__)
    # two objects of one class, and two classes of one name, are two plugins; a module is known by its name
    return name if hasattr(plugin, "__spec__") else f"{name}-{id(plugin):x}"


def build_operation(entry: EntryPoint, loaded: Any) -> Operation:
    """Return the operation that a loaded function is.

    Raises:
        PluginTypeError: it can be none.
    """
    from pitstop.operations import operation_of

    try:
        return operation_of(entry.name, loaded, distribution=entry.origin)
    except TypeError as error:
        raise PluginTypeError(str(error)) from error


def build_worker(entry: EntryPoint, loaded: Any) -> Worker:
    """Return a worker made from a loaded class.

    Raises:
        PluginTypeError: it is no class, or what it makes is no worker of the entry's type.
        BaseException: whatever its constructor raises.
    """
    if not isinstance(loaded, type):
        raise PluginTypeError(f"it is of type {type(loaded).__name__}, not a class")
    worker: Worker = instantiate_worker(loaded)
    if worker.worker_type != entry.name:
        raise PluginTypeError(f"its worker_type is {worker.worker_type!r}, but it is registered as {entry.name!r}")
    return worker


def instantiate_worker(worker: Any) -> Any:
    """Return a worker, made now if a class is given, after a check of the three things that make it one.

    Raises:
        PluginTypeError: it lacks one, or has an optional one that cannot be used.
    """
    if isinstance(worker, type):
        _check_methods(worker)
        worker = worker()
    worker_type = getattr(worker, "worker_type", None)
    if not isinstance(worker_type, str) or not worker_type:
        raise PluginTypeError(f"its worker_type is {worker_type!r}, not a name")
    _check_methods(worker)
    on_crash = getattr(worker, "on_crash", "fail")
    if on_crash not in ("fail", "retry"):
        raise PluginTypeError(f"its on_crash is {on_crash!r}; it is 'fail' or 'retry'")
    return worker


def _check_methods(worker: Any) -> None:
    """Check the methods of a worker, or of a class of workers: an `async def` would never run.

    A class may lack one that its objects get when they are made, but not one that keeps them from being made.
    """
    abstract = getattr(worker, "__abstractmethods__", ())
    for name in ("validate", "execute", *_OPTIONAL_METHODS):
        method = getattr(worker, name, None)
        if callable(method) and name not in abstract:
            if fault := call_fault(method):
                raise PluginTypeError(f"its method {name!r} {fault}")
        elif name not in _OPTIONAL_METHODS and (name in abstract or not isinstance(worker, type)):
            from pitstop.text import nearest

            close = nearest(name, [other for other in dir(worker) if other[0] != "_" and other != name], cutoff=0.8)
            raise PluginTypeError(f"it has no method {name!r}" + (f"; is it meant by {close!r}?" if close else ""))


_RUNNER_METHODS = ("start", "submit", "cancel", "stop", "check")
_OPTIONAL_METHODS = ("resource", "example", "facts")


def planner_with_lookup(loaded: Any, lookup: Lookup) -> Planner:
    """Return a planner that is called with a config only; one that has a parameter `lookup` is given the registry."""
    import inspect
    from functools import partial

    planner: Planner = loaded
    try:
        if "lookup" in inspect.signature(loaded).parameters:
            planner = partial(loaded, lookup=lookup)
    except ValueError:
        pass  # a built-in function may not tell what it takes
    return planner


def give_lookup(worker: Worker, lookup: Lookup) -> None:
    """Set the worker's `lookup`, if it is made of operations or has such an attribute."""
    # whoever derives from OperationWorker has imported it
    workers = sys.modules.get("pitstop.contracts.operation_worker")
    if hasattr(worker, "lookup") or (workers is not None and isinstance(worker, workers.OperationWorker)):
        worker.lookup = lookup


def describe_target(thing: Any) -> str:
    """Return where a thing that was added by hand comes from, as "module:attribute", near enough for a message."""
    named = thing if hasattr(thing, "__qualname__") or hasattr(thing, "__file__") else type(thing)
    module, name = getattr(named, "__module__", None), getattr(named, "__qualname__", None)
    return f"{module}:{name}" if name else str(getattr(named, "__name__", named))


_BUILDERS: dict[str, Callable[[EntryPoint, Any], Any]] = {
    HOOKS: check_hook_plugin,
    RUNNERS: check_runner,
    **dict.fromkeys((PLANNERS, STORES, COMMANDS, TEMPLATES, CHECKS), check_callable),
}
