"""From an entry to what its target names, imported once, and to what is made of it. Finds no entry, chooses none."""

from __future__ import annotations

import sys
from _thread import RLock

from pitstop.errors import PluginError
from pitstop.errors.hints import remedy
from pitstop.registry.catalog import group_noun
from pitstop.registry.entry_points import EntryPoint, Problem, describe_error
from pitstop.secrets.masking import mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NOTHING: Any = object()


class PluginTypeError(TypeError):
    """What was loaded is not what its group asks for; the text says why."""


class Loader:
    """What has been loaded, and what failed to load. Threads that ask for the same entry get the same thing.

    Attributes:
        failures: what could not be had when it was last asked for.
    """

    def __init__(self) -> None:
        self.failures: dict[EntryPoint, Problem] = {}
        self._plugins: dict[EntryPoint, _Plugin] = {}

    def load(self, entry: EntryPoint, builder: Callable[[EntryPoint, Any], Any] | None = None) -> Any:
        """Return what an entry's target names, imported now if need be, or what a builder makes of it.

        Args:
            entry: what is declared.
            builder: is called once. Without it, that the target can be had does not yet mean that nothing is wrong.

        Raises:
            PluginError: it cannot be had. The next call tries again.
        """
        plugin = self._plugins.get(entry) or self._plugins.setdefault(entry, _Plugin(entry))
        try:
            value = plugin.load() if builder in (None, keep_loaded) else plugin.build(builder)
        except PluginError as error:
            self.failures[entry] = entry.problem(mask(error.cause), error.step)
            raise
        if builder is not None and self.failures:
            self.failures.pop(entry, None)
        return value

    def add(self, entry: EntryPoint, loaded: Any, built: Any) -> None:
        """Take what need not be loaded any more."""
        self._plugins[entry] = _Plugin(entry, loaded=loaded, built=built)

    def remove(self, entry: EntryPoint) -> None:
        """Forget what was loaded of an entry."""
        self._plugins.pop(entry, None)


class _Plugin:
    """One entry on its way from declared to loaded to built.

    The import itself happens outside our lock: Python has a lock for each module, and sees when two imports wait for
    each other, which it could not if ours stood between.
    """

    __slots__ = ("_built", "_busy", "_entry", "_loaded", "_lock")

    def __init__(self, entry: EntryPoint, *, loaded: Any = _NOTHING, built: Any = _NOTHING) -> None:
        self._entry = entry
        self._loaded = loaded
        self._built = built
        self._lock = RLock()
        self._busy = False

    def load(self) -> Any:
        if self._loaded is _NOTHING:
            value = self._call_guarded(import_target, self._entry)
            with self._lock:
                if self._loaded is _NOTHING:
                    self._loaded = value
        return self._loaded

    def build(self, builder: Callable[[EntryPoint, Any], Any]) -> Any:
        if self._built is not _NOTHING:
            return self._built
        loaded = self.load()
        with self._lock:
            if self._busy:
                raise self._error(PluginTypeError("it asks for itself while it is being made"))
            if self._built is _NOTHING:
                self._busy = True
                try:
                    self._built = self._call_guarded(builder, self._entry, loaded)
                finally:
                    self._busy = False
            return self._built

    def _call_guarded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # also SystemExit: a plugin that calls sys.exit must not end its host
            raise self._error(error) from error

    def _error(self, error: BaseException) -> PluginError:
        hint = remedy(self._entry.distribution, self._entry.target, error)
        return plugin_error(self._entry, describe_cause(error), hint=hint)


def describe_cause(error: BaseException) -> str:
    """Return why something cannot be had, from what was raised."""
    return str(error) if isinstance(error, PluginTypeError) else describe_error(error)


def plugin_error(entry: EntryPoint, cause: str, *, hint: str, once_loaded: bool = False) -> PluginError:
    """Return the error that names an entry and its distribution; see `PluginError`."""
    return PluginError(
        kind=group_noun(entry.group),
        name=entry.name,
        distribution=entry.distribution,
        version=entry.version,
        target=entry.target,
        cause=cause,
        once_loaded=once_loaded,
        hint=hint,
    )


def keep_loaded(_entry: EntryPoint, loaded: Any) -> Any:
    """Return what was loaded: the builder of what is used as it is, at least until somebody offers a check of it."""
    return loaded


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
