"""What an operation says of itself before it runs: its place in a plan, whether `--all` means it, how fast it is.

Declared with a decorator, on the operation's assessment or, if it has none, on the operation itself:

    @operation_traits(phase=Phase.REBUILD + 50, in_all=True, rate=200e6)
    def defragment(db): ...

A plan reads what stands on an assessment without importing the operation. All of it may be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, TypeVar

from attrs import Attribute, field, frozen

from pitstop.contracts import Lookup
from pitstop.errors import PitstopError
from pitstop_database_maintenance.databases.assessment import GROUP

#: The worker type of the operations.
WORKER_TYPE: Final = "database_maintenance_operation"
_TRAITS: Final = "pitstop_operation_traits"
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Phase(IntEnum):
    """The order of the operations on one database; the reasons are in docs/decisions/order-of-operations.md.

    There is room between any two: `Phase.REBUILD + 50` comes after what rebuilds, and before indexes are rebuilt.
    """

    #: Before it nothing in the database can be trusted.
    RECOVER = 100
    #: What takes something back that an earlier run did.
    UNDO = 200
    #: Looking for damage, while the database is as it was found.
    CHECK = 300
    #: So that what goes wrong later can be restored.
    BACKUP = 400
    #: Changing how space is managed.
    CONVERT = 500
    #: Giving space back.
    REBUILD = 600
    #: Building indexes anew, from compact tables.
    INDEX = 700
    #: Search indexes and the like, which are tables of their own.
    CONTENT = 800
    #: What says nothing of its place.
    OTHER = 900
    #: Statistics, which describe the final tables and indexes.
    STATISTICS = 1000
    #: Moving into the database what the others wrote to its log.
    LOG = 1100


def _check_whole(_: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{attribute.name} is {value!r}, not a whole number such as Phase.REBUILD + 50")


def _check_flag(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} is {value!r}, neither True nor False")


def _check_rate(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0):
        raise ValueError(f"{attribute.name} is {value!r}, not a number of bytes a second")


def _check_cures(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping) or any(isinstance(kinds, str) for kinds in value.values()):
        raise TypeError(f"{attribute.name} is {value!r}, not kinds of damage for each parameter that asks for it")


@frozen(kw_only=True)
class OperationTraits:
    """What is known of an operation before it runs.

    Args:
        phase: its place among the operations on one database, a `Phase` or a number between two of them. Those of one
            phase run in the order in which they were asked for.
        in_all: whether `--all` means it: it is run then whatever its assessment says of its worth.
        by_name_only: whether it is planned only when it is asked for by name, such as a backup; a run that did not name
            it does not resume it either.
        only_reads: whether it writes nothing to the database, so that it may run on one that is known to be damaged.
        rate: how many bytes a second it works on, as long as past runs on this machine have taught nothing better; None
            if that is not known.
        cures: damage that it sets right if it is asked to, so that it is not refused for it: kinds of damage, as the
            kind of database names them, by the parameter that asks for it.
    """

    phase: int = field(default=Phase.OTHER, validator=_check_whole)
    in_all: bool = field(default=False, validator=_check_flag)
    by_name_only: bool = field(default=False, validator=_check_flag)
    only_reads: bool = field(default=False, validator=_check_flag)
    rate: float | None = field(default=None, validator=_check_rate)
    cures: Mapping[str, Collection[str]] = field(factory=dict, validator=_check_cures)


UNKNOWN: Final = OperationTraits()


def operation_traits(
    *,
    phase: int = Phase.OTHER,
    in_all: bool = False,
    by_name_only: bool = False,
    only_reads: bool = False,
    rate: float | None = None,
    cures: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Callable[[_Function], _Function]:
    """Declare what is known of an operation, on its assessment or on itself; see `OperationTraits` for the arguments.

    Raises:
        TypeError, ValueError: a value is not of its type.
    """
    traits = OperationTraits(
        phase=phase, in_all=in_all, by_name_only=by_name_only, only_reads=only_reads, rate=rate, cures=cures
    )

    def declare(function: _Function) -> _Function:
        setattr(function, _TRAITS, traits)
        return function

    return declare


def declared_traits(function: object) -> OperationTraits | None:
    """Return what a function declares of its operation; None if it declares nothing."""
    found = getattr(function, _TRAITS, None)
    return found if isinstance(found, OperationTraits) else None


def declared_rate(function: object) -> float:
    """Return the bytes a second that a function declares.

    Raises:
        ValueError: it declares none.
    """
    traits = declared_traits(function)
    if traits is None or traits.rate is None:
        raise ValueError(f"{function!r} declares no rate; add @operation_traits(rate=...)")
    return traits.rate


def find_traits(lookup: Lookup, prefix: str | None, name: str) -> OperationTraits:
    """Return what is known of an operation, wherever that is declared; the defaults if it is nowhere.

    Args:
        lookup: the registry's answers.
        prefix: the kind of database under which it is registered; None if that is not known yet.
        name: as the user wrote it: "vacuum", "acme.vacuum", "some-distribution/vacuum". One of a distribution that
            says nothing of it has the place of the one that everybody else means by that name, and nothing more of it:
            what only reads there may write here.
    """
    distribution, slash, short = name.rpartition("/")
    titles = _titles(lookup, prefix, short)
    for title in titles:
        found = _find_declared(lookup, distribution + slash + title)
        if found is not None:
            return found
    others = (_find_declared(lookup, title) for title in titles if distribution)
    return next((OperationTraits(phase=other.phase) for other in others if other is not None), UNKNOWN)


def _titles(lookup: Lookup, prefix: str | None, short: str) -> list[str]:
    """Return the registered names that a short one may mean; the registered name itself is taken too."""
    return [
        name
        for name in lookup.operation_names(WORKER_TYPE)
        if prefix in (None, name.partition(".")[0]) and short in (name, name.partition(".")[2])
    ]


def _find_declared(lookup: Lookup, title: str) -> OperationTraits | None:
    """Return what is declared of an operation, on its assessment or else, which costs more to load, on itself.

    What cannot be loaded declares nothing: that is reported when the operation is checked, or its assessment asked.
    """
    with suppress(PitstopError):
        found = declared_traits(lookup.load(GROUP, title))
        if found is not None:
            return found
    with suppress(PitstopError):
        return declared_traits(lookup.operation(WORKER_TYPE, title).function)
    return None
