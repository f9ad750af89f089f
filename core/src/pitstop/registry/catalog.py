"""Who offers which name, and which one a name means: conflicts, blocked distributions, entries added by hand.

Knows declarations only. Loads nothing: that is what `Registry` adds.
"""

from __future__ import annotations

from _thread import RLock

from pitstop.errors import BlockedError, ConflictError, InvalidValueError, UnknownNameError
from pitstop.registry.access import Selection
from pitstop.registry.discovery import discover
from pitstop.registry.entry_points import PREFIX, Distribution, EntryPoint, Problem, normalise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WORKERS = "pitstop.workers"
#: The worker type follows.
OPERATIONS = "pitstop.operations."
PLANNERS = "pitstop.planners"
HOOKS = "pitstop.hooks"
RUNNERS = "pitstop.runners"
STORES = "pitstop.stores"
COMMANDS = "pitstop.commands"
#: What the packages of new operations are written from, by worker type; see `pitstop.cli.scaffold.template`.
TEMPLATES = "pitstop.templates"
#: What checks the entries of a plugin's own group: the name is that group, the value `check(name, loaded, lookup)`.
CHECKS = "pitstop.checks"


class _Declarations:
    """What one reading of the declarations came to; never changed afterwards.

    Attributes:
        offers: for each group and name, who offers it; blocked ones are not there.
        blocked: entries that may not be used, each with the rule against it.
        problems: what is wrong with what may be used.
        distributions: the distributions, each with the rule against it, if there is one.
        selection: the lists that say which of them may be used.
    """

    __slots__ = ("blocked", "distributions", "offers", "problems", "selection")

    def __init__(self, selection: Selection, path: Sequence[str] | None) -> None:
        found = discover(path)
        rules = {name: selection.find_rule(name) for name in found.distributions}
        self.selection = selection
        self.distributions = [(distribution, rules[name]) for name, distribution in found.distributions.items()]
        self.offers: dict[str, dict[str, list[EntryPoint]]] = {}
        self.blocked: list[tuple[EntryPoint, str]] = []
        self.problems = [p for p in found.problems if not p.distribution or not selection.find_rule(p.distribution)]
        for entry in found.entries:
            rule = rules[entry.distribution]
            if rule:
                self.blocked.append((entry, rule))
            else:
                self.offers.setdefault(entry.group, {}).setdefault(entry.name, []).append(entry)

    def find_offers(self, group: str, name: str) -> list[EntryPoint]:
        """Return who offers a name."""
        return self.offers.get(group, {}).get(name, [])


class Catalog:
    """The entries of the installed distributions that may be used, read at the first question, and those added by hand.

    Args:
        allow, block, path: as for `Registry`.
    """

    def __init__(
        self,
        *,
        allow: str | Iterable[str] | None = None,
        block: str | Iterable[str] | None = None,
        path: Sequence[str] | None = None,
    ) -> None:
        self._allow = list(allow) if allow is not None and not isinstance(allow, str) else allow
        self._block = list(block) if block is not None and not isinstance(block, str) else block
        self._path = path
        self._lock = RLock()
        self._current: _Declarations | None = None
        self._added: dict[tuple[str, str], EntryPoint] = {}
        self._changes = 0

    def refresh(self) -> None:
        """Read the declarations again, and the environment's lists. What has been loaded stays as it was imported."""
        import importlib

        importlib.invalidate_caches()
        with self._lock:
            self._current = self._read()
            self._changes += 1

    def entries(self, group: str | None = None) -> list[EntryPoint]:
        """Return what may be used, sorted by group, name and distribution; nothing is imported.

        Args:
            group: only what this group offers.

        Returns:
            Entries; those added by hand have the distribution "".
        """
        found = [
            entry
            for offered, names in self._declarations().offers.items()
            if group in (None, offered)
            for offers in names.values()
            for entry in offers
        ]
        found += [entry for entry in list(self._added.values()) if group in (None, entry.group)]
        return sorted(found, key=lambda entry: (entry.group, entry.name, entry.distribution))

    @property
    def blocked(self) -> list[tuple[EntryPoint, str]]:
        """What may not be used, sorted, each with the rule against it, such as "PITSTOP_BLOCK=bad-plug"."""
        return list(self._declarations().blocked)

    def distributions(self) -> list[tuple[Distribution, str | None]]:
        """Return who offers anything, or tries to, sorted, each with the rule against it, if there is one."""
        return list(self._declarations().distributions)

    def names(self, group: str) -> list[str]:
        """Return the names that a group offers, sorted; nothing is imported."""
        added = [name for of, name in list(self._added) if of == group]
        return sorted({*self._declarations().offers.get(group, ()), *added})

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
        return (group, name) in self._added or name in self._declarations().offers.get(group, ())

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the declarations, with the names and with the lists, sorted."""
        declared = self._declarations()
        return sorted(
            [
                *declared.problems,
                *declared.selection.problems([distribution.name for distribution, _ in declared.distributions]),
                *self._find_conflicts(declared),
            ]
        )

    def entry(self, group: str, name: str) -> EntryPoint:
        """Return who offers a name, or a "distribution/name"; nothing is imported.

        Raises:
            UnknownNameError, ConflictError, BlockedError: there is not exactly one.
        """
        added = self._added.get((group, name))
        if added is not None:
            return added
        offers = self._declarations().find_offers(group, name) or self._find_in_distribution(group, name)
        if len(offers) == 1:
            return offers[0]
        if offers:
            raise ConflictError(kind=group_noun(group), name=name, offers=tuple(offer.title for offer in offers))
        raise self._missing_error(group, name)

    def add_entry(self, entry: EntryPoint) -> None:
        """Add by hand what an entry names, imported only when it is asked for, as that of a distribution is."""
        with self._lock:
            self._added[entry.group, entry.name] = entry
            self._changes += 1

    @property
    def changes(self) -> int:
        """How often something was added, removed or read again: while it stays the same, so do the answers."""
        return self._changes

    @property
    def arguments(self) -> dict[str, list[str] | None]:
        """What it was made with, as plain JSON: one made with the same, elsewhere, finds the same distributions."""
        allow, block = (
            names.replace(",", " ").split() if isinstance(names, str) else names for names in (self._allow, self._block)
        )
        return {"allow": allow, "block": block, "path": None if self._path is None else list(self._path)}

    def _remove_entry(self, group: str, name: str) -> EntryPoint:
        """Take back what was added by hand, and return it."""
        with self._lock:
            entry = self._added.pop((group, name), None)
            self._changes += entry is not None
        if entry is not None:
            return entry
        is_declared = bool(self._declarations().find_offers(group, name))
        raise UnknownNameError(
            kind=f"added {group_noun(group)}",
            name=name,
            known=tuple(sorted(other for of, other in list(self._added) if of == group)),
            hint="what a distribution offers can only be blocked" if is_declared else "",
        )

    def _refuse_taken(self, where: str, group: str, name: str) -> None:
        """Refuse a name that somebody offers already, by hand or in a distribution."""
        added = self._added.get((group, name))
        taken = [added] if added else self._declarations().find_offers(group, name)
        if taken:
            by = ", ".join(entry.title for entry in taken)
            problem = f"the name is taken by {by}; give replace=True to use this one instead"
            raise InvalidValueError(where=where, name=name, problem=problem)

    def _read(self) -> _Declarations:
        return _Declarations(Selection(self._allow, self._block), self._path)

    def _declarations(self) -> _Declarations:
        if self._current is None:
            with self._lock:
                self._current = self._current or self._read()
        return self._current

    def _find_in_distribution(self, group: str, name: str) -> list[EntryPoint]:
        """Return what a distribution offers under a "distribution/name"."""
        distribution, slash, rest = name.partition("/")
        if not slash:
            return []
        return [
            entry
            for entry in self._declarations().find_offers(group, rest)
            if entry.distribution == normalise(distribution)
        ]

    def _missing_error(self, group: str, name: str) -> BlockedError | UnknownNameError:
        kind = group_noun(group)
        distribution, _, rest = name.partition("/")
        meant = ((None, name), (normalise(distribution), rest))
        blocked = [
            (entry, rule)
            for entry, rule in self._declarations().blocked
            if entry.group == group and ((None, entry.name) in meant or (entry.distribution, entry.name) in meant)
        ]
        if blocked:
            offers = tuple(entry.title for entry, _ in blocked)
            rules = dict.fromkeys(rule for _, rule in blocked)
            return BlockedError(kind=kind, name=name, offers=offers, rule=", ".join(rules))
        others = [f"{entry.distribution}/{rest}" for entry in self._declarations().find_offers(group, rest)]
        owner = f"worker {group.removeprefix(OPERATIONS)!r}" if group.startswith(OPERATIONS) else ""
        return UnknownNameError(kind=kind, name=name, known=tuple(others or self.names(group)), owner=owner)

    def _find_conflicts(self, declared: _Declarations) -> list[Problem]:
        return [
            Problem(
                distribution=", ".join(offer.distribution for offer in offers),
                group=group,
                name=name,
                cause=f"{group_noun(group)} {name!r} is offered by {', '.join(offer.title for offer in offers)}",
                hint=f"name one, such as '{offers[0].distribution}/{name}', or block one",
            )
            for group, names in declared.offers.items()
            if group != HOOKS  # there the names mean nothing: all are used
            for name, offers in names.items()
            if len(offers) > 1 and (group, name) not in self._added
        ]


def group_noun(group: str) -> str:
    """Return what one entry of a group is called in messages, such as "operation"."""
    if group.startswith(OPERATIONS):
        return "operation"
    # a group that only a plugin knows has a plural for its name too, such as pitstop.databases
    return "action" if group == PLANNERS else group.removeprefix(PREFIX).rpartition(".")[2].removesuffix("s")
