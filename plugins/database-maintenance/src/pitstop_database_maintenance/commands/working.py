"""What `pitstop maintain` does once there is something to look at: looks, runs, shows, and prints what came of it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import click

import pitstop
from pitstop.cli import COMPLETED, FAILED, INTERRUPTED, silence
from pitstop.cli.report import record_document
from pitstop.cli.session import Settings, exit_code, say_where, session, watching
from pitstop.errors import InvalidJobError, InvalidValueError
from pitstop_database_maintenance.assessment import Worth
from pitstop_database_maintenance.fleet import Fleet
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.maintenance import CELLS, Looked, Maintenance, check_saved
from pitstop_database_maintenance.outcome import DatabaseOutcome, End
from pitstop_database_maintenance.plan import MaintenancePlan, Request
from pitstop_database_maintenance.planning import Planning, filled_in
from pitstop_database_maintenance.seen import Seen
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.tally import Tally
from pitstop_database_maintenance.told import show_databases, show_tally
from pitstop_database_maintenance.urls import identity, without_credentials

#: How many databases share the threads of one process in a fleet, so that one computes while others wait for the disk.
_SIDE_BY_SIDE = 4
#: After so many records nobody reads on.
_RECORDS = 3


def work_on_few(
    urls: Sequence[str],
    request: Request,
    history: History | None,
    values: dict[str, Any],
    *,
    saved: MaintenancePlan | None = None,
) -> int:
    """Maintain a few databases and tell of each.

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
    with ExitStack() as stack:
        engine = Maintenance(
            registry,
            lambda: stack.enter_context(session(settings, registry=registry)),
            request=request,
            history=history,
            options=settings.options(),
        )
        looked = list(engine.look(urls, map_cells=CELLS))
        _refuse_unfit(looked, registry=registry, request=request)
        if saved is not None:
            looked = check_saved(saved, looked, lookup=registry)
        outcomes = _run(engine, looked, settings)
        with Tally(files=len(urls), looked_at=len(urls)) as tally:
            for outcome in outcomes:
                tally.add(outcome)
            return _told(tally, engine, settings, outcomes=outcomes)


def work_on_many(
    again: Sequence[str],
    never: Sequence[str],
    request: Request,
    history: History | None,
    values: dict[str, Any],
    *,
    tally: Tally,
    registry: pitstop.Registry,
    seen: Seen | None,
) -> int:
    """Maintain a fleet, and tell of the sums. Arguments as for `work_on_few`, and those of `Fleet`."""
    side_by_side = _SIDE_BY_SIDE if values["threads"] is None else -(-values["threads"] // (os.cpu_count() or 1))
    processes = values["threads"] and -(-values["threads"] // side_by_side)
    # a line of each of thousands would be what nobody reads; they are in the records
    quiet = values["log_level"] or "warning"
    # what has been imported stays to the end: without this it is gone through again and again for what is garbage
    gc.freeze()
    settings = Settings(**{**values, "threads": processes, "log_level": quiet})
    with ExitStack() as stack:
        engine = Maintenance(
            registry,
            lambda: stack.enter_context(session(settings, registry=registry)),
            request=request,
            history=history,
            options=settings.options(),
        )
        with watching(settings) as watch:

            def show(now: Tally) -> None:
                watch.display.announce(_heading(now))

            engine.follow_with(lambda submit: watch.follow(engine.orchestrator, submit))
            fleet = Fleet(
                engine,
                processes=processes,
                side_by_side=side_by_side,
                seen=seen,
                share=settings.timeout is None,
                changed=show,
                interrupted=lambda: bool(watch.interrupted),
            )
            fleet.run(again, never, tally)
        return _told(tally, engine, settings)


def _run(engine: Maintenance, looked: Sequence[Looked], settings: Settings) -> list[DatabaseOutcome]:
    if not any(one.plan.due for one in looked):
        return engine.run(looked)
    orchestrator = engine.orchestrator  # before the display begins, so that what is said on opening it is seen
    with watching(settings) as watch:
        engine.follow_with(lambda submit: watch.follow(orchestrator, submit))
        return engine.run(looked, map_cells=CELLS)


def _heading(tally: Tally) -> str:
    looked = tally.unchanged + tally.looked_at
    parts = [f"{looked:,} of {tally.files:,} databases looked at", f"{tally.due:,} due", f"{tally.done:,} done"]
    if tally.failed:
        parts.append(f"{tally.failed:,} failed")
    if tally.given_back:
        parts.append(f"{size_text(tally.given_back)} given back")
    return ", ".join(parts)


def _told(
    tally: Tally, engine: Maintenance, settings: Settings, *, outcomes: Sequence[DatabaseOutcome] | None = None
) -> int:
    try:
        if settings.as_json:
            show_tally(tally, as_json=True, jobs=_job_documents(engine, whole=outcomes is not None), outcomes=outcomes)
        else:
            show_databases(outcomes) if outcomes is not None else show_tally(tally, as_json=False)
            for root in engine.roots[:_RECORDS]:
                say_where(root, engine.orchestrator, settings)
            if len(engine.roots) > _RECORDS:
                click.echo(f"and {len(engine.roots) - _RECORDS} more: pitstop jobs list")
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
    return _code(tally, engine, settings, outcomes=outcomes)


def _job_documents(engine: Maintenance, *, whole: bool) -> dict[str, Any]:
    """Return the jobs as JSON: of a few databases all of them, of a fleet the roots."""
    roots = engine.roots
    jobs = [job for root in roots for job in engine.tree(root)] if whole else roots
    return {
        "job": record_document(roots[0]) if roots else None,
        "jobs": [record_document(job) for job in jobs],
    }


def _code(tally: Tally, engine: Maintenance, settings: Settings, *, outcomes: Sequence[DatabaseOutcome] | None) -> int:
    codes = {exit_code(root) for root in engine.roots}
    if tally.interrupted or INTERRUPTED in codes:
        return INTERRUPTED
    if outcomes is None:
        return FAILED if tally.failed > (settings.max_failures or 0) else COMPLETED
    unfit = any(outcome.refused for outcome in tally.failures)
    # who named an operation and does not get it is not to read success; the policy's own choices are no failures
    asked = set(engine.request.operations or ())
    denied = any(
        step.operation in asked
        and (step.end is End.SKIPPED or (step.end is End.NOT_PLANNED and step.worth == Worth.IMPOSSIBLE.value))
        for outcome in outcomes
        for step in outcome.steps
    )
    return FAILED if FAILED in codes or unfit or denied else COMPLETED


def _check_different(urls: Sequence[str]) -> None:
    found: dict[str, str] = {}
    for url in urls:
        first = found.setdefault(identity(url), url)
        if first is not url:
            same = f"{url!r} is given twice" if first == url else f"{first!r} and {url!r} are one and the same"
            raise InvalidValueError(where="database_maintenance", name="databases", problem=same)


def _refuse_unfit(looked: Sequence[Looked], *, registry: pitstop.Registry, request: Request) -> None:
    """Refuse the whole request if one of a few databases cannot be worked on, before anything has been started.

    Raises:
        InputError: what is wrong with it, and what to do.
    """
    planning = Planning(request, lookup=registry)
    for one in looked:
        if one.plan.refused:
            url = one.plan.database
            # its own check says it with the next step
            planning.kind(url).check(filled_in(url), **request.options)
            raise InvalidJobError(reason=f"{without_credentials(url)}: {one.plan.refused}")
