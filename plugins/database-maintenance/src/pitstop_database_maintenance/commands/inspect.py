"""`pitstop inspect`: what is wrong with databases, without touching them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import click

import pitstop
from pitstop.cli import say
from pitstop.cli.exit_codes import COMPLETED, FAILED
from pitstop.cli.options import json_option
from pitstop.cli.printing import print_json
from pitstop_database_maintenance.commands.options import databases_argument, exclude_option, inspection_options
from pitstop_database_maintenance.commands.past_runs import list_copies, open_existing_history
from pitstop_database_maintenance.commands.targets import expand
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.databases.urls import absolute, without_credentials
from pitstop_database_maintenance.planning.candidates import check_options
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.planning.planner import MaintenancePlanner, expand_env
from pitstop_database_maintenance.planning.secrecy import collect_secrets, hide_secrets, replace_in
from pitstop_database_maintenance.reporting.text.layout import terminal_width
from pitstop_database_maintenance.reporting.text.plan import format_inspection


@click.command(short_help="Say what is wrong with databases, and only read them.")
@databases_argument
@exclude_option
@inspection_options
@json_option
def inspect(databases: tuple[str, ...], exclude: tuple[str, ...], request: MaintenanceRequest, as_json: bool) -> int:
    """Say what is wrong with databases. Only reads, and takes no lock.

    DATABASE is the path of a database file, a pattern such as 'data/**/*.db', or a URL.

    \b
    pitstop inspect app.db
    pitstop inspect app.db --exact
    pitstop inspect 'data/**/*.db' --json

    How much of a file is waste is estimated from a random sample of its pages, with the interval that holds the true
    value 19 times out of 20. Exit code 1: a database could not be inspected, its schema cannot be read, or it is known
    to be damaged.
    """
    registry = pitstop.Registry()
    urls = expand(databases, lookup=registry, exclude=exclude, copies=list_copies, warn=say)
    secrets = collect_secrets(urls, request)
    documents, failed = [], 0
    with hide_secrets(secrets), open_existing_history() as history:
        planning = MaintenancePlanner(request, lookup=registry, history=history)
        for url, kind, inspection in _inspect(planning, urls):
            refusal = _refusal(planning, url, kind, inspection)
            failed += bool(kind.failure(inspection) or refusal)
            if as_json:
                found = {"database": without_credentials(absolute(url)), **attrs.asdict(inspection)}
                documents.append(replace_in({**found, "obstacle": refusal}, secrets))
                continue
            name, described = replace_in(without_credentials(url), secrets), kind.describe(inspection)
            if refusal is not None:
                described = attrs.evolve(described, findings=(refusal["reason"], *described.findings))
            for line in format_inspection(name, described, terminal_width()):
                click.echo(replace_in(line, secrets))
            click.echo()
    if as_json:
        print_json({"databases": documents})
    return FAILED if failed else COMPLETED


def _refusal(planning: MaintenancePlanner, url: str, kind: type[Database], inspection: Any) -> dict[str, str] | None:
    """Return why the database would refuse what writes, for what past runs found; None if it would not."""
    if kind.failure(inspection):
        return None  # which says it all
    found = kind.obstacle(planning.make_look(absolute(url), inspection, resource=kind.resource(expand_env(url))))
    return None if found is None else {"cause": found[0].value, "reason": found[1]}


def _inspect(planning: MaintenancePlanner, urls: list[str]) -> Iterator[tuple[str, type[Database], Any]]:
    for kind, several in planning.group_by_kind(urls):
        check_options(kind, planning.request.options)
        for url, inspection in planning.inspect(kind, several):
            yield url, kind, inspection
