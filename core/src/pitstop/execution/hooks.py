"""Calls hook plugins so that one that raises costs only itself.

pluggy checks the plugins against the specifications and puts them in order. The calls are made here, one plugin at a
time, because in pluggy's own a hook that raises takes every other plugin's result with it, and the job's
(docs/decisions/hook-isolation.md). Finds and loads no plugin; the registry does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

from pitstop.contracts import JobContext
from pitstop.contracts.hooks import find_fault, make_manager
from pitstop.jobs import Job, JobRecord, Progress
from pitstop.registry.entry_points import describe_error

Execute = Callable[[], Any]


class Hooks:
    """Calls the registered hook plugins.

    Args:
        plugins: pairs of a name and a module or object with `@hookimpl` functions.

    Attributes:
        failures: a text for each plugin that could not be registered, and for the latest that raised.
    """

    def __init__(self, plugins: Iterable[tuple[str, object]] = ()) -> None:
        self._manager = make_manager()
        self.failures: list[str] = []
        self._any = False  # with no plugin, which is most often, a hook costs next to nothing
        for name, plugin in plugins:
            self.add(name, plugin)

    def add(self, name: str, plugin: object) -> bool:
        """Register a plugin. Returns whether it is one; if not, `failures` says why."""
        fault = find_fault(plugin)
        if fault is None and (self._manager.is_registered(plugin) or self._manager.has_plugin(name)):
            fault = "it, or another one of this name, is registered already"
        if fault is None:
            self._manager.register(plugin, name)
            self._any = True
        else:
            self._keep_failure(f"hook plugin {name!r} was not registered: {fault}")
        return fault is None

    def notify_created(self, record: JobRecord) -> None:
        """Tell that a job was created."""
        self._call("pitstop_job_created", record=record)

    def notify_started(self, record: JobRecord) -> None:
        """Tell that a job was claimed and starts."""
        self._call("pitstop_job_started", record=record)

    def notify_progress(self, job: Job, progress: Progress) -> None:
        """Tell how far a job is."""
        self._call("pitstop_job_progress", job=job, progress=progress)

    def notify_finished(self, record: JobRecord) -> None:
        """Tell that a job has ended."""
        self._call("pitstop_job_finished", record=record)

    @property
    def wants_finished(self) -> bool:
        """Whether any plugin wants to know of ends; looking records up for nobody would cost."""
        return bool(self._manager.hook.pitstop_job_finished.get_hookimpls())

    def execute_wrapped(self, job: Job, context: JobContext, execute: Execute) -> Any:
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
                self._report_failure(impl, "pitstop_around_execute", RuntimeError("the wrapper did not yield"))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._report_failure(impl, "pitstop_around_execute", error)
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
                self._report_failure(impl, "pitstop_around_execute", raised)
            return result, error
        self._report_failure(impl, "pitstop_around_execute", RuntimeError("the wrapper yielded twice"))
        try:
            wrapper.close()
        except KeyboardInterrupt:
            raise
        except BaseException as raised:
            self._report_failure(impl, "pitstop_around_execute", raised)
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
                self._report_failure(impl, hook, error)

    def _report_failure(self, impl: Any, hook: str, error: BaseException) -> None:
        self._keep_failure(f"hook plugin {impl.plugin_name!r} raised in {hook}: {describe_error(error, whole=True)}")
        for other in reversed(self._manager.hook.pitstop_plugin_failed.get_hookimpls()):
            if other.plugin is impl.plugin:
                continue
            arguments = {"plugin": impl.plugin_name, "hook": hook, "error": error}
            try:
                other.function(*(arguments[name] for name in other.argnames))
            except KeyboardInterrupt:
                raise
            except BaseException as second:
                raised = f"raised in pitstop_plugin_failed: {describe_error(second, whole=True)}"
                self._keep_failure(f"hook plugin {other.plugin_name!r} {raised}")

    def _keep_failure(self, text: str) -> None:
        from pitstop import logs

        self.failures = [*self.failures[-99:], text]
        logs.warn(text)
