"""The action `database_maintenance`: which operations on which databases, in which order. Opens no database.

Whatever order the user writes, the operations on one database run in the order that pays: by the `Phase` that each
declares. The reasons are in docs/decisions/order-of-operations.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen

import pitstop
from pitstop.contracts import Lookup
from pitstop.errors import InvalidJobError, InvalidValueError, UnknownKeyError
from pitstop.jobs import Job, Plan
from pitstop.text import count_noun, suggest
from pitstop_database_maintenance.databases.database import dialect
from pitstop_database_maintenance.databases.traits import find_traits
from pitstop_database_maintenance.databases.urls import absolute, identity, label, parse
from pitstop_database_maintenance.worker.plan_jobs import ACTION as ACTION
from pitstop_database_maintenance.worker.plan_jobs import CHILD_TYPE as CHILD_TYPE
from pitstop_database_maintenance.worker.plan_jobs import PARENT_TYPE as PARENT_TYPE
from pitstop_database_maintenance.worker.plan_jobs import PLAN as PLAN
from pitstop_database_maintenance.worker.plan_jobs import jobs_for_plan

KEYS = ("database", "databases", "operations", "parameters")
#: `optimize` is opt-in: after `analyze` it has nothing to do.
DEFAULT_OPERATIONS: Final = ("vacuum", "analyze", "reindex")


@frozen(kw_only=True)
class _Request:
    """A config, checked: databases are absolute, operations in the user's order."""

    databases: tuple[str, ...]
    operations: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    fleet: bool


def plan(config: Mapping[str, Any], /, *, lookup: Lookup | None = None) -> Plan:
    """Return what is to be done.

    Args:
        config: `database` (a path or URL) or `databases` (a list of them); `operations` (a list of names, by default
            vacuum, analyze and reindex); `parameters` (an object per operation). Or only `plan`: a list of what is
            decided already, for each database `database`, `steps` and perhaps `options`, and for each step `operation`
            and perhaps `parameters`, `limits` and `predicted`; the steps run in this order.
        lookup: the registry's answers; by default those of a new `Registry`.

    Returns:
        One parent per database with one child per operation; for `databases` a root above the parents.

    Raises:
        InputError: the config is not as it must be; the text says what to write.
    """
    if isinstance(config, Mapping) and PLAN in config:
        return jobs_for_plan(config)
    request = _read(config)
    lookup = lookup or pitstop.Registry()
    notes = _notes(lookup, request)
    if not request.fleet:
        return _plan_one(lookup, request.databases[0], request, notes)
    return Plan(
        parent=Job(
            type=PARENT_TYPE,
            name=count_noun(len(request.databases), "database"),
            config={"databases": list(request.databases), **_make_parent_config(request)},
        ),
        children=tuple(_plan_one(lookup, database, request) for database in request.databases),
        notes=notes,
    )


def sort_operations(lookup: Lookup, database: str, operations: tuple[str, ...]) -> tuple[str, ...]:
    """Return operations in the order in which they are run on one database.

    Args:
        lookup: the registry's answers.
        database: the URL, which says of which kind it is.
        operations: as the user gave them; those of one phase stay as they are.
    """
    prefix = dialect(lookup, parse(database))
    return tuple(sorted(operations, key=lambda name: find_traits(lookup, prefix, name).phase))


def _plan_one(lookup: Lookup, database: str, request: _Request, notes: tuple[str, ...] = ()) -> Plan:
    names = sort_operations(lookup, database, request.operations)
    return Plan(
        parent=Job(
            type=PARENT_TYPE, name=label(database), config={"database": database, **_make_parent_config(request)}
        ),
        children=tuple(_child(name, database, request.parameters) for name in names),
        notes=notes,
    )


def _make_parent_config(request: _Request) -> dict[str, Any]:
    # what is stored with a parent is itself a config from which the same plan can be made again
    shared: dict[str, Any] = {"operations": list(request.operations)}
    if request.parameters:
        shared["parameters"] = dict(request.parameters)
    return shared


def _child(operation: str, database: str, parameters: Mapping[str, Mapping[str, Any]]) -> Job:
    config: dict[str, Any] = {"operation": operation, "database": database}
    if operation in parameters:
        config["parameters"] = parameters[operation]
    return Job(type=CHILD_TYPE, name=operation, config=config)


def _notes(lookup: Lookup, request: _Request) -> tuple[str, ...]:
    order = sort_operations(lookup, request.databases[0], request.operations)
    if request.operations in (order, DEFAULT_OPERATIONS):
        return ()
    return (f"runs in the order {', '.join(order)}, because each makes the next one cheaper or more lasting",)


def _read(config: Mapping[str, Any]) -> _Request:
    if not isinstance(config, Mapping):
        raise InvalidJobError(reason=f"config is {type(config).__name__}, not an object", hint="give a mapping")
    for key in config:
        if key not in KEYS:
            raise UnknownKeyError(where=f"the action {ACTION!r}", name=str(key), known=(*KEYS, PLAN))
    operations = _operations(config.get("operations", list(DEFAULT_OPERATIONS)))
    return _Request(
        databases=_databases(config),
        operations=operations,
        parameters=_parameters(config.get("parameters", {}), operations),
        fleet="databases" in config,
    )


def _databases(config: Mapping[str, Any]) -> tuple[str, ...]:
    if "database" in config and "databases" in config:
        raise InvalidJobError(reason="both 'database' and 'databases' are given", hint="give one of them")
    if "databases" in config:
        return _fleet(config["databases"])
    if "database" not in config:
        raise InvalidJobError(
            reason="'database' is missing", hint="give a path or a URL, such as 'app.db', or a list as 'databases'"
        )
    if isinstance(config["database"], (list, tuple)):
        raise _invalid("database", "is a list; write it as 'databases'")
    return (absolute(config["database"]),)


def _fleet(value: object) -> tuple[str, ...]:
    given = _texts("databases", value, example='["app.db"]')
    seen: dict[str, str] = {}
    for database in given:
        key = identity(database)
        if key in seen:
            raise _twice("databases", seen[key], database)
        seen[key] = database
    return tuple(absolute(database) for database in given)


def _operations(value: object) -> tuple[str, ...]:
    operations = _texts("operations", value, example='["vacuum"]')
    seen: set[str] = set()
    for name in operations:
        if name in seen:
            raise _twice("operations", name, name)
        seen.add(name)
    return operations


def _texts(key: str, value: object, *, example: str) -> tuple[str, ...]:
    """Return a list of texts as it must be; what is not one is refused, never guessed at."""
    if isinstance(value, str):
        raise _invalid(key, f"expected a list, got the text {value!r}; write {_as_list(key, value)}")
    if not isinstance(value, (list, tuple)):
        raise _invalid(key, f"expected a list such as {example}, got {value!r} ({type(value).__name__})")
    if not value:
        raise _invalid(key, f"is an empty list; give at least one, such as {example}")
    for item in value:
        if not isinstance(item, str) or not item.strip():
            got = "empty" if item == "" else f"{item!r} ({type(item).__name__})"
            raise _invalid(key, f"each item is a name, but one is {got}")
    return tuple(value)


def _parameters(value: object, operations: tuple[str, ...]) -> dict[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping):
        raise _invalid("parameters", f'expected an object such as {{"analyze": {{"limit": 1000}}}}, got {value!r}')
    for name, given in value.items():
        if name not in operations:
            meant = suggest(str(name), operations)
            problem = f"{name!r} is not among the operations ({', '.join(operations)})"
            raise _invalid("parameters", f"{problem}; {meant}" if meant else problem)
        if not isinstance(given, Mapping):
            raise _invalid("parameters", f"those of {name!r} are {given!r} ({type(given).__name__}), not an object")
    return dict(value)


def _as_list(key: str, text: str) -> str:
    # a comma separates operations, but may well belong to a file's name
    parts = [part.strip() for part in text.split(",")] if key == "operations" else [text]
    return json.dumps([part for part in parts if part], ensure_ascii=False)


def _twice(key: str, first: str, second: str) -> InvalidValueError:
    same = f"{first!r} is given twice" if first == second else f"{first!r} and {second!r} are one and the same"
    return _invalid(key, same)


def _invalid(name: str, problem: str) -> InvalidValueError:
    return InvalidValueError(where=ACTION, name=name, problem=problem)
