"""`pitstop report`, contributed through the group `pitstop.commands`. Thin: `reporting` does the work."""

from __future__ import annotations

import click

from pitstop.cli.options import json_option
from pitstop_database_maintenance.commands.options import inspection_options
from pitstop_database_maintenance.planning.plan import MaintenanceRequest


@click.command(short_help="Write a report on a database, for any browser.")
@click.argument("database", metavar="DATABASE", type=click.Path(readable=False))
@click.option("--html", "target", required=True, metavar="FILE", help="The file to write; a new one.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there; never the database itself.")
@inspection_options
@json_option
def report(database: str, target: str, force: bool, request: MaintenanceRequest, as_json: bool) -> int:
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
    from pitstop.cli.exit_codes import COMPLETED, FAILED
    from pitstop.cli.printing import print_json
    from pitstop.text import size_text
    from pitstop.text.escaping import one_line, printable
    from pitstop_database_maintenance.commands.past_runs import open_existing_history
    from pitstop_database_maintenance.databases.database import file_kind
    from pitstop_database_maintenance.databases.urls import parse
    from pitstop_database_maintenance.history import history_path
    from pitstop_database_maintenance.planning.planner import expand_env
    from pitstop_database_maintenance.planning.secrecy import collect_secrets, hide_secrets, replace_in
    from pitstop_database_maintenance.reporting.atomic_write import check_target, write_report
    from pitstop_database_maintenance.reporting.build import build_report
    from pitstop_database_maintenance.reporting.findings import write_verdict
    from pitstop_database_maintenance.reporting.html.page import make_page
    from pitstop_database_maintenance.reporting.json_report import make_document
    from pitstop_database_maintenance.reporting.text.layout import terminal_width

    path = parse(expand_env(database)).path
    registry = Registry()
    in_use = [str(history_path()), *([path] if path else [])]
    check_target(target, kind=file_kind(registry), databases=in_use, force=force)
    secrets = collect_secrets([database], request)
    with hide_secrets(secrets), open_existing_history() as history:
        found = build_report(database, request, lookup=registry, history=history)
    write_report(target, make_page(found), force=force)
    size = os.stat(target).st_size
    if as_json:
        document = replace_in(make_document(found), secrets)
        print_json({"html": os.path.abspath(target), "html_bytes": size, **document})
    else:
        for line in wrap(printable(" ".join(write_verdict(found))), terminal_width()):
            click.echo(line)
        click.echo(f"report: {one_line(target)} ({size_text(size)})")
    return FAILED if found.plan.failure else COMPLETED
