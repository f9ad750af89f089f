"""The hooks on the life of a job: their specifications, and a dispatch in which one bad plugin costs only itself.

pluggy checks the plugins against the specifications and puts them in order. The calls are made here, one plugin at a
time, because in pluggy's own a hook that raises takes every other plugin's result with it, and the job's
(docs/decisions/hook-isolation.md). Finds and loads no plugin; the registry does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from pitstop.errors import nearest
from pitstop.jobs import Job, JobRecord, Progress

if TYPE_CHECKING:
    from pitstop.contracts import JobContext

PROJECT = "pitstop"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Execute = Callable[[], Any]


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


def fault_of(plugin: object) -> str | None:
    """Return why an object cannot be a hook plugin, or None if it can.

    It must have functions marked with `@pitstop.hookimpl`, each named as one of `Specifications` with none but its
    arguments, and only `pitstop_around_execute` is a wrapper, and always is.
    """
    if isinstance(plugin, type):
        return f"it is the class {plugin.__name__}; give an instance, or a module"
    manager = _new_manager()
    try:
        manager.register(plugin, "plugin")
    except KeyboardInterrupt:
        raise
    except pluggy.PluginValidationError as error:
        return _fault_of_arguments(manager, plugin) or " ".join(f"{error}".split()).removeprefix("Plugin 'plugin' for ")
    except BaseException as error:
        # whatever attributes of a stranger's object raise when they are looked at
        return re.sub(r" at 0x[0-9a-f]+", "", f"{type(error).__name__}: {error}")
    callers = manager.get_hookcallers(plugin)
    for caller in callers or ():
        if not caller.has_spec() and not all(impl.optionalhook for impl in caller.get_hookimpls()):
            close = nearest(caller.name, _NAMES)
            return f"unknown hook {caller.name!r}; " + (f"did you mean {close!r}?" if close else _THERE_ARE)
    if not callers:
        return f"it has no function marked with @pitstop.hookimpl; {_THERE_ARE}"
    for caller in callers:
        wraps = any(impl.wrapper or impl.hookwrapper for impl in caller.get_hookimpls())
        if caller.name == _AROUND and not all(impl.wrapper for impl in caller.get_hookimpls()):
            return f"{_AROUND} must be @hookimpl(wrapper=True)"
        if caller.name != _AROUND and wraps:
            return f"{caller.name} cannot be a wrapper"
    return None


def _fault_of_arguments(manager: pluggy.PluginManager, plugin: object) -> str | None:
    """Return which argument a hook does not have, or None if that is not the fault."""
    for name in _NAMES:
        if manager.parse_hookimpl_opts(plugin, name) is None:
            continue
        known = list(inspect.signature(getattr(Specifications, name)).parameters)[1:]
        given = inspect.signature(getattr(plugin, name)).parameters.values()
        for parameter in given:
            if parameter.name not in known and parameter.default is parameter.empty:
                return f"{name} has no argument {parameter.name!r}; it has: {', '.join(known)}"
    return None


def _new_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Specifications)
    return manager


_AROUND = "pitstop_around_execute"
_NAMES = tuple(name for name in vars(Specifications) if name.startswith("pitstop_"))
_THERE_ARE = f"there are: {', '.join(_NAMES)}"


class Hooks:
    """Calls the registered hook plugins.

    Args:
        plugins: pairs of a name and a module or object with `@hookimpl` functions.

    Attributes:
        failures: a text for each plugin that could not be registered, and for the latest that raised.
    """

    def __init__(self, plugins: Iterable[tuple[str, object]] = ()) -> None:
        self._manager = _new_manager()
        self.failures: list[str] = []
        self._any = False  # with no plugin, which is most often, a hook costs next to nothing
        for name, plugin in plugins:
            self.add(name, plugin)

    def add(self, name: str, plugin: object) -> bool:
        """Register a plugin. Returns whether it is one; if not, `failures` says why."""
        fault = fault_of(plugin)
        if fault is None and (self._manager.is_registered(plugin) or self._manager.has_plugin(name)):
            fault = "it, or another one of this name, is registered already"
        if fault is None:
            self._manager.register(plugin, name)
            self._any = True
        else:
            self._note(f"hook plugin {name!r} was not registered: {fault}")
        return fault is None

    def created(self, record: JobRecord) -> None:
        """Tell that a job was created."""
        self._call("pitstop_job_created", record=record)

    def started(self, record: JobRecord) -> None:
        """Tell that a job was claimed and starts."""
        self._call("pitstop_job_started", record=record)

    def progress(self, job: Job, progress: Progress) -> None:
        """Tell how far a job is."""
        self._call("pitstop_job_progress", job=job, progress=progress)

    def finished(self, record: JobRecord) -> None:
        """Tell that a job has ended."""
        self._call("pitstop_job_finished", record=record)

    @property
    def wants_finished(self) -> bool:
        """Whether any plugin wants to know of ends; looking records up for nobody would cost."""
        return bool(self._manager.hook.pitstop_job_finished.get_hookimpls())

    def around(self, job: Job, context: JobContext, execute: Execute) -> Any:
        """Call `execute` inside every `pitstop_around_execute` wrapper and return the result.

        Raises:
            BaseException: what `execute` raised, unless a wrapper turned it into a result.
        """
        impls = self._manager.hook.pitstop_around_execute.get_hookimpls() if self._any else []
        if not impls:
            return execute()
        entered = self._enter(impls, {"job": job, "context": context})
        result: Any = None
        error: BaseException | None = None
        try:
            result = execute()
        except BaseException as raised:
            error = raised
        for impl, wrapper in reversed(entered):
            result, error = self._leave(impl, wrapper, result, error)
        if error is not None:
            raise error
        return result

    def _enter(self, impls: list[Any], arguments: dict[str, Any]) -> list[tuple[Any, Generator[None, Any, Any]]]:
        entered = []
        for impl in reversed(impls):
            try:
                wrapper = impl.function(*(arguments[name] for name in impl.argnames))
                next(wrapper)
            except StopIteration:
                self._failed(impl, "pitstop_around_execute", RuntimeError("the wrapper did not yield"))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._failed(impl, "pitstop_around_execute", error)
            else:
                entered.append((impl, wrapper))
        return entered

    def _leave(
        self, impl: Any, wrapper: Generator[None, Any, Any], result: Any, error: BaseException | None
    ) -> tuple[Any, BaseException | None]:
        try:
            if error is not None:
                wrapper.throw(error)
            else:
                wrapper.send(result)
        except StopIteration as stop:
            return stop.value, None
        except BaseException as raised:
            # Python turns a StopIteration that passes through a generator into a RuntimeError
            passed = raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error)
            if not passed:
                if isinstance(raised, KeyboardInterrupt):
                    raise
                self._failed(impl, "pitstop_around_execute", raised)
            return result, error
        self._failed(impl, "pitstop_around_execute", RuntimeError("the wrapper yielded twice"))
        try:
            wrapper.close()
        except KeyboardInterrupt:
            raise
        except BaseException as raised:
            self._failed(impl, "pitstop_around_execute", raised)
        return result, error

    def _call(self, hook: str, **arguments: Any) -> None:
        if not self._any:
            return
        for impl in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            try:
                impl.function(*(arguments[name] for name in impl.argnames))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                # also SystemExit: a plugin that calls sys.exit must not end its host
                self._failed(impl, hook, error)

    def _failed(self, impl: Any, hook: str, error: BaseException) -> None:
        self._note(f"hook plugin {impl.plugin_name!r} raised in {hook}: {type(error).__name__}: {error}")
        for other in reversed(self._manager.hook.pitstop_plugin_failed.get_hookimpls()):
            if other.plugin is impl.plugin:
                continue
            told = {"plugin": impl.plugin_name, "hook": hook, "error": error}
            try:
                other.function(*(told[name] for name in other.argnames))
            except KeyboardInterrupt:
                raise
            except BaseException as second:
                self._note(f"hook plugin {other.plugin_name!r} raised in pitstop_plugin_failed: {second}")

    def _note(self, text: str) -> None:
        from pitstop import logs

        self.failures = [*self.failures[-99:], text]
        logs.report(text)
