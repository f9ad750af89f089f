"""The child process of `pitstop.probing`: imports one entry after another, and writes a line about each.

A plugin may print, change the working folder, end or hang the process: all that is for `pitstop.probing` to see. What
can be undone between two plugins is undone (see `surroundings`), so that none is blamed for what another one did.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import warnings
from typing import Any

from pitstop.declarations import Entry, cause_of
from pitstop.loading import UnfitError, target_of
from pitstop.masking import mask
from pitstop.offers import CHECKS, COMMANDS, PLANNERS, RUNNERS, STORES, WORKERS
from pitstop.registry import Registry
from pitstop.remedies import remedy
from pitstop.surroundings import Surroundings

#: How many things that an import has changed are told by name.
_TOLD = 3


def main() -> None:
    """Try the entries that the first line of stdin asks for; write to the file descriptor that it names, and end."""
    request = json.loads(sys.stdin.readline())
    entries = [Entry(**fields) for fields in request["entries"]]
    registry = Registry(**request["registry"])
    descriptor, this = request["descriptor"], os.getpid()
    told = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a plugin that asks its user something gets no answer
    _write(descriptor, {"ready": True})
    before, whose = Surroundings(), ""
    for entry in entries:
        if entry.distribution != whose:
            before.restore()
            before, whose = Surroundings(), entry.distribution
        answer = _tried(entry, registry)
        for stream in (sys.stdout, sys.stderr, *before.streams):
            with contextlib.suppress(Exception):
                stream.flush()
        if os.getpid() != this:  # a plugin has forked, and let both go on
            os._exit(0)
        _write(descriptor, answer)
        os.read(told, 64)  # until it has been seen what this one printed
    # not sys.exit: threads and exit handlers of plugins could keep it from ending
    os._exit(0)


def _write(descriptor: int, document: dict[str, Any]) -> None:
    os.write(descriptor, json.dumps(document).encode("ascii") + b"\n")


def _tried(entry: Entry, registry: Registry) -> dict[str, Any]:
    """Return how long an entry's import took, in ms, why it cannot be used, what to do, and what else it did."""
    answer: dict[str, Any] = {"import_ms": None, "cause": "", "hint": "", "notes": []}
    before, filters, folder, threads = Surroundings(), warnings.filters[:], os.getcwd(), _threads()
    changed: list[str] = []
    began = time.perf_counter()
    try:
        loaded = target_of(entry)
        answer["import_ms"] = round((time.perf_counter() - began) * 1000, 1)
        changed = list(before.changes())
        before.keep_importing()
        made = registry.make(entry, loaded)
        _check_signatures(entry, made)
    except BaseException as error:  # also KeyboardInterrupt: nobody but the plugin can raise it here
        answer["cause"], answer["hint"] = _told(error), remedy(entry.distribution, entry.target, error)
    if os.getcwd() != folder:
        answer["notes"].append("it changes the working folder of the process that imports it")
        os.chdir(folder)
    if _threads() > threads:
        answer["notes"].append("it starts a thread when it is imported, in every process that uses it")
    warnings.filters[:] = filters  # type: ignore[index]
    changed = list(dict.fromkeys([*changed, *before.changes()]))
    before.keep_importing()
    if changed:
        more = f" and {len(changed) - _TOLD} more" if len(changed) > _TOLD else ""
        answer["notes"].append(f"its import changes {', '.join(changed[:_TOLD])}{more}, for all that its process runs")
    return answer


def _told(error: BaseException) -> str:
    try:
        return mask(str(error) if isinstance(error, UnfitError) else cause_of(error))
    except BaseException:
        return f"{type(error).__name__} (its text cannot be had)"


def _threads() -> int:
    threading = sys.modules.get("threading")
    return threading.active_count() if threading else 1


def _check_signatures(entry: Entry, made: Any) -> None:
    """Check what the registry leaves to the first call: that what is called can be called so.

    Raises:
        UnfitError: it cannot.
    """
    if entry.group == WORKERS:
        _check_callable("validate", made.validate, 1)
        _check_callable("execute", made.execute, 2)
    elif entry.group in (PLANNERS, STORES):
        _check_callable("", made, 1)
    elif entry.group == CHECKS:
        _check_callable("", made, 3)
    elif entry.group == RUNNERS and isinstance(made, type):
        missing = [name for name in ("start", "submit", "cancel", "stop") if not callable(getattr(made, name, None))]
        if missing:
            raise UnfitError(f"it has no method {missing[0]!r}")
    elif entry.group == COMMANDS:
        from click import Command

        if not isinstance(made, Command):
            raise UnfitError(f"it is of type {type(made).__name__}, not a click command")


def _check_callable(name: str, function: Any, arguments: int) -> None:
    import inspect

    what = f"its method {name!r}" if name else "it"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise UnfitError(f"{what} is a coroutine function; it must be a plain one")
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # written in C, and says nothing of itself
    try:
        signature.bind(*[None] * arguments)
    except TypeError as error:
        called = "argument" if arguments == 1 else "arguments"
        raise UnfitError(f"{what} cannot be called with {arguments} {called}: {error}") from error


if __name__ == "__main__":
    main()
