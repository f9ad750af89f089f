"""The jobs of a maintenance plan that has been made already: config `{"plan": [...]}`. Chooses and orders nothing.

Each entry is a database with its steps; see `steps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from pitstop.errors import InvalidJobError, InvalidValueError, UnknownKeyError
from pitstop.jobs import Job, Plan
from pitstop_database_maintenance.databases.traits import WORKER_TYPE
from pitstop_database_maintenance.databases.urls import absolute, identity, label
from pitstop_database_maintenance.worker.steps import DatabaseSteps, JobStep

ACTION = "database_maintenance"
PARENT_TYPE = "database_maintenance_parent"
CHILD_TYPE = WORKER_TYPE
#: The key of this form.
PLAN = "plan"
#: What a step's `predicted` says beside figures: with which parameters somebody asked for it; None if it was due by
#: itself.
ASKED = "asked"


def jobs_for_plan(config: Mapping[str, Any]) -> Plan:
    """Return the jobs of a plan: a parent per database with a child per step, and a root above several of them.

    Raises:
        InputError: the config is not as it must be; the text says where.
    """
    for key in config:
        if key != PLAN:
            raise UnknownKeyError(where=f"a {PLAN!r} of the action {ACTION!r}", name=str(key), known=(PLAN,))
    if config[PLAN] in ([], ()):
        raise InvalidJobError(reason="the plan is empty: nothing is to be done", hint="make a plan with a step")
    entries = DatabaseSteps.read(config[PLAN], PLAN, where=ACTION)
    entries = tuple(evolve(entry, database=absolute(entry.database)) for entry in entries)
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        key = identity(entry.database)
        if key in seen:
            problem = f"the database {entry.database!r} is in the plan twice"
            raise InvalidValueError(where=ACTION, name=f"{PLAN}[{index}]", problem=problem)
        seen.add(key)
    plans = tuple(jobs_on(entry) for entry in entries)
    if len(plans) == 1:
        return plans[0]
    return Plan(parent=Job(type=PARENT_TYPE, name=f"{len(plans)} databases", config=config), children=plans)


def jobs_on(entry: DatabaseSteps) -> Plan:
    """Return the jobs on one database: a parent with a child per step."""
    return Plan(
        # what is stored with a parent is itself a config from which the same jobs can be made again
        parent=Job(type=PARENT_TYPE, name=label(entry.database), config={PLAN: [entry.to_document()]}),
        children=tuple(_child(step, entry) for step in entry.steps),
    )


def mask_resource(resource: str) -> str:
    """Return a database's resource as its jobs' records have it: masked, and without what no store takes."""
    return Job(type=CHILD_TYPE, resource=resource).resource or ""


def _child(step: JobStep, entry: DatabaseSteps) -> Job:
    given = {"parameters": step.parameters, "limits": step.limits, "options": entry.options}
    return Job(
        type=CHILD_TYPE,
        name=step.operation,
        config={
            "operation": step.operation,
            "database": entry.database,
            **{name: value for name, value in given.items() if value},
        },
        metadata={"predicted": step.predicted} if step.predicted else {},
    )
