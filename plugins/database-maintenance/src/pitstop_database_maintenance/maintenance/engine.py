"""Inspect, plan, run, inspect again, and say what came of it. The engine of `pitstop maintain`, for programs as well.

    from pitstop_database_maintenance.maintenance.engine import maintain

    for database in maintain(["app.db"]):
        print(database.database, database.given_back)

Owns the order of these steps and the comparison of what was planned with what happened. The choice is `planning`'s, the
work is done by jobs of the action `database_maintenance`, and thousands of small databases are `fleet`'s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from attrs import evolve

import pitstop
from pitstop.contracts import JobQuery, Lookup
from pitstop.errors import InputError, InvalidJobError
from pitstop.jobs import Job, JobRecord, JobStatus, Plan
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.database import Database, database_class
from pitstop_database_maintenance.databases.description import Space
from pitstop_database_maintenance.databases.limits import LOCK_WAIT
from pitstop_database_maintenance.databases.urls import parse, shown_url
from pitstop_database_maintenance.history import History, UnfinishedStep, usable_history
from pitstop_database_maintenance.maintenance.fallback import serve_otherwise
from pitstop_database_maintenance.maintenance.job_outcomes import PlannedDatabase, database_outcome
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenancePlan, MaintenanceRequest, PlannedStep
from pitstop_database_maintenance.planning.plan_config import job_config
from pitstop_database_maintenance.planning.planner import expand_env, plan_databases, staleness
from pitstop_database_maintenance.planning.screening import Screening
from pitstop_database_maintenance.planning.secrecy import collect_secrets, hide_secrets
from pitstop_database_maintenance.worker.plan_jobs import ACTION, PLAN, jobs_for_plan, mask_resource
from pitstop_database_maintenance.worker.worker import TIME_LIMIT

#: The kind under which maps of the pages are kept in the history, for the report; and of how many cells they are.
MAP: Final = "map"
CELLS: Final = 2048
#: Maps that are kept of one database: two of each of the last ten runs.
_MAPS: Final = 20

#: Submits a tree by calling what it is given, and returns its root's record when it has ended.
Follow = Callable[[Callable[[], JobRecord]], JobRecord]


class Maintenance:
    """One run over databases. Not for several threads at once.

    Args:
        lookup: the registry's answers.
        start: returns what runs the jobs; called when there are some.
        request: what is wanted.
        history: what past runs left, and where this one is noted; None if there is none to be had.
        until: when the whole run must have ended, in seconds since 1970; by default the request's time from now.
        options: what applies to the jobs; see `pitstop.SubmitOptions`.
    """

    def __init__(
        self,
        lookup: Lookup,
        start: Callable[[], pitstop.Orchestrator],
        *,
        request: MaintenanceRequest,
        history: History | None,
        until: float | None = None,
        options: pitstop.SubmitOptions | None = None,
    ) -> None:
        self._lookup = lookup
        self._start = start
        self.request = request
        self.history = history
        self.until = compute_deadline(request) if until is None else until
        self.options = options
        self.roots: list[JobRecord] = []
        self._follow: Follow = lambda submit: self.orchestrator.wait(submit().id)

    @cached_property
    def orchestrator(self) -> pitstop.Orchestrator:
        """What runs the jobs."""
        return self._start()

    def prepare(self) -> None:
        """Start what runs the jobs now, so that it is ready when there are some."""
        self.orchestrator  # noqa: B018 - made when it is asked for

    def plan(self, urls: Iterable[str], *, without: tuple[str, ...] = (), **settings: Any) -> Iterator[PlannedDatabase]:
        """Inspect databases and plan for each, as they come. Changes nothing.

        Args:
            urls: paths or URLs.
            without: operations that are not to be planned.
            settings: for `Database.inspect`.

        Raises:
            InputError: something that was asked for is not taken.
        """
        request = evolve(self.request, excluded=(*self.request.excluded, *without)) if without else self.request
        found = plan_databases(urls, request, lookup=self._lookup, history=self.history, **settings)
        return (PlannedDatabase(plan=plan, inspection=inspection) for plan, inspection in found)

    def kind(self, url: str) -> type[Database]:
        """Return the class that serves a database."""
        return database_class(self._lookup, parse(expand_env(url)))

    def screen(self, urls: Iterable[str], **settings: Any) -> Iterator[PlannedDatabase]:
        """Plan for many databases as `plan` does; the plan for those on which nothing pays has no steps."""
        screening = Screening(self.request, lookup=self._lookup, history=self.history)
        return (
            PlannedDatabase(plan=plan, inspection=inspection) for plan, inspection in screening.plans(urls, **settings)
        )

    def inspect_only(self, urls: Iterable[str], **settings: Any) -> dict[str, Any]:
        """Inspect databases, and return what was found by URL, without a plan."""
        screening = Screening(self.request, lookup=self._lookup, history=self.history)
        return dict(screening.inspections(urls, **settings))

    def run(self, planned: Sequence[PlannedDatabase], **settings: Any) -> list[DatabaseOutcome]:
        """Carry out the plans, inspect again, and return what came of each, in their order.

        Args:
            planned: those on which nothing is due are only told of.
            settings: for the second inspection.

        Raises:
            InputError: a job is refused; nothing was started.
        """
        self.defer_unscheduled(one.plan for one in planned)
        outcomes = self.carry_out(planned, unfit=self._unfit(planned), settings=settings)
        return [serve_otherwise(self, one, outcome) for one, outcome in zip(planned, outcomes, strict=True)]

    def carry_out(
        self,
        planned: Sequence[PlannedDatabase],
        *,
        unfit: Mapping[str, str] = MappingProxyType({}),
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[DatabaseOutcome]:
        """Carry out plans as they are, inspect again, and return what came of each, in their order.

        Args:
            planned: the plans.
            unfit: why databases, by resource, cannot be worked on.
            settings: for the second inspection.

        Raises:
            InputError: a job is refused; nothing was started.
        """
        due = [one.plan for one in planned if one.plan.due and not one.plan.refused and one.plan.resource not in unfit]
        if not due:
            return [self.outcome(one, problem=unfit.get(one.plan.resource, "")) for one in planned]
        config = job_config(MaintenancePlan.of(due, self.request), until=self.until, lock_waits=self._lock_waits(due))
        try:
            root = self.follow(lambda: self.orchestrator.submit(ACTION, config, options=self.options))
        except InputError:
            # a file may have gone since it was inspected, or its disk may be full: then the request is not wrong
            since = {resource: why for resource, why in self._unfit(planned).items() if resource not in unfit}
            if not since:
                raise
            return self.carry_out(planned, unfit={**unfit, **since}, settings=settings)
        records = self.jobs_by_resource(root)
        after = {one.plan.resource: one.inspection for one in self.plan([p.database for p in due], **settings)}
        self._keep_maps(planned, after, root.id)
        return [
            self.outcome(
                one,
                records.get(mask_resource(one.plan.resource), []),
                after.get(one.plan.resource),
                run=root.id,
                problem=unfit.get(one.plan.resource, ""),
            )
            for one in planned
        ]

    def outcome(
        self,
        planned: PlannedDatabase,
        records: Sequence[JobRecord] = (),
        after: Any = None,
        *,
        run: str = "",
        problem: str = "",
    ) -> DatabaseOutcome:
        """Return what came of a database; see `database_outcome` for the arguments."""
        kind = self.kind(planned.plan.database)
        return database_outcome(planned, records, after, kind=kind, run=run, problem=problem)

    def _unfit(self, planned: Iterable[PlannedDatabase]) -> dict[str, str]:
        """Return why databases on which something is due cannot be worked on, by resource."""
        due = (one.plan for one in planned if one.plan.due and not one.plan.refused)
        return {plan.resource: problem for plan in due if (problem := self._why_unfit(plan))}

    def _lock_waits(self, plans: Iterable[DatabasePlan]) -> dict[str, float]:
        """Return for how long locks may still be waited for, of databases on which this engine has waited before."""
        if self.history is None or not self.roots:
            return {}
        runs = {root.job.correlation_id for root in self.roots}
        waited = {plan.resource: self.history.seconds_waited(plan.resource, runs) for plan in plans}
        return {resource: max(0.0, LOCK_WAIT - seconds) for resource, seconds in waited.items() if seconds}

    def _why_unfit(self, plan: DatabasePlan) -> str:
        """Return why a database cannot be worked on, which is no reason not to work on the others; "" if it can."""
        try:
            url = expand_env(plan.database)
            with hide_secrets(collect_secrets([plan.database], self.request)):
                database_class(self._lookup, parse(url)).check(url, **self.request.options)
        except InputError as error:
            return str(error)
        return ""

    def is_over(self) -> bool:
        """Return whether the time for the run is over, or somebody has stopped it."""
        stopped = any(root.status is JobStatus.CANCELLED for root in self.roots)
        return stopped or (self.until is not None and time.time() >= self.until)

    def follow(self, submit: Callable[[], JobRecord]) -> JobRecord:
        """Submit a tree and return its root's record when it has ended."""
        return self.finish(self.begin(submit))

    def begin(self, submit: Callable[[], JobRecord]) -> JobRecord:
        """Submit a tree and return its root's record at once."""
        root = submit()
        self.roots.append(root)
        return root

    def finish(self, root: JobRecord) -> JobRecord:
        """Return the record of a root that was begun when it has ended."""
        ended = self._follow(lambda: root)
        self.roots = [ended if one.id == ended.id else one for one in self.roots]
        return ended

    def on_submit(self, follow: Follow) -> None:
        """Have trees submitted, and their ends waited for, by a function; by default nothing is shown meanwhile."""
        self._follow = follow

    def tree(self, root: JobRecord) -> list[JobRecord]:
        """Return all jobs of a tree, parents before their children."""
        query = JobQuery(correlation_id=root.job.correlation_id, oldest_first=True, limit=None)
        return list(self.orchestrator.store.select(query))

    def jobs_by_resource(self, root: JobRecord) -> dict[str, list[JobRecord]]:
        """Return the jobs of a tree that carried out one operation each, by the database's resource, in their order.

        A URL would not do: what is stored of one is without its password.
        """
        found: dict[str, list[JobRecord]] = {}
        for record in self.tree(root):
            if "operation" in record.job.config and record.job.resource is not None:
                found.setdefault(record.job.resource, []).append(record)
        return found

    def defer_unscheduled(self, plans: Iterable[DatabasePlan]) -> None:
        """Note for the next run what was left out only because other work takes the time."""
        if self.request.time_limit is None or self.history is None:
            return
        for plan in plans:
            for step in plan.steps:
                if step.left_out and step.cause in (Cause.TIME, Cause.PUT_OFF):
                    self.history.defer(_make_unfinished(plan, step))

    def _keep_maps(self, planned: Iterable[PlannedDatabase], after: Mapping[str, Any], run: str) -> None:
        """Keep how the pages looked before and after, for the report, where the kind of database says it."""
        for one in planned if self.history is not None else ():
            resource, kind = one.plan.resource, self.kind(one.plan.database)
            for when, inspection in (("before", one.inspection), ("after", after.get(resource))):
                if resource not in after or inspection is None or inspection.refused:
                    continue
                space = kind.describe(inspection).space
                if space is not None and space.cells and self.history is not None:
                    self.history.add_snapshot(resource, MAP, map_document(space, run=run, when=when), at_most=_MAPS)


def maintain(
    databases: Iterable[str | os.PathLike[str]],
    *,
    request: MaintenanceRequest | None = None,
    store: str | os.PathLike[str] | pitstop.JobStore | None = None,
    registry: pitstop.Registry | None = None,
    runner: pitstop.Runner | None = None,
) -> list[DatabaseOutcome]:
    """Maintain databases here and now, and return what came of each, in their order.

    Args:
        databases: paths or URLs.
        request: what is wanted; by default what pays.
        store: where the jobs are recorded, as for `pitstop.run`.
        registry: finds operations and kinds of databases; a new one if not given.
        runner: where the jobs run; by default each in a child process.

    Raises:
        InputError: something is wrong with the request; nothing was started.
        StoreError: the jobs could not be recorded.
    """
    registry = registry or pitstop.Registry()
    request = request or MaintenanceRequest()
    opened = None if callable(getattr(store, "claim", None)) else pitstop.open_store(store, registry=registry)  # type: ignore[arg-type]
    kept: pitstop.JobStore = store if opened is None else opened  # type: ignore[assignment]
    orchestrator = pitstop.Orchestrator(kept, registry=registry, runner=runner or pitstop.ProcessRunner())
    try:
        history = usable_history(History)
        with history or nullcontext():
            engine = Maintenance(registry, lambda: orchestrator, request=request, history=history)
            planned = list(engine.plan([os.fspath(database) for database in databases]))
            return engine.run(planned)
    finally:
        orchestrator.close(keep_store=opened is None)


def compute_deadline(request: MaintenanceRequest) -> float | None:
    """Return when a run that begins now must have ended, in seconds since 1970; None without a limit."""
    return None if request.time_limit is None else time.time() + request.time_limit


def check_saved(plan: MaintenancePlan, planned: Sequence[PlannedDatabase], *, lookup: Lookup) -> list[PlannedDatabase]:
    """Return a saved plan's databases as they are now, to be run as it says.

    Args:
        plan: the saved one.
        planned: the same databases, as they are now.
        lookup: the registry's answers.

    Raises:
        InvalidJobError: a database has changed too much since; nothing may be run then.
    """
    changed = []
    for saved, now in zip(plan.databases, planned, strict=True):
        why = staleness(saved, now.inspection, lookup=lookup) if now.inspection is not None else ""
        if why:
            changed.append(f"{shown_url(saved.database)}: {why}")
    if changed:
        raise InvalidJobError(
            reason=f"the plan no longer fits: {'; '.join(changed)}", hint="make it anew with 'pitstop plan --save FILE'"
        )
    # which database it is, is asked of the kind again: a plan that was written by hand may say something else
    return [
        evolve(now, plan=evolve(saved, resource=now.plan.resource))
        for saved, now in zip(plan.databases, planned, strict=True)
    ]


def check_jobs(plan: MaintenancePlan, *, registry: pitstop.Registry) -> None:
    """Check the jobs that would carry out a plan, and submit none.

    Raises:
        InputError: one is refused: an operation, a parameter or a database.
    """
    config = job_config(plan)
    for job in _steps(jobs_for_plan(config)) if config[PLAN] else ():
        registry.worker(job.type).validate(job)


def _steps(plan: Plan) -> Iterator[Job]:
    for child in plan.children:
        if isinstance(child, Plan):
            yield from _steps(child)
        else:
            yield child


def _make_unfinished(plan: DatabasePlan, step: PlannedStep) -> UnfinishedStep:
    return UnfinishedStep(
        database=plan.resource,
        operation=step.operation,
        at=time.time(),
        reason=TIME_LIMIT,
        parameters=step.parameters,
        asked=step.asked,
    )


def map_document(space: Space, *, run: str, when: str) -> dict[str, Any]:
    """Return a map of the pages as it is kept in the history; `when` is "before" or "after"."""
    return {
        "at": space.at,
        "run": run,
        "when": when,
        "bytes": space.bytes,
        "free_bytes": space.free_bytes,
        "waste": space.waste,
        "cells": [[cell.kind, round(cell.unused, 3)] for cell in space.cells],
    }
