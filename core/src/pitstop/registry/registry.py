"""`Registry`: workers, operations, planners and the rest by name, loaded when they are asked for, or added by hand.

Owns what has been loaded and what failed to load. How declarations are read is in `discovery`, which entry a name
means in `catalog`, how an entry becomes a thing in `loading`. Listing imports no plugin and nothing heavy.
"""

from __future__ import annotations

from _thread import RLock

from pitstop.callables import call_fault
from pitstop.errors import InvalidValueError, PluginError
from pitstop.errors.hints import telling
from pitstop.registry.catalog import (
    CHECKS,
    COMMANDS,
    HOOKS,
    OPERATIONS,
    PLANNERS,
    RUNNERS,
    STORES,
    TEMPLATES,
    WORKERS,
    Catalog,
    group_noun,
)
from pitstop.registry.entry_points import Distribution, EntryPoint, Problem
from pitstop.registry.lint import entry_problem, find_unused_entry_points
from pitstop.registry.loading import (
    LazyPlugin,
    PluginTypeError,
    build_operation,
    build_worker,
    check_callable,
    check_runner,
    describe_target,
    give_lookup,
    instantiate_worker,
    planner_with_lookup,
)
from pitstop.secrets.masking import mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from pitstop.contracts import JobStore, Planner, Runner, Worker
    from pitstop.operations import Operation


class Registry:
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
        self._catalog = Catalog(allow=allow, block=block, path=path)
        self._lock = RLock()
        self._plugins: dict[EntryPoint, LazyPlugin] = {}
        self._failures: dict[EntryPoint, Problem] = {}
        self._changes = 0
        self._cache: dict[tuple[str, str], tuple[int, Any]] = {}

    # -- what there is ------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the declarations again, and the environment's lists. What has been loaded stays as it was imported."""
        import importlib

        importlib.invalidate_caches()
        self._catalog.refresh()
        self._failures.clear()
        self._changes += 1

    def entries(self, group: str | None = None) -> list[EntryPoint]:
        """Return what may be used, sorted by group, name and distribution; nothing is imported.

        Args:
            group: only what this group offers.

        Returns:
            Entries; those added by hand have the distribution "".
        """
        return self._catalog.entries(group)

    @property
    def blocked(self) -> list[tuple[EntryPoint, str]]:
        """What may not be used, sorted, each with the rule against it, such as "PITSTOP_BLOCK=bad-plug"."""
        return self._catalog.blocked()

    def names(self, group: str) -> list[str]:
        """Return the names that a group offers, sorted; nothing is imported."""
        return self._catalog.names(group)

    def worker_types(self) -> list[str]:
        """Return the job types that have a worker, sorted; nothing is imported."""
        return self.names(WORKERS)

    def operation_names(self, worker_type: str) -> list[str]:
        """Return the names of the operations of a worker type, sorted; nothing is imported."""
        return self.names(OPERATIONS + worker_type)

    def planner_names(self) -> list[str]:
        """Return the actions that have a planner, sorted; nothing is imported."""
        return self.names(PLANNERS)

    def has(self, group: str, name: str) -> bool:
        """Whether a group offers a name; nothing is imported."""
        return self._catalog.has(group, name)

    def distributions(self) -> list[tuple[Distribution, str | None]]:
        """Return who offers anything, or tries to, sorted, each with the rule against it, if there is one."""
        return self._catalog.distributions()

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
        return self._load(self._catalog.find(group, name))

    def entry(self, group: str, name: str) -> EntryPoint:
        """Return who offers a name, or a "distribution/name"; nothing is imported.

        Raises:
            UnknownNameError, ConflictError, BlockedError: there is not exactly one.
        """
        return self._catalog.find(group, name)

    def fault(self, group: str, name: str, cause: str) -> PluginError:
        """Return the error that says what is wrong with something that was loaded and then did not do what it must."""
        entry = self._catalog.find(group, name)
        return PluginError(
            kind=group_noun(group),
            name=name,
            distribution=entry.distribution,
            version=entry.version,
            target=entry.target,
            cause=cause,
            once_loaded=True,
            hint=telling(entry.distribution) if entry.distribution else "",
        )

    def worker(self, worker_type: str) -> Worker:
        """Return the worker of a job type: one instance for every call, made without arguments.

        Raises:
            UnknownNameError, ConflictError, BlockedError, PluginError: as `load`, also when it is no worker.
        """
        worker: Worker = self._resolve_cached(WORKERS, worker_type)
        return worker

    def operation(self, worker_type: str, name: str) -> Operation:
        """Return an operation of a worker type.

        Raises:
            UnknownNameError, ConflictError, BlockedError, PluginError: as `load`, also when it can be no operation.
        """
        operation: Operation = self._resolve_cached(OPERATIONS + worker_type, name)
        return operation

    def planner(self, action: str) -> Planner:
        """Return the planner of an action, with this registry as its `lookup` if it takes one. Raises as `load`."""
        return planner_with_lookup(self._resolve(self._catalog.find(PLANNERS, action)), self)

    def runner(self, name: str) -> Callable[..., Runner]:
        """Return the class of a runner. Raises as `load`."""
        runner: Callable[..., Runner] = self._resolve(self._catalog.find(RUNNERS, name))
        return runner

    def store(self, scheme: str) -> Callable[[str], JobStore]:
        """Return the function that opens job stores of a URL scheme. Raises as `load`."""
        opener: Callable[[str], JobStore] = self._resolve(self._catalog.find(STORES, scheme))
        return opener

    def command(self, name: str) -> Any:
        """Return the click command of a name. Raises as `load`."""
        return self._resolve(self._catalog.find(COMMANDS, name))

    def hook_plugins(self) -> list[tuple[str, object]]:
        """Load every plugin with hooks.

        Returns:
            Each with a name of its own, "distribution/name" or that of one added by hand, sorted as `entries`. One that
            cannot be loaded is left out and is in `problems`.
        """
        plugins: list[tuple[str, object]] = []
        for entry in self.entries(HOOKS):
            try:
                loaded = self._resolve(entry)
            except PluginError:
                continue  # _resolve has noted it
            plugins.append((f"{entry.distribution}/{entry.name}".lstrip("/"), loaded))
        return plugins

    # -- what is wrong ------------------------------------------------------------------------------------------------

    @property
    def problems(self) -> list[Problem]:
        """What is known to be wrong, sorted: nothing is imported for it, and it never raises.

        Declarations that cannot be read, names in conflict, lists that name nobody, and what failed to load. Blocked
        distributions have no problems.
        """
        return sorted([*self._catalog.problems(), *list(self._failures.values())])

    def check(self) -> list[Problem]:
        """Load and check everything that may be used; one that is broken costs only itself.

        Returns:
            All problems, as `problems`, and operations of a worker type that nobody offers.
        """
        for entry in self.entries():
            try:
                self._resolve(entry)
            except PluginError:
                continue  # _resolve has noted it
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
        self._add("add_hooks", HOOKS, _hook_plugin_name(plugin), plugin, plugin, replace=replace)

    def remove_hooks(self, plugin: object) -> None:
        """Take back what `add_hooks` added.

        Raises:
            UnknownNameError: it was not added.
        """
        self._remove(HOOKS, _hook_plugin_name(plugin))

    # -- for another process ------------------------------------------------------------------------------------------

    @property
    def changes(self) -> int:
        """How often something was added, removed or read again: while it stays the same, so do the answers."""
        return self._changes

    @property
    def arguments(self) -> dict[str, list[str] | None]:
        """What it was made with, as plain JSON: one made with the same, elsewhere, finds the same distributions."""
        return self._catalog.arguments

    def added(self) -> list[tuple[EntryPoint, Any]]:
        """Return what was added by hand: the entry of each, and the thing as it was given."""
        with self._lock:
            return [(entry, self._plugins[entry].load()) for entry in self._catalog.added()]

    def add_entry(self, entry: EntryPoint) -> None:
        """Add by hand what an entry names, imported only when it is asked for, as that of a distribution is."""
        with self._lock:
            self._catalog.add(entry)
            self._changes += 1

    # -- within -------------------------------------------------------------------------------------------------------

    def _plugin(self, entry: EntryPoint) -> LazyPlugin:
        plugin = self._plugins.get(entry)
        return plugin or self._plugins.setdefault(entry, LazyPlugin(entry, group_noun(entry.group)))

    def _load(self, entry: EntryPoint) -> Any:
        # of what is built too, having been loaded does not yet mean that nothing is wrong
        whole = self._builder(entry.group) is _keep_loaded
        return self._call_noting_failure(entry, self._plugin(entry).load, whole=whole)

    def _resolve(self, entry: EntryPoint) -> Any:
        builder = self._builder(entry.group)
        return self._call_noting_failure(entry, lambda: self._plugin(entry).build(builder), whole=True)

    def _resolve_cached(self, group: str, name: str) -> Any:
        """Return what was built before under a name, unless anything has changed: each job asks twice."""
        found = self._cache.get((group, name))
        if found is not None and found[0] == self._changes:
            return found[1]
        changes = self._changes  # before the look-up: what changes meanwhile makes the answer old
        built = self._resolve(self._catalog.find(group, name))
        self._cache[group, name] = changes, built
        return built

    def _call_noting_failure(self, entry: EntryPoint, function: Callable[[], Any], *, whole: bool) -> Any:
        """Call what loads an entry; note its failure among the problems, and strike it out once the whole succeeds."""
        try:
            value = function()
        except PluginError as error:
            self._failures[entry] = entry_problem(entry, mask(error.cause), error.step)
            raise
        if whole and self._failures:
            self._failures.pop(entry, None)
        return value

    def _builder(self, group: str) -> Callable[[EntryPoint, Any], Any]:
        if group == WORKERS:
            return self._build_worker
        if group.startswith(OPERATIONS):
            return build_operation
        if group == RUNNERS:
            return check_runner
        if group in (PLANNERS, STORES, COMMANDS, TEMPLATES, CHECKS):
            return check_callable
        if group == HOOKS:
            return _check_hook_plugin
        return self._run_checks if self.has(CHECKS, group) else _keep_loaded

    def _run_checks(self, entry: EntryPoint, loaded: Any) -> Any:
        """Return what was loaded, after the checks that plugins offer for its group."""
        for offered in self.entries(CHECKS):
            if offered.name != entry.group:
                continue
            try:
                check = self._resolve(offered)
            except PluginError:
                continue  # _resolve has noted it; that is no fault of what it should check
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
                self._catalog.refuse_taken(where, group, name)
            if group == WORKERS:
                give_lookup(built, self)
            self._plugins[entry] = LazyPlugin(entry, group_noun(group), loaded=thing, built=built)
            self._catalog.add(entry)
            self._changes += 1

    def _is_declared(self, entry: EntryPoint, thing: Any) -> bool:
        if not hasattr(thing, "__qualname__"):
            return False  # an object has what its class may not have
        same = [offer for offer in self._catalog.entries(entry.group) if offer.name == entry.name]
        return bool(same) and all(offer.distribution and offer.target == entry.target for offer in same)

    def _remove(self, group: str, name: str) -> None:
        with self._lock:
            self._plugins.pop(self._catalog.remove(group, name), None)
            self._changes += 1


def _keep_loaded(_entry: EntryPoint, loaded: Any) -> Any:
    return loaded


def _check_hook_plugin(_entry: EntryPoint, loaded: Any) -> Any:
    from pitstop.contracts.hooks import find_fault

    fault = find_fault(loaded)
    if fault is not None:
        raise PluginTypeError(fault)
    return loaded


def _hook_plugin_name(plugin: object) -> str:
    named = plugin if hasattr(plugin, "__qualname__") or hasattr(plugin, "__spec__") else type(plugin)
    name: str = getattr(named, "__name__", type(plugin).__name__)
    # two objects of one class, and two classes of one name, are two plugins; a module is known by its name
    return name if hasattr(plugin, "__spec__") else f"{name}-{id(plugin):x}"


def _check_name(where: str, argument: str, name: str) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidValueError(where=where, name=argument, problem=f"{name!r} is not a name")
    return name


__all__ = [
    "CHECKS",
    "COMMANDS",
    "HOOKS",
    "OPERATIONS",
    "PLANNERS",
    "RUNNERS",
    "STORES",
    "TEMPLATES",
    "WORKERS",
    "EntryPoint",
    "Problem",
    "Registry",
]
