"""`pitstop plan`: what maintenance would do, what it would gain and cost, and why. Changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import click

import pitstop
from pitstop.cli.options import json_option
from pitstop.cli.output import print_json
from pitstop.errors import InvalidValueError
from pitstop_database_maintenance.commands.options import planning_options, request_of
from pitstop_database_maintenance.commands.past import opened_history
from pitstop_database_maintenance.describe import plan_lines, terminal_width
from pitstop_database_maintenance.maintenance import Looked, check_jobs, check_saved
from pitstop_database_maintenance.plan import MaintenancePlan, Request
from pitstop_database_maintenance.planning import plan_databases
from pitstop_database_maintenance.targets import expand

#: From how many databases on two of them are looked at side by side.
_SEVERAL = 20


@click.command()
@click.argument("databases", nargs=-1, required=True, metavar="DATABASE...")
@planning_options
@click.option(
    "--save", "target", metavar="FILE", help="Write the plan to a new file, for 'pitstop maintain --plan FILE'."
)
@json_option
def plan(databases: tuple[str, ...], target: str | None, as_json: bool, **values: Any) -> int:
    """Say what 'pitstop maintain' would do, why, what it gains, how long it takes and whom it keeps waiting.

    DATABASE is the path of a SQLite file, a pattern such as 'data/**/*.db', or a URL.

    \b
    pitstop plan app.db
    pitstop plan app.db --max-stall 50ms --time-limit 10m
    pitstop plan app.db --threshold space.high_from=0.2 --save night.json

    Exit code 1: a database could not be looked at.
    """
    request = request_of(values)
    if target is not None:
        _check_new(target)
    made = make_plan(expand(databases), request)
    if target is not None:
        _write(target, made)
    return show_plan(made, as_json=as_json)


def make_plan(databases: Sequence[str], request: Request) -> MaintenancePlan:
    """Look at databases and return the plan for them.

    Raises:
        InputError: what was asked for is not taken.
    """
    settings = {"workers": 2} if len(databases) >= _SEVERAL else {}
    with opened_history() as history:
        made = plan_databases(databases, request, lookup=pitstop.Registry(), history=history, **settings)
        return MaintenancePlan.of((database for database, _ in made), request)


def check_runnable(saved: MaintenancePlan) -> None:
    """Check a saved plan as if it were to be run, and start nothing.

    Raises:
        InputError: a database has changed too much since, or a step is not taken.
    """
    registry = pitstop.Registry()
    with opened_history() as history:
        urls = [plan.database for plan in saved.databases]
        found = plan_databases(urls, saved.request, lookup=registry, history=history)
        looked = [Looked(plan=plan, inspection=inspection) for plan, inspection in found]
    check_saved(saved, looked, lookup=registry)
    check_jobs(saved, registry=registry)


def show_plan(made: MaintenancePlan, *, as_json: bool) -> int:
    """Print a plan; return the exit code."""
    if as_json:
        print_json(made.to_document())
    else:
        for line in plan_lines(made, terminal_width()):
            click.echo(line)
    return 1 if any(database.refused for database in made.databases) else 0


def _check_new(target: str) -> None:
    if os.path.lexists(target):
        raise InvalidValueError(where="--save", name=target, problem="is there already; give the name of a new file")
    folder = os.path.dirname(os.path.abspath(target))
    if not os.path.isdir(folder):
        raise InvalidValueError(where="--save", name=target, problem=f"the folder {folder} is not there")


def _write(target: str, made: MaintenancePlan) -> None:
    try:
        # "x": never over a file that came meanwhile
        with open(target, "x", encoding="utf-8") as file:
            json.dump(made.to_document(), file, indent=2, ensure_ascii=False)
            file.write("\n")
    except OSError as error:
        raise InvalidValueError(where="--save", name=target, problem=f"cannot be written: {error.strerror}") from None
