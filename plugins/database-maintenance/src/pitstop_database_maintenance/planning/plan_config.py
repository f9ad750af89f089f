"""A plan as the config of the action that carries it out, and what is kept with each job of what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pitstop_database_maintenance.planning.plan import MaintenancePlan, MaintenanceRequest, PlannedStep
from pitstop_database_maintenance.worker.plan_jobs import ASKED, PLAN
from pitstop_database_maintenance.worker.steps import DatabaseSteps, JobStep


def job_config(
    plan: MaintenancePlan, *, until: float | None = None, lock_waits: Mapping[str, float] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the config of the action `database_maintenance` that carries out a plan.

    Args:
        plan: the plan; databases on which nothing is to be run are left out.
        until: when the whole run must have ended, in seconds since 1970, UTC.
        lock_waits: for how many seconds locks of databases, by resource, may still be waited for, where that is not
            all the time that a run has for it.
    """
    return {PLAN: [entry.to_document() for entry in job_steps(plan, until=until, lock_waits=lock_waits)]}


def job_steps(
    plan: MaintenancePlan, *, until: float | None = None, lock_waits: Mapping[str, float] = MappingProxyType({})
) -> list[DatabaseSteps]:
    """Return what is to be done on each database; see `job_config` for the arguments."""
    return [
        DatabaseSteps(
            database=database.database,
            options=dict(plan.request.options),
            steps=tuple(
                _job_step(step, plan.request, until, lock_waits.get(database.resource)) for step in database.due
            ),
        )
        for database in plan.databases
        if database.due
    ]


def prediction_document(step: PlannedStep) -> dict[str, Any]:
    """Return what is kept with a job of what its plan expects, as JSON."""
    cost, assessment = step.prediction, step.assessment
    return {
        "seconds": cost.seconds,
        "gain": assessment.gain if assessment else None,
        "writer_stall": cost.writer_stall if assessment else None,
        "reader_stall": cost.reader_stall if assessment else None,
        "disk": dict(cost.disk),
        "written": cost.written if assessment else None,
        "cancellable": cost.cancellable,
        "learned": cost.learned,
        "reason": step.why,
        ASKED: None if step.asked is None else dict(step.asked),
    }


def _job_step(step: PlannedStep, request: MaintenanceRequest, until: float | None, lock_wait: float | None) -> JobStep:
    limits = {
        "until": until,
        "max_stall": request.max_stall,
        "predicted": step.prediction.seconds,
        "lock_wait": lock_wait,
    }
    return JobStep(
        operation=step.operation,
        parameters=dict(step.parameters),
        limits={name: value for name, value in limits.items() if value is not None},
        predicted=prediction_document(step),
    )
