"""From an entry to the thing itself: import, check, make, each once. Finds no entry and chooses none."""

from __future__ import annotations

import sys
from _thread import RLock

from pitstop.callables import call_fault
from pitstop.errors import PluginError
from pitstop.errors.hints import remedy
from pitstop.registry.entry_points import EntryPoint, describe_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pitstop.contracts import Lookup, Planner, Worker
    from pitstop.operations import Operation

_NOTHING: Any = object()


class PluginTypeError(TypeError):
    """What was loaded is not what its group asks for; the text says why."""


class LazyPlugin:
    """One entry on its way from declared to loaded to built. Threads that ask for the same one get the same thing.

    The import itself happens outside our lock: Python has a lock for each module, and sees when two imports wait for
    each other, which it could not if ours stood between.

    Args:
        entry: what is declared.
        kind: what it is in messages, such as "operation".
    """

    __slots__ = ("_built", "_busy", "_loaded", "_lock", "entry", "kind")

    def __init__(self, entry: EntryPoint, kind: str, *, loaded: Any = _NOTHING, built: Any = _NOTHING) -> None:
        self.entry = entry
        self.kind = kind
        self._loaded = loaded
        self._built = built
        self._lock = RLock()
        self._busy = False

    def load(self) -> Any:
        """Return what the target names, imported now if need be.

        Raises:
            PluginError: it cannot be had. The next call tries again.
        """
        if self._loaded is _NOTHING:
            value = self._call_guarded(import_target, self.entry)
            with self._lock:
                if self._loaded is _NOTHING:
                    self._loaded = value
        return self._loaded

    def build(self, builder: Callable[[EntryPoint, Any], Any]) -> Any:
        """Return what `builder` makes of the entry and what its target names; it is called once.

        Raises:
            PluginError: it cannot be loaded or built. The next call tries again.
        """
        if self._built is not _NOTHING:
            return self._built
        loaded = self.load()
        with self._lock:
            if self._busy:
                error = PluginTypeError("it asks for itself while it is being made")
                raise self._error(str(error), error)
            if self._built is _NOTHING:
                self._busy = True
                try:
                    self._built = self._call_guarded(builder, self.entry, loaded)
                finally:
                    self._busy = False
            return self._built

    def _call_guarded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except KeyboardInterrupt:
            raise
        except PluginTypeError as error:
            raise self._error(str(error), error) from error
        except BaseException as error:
            # also SystemExit: a plugin that calls sys.exit must not end its host
            raise self._error(describe_error(error), error) from error

    def _error(self, cause: str, error: BaseException) -> PluginError:
        entry = self.entry
        return PluginError(
            kind=self.kind,
            name=entry.name,
            distribution=entry.distribution,
            version=entry.version,
            target=entry.target,
            cause=cause,
            hint=remedy(entry.distribution, entry.target, error) if entry.distribution else "",
        )


def import_target(entry: EntryPoint) -> Any:
    """Import an entry's module and return what its target names.

    Raises:
        PluginTypeError: that is None.
        BaseException: whatever the import raises.
    """
    module, _, attribute = entry.target.partition(":")
    __import__(module)  # as importlib.import_module does, which first would have to be imported itself
    value: Any = sys.modules[module]
    for name in attribute.split(".") if attribute else ():
        value = getattr(value, name)
    if value is None:
        raise PluginTypeError("it is None")
    return value


def check_callable(_entry: EntryPoint, loaded: Any) -> Any:
    """Return what was loaded, which must be a function or a class.

    Raises:
        PluginTypeError: it cannot be called.
    """
    if not callable(loaded):
        raise PluginTypeError(f"it is {_describe_type(loaded)}, which cannot be called")
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
        raise PluginTypeError(f"it is {_describe_type(loaded)}, not a class")
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

    Raises:
        PluginTypeError: one is missing, or would not do its work when it is called.
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


_RUNNER_METHODS = ("start", "submit", "cancel", "stop", "check", "reserve", "release", "submit_reserved")
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


def _describe_type(thing: Any) -> str:
    return f"of type {type(thing).__name__}"


__all__ = [
    "LazyPlugin",
    "PluginTypeError",
    "build_operation",
    "build_worker",
    "check_callable",
    "check_runner",
    "describe_target",
    "give_lookup",
    "import_target",
    "instantiate_worker",
    "planner_with_lookup",
]
