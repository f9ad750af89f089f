"""`pitstop maintain`, contributed through the group `pitstop.commands`. Thin: the planner and the core do the work."""

from __future__ import annotations

from typing import Any

import click

from pitstop.cli.options import run_options
from pitstop.cli.run import assign
from pitstop.cli.session import Settings, run_request
from pitstop_database_maintenance.planner import ACTION, DEFAULT_OPERATIONS


@click.command()
@click.argument("databases", nargs=-1, required=True, metavar="DATABASE...")
@click.option(
    "--operations",
    multiple=True,
    metavar="NAME[,NAME...]",
    help=f"What to do; can be repeated. Default: {','.join(DEFAULT_OPERATIONS)}.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="OPERATION.PARAMETER=VALUE",
    help="Set a parameter of an operation, such as analyze.limit=1000. Can be repeated.",
)
@run_options(runner="process")
def maintain(
    databases: tuple[str, ...], operations: tuple[str, ...], assignments: tuple[str, ...], **settings: Any
) -> int:
    """Maintain databases: give back free space, rebuild indexes, refresh statistics.

    DATABASE is the path of a SQLite file, or a URL such as sqlite:////var/lib/app.db. Several are maintained side by
    side; the operations on one of them run one after the other, in the order that saves work.

    \b
    pitstop maintain app.db
    pitstop maintain app.db --operations analyze --set analyze.limit=1000
    pitstop maintain data/*.db --threads 4 --timeout 30m

    Writers of a database wait while vacuum or reindex runs on it. 'pitstop operations' lists what can be done.
    """
    config: dict[str, Any] = {"database": databases[0]} if len(databases) == 1 else {"databases": list(databases)}
    if operations:
        config["operations"] = [name.strip() for names in operations for name in names.split(",")]
    if assignments:
        config["parameters"] = assign({}, assignments)
    return run_request(ACTION, config, settings=Settings(**settings))
