"""The child process of `pitstop.registry.doctor.prober`: imports one entry after another, and reports on each.

A plugin may print, change the working folder, end or hang the process: the prober watches for all of that. What can be
undone between two plugins is undone (see `side_effects`), so that none is blamed for what another one did.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from typing import Any

from pitstop.children import Channel
from pitstop.contracts import BaseRunner, BaseWorker
from pitstop.contracts.members import misspelt_members
from pitstop.errors.hints import remedy
from pitstop.registry.catalog import CHECKS, COMMANDS, PLANNERS, RUNNERS, STORES, WORKERS
from pitstop.registry.doctor.side_effects import ProcessState
from pitstop.registry.entry_points import EntryPoint
from pitstop.registry.loading import PluginTypeError, describe_cause, import_target
from pitstop.registry.registry import Registry
from pitstop.secrets.masking import mask

#: How many things that an import has changed are told by name.
_TOLD = 3


def main() -> None:
    """Try the entries that the parent's first message asks for, send a message about each, and end."""
    channel = Channel.to_parent()  # a plugin that asks its user something gets no answer
    messages = iter(channel)
    request = next(messages)
    entries = [EntryPoint(**fields) for fields in request["entries"]]
    registry = Registry(**request["registry"])
    this = os.getpid()
    channel.send({"ready": True})
    before, whose = ProcessState(), ""
    for entry in entries:
        if entry.distribution != whose:
            before.restore()
            before, whose = ProcessState(), entry.distribution
        answer = _try_entry(entry, registry)
        for stream in (sys.stdout, sys.stderr, *before.streams):
            with contextlib.suppress(Exception):
                stream.flush()
        if os.getpid() != this:  # a plugin has forked, and let both go on
            os._exit(0)
        channel.send(answer)
        next(messages)  # until it has been seen what this one printed
    # not sys.exit: threads and exit handlers of plugins could keep it from ending
    os._exit(0)


def _try_entry(entry: EntryPoint, registry: Registry) -> dict[str, Any]:
    """Return how long an entry's import took, in ms, why it cannot be used, what to do, and what else it did."""
    answer: dict[str, Any] = {"import_ms": None, "cause": "", "hint": "", "notes": []}
    before, filters, folder, threads = ProcessState(), warnings.filters[:], os.getcwd(), _count_threads()
    changed: list[str] = []
    began = time.perf_counter()
    try:
        loaded = import_target(entry)
        answer["import_ms"] = round((time.perf_counter() - began) * 1000, 1)
        changed = list(before.changes())
        before.keep_importing()
        built = registry.build(entry, loaded)
        _check_signatures(entry, built)
        if contract := _CONTRACTS.get(entry.group):
            answer["notes"] += [f"it {sentence}" for sentence in misspelt_members(built, contract)]
    except BaseException as error:  # also KeyboardInterrupt: nobody but the plugin can raise it here
        answer["cause"], answer["hint"] = mask(describe_cause(error)), remedy(entry.distribution, entry.target, error)
    if os.getcwd() != folder:
        answer["notes"].append("it changes the working folder of the process that imports it")
        os.chdir(folder)
    if _count_threads() > threads:
        answer["notes"].append("it starts a thread when it is imported, in every process that uses it")
    warnings.filters[:] = filters  # type: ignore[index]
    changed = list(dict.fromkeys([*changed, *before.changes()]))
    before.keep_importing()
    if changed:
        more = f" and {len(changed) - _TOLD} more" if len(changed) > _TOLD else ""
        answer["notes"].append(f"its import changes {', '.join(changed[:_TOLD])}{more}, for all that its process runs")
    return answer


_CONTRACTS: dict[str, type] = {WORKERS: BaseWorker, RUNNERS: BaseRunner}


def _count_threads() -> int:
    threading = sys.modules.get("threading")
    return threading.active_count() if threading else 1


def _check_signatures(entry: EntryPoint, built: Any) -> None:
    """Check what the registry leaves to the first call: that what is called can be called so."""
    if entry.group == WORKERS:
        _check_callable("validate", built.validate, 1)
        _check_callable("execute", built.execute, 2)
    elif entry.group in (PLANNERS, STORES):
        _check_callable("", built, 1)
    elif entry.group == CHECKS:
        _check_callable("", built, 3)
    elif entry.group == RUNNERS and isinstance(built, type):
        missing = [name for name in ("start", "submit", "cancel", "stop") if not callable(getattr(built, name, None))]
        if missing:
            raise PluginTypeError(f"it has no method {missing[0]!r}")
    elif entry.group == COMMANDS:
        from click import Command

        if not isinstance(built, Command):
            raise PluginTypeError(f"it is of type {type(built).__name__}, not a click command")


def _check_callable(name: str, function: Any, arguments: int) -> None:
    import inspect

    what = f"its method {name!r}" if name else "it"
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # written in C, and says nothing of itself
    try:
        signature.bind(*[None] * arguments)
    except TypeError as error:
        called = "argument" if arguments == 1 else "arguments"
        raise PluginTypeError(f"{what} cannot be called with {arguments} {called}: {error}") from error
