"""What an import may change of its process beside its own modules: told, and put back. Imports no plugin.

What is only added to `sys.path` and `sys.meta_path` stays: another module of the same plugin, or a plugin that builds
upon it, is found by it. What was there before comes back.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any


class ProcessState:
    """The state of the process when this was made."""

    def __init__(self) -> None:
        self._path, self._places = sys.path, list(sys.path)
        self._meta_path, self._finders = sys.meta_path, list(sys.meta_path)
        self._modules = dict(sys.modules)
        self._import = builtins.__import__
        self._streams = {name: getattr(sys, name) for name in ("stdout", "stderr")}
        self._environment = dict(os.environ)
        self._handlers = _signal_handlers()

    @property
    def streams(self) -> list[Any]:
        """What was written to as `sys.stdout` and `sys.stderr`."""
        return list(self._streams.values())

    def changes(self) -> Iterator[str]:
        """Yield what is different now, such as "sys.path"."""
        if list(sys.path) != self._places:
            yield "sys.path"
        if not _is_kept_in_order(sys.meta_path, self._finders):
            yield "sys.meta_path"  # that many packages add a finder of their own there costs nobody anything
        yield from (f"sys.modules[{name!r}]" for name in self._find_replaced_modules())
        if builtins.__import__ is not self._import:
            yield "builtins.__import__"
        yield from (f"sys.{name}" for name, stream in self._streams.items() if getattr(sys, name, None) is not stream)
        names = sorted({*self._environment, *os.environ})
        yield from (f"os.environ[{n!r}]" for n in names if self._environment.get(n) != os.environ.get(n))
        yield from (f"the handler of {number.name}" for number, _ in self._find_changed_handlers())

    def keep_importing(self) -> None:
        """See to it that what could be imported before still can, whatever else is found now."""
        builtins.__import__ = self._import
        sys.path += [place for place in self._places if place not in sys.path]
        sys.meta_path += [finder for finder in self._finders if finder not in sys.meta_path]

    def restore(self) -> None:
        """Put back what was there."""
        builtins.__import__ = self._import
        if not _is_kept_in_order(sys.path, self._places):
            self._path[:] = self._places
            sys.path = self._path
        if not _is_kept_in_order(sys.meta_path, self._finders):
            self._meta_path[:] = self._finders
            sys.meta_path = self._meta_path
        for name in self._find_replaced_modules():
            if name in self._modules:
                sys.modules[name] = self._modules[name]
            else:
                del sys.modules[name]
        for name, stream in self._streams.items():
            setattr(sys, name, stream)
        if self._environment != os.environ:
            os.environ.clear()
            os.environ.update(self._environment)
        for number, handler in self._find_changed_handlers():
            with contextlib.suppress(OSError, ValueError, TypeError):  # one that was not set by Python is None
                signal.signal(number, handler)

    def _find_replaced_modules(self) -> list[str]:
        """Return the modules that are another now, or that can no longer be imported."""
        return [
            name
            for name, module in list(sys.modules.items())
            if (module is not self._modules[name] if name in self._modules else module is None)
        ]

    def _find_changed_handlers(self) -> list[tuple[signal.Signals, Any]]:
        """Return the signals with another handler now, each with the one that it had."""
        now = _signal_handlers()
        return [(number, old) for number, old in self._handlers.items() if now[number] != old]


def _signal_handlers() -> dict[signal.Signals, Any]:
    return {number: signal.getsignal(number) for number in signal.Signals}


def _is_kept_in_order(now: list[Any], before: list[Any]) -> bool:
    """Whether everything that was there still is, in its order; what was added may stand between."""
    rest = iter(now)
    return all(any(item is kept or item == kept for item in rest) for kept in before)
