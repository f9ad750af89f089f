"""`pitstop maintain`: does what pays, and says what came of it. Thin: the work is `commands.working`'s.

That is imported only when there is some: a nightly run over thousands of unchanged files should cost no more than
reading their times.
"""

from __future__ import annotations

from typing import Any

import attrs
import click

import pitstop
from pitstop.cli.exit_codes import COMPLETED
from pitstop.cli.options import run_options
from pitstop.errors import InvalidValueError
from pitstop_database_maintenance.commands.hints import OperationsCommand, find_databases
from pitstop_database_maintenance.commands.options import exclude_option, planning_options
from pitstop_database_maintenance.commands.past_runs import open_history
from pitstop_database_maintenance.fleet.summary import FleetSummary
from pitstop_database_maintenance.fleet.unchanged import FLEET, UnchangedFiles, digest_rules
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.planning.plan import MaintenancePlan, MaintenanceRequest
from pitstop_database_maintenance.planning.plan_file import read_plan
from pitstop_database_maintenance.planning.secrecy import collect_secrets, hide_secrets


@click.command(cls=OperationsCommand, short_help="Do what pays, and say what came of it.")
@click.argument("databases", nargs=-1, metavar="DATABASE...", type=click.Path(readable=False))
@exclude_option
@planning_options
@click.option("--plan", "plan_file", metavar="FILE", help="Do what a file of 'pitstop plan --save' says.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, as 'pitstop plan' does.")
@click.option("--jobs", type=click.IntRange(min=1), help="How many databases are worked on side by side.")
@run_options(runner="process")
def maintain(
    databases: tuple[str, ...],
    exclude: tuple[str, ...],
    request: MaintenanceRequest,
    plan_file: str | None,
    dry_run: bool,
    jobs: int | None,
    **values: Any,
) -> int:
    """Maintain databases: do what pays, measure again, and say what came of it.

    DATABASE is the path of a database file, a pattern such as 'data/**/*.db', or a URL. Several are worked on side by
    side; the operations on one of them run one after the other, in the order that saves work.

    \b
    pitstop maintain app.db
    pitstop maintain app.db --max-stall 50ms --time-limit 30m
    pitstop maintain app.db --operations analyze --set analyze.limit=1000
    pitstop maintain 'data/**/*.db' --jobs 8
    pitstop maintain --plan night.json

    Unless --max-stall says otherwise, writers of a database wait while vacuum or reindex runs on it. What the time
    limit leaves over, the next run goes on with. Exit code 1: something failed, or was asked for and not done; 3:
    something due was left out; 130: interrupted.
    """
    if jobs is not None and values["threads"] not in (None, jobs):
        raise InvalidValueError(where="pitstop maintain", name="--jobs", problem="is another number than --threads")
    values["threads"] = jobs or values["threads"]
    saved = None if plan_file is None else _read_saved(plan_file, databases + exclude, request)
    if saved is None and not databases:
        raise click.UsageError("Missing argument 'DATABASE...'.")
    found = () if saved else find_databases(databases, command="pitstop maintain", exclude=exclude)
    urls = [plan.database for plan in saved.databases] if saved else list(found)
    if saved is not None:
        request = saved.request
    with hide_secrets(collect_secrets(urls, request)):
        return _work(urls, request, values, saved=saved, dry_run=dry_run)


def _work(
    urls: list[str],
    request: MaintenanceRequest,
    values: dict[str, Any],
    *,
    saved: MaintenancePlan | None,
    dry_run: bool,
) -> int:
    if dry_run:
        from pitstop_database_maintenance.commands.plan import check_runnable, make_plan, show_plan

        if saved is not None:
            check_runnable(saved)
        return show_plan(saved or make_plan(urls, request), as_json=values["as_json"])
    with open_history() as history:
        if saved is None and len(urls) > FLEET:
            return _fleet(urls, request, history, values)
        from pitstop_database_maintenance.commands.working import work_on_few

        return work_on_few(urls, request, history, values, saved=saved)


def _fleet(urls: list[str], request: MaintenanceRequest, history: History | None, values: dict[str, Any]) -> int:
    """Maintain many databases; those on which nothing was due, and that have not changed since, are left alone."""
    registry = pitstop.Registry()
    rules = "" if history is None else digest_rules(request, registry)
    seen = UnchangedFiles(history, rules, lookup=registry) if history is not None and rules else None
    again, never = ([], urls) if seen is None else seen.select_changed(urls)
    looked_at = {*again, *never}
    with FleetSummary(files=len(urls), keep=values["as_json"]) as tally:
        tally.add_unchanged(url for url in urls if url not in looked_at)
        if not looked_at:
            from pitstop_database_maintenance.reporting.text.outcome import print_summary

            print_summary(tally, as_json=values["as_json"])
            return COMPLETED
        from pitstop_database_maintenance.commands.working import work_on_many

        return work_on_many(again, never, request, history, values, tally=tally, registry=registry, seen=seen)


def _read_saved(path: str, databases: tuple[str, ...], request: MaintenanceRequest) -> MaintenancePlan:
    """Return a saved plan; the time limit of the command line counts instead of its own, if there is one.

    Raises:
        InvalidValueError: it cannot be read, is none, or something was given that the plan says already.
    """
    if databases or attrs.evolve(request, time_limit=None) != MaintenanceRequest():
        problem = "says which databases and what is to be done; give nothing of that beside it"
        raise InvalidValueError(where="pitstop maintain", name="--plan", problem=problem)
    saved = read_plan(path)
    if request.time_limit is None:
        return saved
    return attrs.evolve(saved, request=attrs.evolve(saved.request, time_limit=request.time_limit))
