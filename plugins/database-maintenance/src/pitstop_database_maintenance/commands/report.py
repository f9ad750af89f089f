"""`pitstop report`, contributed through the group `pitstop.commands`. Thin: `reporting` does the work."""

from __future__ import annotations

from typing import Any

import click

from pitstop.cli.options import json_option
from pitstop_database_maintenance.commands.options import looking_options


@click.command()
@click.argument("database", metavar="DATABASE")
@click.option("--html", "target", required=True, metavar="FILE", help="The file to write; a new one.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there; never the database itself.")
@looking_options
@json_option
def report(
    database: str, target: str, force: bool, exact: bool, seed: int, on_connect: str | None, as_json: bool
) -> int:
    """Write a report on a database that can be read in any browser: one file that needs no network and no script.

    It shows what is wrong and what it would gain, a map of the pages before and after the last maintenance, tables and
    indexes (with --exact), what was predicted and what was, past runs, and what is due now. It changes nothing.

    \b
    pitstop report app.db --html app.html
    pitstop report app.db --html app.html --exact --force

    Exit code 1 if the file cannot be looked at, such as one that is encrypted: the report says why.
    """
    import os
    from textwrap import wrap

    from pitstop import Registry
    from pitstop.cli import COMPLETED, FAILED
    from pitstop.cli.output import print_json
    from pitstop_database_maintenance.describe import terminal_width
    from pitstop_database_maintenance.history import history_path
    from pitstop_database_maintenance.plan import Request
    from pitstop_database_maintenance.reporting.document import document
    from pitstop_database_maintenance.reporting.findings import verdict
    from pitstop_database_maintenance.reporting.gathering import gather, path_of
    from pitstop_database_maintenance.reporting.page import page
    from pitstop_database_maintenance.reporting.writing import check_target, write
    from pitstop_database_maintenance.sizes import size_text

    registry = Registry()
    options: dict[str, Any] = {"on_connect": on_connect} if on_connect else {}
    check_target(target, databases=[path_of(database, lookup=registry), str(history_path())], force=force)
    found = gather(database, Request(exact=exact, seed=seed, options=options), lookup=registry)
    write(target, page(found), force=force)
    size = os.stat(target).st_size
    if as_json:
        print_json({"html": os.path.abspath(target), "html_bytes": size, **document(found)})
    else:
        for line in wrap(" ".join(verdict(found)), terminal_width()):
            click.echo(line)
        click.echo(f"report: {target} ({size_text(size)})")
    return FAILED if found.inspection.refused else COMPLETED
