"""`pitstop workers | operations | plugins`: what the installed distributions declare. Imports no plugin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import click

from pitstop.cli import printing
from pitstop.cli.exit_codes import COMPLETED
from pitstop.cli.options import RegisteredName, json_option
from pitstop.cli.source import describe
from pitstop.registry.catalog import OPERATIONS, PLANNERS, WORKERS
from pitstop.registry.entry_points import PROBLEM, EntryPoint
from pitstop.registry.registry import Registry
from pitstop.text import count_noun
from pitstop.text.escaping import one_line

#: So much is told of what an operation does, with its name, in columns; it may go over several lines.
_LONGEST_SUMMARY = 200


@click.command()
@json_option
def workers(as_json: bool) -> None:
    """List the worker types and the actions that are installed. Nothing is imported."""
    registry = Registry()
    entries = [*registry.entries(WORKERS), *registry.entries(PLANNERS)]
    if as_json:
        printing.print_json_lines([entry.describe() for entry in entries])
        return
    kinds = {WORKERS: "worker type", PLANNERS: "action"}
    rows = [(entry.name, kinds[entry.group], entry.origin) for entry in entries]
    if rows:
        printing.print_table(("NAME", "KIND", "DISTRIBUTION"), rows)
    else:
        click.echo("No plugin offers a worker type. Install one.")
    _warn(registry)


@click.command()
@click.argument("name", required=False, type=RegisteredName(OPERATIONS))
@click.option("--worker", metavar="TYPE", type=RegisteredName(WORKERS), help="Only those of one worker type.")
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
        from pitstop.cli.commands.explain import print_explanations

        return print_explanations(name, worker, as_json=as_json, json_schema=json_schema)
    if json_schema:
        raise click.UsageError("--json-schema needs the NAME of an operation; 'pitstop operations' lists them")
    registry = Registry()
    group = OPERATIONS if worker is None else OPERATIONS + worker
    entries = [
        entry
        for entry in registry.entries()
        if entry.group == group or (group == OPERATIONS and entry.group.startswith(group))
    ]
    if as_json:
        printing.print_json_lines([{**e.describe(), "worker": e.group.removeprefix(OPERATIONS)} for e in entries])
        return COMPLETED
    if entries:
        printing.print_sections(
            (f"Operations of {one_line(offered.removeprefix(OPERATIONS))}", describe(list(of_group), _LONGEST_SUMMARY))
            for offered, of_group in groupby(entries, key=lambda entry: entry.group)
        )
    else:
        click.echo("No plugin offers an operation. Install one.")
    _warn(registry)
    return COMPLETED


@click.command()
@json_option
def plugins(as_json: bool) -> None:
    """List the installed distributions that offer something, what it is, and what is switched off. Imports nothing."""
    registry = Registry()
    by_distribution: dict[tuple[str, str], list[EntryPoint]] = {}
    for entry in registry.entries():
        by_distribution.setdefault((entry.distribution, entry.version), []).append(entry)
    found = sorted(by_distribution.items())
    if as_json:
        printing.print_json_lines(
            {
                "plugins": [
                    {"distribution": name, "version": version, "offers": [entry.describe() for entry in entries]}
                    for (name, version), entries in found
                ],
                "blocked": [{**entry.describe(), "rule": rule} for entry, rule in registry.blocked],
                "problems": [problem.as_dict() for problem in registry.problems],
            }
        )
        return
    if found:
        printing.print_sections((one_line(entries[0].origin), _offers(entries)) for _, entries in found)
    else:
        click.echo("No plugin is installed.")
    for entry, rule in registry.blocked:
        click.echo(f"switched off by {rule}: {entry.origin} ({entry.group}: {entry.name})")
    _warn(registry)


def _offers(entries: Sequence[EntryPoint]) -> list[tuple[str, str]]:
    """Return the groups that a distribution has entries in, each with their names."""
    return [
        (one_line(group.removeprefix("pitstop.")), ", ".join(one_line(entry.name) for entry in of_group))
        for group, of_group in groupby(entries, key=lambda entry: entry.group)
    ]


def _warn(registry: Registry) -> None:
    problems = [problem for problem in registry.problems if problem.severity == PROBLEM]
    if problems:
        click.echo(f"{count_noun(len(problems), 'problem')} with plugins; 'pitstop doctor' tells more", err=True)
