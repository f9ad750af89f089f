"""`pitstop inspect`: what is wrong with databases, without touching them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import attrs
import click

import pitstop
from pitstop.cli.options import json_option
from pitstop.cli.output import print_json
from pitstop_database_maintenance.commands.options import looking_options
from pitstop_database_maintenance.describe import inspection_lines, terminal_width
from pitstop_database_maintenance.plan import Request
from pitstop_database_maintenance.planning import Planning, filled_in
from pitstop_database_maintenance.targets import expand
from pitstop_database_maintenance.urls import absolute, without_credentials

#: From how many databases on two of them are looked at side by side.
_SEVERAL = 20


@click.command()
@click.argument("databases", nargs=-1, required=True, metavar="DATABASE...")
@looking_options
@json_option
def inspect(databases: tuple[str, ...], exact: bool, seed: int, on_connect: str | None, as_json: bool) -> int:
    """Say what is wrong with databases. Only reads, and takes no lock.

    DATABASE is the path of a SQLite file, a pattern such as 'data/**/*.db', or a URL.

    \b
    pitstop inspect app.db
    pitstop inspect app.db --exact
    pitstop inspect 'data/**/*.db' --json

    How much of a file is waste is told from a random sample of its pages, with the interval in which the true value is
    19 times of 20. Exit code 1: a database could not be looked at.
    """
    found = _inspections(expand(databases), exact=exact, seed=seed, on_connect=on_connect)
    documents, refused = [], 0
    for url, kind, inspection in found:
        refused += bool(inspection.refused)
        if as_json:
            documents.append({"database": without_credentials(absolute(url)), **attrs.asdict(inspection)})
            continue
        for line in inspection_lines(without_credentials(url), kind.describe(inspection), terminal_width()):
            click.echo(line)
        click.echo()
    if as_json:
        print_json({"databases": documents})
    return 1 if refused else 0


def _inspections(urls: list[str], *, exact: bool, seed: int, on_connect: str | None) -> Iterator[tuple[str, Any, Any]]:
    planning = Planning(Request(), lookup=pitstop.Registry())
    settings: dict[str, Any] = {"exact": exact, "seed": seed}
    if on_connect:
        settings["on_connect"] = on_connect
    if len(urls) >= _SEVERAL:
        settings["workers"] = 2
    for kind, group in groupby(urls, key=planning.kind):
        several = list(group)
        found = kind.inspect([filled_in(url) for url in several], **settings)
        for url, inspection in zip(several, found, strict=True):
            yield url, kind, inspection
