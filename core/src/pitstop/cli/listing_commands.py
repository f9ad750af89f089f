"""`pitstop workers | operations | plugins` as click commands: what they print stands in `listings`."""

from __future__ import annotations

import click

from pitstop.cli import listings, output
from pitstop.cli.options import json_option
from pitstop.offers import OPERATIONS
from pitstop.registry import Registry


@click.command()
@json_option
def workers(as_json: bool) -> None:
    """List the worker types and the actions that are installed. Nothing is imported."""
    listings.workers(as_json=as_json)


@click.command()
@click.argument("name", required=False)
@click.option("--worker", metavar="TYPE", help="Only those of one worker type.")
@json_option
def operations(name: str | None, worker: str | None, as_json: bool) -> None:
    """List the operations that are installed, or explain one.

    The list imports nothing. With NAME that operation is imported, and its parameters are shown; with --json their
    JSON Schema. What stands before a dot may be left out: 'vacuum' explains every 'something.vacuum'.
    """
    if name is None:
        listings.operations(as_json=as_json, worker=worker)
    else:
        _explain(Registry(), name, worker, as_json=as_json)


@click.command()
@json_option
def plugins(as_json: bool) -> None:
    """List the installed distributions that offer something, what it is, and what is switched off. Imports nothing."""
    listings.plugins(as_json=as_json)


def _explain(registry: Registry, name: str, worker: str | None, *, as_json: bool) -> None:
    from pitstop.errors import UnknownNameError

    distribution, slash, short = name.rpartition("/")
    candidates = listings.operation_entries(registry, worker)
    offered = {(entry.group.removeprefix(OPERATIONS), entry.name) for entry in candidates}
    meant = sorted(pair for pair in offered if short == pair[1]) or sorted(
        pair for pair in offered if short == pair[1].rpartition(".")[2]
    )
    if not meant:
        raise UnknownNameError(kind="operation", name=name, known=tuple(sorted({pair[1] for pair in offered})))
    for worker_type, found in meant:
        operation = registry.operation(worker_type, distribution + slash + found)
        if as_json:
            output.print_json({"worker": worker_type, "schema": operation.json_schema()})
            continue
        click.echo(f"{click.style(operation.name, bold=True)}  {operation.summary}")
        click.echo(f"worker type {worker_type}, from {operation.distribution}")
        rows = [
            (p.name, p.type_name, "required" if p.required else f"default {p.default!r}") for p in operation.parameters
        ]
        output.table(("PARAMETER", "TYPE", ""), rows)
