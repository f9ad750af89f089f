"""What a request may plan for one kind of database: its operations with their assessments, and its policies, checked.

Owns what is refused before any database is looked at: an operation, a parameter, a threshold or an option that is not
taken, or that would be ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import Factory, evolve, frozen

from pitstop.contracts import Lookup
from pitstop.errors import InvalidValueError, PitstopError, UnknownKeyError, UnknownNameError
from pitstop.operations import Operation, operation_of
from pitstop.text import size_text, suggest, time_text
from pitstop_database_maintenance.databases.assessment import (
    BY_ITSELF,
    GROUP,
    Assessment,
    Look,
    OperationPreference,
    Prediction,
    Worth,
)
from pitstop_database_maintenance.databases.database import GROUP as DATABASES
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.databases.traits import UNKNOWN, OperationTraits, find_traits
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.worker.action import CHILD_TYPE


@frozen(kw_only=True)
class Candidate:
    """An operation that may be planned.

    Args:
        name: as it is written in the plan.
        title: as it is registered, with its distribution if one was given.
        assess: its assessment, whose parameters are the thresholds; None if it has none.
        values: the thresholds that were given.
        problem: why its assessment cannot be used.
        traits: what is known of it.
    """

    name: str
    title: str
    assess: Operation | None = None
    values: Mapping[str, Any] = Factory(dict)
    problem: str = ""
    traits: OperationTraits = UNKNOWN

    @property
    def short(self) -> str:
        """The operation's name without its kind of database and its distribution, as a job of it runs."""
        return _parts(self.title, self.title.rpartition("/")[2].partition(".")[0])[1]

    @property
    def by_itself(self) -> bool:
        """Whether it may be planned without having been asked for by name."""
        if self.assess is None:
            return bool(self.problem)
        return not self.traits.by_name_only and bool(self.values.get(BY_ITSELF, True))

    def judge(self, look: Look) -> tuple[Assessment | None, str]:
        """Return what its assessment says, or why it says nothing. One that fails costs only itself."""
        if self.assess is None or look.inspection is None:
            return self._estimate(look), self.problem
        try:
            found = self.assess.function(look, **self.values)
        except Exception as error:
            return None, f"its assessment failed ({type(error).__name__}: {error})"
        if not isinstance(found, Assessment):
            return None, f"its assessment returned {type(found).__name__} instead of an Assessment"
        return found, ""

    def _estimate(self, look: Look) -> Assessment | None:
        """Return what an operation without an assessment will cost by its rate; None if nothing tells.

        It may keep others waiting all the time: nothing says that it does not.
        """
        if self.problem or self.traits.rate is None or look.inspection is None:
            return None
        learned = look.history.throughput(self.short)
        rate = learned or self.traits.rate
        seconds = look.inspection.bytes / rate
        stall = 0.0 if self.traits.only_reads else seconds
        return Assessment(
            worth=Worth.NO,
            reason=f"about {time_text(seconds)} at {size_text(rate)} a second; it has no assessment",
            prediction=Prediction(seconds=seconds, writer_stall=stall, reader_stall=stall, learned=learned is not None),
        )


@frozen(kw_only=True)
class Dialect:
    """What is planned with for one kind of database: the same for all databases of that kind."""

    kind: type[Database]
    candidates: tuple[Candidate, ...]
    policies: Mapping[str, Callable[[Look], OperationPreference]]


def prepare(lookup: Lookup, kind: type[Database], prefix: str, request: MaintenanceRequest) -> Dialect:
    """Return what is planned with for a kind of database, everything that the user gave checked.

    Raises:
        InputError: an operation, a threshold, a parameter or an option is not taken.
    """
    operations = {name.partition(".")[2] for name in lookup.operation_names(CHILD_TYPE) if _is_of(name, prefix)}
    assessments = {name.partition(".")[2] for name in lookup.names(GROUP) if _is_of(name, prefix)}
    policies = {need: operation_of(need, policy) for need, policy in kind.policies().items()}
    names = _candidate_names(lookup, prefix, request, operations, assessments)
    for name in names:
        _check_known(name, operations, prefix)
    _check_thresholds(request.thresholds, {*assessments, *policies}, lookup)
    for need in policies:
        _check_lists(request.thresholds.get(need, {}), operations, prefix)
    check_options(kind, request.options)
    candidates = tuple(_candidate(lookup, prefix, name, request, assessments) for name in names)
    _check_parameters(lookup, prefix, request, operations, candidates)
    return Dialect(
        kind=kind,
        candidates=candidates,
        policies={need: _policy(policy, request.thresholds.get(need, {})) for need, policy in policies.items()},
    )


def _candidate_names(
    lookup: Lookup, prefix: str, request: MaintenanceRequest, operations: set[str], assessments: set[str]
) -> list[str]:
    """Return the operations that may be planned: those that were asked for, or else those that can be assessed.

    If all is asked for, also those without an assessment of which that is meant; they are imported to know it.
    """
    if request.operations is not None:
        return list(request.operations)
    others = operations - assessments if request.everything else ()
    meant = {name for name in others if find_traits(lookup, prefix, name).in_all}
    return sorted((operations & assessments) | meant)


def _policy(policy: Operation, thresholds: Mapping[str, Any]) -> Callable[[Look], OperationPreference]:
    values = policy.check(thresholds)
    function: Callable[..., OperationPreference] = policy.function
    return lambda look: function(look, **values)


def _candidate(lookup: Lookup, prefix: str, name: str, request: MaintenanceRequest, known: set[str]) -> Candidate:
    distribution, short = _parts(name, prefix)
    thresholds = request.thresholds.get(name, request.thresholds.get(short, {}))
    title = f"{prefix}.{short}"
    bare = Candidate(name=name, title=distribution + title, traits=find_traits(lookup, prefix, name))
    if short not in known:
        return bare
    try:
        assess = operation_of(title, lookup.load(GROUP, bare.title))
    except UnknownNameError:
        # another distribution's operation of that name, without an assessment
        return bare
    except (PitstopError, TypeError) as error:
        return evolve(bare, problem=f"its assessment cannot be used: {error}")
    taken = {parameter.name for parameter in assess.parameters}
    shared = {key: value for key, value in request.parameters.get(name, {}).items() if key in taken}
    due = {BY_ITSELF: request.checks} if BY_ITSELF in taken else {}
    values = assess.check({**due, **shared, **thresholds})
    return evolve(bare, assess=assess, values=values)


def _parts(name: str, prefix: str) -> tuple[str, str]:
    """Return the distribution as "name/", or "", and the short name; the registered name is taken too."""
    distribution, slash, short = name.rpartition("/")
    return distribution + slash, short.removeprefix(f"{prefix}.")


def _is_of(name: str, prefix: str) -> bool:
    return name.partition(".")[0] == prefix


def _check_known(name: str, operations: set[str], prefix: str) -> None:
    short = _parts(name, prefix)[1]
    if short in operations:
        return
    known = tuple(sorted(operations))
    hint = f"{suggest(short, known)} it has: {', '.join(known) or 'none'}".lstrip()
    raise UnknownNameError(kind="operation", name=name, known=known, owner=f"a {prefix} database", hint=hint)


def _check_thresholds(thresholds: Mapping[str, Any], own: set[str], lookup: Lookup) -> None:
    """Check the names; those of another kind of database are let pass, for one call may be about several kinds."""
    unknown = {name: name.rpartition("/")[2] for name in thresholds if name.rpartition("/")[2] not in own}
    if not unknown:
        return
    known = own | set(_find_threshold_names(lookup))
    for name, short in unknown.items():
        if short not in known:
            hint = suggest(short, known) or f"there are: {', '.join(sorted(known))}"
            raise InvalidValueError(where="thresholds", name=name, problem=f"nothing of that name has any; {hint}")


def _find_threshold_names(lookup: Lookup) -> Iterator[str]:
    """Yield what has thresholds for any kind of database: assessments, and the needs of policies."""
    yield from (name.partition(".")[2] for name in lookup.names(GROUP))
    for scheme in lookup.names(DATABASES):
        try:
            yield from lookup.load(DATABASES, scheme).policies()
        except (PitstopError, AttributeError, TypeError):
            continue  # whoever uses that kind is told what is wrong with it


def _check_lists(thresholds: Mapping[str, Any], operations: set[str], prefix: str) -> None:
    """Check that the lists among a policy's thresholds are of operations that there are."""
    for value in thresholds.values():
        for name in value if isinstance(value, (list, tuple)) else ():
            if isinstance(name, str):  # anything else is not of the type that the policy declares, which it says itself
                _check_known(name, operations, prefix)


def check_options(kind: type[Database], options: Mapping[str, Any]) -> None:
    """Check how the databases of a kind are to be opened, before any is: what is planned is what is run.

    Raises:
        InputError: an option that the kind does not have, or that cannot be used.
    """
    for name in options:
        if name not in kind.options:
            raise UnknownKeyError(where=f"the options of {kind.__name__}", name=name, known=tuple(kind.options))
    kind.check_options(**options)


def _check_parameters(
    lookup: Lookup, prefix: str, request: MaintenanceRequest, operations: set[str], candidates: tuple[Candidate, ...]
) -> None:
    planned = {candidate.name for candidate in candidates if candidate.by_itself}
    for name, values in request.parameters.items():
        if request.operations is not None and name not in request.operations:
            meant = suggest(name, request.operations)
            problem = f"{name!r} is not among the operations ({', '.join(request.operations)})"
            problem += f"; {meant}" if meant else ""
            raise InvalidValueError(where="maintenance", name="parameters", problem=problem)
        _check_known(name, operations, prefix)
        distribution, short = _parts(name, prefix)
        lookup.operation(CHILD_TYPE, f"{distribution}{prefix}.{short}").check(values)
        if request.operations is None and name not in planned:
            problem = (
                f"{name!r} is not planned by itself, so that this would be ignored; ask for it: --operations {name}"
            )
            raise InvalidValueError(where="maintenance", name="parameters", problem=problem)
