"""The hooks on the life of a job: their specifications, and which objects fit them. `execution.hooks` calls them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pluggy

from pitstop.callables import call_fault
from pitstop.jobs import Job, JobRecord, Progress
from pitstop.text import suggest

if TYPE_CHECKING:
    from pitstop.contracts import JobContext

PROJECT = "pitstop"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Specifications:
    """What a hook plugin may implement.

    An implementation names only the arguments that it wants. Each hook is called in the process and the thread where
    the thing happens, and that thread waits for it. Whatever it raises, `SystemExit` too, is reported and told to
    `pitstop_plugin_failed`; it costs no job and no other plugin. Only a `KeyboardInterrupt` passes: it is the user's.
    So no hook can refuse a job.
    """

    @hookspec
    def pitstop_job_created(self, record: JobRecord) -> None:
        """Called for each job of a submission, parents before their children.

        When: after the transaction that stores all of them, and before any is handed to the runner.

        Where: in the process and the thread that submits.

        Args:
            record: as it was stored.
        """

    @hookspec
    def pitstop_job_started(self, record: JobRecord) -> None:
        """Called at each attempt of a job; not for a parent, which is running from the start.

        When: after the transaction that claims the job, and before its config is expanded and its worker looked up.
        What it logs is not in the job's log yet, and its time is not the job's.

        Where: in the thread that looks after the attempt, in the process that claimed it: with the process runner the
        parent's, with an engine the engine's worker.

        Args:
            record: as it was claimed, running, with its `attempt`.
        """

    @hookspec
    def pitstop_job_progress(self, job: Job, progress: Progress) -> None:
        """Called when progress is passed on: four times a second at most, and when all is done.

        When: after it is stored. If the store refuses it, that is reported and the hook is called all the same.

        Where: in the thread that reported it, with the inline and the thread runner, so that a slow hook makes the job
        slow; with the process runner in the parent, in the thread that looks after the child.

        Args:
            job: the job, as it was submitted: no secret is expanded in its config.
            progress: how far it is, secrets masked.
        """

    @hookspec
    def pitstop_job_finished(self, record: JobRecord) -> None:
        """Called after an end: completed, failed or cancelled, jobs and parents alike; not before another attempt.

        When: after the transaction that stores the end. A process that dies in between calls it never, and nobody
        calls it twice.

        Where: a job's in the thread that ran it; a parent's in the thread in which its last child ended; that of a job
        that had not started in the thread that cancelled it; that of a lost job in the process that rescues it.

        Args:
            record: as it is stored, with its result or error.
        """

    @hookspec
    def pitstop_plugin_failed(self, plugin: str, hook: str, error: BaseException) -> None:
        """Called when another hook plugin has raised. One that cannot be loaded is told of by `pitstop doctor`.

        When: at once, before the next plugin is called.

        Where: in the thread in which the other one raised; if that was `pitstop_around_execute` with the process
        runner, in the child process. What is raised here is reported, and nobody is told.

        Args:
            plugin: the name of the plugin that raised, "distribution/name" or that of one added by code.
            hook: which of its hooks.
            error: what it raised.
        """

    @hookspec
    def pitstop_around_execute(self, job: Job, context: JobContext) -> Generator[None, Any, Any]:
        """Wrap a worker's `execute`: a generator that yields once and returns the result, as it is or another.

        Declare it with `@hookimpl(wrapper=True)`. At the `yield` it receives what the worker returned, or what the
        worker raised is raised there; letting that pass is the right thing, and returning instead makes a result of it.
        An exception of the wrapper's own is reported and changes nothing for the job: before the `yield` the wrapper is
        left out, after it what the worker returned or raised stands.

        When: after the worker's `validate`, within the job's deadline, between two transactions. What it logs is in
        the job's log.

        Where: in the process and the thread that execute the job; with the process runner that is the child process.

        Args:
            job: the job, with its config expanded.
            context: what the worker gets.
        """
        yield


def find_fault(plugin: object) -> str | None:
    """Return why an object cannot be a hook plugin, or None if it can.

    It must have functions marked with `@pitstop.hookimpl`, each named as one of `Specifications` with none but its
    arguments. Only `pitstop_around_execute` is a wrapper, and always is; none is an `async def`.
    """
    if isinstance(plugin, type):
        return f"it is the class {plugin.__name__}; give an instance, or a module"
    manager = make_manager()
    try:
        manager.register(plugin, "plugin")
    except KeyboardInterrupt:
        raise
    except pluggy.PluginValidationError as error:
        return _find_function_fault(manager, plugin) or " ".join(f"{error}".split()).removeprefix(
            "Plugin 'plugin' for "
        )
    except BaseException as error:
        # whatever attributes of a stranger's object raise when they are looked at
        return re.sub(r" at 0x[0-9a-f]+", "", f"{type(error).__name__}: {error}")
    callers = manager.get_hookcallers(plugin)
    for caller in callers or ():
        if not caller.has_spec() and not all(impl.optionalhook for impl in caller.get_hookimpls()):
            return f"unknown hook {caller.name!r}; {suggest(caller.name, _NAMES) or _THERE_ARE}"
    if not callers:
        return f"it has no function marked with @pitstop.hookimpl; {_THERE_ARE}"
    faults = (_find_implementation_fault(caller.name, impl) for caller in callers for impl in caller.get_hookimpls())
    return next(filter(None, faults), None)


def _find_implementation_fault(hook: str, impl: pluggy.HookImpl) -> str | None:
    if hook == _AROUND:
        return None if impl.wrapper else f"{_AROUND} must be @hookimpl(wrapper=True)"
    if impl.wrapper or impl.hookwrapper:
        return f"{hook} cannot be a wrapper"
    fault = call_fault(impl.function)
    return f"{hook} {fault}" if fault else None


def _find_function_fault(manager: pluggy.PluginManager, plugin: object) -> str | None:
    """Return which argument a hook does not have, or that a wrapper does not yield, or None if neither is the fault."""
    for name in _NAMES:
        if manager.parse_hookimpl_opts(plugin, name) is None:
            continue
        if name == _AROUND and not inspect.isgeneratorfunction(getattr(plugin, name)):
            return f"{_AROUND}, with wrapper=True, must be a plain 'def' that yields once"
        known = list(inspect.signature(getattr(Specifications, name)).parameters)[1:]
        given = inspect.signature(getattr(plugin, name)).parameters.values()
        for parameter in given:
            if parameter.name not in known and parameter.default is parameter.empty:
                return f"{name} has no argument {parameter.name!r}; it has: {', '.join(known)}"
    return None


def make_manager() -> pluggy.PluginManager:
    """Return a pluggy manager that knows the specifications and no plugin yet."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Specifications)
    return manager


_AROUND = "pitstop_around_execute"
_NAMES = tuple(name for name in vars(Specifications) if name.startswith("pitstop_"))
_THERE_ARE = f"there are: {', '.join(_NAMES)}"
