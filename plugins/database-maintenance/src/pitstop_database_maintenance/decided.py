"""The jobs of a maintenance plan that has been made already: config `{"plan": [...]}`. Chooses and orders nothing.

Each entry is a database with its steps:

    {"database": "sqlite:////var/app.db", "options": {...}, "steps": [
        {"operation": "vacuum", "parameters": {...}, "limits": {...}, "predicted": {...}}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitstop.errors import InvalidJobError, InvalidValueError, UnknownKeyError
from pitstop.jobs import Job, Plan
from pitstop_database_maintenance.urls import absolute, identity, label

ACTION = "database_maintenance"
PARENT_TYPE = "database_maintenance_parent"
CHILD_TYPE = "database_maintenance_operation"
#: The key of this form, and the keys of an entry and of a step.
PLAN = "plan"
_ENTRY = ("database", "options", "steps")
_STEP = ("operation", "parameters", "limits", "predicted")
#: What a child's config takes from its step as it is.
_PASSED_ON = ("parameters", "limits")


def decided(config: Mapping[str, Any]) -> Plan:
    """Return the jobs of a plan: a parent per database with a child per step, and a root above several of them.

    Raises:
        InputError: the config is not as it must be; the text says where.
    """
    for key in config:
        if key != PLAN:
            raise UnknownKeyError(where=f"a {PLAN!r} of the action {ACTION!r}", name=str(key), known=(PLAN,))
    entries = _objects(config[PLAN], PLAN, _ENTRY)
    if not entries:
        raise InvalidJobError(reason="the plan is empty: nothing is to be done", hint="make a plan with a step")
    seen: set[str] = set()
    plans = tuple(_of_database(entry, f"{PLAN}[{index}]", seen) for index, entry in enumerate(entries))
    if len(plans) == 1:
        return plans[0]
    return Plan(parent=Job(type=PARENT_TYPE, name=f"{len(plans)} databases", config=config), children=plans)


def _of_database(entry: Mapping[str, Any], where: str, seen: set[str]) -> Plan:
    database = absolute(_given(entry, "database", where))
    key = identity(database)
    if key in seen:
        raise _invalid(where, f"the database {database!r} is in the plan twice")
    seen.add(key)
    steps = _objects(_given(entry, "steps", where), f"{where}.steps", _STEP)
    if not steps:
        raise _invalid(f"{where}.steps", "is an empty list; leave the database out if nothing is to be done with it")
    options = _object(entry.get("options", {}), f"{where}.options")
    return Plan(
        # what is stored with a parent is itself a config from which the same jobs can be made again
        parent=Job(type=PARENT_TYPE, name=label(database), config={PLAN: [{**entry, "database": database}]}),
        children=tuple(_child(step, f"{where}.steps[{index}]", database, options) for index, step in enumerate(steps)),
    )


def _child(step: Mapping[str, Any], where: str, database: str, options: Mapping[str, Any]) -> Job:
    operation = _given(step, "operation", where)
    if not isinstance(operation, str) or not operation:
        raise _invalid(f"{where}.operation", f"expected a name, got {operation!r}")
    config: dict[str, Any] = {"operation": operation, "database": database}
    config |= {key: _object(step[key], f"{where}.{key}") for key in _PASSED_ON if key in step}
    if options:
        config["options"] = options
    metadata = {"predicted": _object(step["predicted"], f"{where}.predicted")} if "predicted" in step else {}
    return Job(type=CHILD_TYPE, name=operation, config=config, metadata=metadata)


def _objects(value: object, where: str, keys: tuple[str, ...]) -> list[Mapping[str, Any]]:
    if not isinstance(value, (list, tuple)):
        raise _invalid(where, f"expected a list of objects, got {type(value).__name__}")
    found = [_object(entry, f"{where}[{index}]") for index, entry in enumerate(value)]
    for index, entry in enumerate(found):
        for key in entry:
            if key not in keys:
                raise UnknownKeyError(where=f"{ACTION}: {where}[{index}]", name=str(key), known=keys)
    return found


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _invalid(where, f"expected an object, got {type(value).__name__}")
    return value


def _given(entry: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in entry:
        raise _invalid(where, f"{key!r} is missing")
    return entry[key]


def _invalid(name: str, problem: str) -> InvalidValueError:
    return InvalidValueError(where=ACTION, name=name, problem=problem)
