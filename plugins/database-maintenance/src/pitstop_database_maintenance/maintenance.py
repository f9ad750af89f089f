"""Inspect, plan, run, inspect again, and say what came of it. The engine of `pitstop maintain`, for programs as well.

    from pitstop_database_maintenance.maintenance import maintain

    for database in maintain(["app.db"]):
        print(database.database, database.given_back)

Owns the order of these steps and the comparison of what was planned with what happened. The choice is `planning`'s, the
work is done by jobs of the action `database_maintenance`, and thousands of small databases are `fleet`'s.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

from attrs import evolve, frozen

import pitstop
from pitstop.contracts import JobQuery, Lookup
from pitstop.errors import InvalidJobError
from pitstop.jobs import Job, JobRecord, JobStatus, Plan, Result
from pitstop_database_maintenance.assessment import Worth
from pitstop_database_maintenance.decided import ACTION, PLAN, decided
from pitstop_database_maintenance.history import History, Left
from pitstop_database_maintenance.outcome import DatabaseOutcome, End, State, StepOutcome
from pitstop_database_maintenance.plan import DatabasePlan, MaintenancePlan, PlannedStep, Request
from pitstop_database_maintenance.planning import changed_too_much, job_config, plan_databases, predicted
from pitstop_database_maintenance.screening import Screening
from pitstop_database_maintenance.worker import TIME_LIMIT

#: The kind under which maps of the pages are kept in the history, for the report; and of how many cells they are.
MAP: Final = "map"
CELLS: Final = 2048
#: Maps that are kept of one database: two of each of the last ten runs.
_MAPS: Final = 20
#: How `planning` says that a step was left out because of what comes before it in the time that is allowed.
_NO_TIME: Final = "which does not fit into the"

#: Submits a tree by calling what it is given, and returns its root's record when it has ended.
Follow = Callable[[Callable[[], JobRecord]], JobRecord]


@frozen(kw_only=True)
class Looked:
    """A database that was looked at.

    Args:
        plan: what is to be done with it.
        inspection: what was found; None for a kind of database that cannot be inspected.
    """

    plan: DatabasePlan
    inspection: Any = None


class Maintenance:
    """One run over databases. Not for several threads at once.

    Args:
        lookup: the registry's answers.
        start: returns what runs the jobs; called when there are some.
        request: what is wanted.
        history: what past runs left, and where this one is noted; None if there is none to be had.
        until: when the whole run must have ended, in seconds since 1970; by default the request's time from now.
        options: what applies to the jobs; see `pitstop.Options`.
    """

    def __init__(
        self,
        lookup: Lookup,
        start: Callable[[], pitstop.Orchestrator],
        *,
        request: Request,
        history: History | None,
        until: float | None = None,
        options: pitstop.Options | None = None,
    ) -> None:
        self._lookup = lookup
        self._start = start
        self.request = request
        self.history = history
        self.until = until_of(request) if until is None else until
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

    def look(self, urls: Iterable[str], **settings: Any) -> Iterator[Looked]:
        """Look at databases and plan for each, as they come. Changes nothing.

        Args:
            urls: paths or URLs.
            settings: for `Database.inspect`.

        Raises:
            InputError: something that was asked for is not taken.
        """
        found = plan_databases(urls, self.request, lookup=self._lookup, history=self.history, **settings)
        return (Looked(plan=plan, inspection=inspection) for plan, inspection in found)

    def screen(self, urls: Iterable[str], **settings: Any) -> Iterator[Looked]:
        """Look at many databases as `look` does; the plan for those on which nothing pays has no steps."""
        screening = Screening(self.request, lookup=self._lookup, history=self.history)
        return (Looked(plan=plan, inspection=inspection) for plan, inspection in screening.plans(urls, **settings))

    def look_only(self, urls: Iterable[str], **settings: Any) -> dict[str, Any]:
        """Look at databases, and return what was found by URL, without a plan."""
        screening = Screening(self.request, lookup=self._lookup, history=self.history)
        return dict(screening.inspections(urls, **settings))

    def run(self, looked: Sequence[Looked], **settings: Any) -> list[DatabaseOutcome]:
        """Carry out the plans, look again, and return what came of each, in their order.

        Args:
            looked: those on which nothing is due are only told of.
            settings: for the second look.

        Raises:
            InputError: a job is refused; nothing was started.
        """
        due = [one.plan for one in looked if one.plan.due and not one.plan.refused]
        self.leave_what_does_not_fit(one.plan for one in looked)
        if not due:
            return [outcome_of(one, [], None) for one in looked]
        plan = MaintenancePlan.of(due, self.request)
        config = job_config(plan, until=self.until)
        root = self.follow(lambda: self.orchestrator.submit(ACTION, config, options=self.options))
        records = self.jobs_of(root)
        after = {one.plan.resource: one.inspection for one in self.look([p.database for p in due], **settings)}
        self._keep_maps(looked, after, root.id)
        return [
            outcome_of(one, records.get(one.plan.database, []), after.get(one.plan.resource), run=root.id)
            for one in looked
        ]

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

    def follow_with(self, follow: Follow) -> None:
        """Have trees submitted, and their ends waited for, by a function; by default nothing is shown meanwhile."""
        self._follow = follow

    def tree(self, root: JobRecord) -> list[JobRecord]:
        """Return all jobs of a tree, parents before their children."""
        query = JobQuery(correlation_id=root.job.correlation_id, oldest_first=True, limit=None)
        return list(self.orchestrator.store.select(query))

    def jobs_of(self, root: JobRecord) -> dict[str, list[JobRecord]]:
        """Return the jobs of a tree that carried out one operation each, by database, in their order."""
        found: dict[str, list[JobRecord]] = {}
        for record in self.tree(root):
            if "operation" in record.job.config:
                found.setdefault(record.job.config["database"], []).append(record)
        return found

    def leave_what_does_not_fit(self, plans: Iterable[DatabasePlan]) -> None:
        """Note for the next run what was left out only because other work takes the time."""
        if self.request.time_limit is None:
            return
        for plan in plans:
            for step in plan.steps:
                if not step.run and _NO_TIME in step.why:
                    self._note("leave", _left(plan, step))

    def _keep_maps(self, looked: Iterable[Looked], after: Mapping[str, Any], run: str) -> None:
        for one in looked:
            resource = one.plan.resource
            for when, inspection in (("before", one.inspection), ("after", after.get(resource))):
                if resource in after and getattr(inspection, "map", None):
                    document = map_document(inspection, run=run, when=when)
                    self._note("keep", resource, MAP, document, at_most=_MAPS)

    def _note(self, method: str, *values: Any, **named: Any) -> None:
        """Write to the history. What is lost of it is a hint, and no reason to fail."""
        if self.history is not None:
            with suppress(OSError, sqlite3.Error):
                getattr(self.history, method)(*values, **named)


def maintain(
    databases: Iterable[str | os.PathLike[str]],
    *,
    request: Request | None = None,
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
    request = request or Request()
    opened = None if callable(getattr(store, "claim", None)) else pitstop.open_store(store, registry=registry)  # type: ignore[arg-type]
    kept: pitstop.JobStore = store if opened is None else opened  # type: ignore[assignment]
    orchestrator = pitstop.Orchestrator(kept, registry=registry, runner=runner or pitstop.ProcessRunner())
    try:
        with History() as history:
            engine = Maintenance(registry, lambda: orchestrator, request=request, history=history)
            looked = list(engine.look([os.fspath(database) for database in databases]))
            return engine.run(looked)
    finally:
        orchestrator.close(keep_store=opened is None)


def until_of(request: Request) -> float | None:
    """Return when a run that begins now must have ended, in seconds since 1970; None without a limit."""
    return None if request.time_limit is None else time.time() + request.time_limit


def check_saved(plan: MaintenancePlan, looked: Sequence[Looked], *, lookup: Lookup) -> list[Looked]:
    """Return a saved plan's databases as they are now, to be run as it says.

    Args:
        plan: the saved one.
        looked: the same databases, looked at now.
        lookup: the registry's answers.

    Raises:
        InvalidJobError: a database has changed too much since; nothing may be run then.
    """
    changed = []
    for saved, now in zip(plan.databases, looked, strict=True):
        why = changed_too_much(saved, now.inspection, lookup=lookup) if now.inspection is not None else ""
        if why:
            changed.append(f"{saved.database}: {why}")
    if changed:
        raise InvalidJobError(
            reason=f"the plan no longer fits: {'; '.join(changed)}", hint="make it anew with 'pitstop plan --save FILE'"
        )
    return [evolve(now, plan=saved) for saved, now in zip(plan.databases, looked, strict=True)]


def check_jobs(plan: MaintenancePlan, *, registry: pitstop.Registry) -> None:
    """Check the jobs that would carry out a plan, and submit none.

    Raises:
        InputError: one is refused: an operation, a parameter or a database.
    """
    config = job_config(plan)
    for job in _steps(decided(config)) if config[PLAN] else ():
        registry.worker(job.type).validate(job)


def _steps(plan: Plan) -> Iterator[Job]:
    for child in plan.children:
        if isinstance(child, Plan):
            yield from _steps(child)
        else:
            yield child


def outcome_of(
    looked: Looked, records: Sequence[JobRecord], after: Any, *, run: str = "", problem: str = ""
) -> DatabaseOutcome:
    """Return what came of one database.

    Args:
        looked: how it was found, and what was planned.
        records: its jobs, each of one operation.
        after: what was found afterwards; None if nobody looked.
        run: the id of the root job.
        problem: why its jobs were refused.
    """
    plan = looked.plan
    found = {record.job.config["operation"]: record for record in records}
    served = {step.assessment.need for step in plan.due if step.assessment} - {""}
    steps = tuple(
        step_outcome(step, found.get(step.operation), problem=problem, left_out=_left_out(step, served))
        for step in plan.steps
    )
    ran = any(step.end is not End.NOT_PLANNED for step in steps)
    return DatabaseOutcome(
        database=plan.database,
        resource=plan.resource,
        before=State.of(looked.inspection),
        after=State.of(after) if ran else State.of(looked.inspection),
        steps=steps,
        refused=plan.refused or getattr(after, "refused", ""),
        notes=plan.notes,
        run=run if ran else "",
    )


def step_outcome(
    step: PlannedStep, record: JobRecord | None, *, problem: str = "", left_out: bool = False
) -> StepOutcome:
    """Return what came of a planned step.

    Args:
        step: it.
        record: its job; None if it had none.
        problem: why that was refused.
        left_out: whether somebody may miss it, if it is not run.
    """
    known = StepOutcome(
        operation=step.operation,
        end=End.NOT_PLANNED,
        reason=step.why,
        worth=step.assessment.worth.value if step.assessment else "",
        left_out=left_out,
        predicted=predicted(step),
        continued=step.continued,
    )
    if not step.run:
        return known
    if record is None:
        return evolve(known, end=End.FAILED if problem else End.CANCELLED, summary=problem or "it was not begun")
    known = evolve(known, job=record.id)
    if record.result is not None:
        return with_result(known, record.result)
    end = End.CANCELLED if record.status is JobStatus.CANCELLED else End.FAILED
    return evolve(known, end=end, summary=record.error.message if record.error else "", seconds=record.seconds)


def _left_out(step: PlannedStep, served: set[str]) -> bool:
    """Return whether somebody may miss a step that is not run."""
    found = step.assessment
    if step.run or (found is not None and found.need in served):
        return False
    if found is None:
        return True
    # what is not due says so in the assessment's own words; any other words are of what kept it from being run
    return step.why != found.reason or found.worth is Worth.IMPOSSIBLE


def with_result(known: StepOutcome, result: Result) -> StepOutcome:
    """Return a step's outcome with what its job returned."""
    data = result.data
    end = {"skipped": End.SKIPPED}.get(result.outcome.value, End.COMPLETED)
    if data.get("stopped_by"):
        end = End.TIME_LIMIT
    return evolve(
        known,
        end=end,
        summary=result.summary,
        warnings=tuple(result.warnings),
        seconds=data.get("seconds"),
        bytes_before=data.get("bytes_before"),
        bytes_after=data.get("bytes_after"),
        writer_stall=data.get("writer_stall"),
        reader_stall=data.get("reader_stall"),
        wal_bytes=data.get("wal_bytes_after"),
    )


def _left(plan: DatabasePlan, step: PlannedStep) -> Left:
    return Left(
        database=plan.resource,
        operation=step.operation,
        at=time.time(),
        reason=TIME_LIMIT,
        parameters=step.parameters,
    )


def map_document(inspection: Any, *, run: str, when: str) -> dict[str, Any]:
    """Return a map of the pages as it is kept in the history; `when` is "before" or "after"."""
    state = State.of(inspection)
    assert state is not None, "what was refused has no map"
    return {
        "at": inspection.at,
        "run": run,
        "when": when,
        "bytes": state.bytes,
        "free_bytes": state.free_bytes,
        "waste": state.waste,
        "cells": [[cell.kind, round(cell.unused, 3)] for cell in inspection.map],
    }
