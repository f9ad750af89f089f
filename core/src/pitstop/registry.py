"""`Registry`: workers, operations, planners and the rest by name, loaded when they are asked for, or added by hand.

Owns what has been loaded and what failed to load. How declarations are read stands in `discovery`, which entry a name
means in `offers`, how an entry becomes a thing in `loading`. Listing imports no plugin and nothing heavy.
"""

from __future__ import annotations

from _thread import RLock

from pitstop.declarations import Entry, Problem, Source
from pitstop.diagnosis import problem_with, strays
from pitstop.errors import InvalidValueError, PluginError
from pitstop.loading import (
    Slot,
    UnfitError,
    callable_of,
    check_worker,
    described_target,
    give_lookup,
    operation_of_entry,
    worker_of_entry,
)
from pitstop.masking import mask
from pitstop.offers import (
    CHECKS,
    COMMANDS,
    HOOKS,
    OPERATIONS,
    PLANNERS,
    RUNNERS,
    STORES,
    TEMPLATES,
    WORKERS,
    Offers,
    kind_of,
)
from pitstop.remedies import telling

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
        self._offers = Offers(allow=allow, block=block, path=path)
        self._lock = RLock()
        self._slots: dict[Entry, Slot] = {}
        self._failures: dict[Entry, Problem] = {}
        self._changes = 0
        self._quick: dict[tuple[str, str], tuple[int, Any]] = {}

    # -- what there is ------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the declarations again, and the environment's lists. What has been loaded stays as it was imported."""
        import importlib

        importlib.invalidate_caches()
        self._offers.refresh()
        self._failures.clear()
        self._changes += 1

    def entries(self, group: str | None = None) -> list[Entry]:
        """Return what may be used, sorted by group, name and distribution; nothing is imported.

        Args:
            group: only what this group offers.

        Returns:
            Entries; those added by hand have the distribution "".
        """
        return self._offers.entries(group)

    @property
    def blocked(self) -> list[tuple[Entry, str]]:
        """What may not be used, sorted, each with the rule against it, such as "PITSTOP_BLOCK=bad-plug"."""
        return self._offers.blocked()

    def names(self, group: str) -> list[str]:
        """Return the names that a group offers, sorted; nothing is imported."""
        return self._offers.names(group)

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
        return self._offers.has(group, name)

    def distributions(self) -> list[tuple[Source, str | None]]:
        """Return who offers anything, or tries to, sorted, each with the rule against it, if there is one."""
        return self._offers.sources()

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
        return self._loaded(self._offers.find(group, name))

    def entry(self, group: str, name: str) -> Entry:
        """Return who offers a name, or a "distribution/name"; nothing is imported.

        Raises:
            UnknownNameError, ConflictError, BlockedError: there is not exactly one.
        """
        return self._offers.find(group, name)

    def fault(self, group: str, name: str, cause: str) -> PluginError:
        """Return the error that says what is wrong with something that was loaded and then did not do what it must."""
        entry = self._offers.find(group, name)
        return PluginError(
            kind=kind_of(group),
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
        worker: Worker = self._quickly_made(WORKERS, worker_type)
        return worker

    def operation(self, worker_type: str, name: str) -> Operation:
        """Return an operation of a worker type.

        Raises:
            UnknownNameError, ConflictError, BlockedError, PluginError: as `load`, also when it can be no operation.
        """
        operation: Operation = self._quickly_made(OPERATIONS + worker_type, name)
        return operation

    def planner(self, action: str) -> Planner:
        """Return the planner of an action. Raises as `load`."""
        planner: Planner = self._made(self._offers.find(PLANNERS, action))
        return planner

    def runner(self, name: str) -> Callable[..., Runner]:
        """Return the class of a runner. Raises as `load`."""
        runner: Callable[..., Runner] = self._made(self._offers.find(RUNNERS, name))
        return runner

    def store(self, scheme: str) -> Callable[[str], JobStore]:
        """Return the function that opens job stores of a URL scheme. Raises as `load`."""
        opener: Callable[[str], JobStore] = self._made(self._offers.find(STORES, scheme))
        return opener

    def command(self, name: str) -> Any:
        """Return the click command of a name. Raises as `load`."""
        return self._made(self._offers.find(COMMANDS, name))

    def hook_plugins(self) -> list[tuple[str, object]]:
        """Load every plugin with hooks.

        Returns:
            Each with a name of its own, "distribution/name" or that of one added by hand, sorted as `entries`. One that
            cannot be loaded is left out and stands in `problems`.
        """
        plugins: list[tuple[str, object]] = []
        for entry in self.entries(HOOKS):
            try:
                loaded = self._made(entry)
            except PluginError:
                continue  # _made has noted it
            plugins.append((f"{entry.distribution}/{entry.name}".lstrip("/"), loaded))
        return plugins

    # -- what is wrong ------------------------------------------------------------------------------------------------

    @property
    def problems(self) -> list[Problem]:
        """What is known to be wrong, sorted: nothing is imported for it, and it never raises.

        Declarations that cannot be read, names in conflict, lists that name nobody, and what failed to load. Blocked
        distributions have no problems.
        """
        return sorted([*self._offers.problems(), *list(self._failures.values())])

    def check(self) -> list[Problem]:
        """Load and check everything that may be used; one that is broken costs only itself.

        Returns:
            All problems, as `problems`, and operations of a worker type that nobody offers.
        """
        for entry in self.entries():
            try:
                self._made(entry)
            except PluginError:
                continue  # _made has noted it
        return sorted([*self.problems, *self.strays()])

    def strays(self) -> list[Problem]:
        """Return what nobody will ever use, sorted: operations without a worker, groups that are misspelt."""
        off = {entry.name: rule for entry, rule in self.blocked if entry.group == WORKERS}
        return sorted(strays(self.entries(), self.worker_types(), off))

    def make(self, entry: Entry, loaded: Any) -> Any:
        """Return what is used of an entry, made anew of what its target names.

        Raises:
            UnfitError: it is not what the entry's group asks for.
            BaseException: whatever a plugin's code raises.
        """
        return self._maker(entry.group)(entry, loaded)

    # -- added by hand ------------------------------------------------------------------------------------------------

    def add_worker(self, worker: Worker | type[Worker], *, replace: bool = False) -> None:
        """Add a worker for its `worker_type`, until `remove_worker`.

        Args:
            worker: an instance, or a class, which is called now without arguments.
            replace: take the name even if it is taken.

        Raises:
            InvalidValueError: it is no worker, or the name is taken.
        """
        instance = worker() if isinstance(worker, type) else worker
        try:
            check_worker(instance)
        except UnfitError as error:
            raise InvalidValueError(where="add_worker", name="worker", problem=str(error)) from error
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
        entry = Entry(group=OPERATIONS + worker_type, name=_check_name(where, "name", name), target="")
        try:
            operation = operation_of_entry(entry, function)
        except UnfitError as error:
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
        from pitstop.hooks import fault_of

        fault = fault_of(plugin)
        if fault is not None:
            raise InvalidValueError(where="add_hooks", name="plugin", problem=f"{plugin!r}: {fault}")
        self._add("add_hooks", HOOKS, _hooks_name(plugin), plugin, plugin, replace=replace)

    def remove_hooks(self, plugin: object) -> None:
        """Take back what `add_hooks` added.

        Raises:
            UnknownNameError: it was not added.
        """
        self._remove(HOOKS, _hooks_name(plugin))

    # -- for another process ------------------------------------------------------------------------------------------

    @property
    def changes(self) -> int:
        """How often something was added, removed or read again: while it stays the same, so do the answers."""
        return self._changes

    @property
    def arguments(self) -> dict[str, list[str] | None]:
        """What it was made with, as plain JSON: one made with the same, elsewhere, finds the same distributions."""
        return self._offers.arguments

    def added(self) -> list[tuple[Entry, Any]]:
        """Return what was added by hand: the entry of each, and the thing as it was given."""
        with self._lock:
            return [(entry, self._slots[entry].load()) for entry in self._offers.added()]

    def add_entry(self, entry: Entry) -> None:
        """Add by hand what an entry names, imported only when it is asked for, as that of a distribution is."""
        with self._lock:
            self._offers.add(entry)
            self._changes += 1

    # -- within -------------------------------------------------------------------------------------------------------

    def _slot(self, entry: Entry) -> Slot:
        slot = self._slots.get(entry)
        return slot or self._slots.setdefault(entry, Slot(entry, kind_of(entry.group)))

    def _loaded(self, entry: Entry) -> Any:
        # of what needs making too, having been loaded does not yet mean that nothing is wrong
        return self._noting(entry, lambda: self._slot(entry).load(), whole=self._maker(entry.group) is _as_it_is)

    def _made(self, entry: Entry) -> Any:
        maker = self._maker(entry.group)
        return self._noting(entry, lambda: self._slot(entry).make(maker), whole=True)

    def _quickly_made(self, group: str, name: str) -> Any:
        """Return what was made before under a name, unless anything has changed: each job asks twice."""
        found = self._quick.get((group, name))
        if found is not None and found[0] == self._changes:
            return found[1]
        changes = self._changes  # before the look-up: what changes meanwhile makes the answer old
        made = self._made(self._offers.find(group, name))
        self._quick[group, name] = changes, made
        return made

    def _noting(self, entry: Entry, function: Callable[[], Any], *, whole: bool) -> Any:
        """Call what loads an entry; note its failure among the problems, and strike it out once the whole succeeds."""
        try:
            value = function()
        except PluginError as error:
            self._failures[entry] = problem_with(entry, mask(error.cause), error.step)
            raise
        if whole and self._failures:
            self._failures.pop(entry, None)
        return value

    def _maker(self, group: str) -> Callable[[Entry, Any], Any]:
        if group == WORKERS:
            return self._make_worker
        if group.startswith(OPERATIONS):
            return operation_of_entry
        if group in (PLANNERS, RUNNERS, STORES, COMMANDS, TEMPLATES, CHECKS):
            return callable_of
        if group == HOOKS:
            return _hook_plugin_of
        return self._checked if self.has(CHECKS, group) else _as_it_is

    def _checked(self, entry: Entry, loaded: Any) -> Any:
        """Return what was loaded, after the checks that plugins offer for its group."""
        for offered in self.entries(CHECKS):
            if offered.name != entry.group:
                continue
            try:
                check = self._made(offered)
            except PluginError:
                continue  # _made has noted it; that is no fault of what it should check
            try:
                check(entry.name, loaded, self)
            except (TypeError, ValueError) as error:
                raise UnfitError(str(error)) from error
        return loaded

    def _make_worker(self, entry: Entry, loaded: Any) -> Worker:
        worker = worker_of_entry(entry, loaded)
        give_lookup(worker, self)
        return worker

    def _add(self, where: str, group: str, name: str, thing: Any, made: Any, *, replace: bool) -> None:
        entry = Entry(group=group, name=name, target=described_target(thing))
        with self._lock:
            if not replace:
                self._offers.refuse_taken(where, group, name)
            if group == WORKERS:
                give_lookup(made, self)
            self._slots[entry] = Slot(entry, kind_of(group), loaded=thing, made=made)
            self._offers.add(entry)
            self._changes += 1

    def _remove(self, group: str, name: str) -> None:
        with self._lock:
            self._slots.pop(self._offers.remove(group, name), None)
            self._changes += 1


def _as_it_is(_entry: Entry, loaded: Any) -> Any:
    return loaded


def _hook_plugin_of(_entry: Entry, loaded: Any) -> Any:
    from pitstop.hooks import fault_of

    fault = fault_of(loaded)
    if fault is not None:
        raise UnfitError(fault)
    return loaded


def _hooks_name(plugin: object) -> str:
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
    "Entry",
    "Problem",
    "Registry",
]
