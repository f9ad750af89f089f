"""What `pitstop maintain` does when there is work: inspects, runs, shows progress, prints the outcome."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import click
from attrs import evolve

import pitstop
from pitstop.cli import silence
from pitstop.cli.exit_codes import COMPLETED, FAILED, INTERRUPTED, LEFT_OUT
from pitstop.cli.job_text import record_document
from pitstop.cli.session import Settings, say_where, session, watch_jobs
from pitstop.errors import InputError, InvalidValueError
from pitstop.jobs import JobStatus
from pitstop.text import count_noun
from pitstop_database_maintenance.databases.database import database_class
from pitstop_database_maintenance.databases.urls import identity, parse
from pitstop_database_maintenance.fleet.fleet import Fleet
from pitstop_database_maintenance.fleet.summary import FleetSummary
from pitstop_database_maintenance.fleet.unchanged import UnchangedFiles
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.maintenance.engine import CELLS, Maintenance, check_saved
from pitstop_database_maintenance.maintenance.figures import change_text
from pitstop_database_maintenance.maintenance.job_outcomes import PlannedDatabase
from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome
from pitstop_database_maintenance.planning.plan import MaintenancePlan, MaintenanceRequest
from pitstop_database_maintenance.planning.planner import expand_env
from pitstop_database_maintenance.planning.secrecy import collect_secrets, hide_secrets
from pitstop_database_maintenance.reporting.text.outcome import print_databases, print_summary

#: How many databases share the threads of one process in a fleet, so that one computes while others wait for the disk.
_SIDE_BY_SIDE = 4
#: How many records are named.
_RECORDS = 3


def work_on_few(
    urls: Sequence[str],
    request: MaintenanceRequest,
    history: History | None,
    values: dict[str, Any],
    *,
    saved: MaintenancePlan | None = None,
) -> int:
    """Maintain a few databases and report each.

    Args:
        urls: the databases.
        request: what is wanted.
        history: what past runs left.
        values: those of `run_options`.
        saved: a plan that was made earlier, instead of one that is made now.

    Returns:
        The exit code.
    """
    settings = Settings(**values)
    registry = pitstop.Registry()
    _check_different(urls)
    with _open_engine(settings, registry, request, history) as engine:
        planned = list(engine.plan(urls, map_cells=CELLS))
        if saved is not None:
            planned = check_saved(saved, planned, lookup=registry)
        planned = [_explain_failure(one, registry=registry, request=request) for one in planned]
        outcomes = _run(engine, planned, settings)
        with FleetSummary(files=len(urls), looked_at=len(urls)) as tally:
            for outcome in outcomes:
                tally.add(outcome)
            return _print_outcome(tally, engine, settings, outcomes=outcomes)


def work_on_many(
    again: Sequence[str],
    never: Sequence[str],
    request: MaintenanceRequest,
    history: History | None,
    values: dict[str, Any],
    *,
    tally: FleetSummary,
    registry: pitstop.Registry,
    seen: UnchangedFiles | None,
) -> int:
    """Maintain a fleet, and report the sums. Arguments as for `work_on_few`, and those of `Fleet`."""
    side_by_side = _SIDE_BY_SIDE if values["threads"] is None else -(-values["threads"] // (os.cpu_count() or 1))
    processes = values["threads"] and -(-values["threads"] // side_by_side)
    # nobody would read a line for each of thousands; they are in the records
    quiet = values["log_level"] or "warning"
    # what has been imported stays to the end, and need not be searched for garbage again and again
    gc.freeze()
    settings = Settings(**{**values, "threads": processes, "log_level": quiet})
    with _open_engine(settings, registry, request, history) as engine:
        with watch_jobs(settings) as watch:
            engine.on_submit(lambda submit: watch.follow(engine.orchestrator, submit))
            fleet = Fleet(
                engine,
                processes=processes,
                side_by_side=side_by_side,
                seen=seen,
                share=settings.timeout is None,
                changed=lambda now: watch.display.announce(_describe_progress(now)),
                interrupted=lambda: bool(watch.interrupted),
            )
            fleet.run(again, never, tally)
        return _print_outcome(tally, engine, settings)


@contextmanager
def _open_engine(
    settings: Settings, registry: pitstop.Registry, request: MaintenanceRequest, history: History | None
) -> Iterator[Maintenance]:
    """Yield what maintains databases; a job store is opened once there is a job."""
    with ExitStack() as stack:
        start = partial(stack.enter_context, session(settings, registry=registry))
        yield Maintenance(registry, start, request=request, history=history, options=settings)


def _run(engine: Maintenance, planned: Sequence[PlannedDatabase], settings: Settings) -> list[DatabaseOutcome]:
    if not any(one.plan.due for one in planned):
        return engine.run(planned)
    orchestrator = engine.orchestrator  # before the display begins, so that what is said on opening it is seen
    with watch_jobs(settings) as watch:
        engine.on_submit(lambda submit: watch.follow(orchestrator, submit))
        return engine.run(planned, map_cells=CELLS)


def _describe_progress(tally: FleetSummary) -> str:
    looked = tally.unchanged + tally.looked_at
    parts = [f"{looked:,} of {count_noun(tally.files, 'database')} looked at", f"{tally.due:,} due"]
    parts += [f"{tally.done:,} done", f"{tally.failed:,} failed" if tally.failed else ""]
    parts += [change_text(tally.given_back) if tally.given_back else ""]
    return ", ".join(filter(None, parts))


def _print_outcome(
    tally: FleetSummary, engine: Maintenance, settings: Settings, *, outcomes: Sequence[DatabaseOutcome] | None = None
) -> int:
    try:
        if settings.as_json:
            jobs = _job_documents(engine, whole=outcomes is not None)
            print_summary(tally, as_json=True, jobs=jobs, outcomes=outcomes)
        else:
            print_databases(outcomes) if outcomes is not None else print_summary(tally, as_json=False)
            for root in engine.roots[:_RECORDS]:
                say_where(root, engine.orchestrator, settings)
            if len(engine.roots) > _RECORDS:
                click.echo(f"and {len(engine.roots) - _RECORDS} more: pitstop jobs list")
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
    return _code(tally, engine, settings)


def _job_documents(engine: Maintenance, *, whole: bool) -> dict[str, Any]:
    """Return the jobs as JSON: of a few databases all of them, of a fleet the roots."""
    roots = engine.roots
    jobs = [job for root in roots for job in engine.tree(root)] if whole else roots
    return {"job": record_document(roots[0]) if roots else None, "jobs": [record_document(job) for job in jobs]}


def _code(tally: FleetSummary, engine: Maintenance, settings: Settings) -> int:
    """Return the exit code: the same for one database and for thousands."""
    if tally.interrupted or any(root.status is JobStatus.CANCELLED for root in engine.roots):
        return INTERRUPTED
    if tally.failed > (settings.max_failures or 0) or tally.denied:
        return FAILED
    return LEFT_OUT if tally.incomplete else COMPLETED


def _check_different(urls: Sequence[str]) -> None:
    found: dict[str, str] = {}
    for url in urls:
        first = found.setdefault(identity(url), url)
        if first is not url:
            same = f"{url!r} is given twice" if first == url else f"{first!r} and {url!r} are one and the same"
            raise InvalidValueError(where="database_maintenance", name="databases", problem=same)


def _explain_failure(
    planned: PlannedDatabase, *, registry: pitstop.Registry, request: MaintenanceRequest
) -> PlannedDatabase:
    """Return a database with which nothing can be done with the error of its own check, which also says what to do."""
    plan = planned.plan
    if not plan.refused:
        return planned
    try:
        with hide_secrets(collect_secrets([plan.database], request)):
            url = expand_env(plan.database)
            database_class(registry, parse(url)).check(url, **request.options)
    except InputError as error:
        return evolve(planned, plan=evolve(plan, refused=str(error)))
    return planned
