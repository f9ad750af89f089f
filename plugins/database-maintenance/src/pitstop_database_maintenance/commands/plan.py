"""`pitstop plan`: what maintenance would do, what it would gain and cost, and why. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import click

import pitstop
from pitstop.cli.exit_codes import COMPLETED, FAILED
from pitstop.cli.options import json_option
from pitstop.cli.printing import print_json
from pitstop_database_maintenance.commands.hints import OperationsCommand, find_databases
from pitstop_database_maintenance.commands.options import databases_argument, exclude_option, planning_options
from pitstop_database_maintenance.commands.past_runs import open_history
from pitstop_database_maintenance.maintenance.engine import check_jobs, check_saved
from pitstop_database_maintenance.maintenance.job_outcomes import PlannedDatabase
from pitstop_database_maintenance.planning.plan import MaintenancePlan, MaintenanceRequest
from pitstop_database_maintenance.planning.plan_file import check_target, write_plan
from pitstop_database_maintenance.planning.planner import plan_databases
from pitstop_database_maintenance.planning.secrecy import collect_secrets, hide_secrets, replace_in
from pitstop_database_maintenance.reporting.text.layout import terminal_width
from pitstop_database_maintenance.reporting.text.plan import format_plan


@click.command(cls=OperationsCommand, short_help="Say what 'maintain' would do, why, and what that costs.")
@databases_argument
@exclude_option
@planning_options
@click.option(
    "--save", "target", metavar="FILE", help="Write the plan to a new file, for 'pitstop maintain --plan FILE'."
)
@click.option("-v", "--verbose", is_flag=True, help="Also say by which rules, and why the rest is not due.")
@json_option
def plan(
    databases: tuple[str, ...],
    exclude: tuple[str, ...],
    request: MaintenanceRequest,
    target: str | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """Say what 'pitstop maintain' would do, why, what it gains, how long it takes and whom it keeps waiting.

    DATABASE is the path of a database file, a pattern such as 'data/**/*.db', or a URL.

    \b
    pitstop plan app.db
    pitstop plan app.db --max-stall 50ms --time-limit 10m
    pitstop plan app.db --threshold space.high_from=0.2 --save night.json

    Exit code 1: with a database nothing can be done, or it is known to be damaged.
    """
    urls = find_databases(databases, command="pitstop plan", exclude=exclude)
    if target is not None:
        check_target(target, urls, request, lookup=pitstop.Registry())
    made = make_plan(urls, request)
    if target is not None:
        write_plan(target, made)
    return show_plan(made, as_json=as_json, verbose=verbose)


def make_plan(databases: Sequence[str], request: MaintenanceRequest) -> MaintenancePlan:
    """Look at databases and return the plan for them.

    Raises:
        InputError: what was asked for is not taken.
    """
    with open_history() as history, hide_secrets(collect_secrets(databases, request)):
        made = plan_databases(databases, request, lookup=pitstop.Registry(), history=history)
        return MaintenancePlan.of((database for database, _ in made), request)


def check_runnable(saved: MaintenancePlan) -> None:
    """Check a saved plan as if it were to be run, and start nothing.

    Raises:
        InputError: a database has changed too much since, or a step is not taken.
    """
    registry = pitstop.Registry()
    urls = [plan.database for plan in saved.databases]
    with open_history() as history, hide_secrets(collect_secrets(urls, saved.request)):
        found = plan_databases(urls, saved.request, lookup=registry, history=history)
        looked = [PlannedDatabase(plan=plan, inspection=inspection) for plan, inspection in found]
    check_saved(saved, looked, lookup=registry)
    check_jobs(saved, registry=registry)


def show_plan(made: MaintenancePlan, *, as_json: bool, verbose: bool = False) -> int:
    """Print a plan; return the exit code. What is verbose is told by `format_plan`."""
    secrets = collect_secrets([database.database for database in made.databases], made.request)
    if as_json:
        print_json(replace_in(made.shown_document(), secrets))
    else:
        for line in format_plan(made, terminal_width(), verbose=verbose):
            click.echo(replace_in(line, secrets))
    return FAILED if any(database.failure or database.barred for database in made.databases) else COMPLETED
