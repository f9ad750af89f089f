"""`pitstop workers | operations | plugins` as click commands: what they print stands in `listings`."""

from __future__ import annotations

import click

from pitstop.cli import COMPLETED, listings
from pitstop.cli.options import json_option


@click.command()
@json_option
def workers(as_json: bool) -> None:
    """List the worker types and the actions that are installed. Nothing is imported."""
    listings.workers(as_json=as_json)


@click.command()
@click.argument("name", required=False)
@click.option("--worker", metavar="TYPE", help="Only those of one worker type.")
@json_option
@click.option("--json-schema", is_flag=True, help="Print the JSON Schema (draft 2020-12) of NAME's parameters.")
def operations(name: str | None, worker: str | None, as_json: bool, json_schema: bool) -> int:
    """List the operations that are installed, or explain one.

    The list imports nothing. With NAME that operation is imported: what it does, its parameters with types, defaults
    and meanings, who offers it, and a command line that runs it. What stands before a dot may be left out: 'hello'
    explains every 'something.hello'.

    \b
    pitstop operations
    pitstop operations NAME
    pitstop operations NAME --json-schema
    """
    if name is not None:
        from pitstop.cli.explaining import print_explanations

        return print_explanations(name, worker, as_json=as_json, json_schema=json_schema)
    if json_schema:
        raise click.UsageError("--json-schema needs the NAME of an operation; 'pitstop operations' lists them")
    listings.operations(as_json=as_json, worker=worker)
    return COMPLETED


@click.command()
@json_option
def plugins(as_json: bool) -> None:
    """List the installed distributions that offer something, what it is, and what is switched off. Imports nothing."""
    listings.plugins(as_json=as_json)
