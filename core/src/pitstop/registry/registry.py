"""`Registry`: workers, operations, planners and the rest by name, loaded when they are asked for, or added by hand.

How declarations are read is in `discovery`, which entry a name means in `catalog`, how an entry is loaded in `loading`,
what is made of it in `building`. Listing imports no plugin and nothing heavy.
"""

from __future__ import annotations

from pitstop.callables import call_fault
from pitstop.errors import InvalidValueError, PluginError
from pitstop.errors.hints import tell_makers
from pitstop.registry.building import (
    build_operation,
    build_worker,
    describe_target,
    find_builder,
    give_lookup,
    hook_plugin_name,
    instantiate_worker,
    planner_with_lookup,
)
from pitstop.registry.catalog import CHECKS, COMMANDS, HOOKS, OPERATIONS, PLANNERS, RUNNERS, STORES, WORKERS, Catalog
from pitstop.registry.entry_points import EntryPoint, Problem
from pitstop.registry.lint import find_unused_entry_points
from pitstop.registry.loading import Loader, PluginTypeError, keep_loaded, plugin_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from pitstop.contracts import JobStore, Planner, Runner, Worker
    from pitstop.operations import Operation


class Registry(Catalog):
    """Finds workers, operations, planners, runners, stores and commands by name, and loads one when it is asked for.

    The declarations are read once, at the first question. A name that two distributions offer must be asked for as
    "distribution/name". Safe to use from any thread.

    Args:
        allow: only these distributions may be used, beside `pitstop` itself; None for all.
        block: these may not be used. Both hold before anything is imported, and beside the environment's
            `PITSTOP_ALLOW` and `PITSTOP_BLOCK`, names separated by commas or spaces.
        path: where to look for installed distributions, as `sys.path`, which is the default.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] | None = None,
        block: Iterable[str] | None = None,
        path: Sequence[str] | None = None,
    ) -> None:
        super().__init__(allow=allow, block=block, path=path)
        self._loader = Loader()

    def refresh(self) -> None:
        """Read the declarations again, and the environment's lists. What has been loaded stays as it was imported."""
        super().refresh()
        self._loader.failures.clear()

    # -- one of them --------------------------------------------------------------------------------------------------

    def load(self, group: str, name: str) -> Any:
        """Return what is registered under a name, imported now if need be.

        Args:
            group: the entry-point group.
            name: the name, or "distribution/name" to choose between several that offer it.

        Returns:
            What the entry's target names, just as it is.

        Raises:
            UnknownNameError: nobody offers it.
            ConflictError: several distributions offer it.
            BlockedError: only distributions that are switched off offer it.
            PluginError: it cannot be imported; the next call tries again.
        """
        entry = self.entry(group, name)
        # where nothing is built, what was loaded is the whole
        return self._loader.load(entry, keep_loaded if self._builder(group) is keep_loaded else None)

    def fault(self, group: str, name: str, cause: str) -> PluginError:
        """Return the error that says what is wrong with something that was loaded and then did not do what it must."""
        entry = self.entry(group, name)
        return plugin_error(entry, cause, hint=tell_makers(entry.distribution), once_loaded=True)

    def worker(self, worker_type: str) -> Worker:
        """Return the worker of a job type: one instance for every call, made without arguments.

        Raises:
            UnknownNameError, ConflictError, BlockedError, PluginError: as `load`, also when it is no worker.
        """
        worker: Worker = self._resolve(WORKERS, worker_type)
        return worker

    def operation(self, worker_type: str, name: str) -> Operation:
        """Return an operation of a worker type.

        Raises:
            UnknownNameError, ConflictError, BlockedError, PluginError: as `load`, also when it can be no operation.
        """
        operation: Operation = self._resolve(OPERATIONS + worker_type, name)
        return operation

    def planner(self, action: str) -> Planner:
        """Return the planner of an action, with this registry as its `lookup` if it takes one. Raises as `load`."""
        return planner_with_lookup(self._resolve(PLANNERS, action), self)

    def runner(self, name: str) -> Callable[..., Runner]:
        """Return the class of a runner. Raises as `load`."""
        runner: Callable[..., Runner] = self._resolve(RUNNERS, name)
        return runner

    def store(self, scheme: str) -> Callable[[str], JobStore]:
        """Return the function that opens job stores of a URL scheme. Raises as `load`."""
        opener: Callable[[str], JobStore] = self._resolve(STORES, scheme)
        return opener

    def command(self, name: str) -> Any:
        """Return the click command of a name. Raises as `load`."""
        return self._resolve(COMMANDS, name)

    def hook_plugins(self) -> list[tuple[str, object]]:
        """Load every plugin with hooks.

        Returns:
            Each with a name of its own, "distribution/name" or that of one added by hand, sorted as `entries`. One that
            cannot be loaded is left out and is in `problems`.
        """
        return [
            (f"{entry.distribution}/{entry.name}".lstrip("/"), plugin)
            for entry, plugin in self._build_usable(self.entries(HOOKS))
        ]

    # -- what is wrong ------------------------------------------------------------------------------------------------

    @property
    def problems(self) -> list[Problem]:
        """What is known to be wrong, sorted: nothing is imported for it, and it never raises.

        Declarations that cannot be read, names in conflict, lists that name nobody, and what failed to load. Blocked
        distributions have no problems.
        """
        return sorted([*super().problems, *list(self._loader.failures.values())])

    def check(self) -> list[Problem]:
        """Load and check everything that may be used; one that is broken costs only itself.

        Returns:
            All problems, as `problems`, and operations of a worker type that nobody offers.
        """
        for _ in self._build_usable(self.entries()):
            pass  # what fails is noted
        return sorted([*self.problems, *self.unused_entry_points()])

    def unused_entry_points(self) -> list[Problem]:
        """Return what nobody will ever use, sorted: operations without a worker, groups that are misspelt."""
        off = {entry.name: rule for entry, rule in self.blocked if entry.group == WORKERS}
        return sorted(find_unused_entry_points(self.entries(), self.worker_types(), off))

    def build(self, entry: EntryPoint, loaded: Any) -> Any:
        """Return what is used of an entry, built once more from what its target names.

        Raises:
            PluginTypeError: it is not what the entry's group asks for.
            BaseException: whatever a plugin's code raises.
        """
        return self._builder(entry.group)(entry, loaded)

    # -- added by hand ------------------------------------------------------------------------------------------------

    def add_worker(self, worker: Worker | type[Worker], *, replace: bool = False) -> None:
        """Add a worker for its `worker_type`, until `remove_worker`.

        Args:
            worker: an instance, or a class, which is called now without arguments. What looks like a misspelt member of
                `BaseWorker` is warned of.
            replace: take the name even if it is taken.

        Raises:
            InvalidValueError: it is no worker, or the name is taken.
        """
        from pitstop.contracts import BaseWorker
        from pitstop.contracts.members import warn_of_misspelt_members

        try:
            instance: Worker = instantiate_worker(worker)
        except PluginTypeError as error:
            raise InvalidValueError(where="add_worker", name="worker", problem=str(error)) from error
        warn_of_misspelt_members(instance, BaseWorker)
        self._add("add_worker", WORKERS, instance.worker_type, worker, instance, replace=replace)

    def remove_worker(self, worker_type: str) -> None:
        """Take back what `add_worker` added.

        Raises:
            UnknownNameError: none was added for this type.
        """
        self._remove(WORKERS, worker_type)

    def add_operation(
        self, worker_type: str, name: str, function: Callable[..., Any], *, replace: bool = False
    ) -> None:
        """Add an operation of a worker type, until `remove_operation`.

        Args:
            worker_type: whose operation it is.
            name: what it is called in a job's config.
            function: its first argument is what the worker hands it, its keyword-only arguments are the parameters.
            replace: take the name even if it is taken.

        Raises:
            InvalidValueError: the function can be no operation, or the name is taken.
        """
        where = "add_operation"
        _check_name(where, "worker_type", worker_type)
        entry = EntryPoint(group=OPERATIONS + worker_type, name=_check_name(where, "name", name), target="")
        try:
            operation = build_operation(entry, function)
        except PluginTypeError as error:
            raise InvalidValueError(where=where, name="function", problem=str(error)) from error
        self._add(where, entry.group, name, function, operation, replace=replace)

    def remove_operation(self, worker_type: str, name: str) -> None:
        """Take back what `add_operation` added.

        Raises:
            UnknownNameError: none of this name was added.
        """
        self._remove(OPERATIONS + worker_type, name)

    def add_planner(self, action: str, planner: Planner, *, replace: bool = False) -> None:
        """Add the planner of an action, until `remove_planner`.

        Args:
            action: what it plans.
            planner: called with the config, returns a plan.
            replace: take the name even if it is taken.

        Raises:
            InvalidValueError: it cannot be called, or the name is taken.
        """
        _check_name("add_planner", "action", action)
        if not callable(planner):
            raise InvalidValueError(where="add_planner", name="planner", problem=f"{planner!r} cannot be called")
        if fault := call_fault(planner):
            raise InvalidValueError(where="add_planner", name="planner", problem=f"it {fault}")
        self._add("add_planner", PLANNERS, action, planner, planner, replace=replace)

    def remove_planner(self, action: str) -> None:
        """Take back what `add_planner` added.

        Raises:
            UnknownNameError: none was added for this action.
        """
        self._remove(PLANNERS, action)

    def add_hooks(self, plugin: object, *, replace: bool = False) -> None:
        """Add a module or object with hook functions, until `remove_hooks`.

        Args:
            plugin: has functions marked with `pitstop.hookimpl`.
            replace: accept it even if it has been added already.

        Raises:
            InvalidValueError: it is no hook plugin (the text says why), or has been added already.
        """
        from pitstop.contracts.hooks import find_fault

        fault = find_fault(plugin)
        if fault is not None:
            raise InvalidValueError(where="add_hooks", name="plugin", problem=f"{plugin!r}: {fault}")
        self._add("add_hooks", HOOKS, hook_plugin_name(plugin), plugin, plugin, replace=replace)

    def remove_hooks(self, plugin: object) -> None:
        """Take back what `add_hooks` added.

        Raises:
            UnknownNameError: it was not added.
        """
        self._remove(HOOKS, hook_plugin_name(plugin))

    def added(self) -> list[tuple[EntryPoint, Any]]:
        """Return what was added by hand: the entry of each, and the thing as it was given."""
        with self._lock:
            return [(entry, self._loader.load(entry)) for entry in list(self._added.values())]

    # -- within -------------------------------------------------------------------------------------------------------

    def _resolve(self, group: str, name: str) -> Any:
        return self._loader.load(self.entry(group, name), self._builder(group))

    def _build_usable(self, entries: Iterable[EntryPoint]) -> Iterator[tuple[EntryPoint, Any]]:
        """Yield what is used of each entry; one that cannot be had is left out, and the loader has noted it."""
        for entry in entries:
            try:
                yield entry, self._loader.load(entry, self._builder(entry.group))
            except PluginError:
                continue

    def _builder(self, group: str) -> Callable[[EntryPoint, Any], Any]:
        if group == WORKERS:
            return self._build_worker
        return find_builder(group) or (self._run_checks if self.has(CHECKS, group) else keep_loaded)

    def _run_checks(self, entry: EntryPoint, loaded: Any) -> Any:
        """Return what was loaded, after the checks that plugins offer for its group."""
        offered = [check for check in self.entries(CHECKS) if check.name == entry.group]
        for _, check in self._build_usable(offered):
            try:
                check(entry.name, loaded, self)
            except (TypeError, ValueError) as error:
                raise PluginTypeError(str(error)) from error
        return loaded

    def _build_worker(self, entry: EntryPoint, loaded: Any) -> Worker:
        worker = build_worker(entry, loaded)
        give_lookup(worker, self)
        return worker

    def _add(self, where: str, group: str, name: str, thing: Any, built: Any, *, replace: bool) -> None:
        entry = EntryPoint(group=group, name=name, target=describe_target(thing))
        with self._lock:
            if not replace:
                if self._is_declared(entry, thing):
                    return  # a module that adds what its own distribution declares adds nothing
                self._refuse_taken(where, group, name)
            if group == WORKERS:
                give_lookup(built, self)
            self._loader.add(entry, thing, built)
            self.add_entry(entry)

    def _is_declared(self, entry: EntryPoint, thing: Any) -> bool:
        if not hasattr(thing, "__qualname__"):
            return False  # an object has what its class may not have
        same = [offer for offer in self.entries(entry.group) if offer.name == entry.name]
        return bool(same) and all(offer.distribution and offer.target == entry.target for offer in same)

    def _remove(self, group: str, name: str) -> None:
        with self._lock:
            self._loader.remove(self._remove_entry(group, name))


def _check_name(where: str, argument: str, name: str) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidValueError(where=where, name=argument, problem=f"{name!r} is not a name")
    return name
