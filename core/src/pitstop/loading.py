"""From an entry to the thing itself: import, check, make, each once. Finds no entry and chooses none."""

from __future__ import annotations

import sys
from _thread import RLock

from pitstop.declarations import Entry, cause_of
from pitstop.errors import PluginError
from pitstop.remedies import remedy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pitstop.contracts import Lookup, Worker
    from pitstop.operations import Operation

_NOTHING: Any = object()


class UnfitError(TypeError):
    """What was loaded is not what its group asks for; the text says why."""


class Slot:
    """One entry on its way from declared to loaded to made. Threads that ask for the same one get the same thing.

    The import itself happens outside our lock: Python has a lock for each module, and sees when two imports wait for
    each other, which it could not if ours stood between.

    Args:
        entry: what is declared.
        kind: what it is in messages, such as "operation".
    """

    __slots__ = ("_busy", "_loaded", "_lock", "_made", "entry", "kind")

    def __init__(self, entry: Entry, kind: str, *, loaded: Any = _NOTHING, made: Any = _NOTHING) -> None:
        self.entry = entry
        self.kind = kind
        self._loaded = loaded
        self._made = made
        self._lock = RLock()
        self._busy = False

    def load(self) -> Any:
        """Return what the target names, imported now if need be.

        Raises:
            PluginError: it cannot be had. The next call tries again.
        """
        if self._loaded is _NOTHING:
            value = self._guarded(target_of, self.entry)
            with self._lock:
                if self._loaded is _NOTHING:
                    self._loaded = value
        return self._loaded

    def make(self, maker: Callable[[Entry, Any], Any]) -> Any:
        """Return what `maker` makes of the entry and what its target names; it is called once.

        Raises:
            PluginError: it cannot be loaded or made. The next call tries again.
        """
        if self._made is not _NOTHING:
            return self._made
        loaded = self.load()
        with self._lock:
            if self._busy:
                error = UnfitError("it asks for itself while it is being made")
                raise self._error(str(error), error)
            if self._made is _NOTHING:
                self._busy = True
                try:
                    self._made = self._guarded(maker, self.entry, loaded)
                finally:
                    self._busy = False
            return self._made

    def _guarded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except KeyboardInterrupt:
            raise
        except UnfitError as error:
            raise self._error(str(error), error) from error
        except BaseException as error:
            # also SystemExit: a plugin that calls sys.exit must not end its host
            raise self._error(cause_of(error), error) from error

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


def target_of(entry: Entry) -> Any:
    """Import an entry's module and return what its target names.

    Raises:
        UnfitError: that is None.
        BaseException: whatever the import raises.
    """
    module, _, attribute = entry.target.partition(":")
    __import__(module)  # as importlib.import_module does, which first would have to be imported itself
    value: Any = sys.modules[module]
    for name in attribute.split(".") if attribute else ():
        value = getattr(value, name)
    if value is None:
        raise UnfitError("it is None")
    return value


def callable_of(_entry: Entry, loaded: Any) -> Any:
    """Return what was loaded, which must be a function or a class.

    Raises:
        UnfitError: it cannot be called.
    """
    if not callable(loaded):
        raise UnfitError(f"it is {_described(loaded)}, which cannot be called")
    return loaded


def operation_of_entry(entry: Entry, loaded: Any) -> Operation:
    """Return the operation that a loaded function is.

    Raises:
        UnfitError: it can be none.
    """
    from pitstop.operations import operation_of

    try:
        return operation_of(entry.name, loaded, distribution=entry.origin)
    except TypeError as error:
        raise UnfitError(str(error)) from error


def worker_of_entry(entry: Entry, loaded: Any) -> Worker:
    """Return a worker made from a loaded class.

    Raises:
        UnfitError: it is no class, or what it makes is no worker of the entry's type.
        BaseException: whatever its constructor raises.
    """
    if not isinstance(loaded, type):
        raise UnfitError(f"it is {_described(loaded)}, not a class")
    worker: Worker = loaded()
    check_worker(worker)
    if worker.worker_type != entry.name:
        raise UnfitError(f"its worker_type is {worker.worker_type!r}, but it is registered as {entry.name!r}")
    return worker


def check_worker(worker: Any) -> None:
    """Check that a worker, or a class of workers, has the three things that make it one.

    Raises:
        UnfitError: it lacks one.
    """
    worker_type = getattr(worker, "worker_type", None)
    if not isinstance(worker_type, str) or not worker_type:
        raise UnfitError(f"its worker_type is {worker_type!r}, not a name")
    for method in ("validate", "execute"):
        if not callable(getattr(worker, method, None)):
            raise UnfitError(f"it has no method {method!r}")


def give_lookup(worker: Worker, lookup: Lookup) -> None:
    """Set the worker's `lookup`, if it is made of operations or has such an attribute."""
    # whoever derives from OperationWorker has imported it
    workers = sys.modules.get("pitstop.workers")
    if hasattr(worker, "lookup") or (workers is not None and isinstance(worker, workers.OperationWorker)):
        worker.lookup = lookup


def described_target(thing: Any) -> str:
    """Return where a thing that was added by hand comes from, as "module:attribute", near enough for a message."""
    named = thing if hasattr(thing, "__qualname__") or hasattr(thing, "__file__") else type(thing)
    module, name = getattr(named, "__module__", None), getattr(named, "__qualname__", None)
    return f"{module}:{name}" if name else str(getattr(named, "__name__", named))


def _described(thing: Any) -> str:
    return f"of type {type(thing).__name__}"


__all__ = [
    "Slot",
    "UnfitError",
    "callable_of",
    "check_worker",
    "described_target",
    "give_lookup",
    "operation_of_entry",
    "target_of",
    "worker_of_entry",
]
