"""`pitstop workers | operations | plugins`: what the installed distributions declare. Imports none of them."""

from __future__ import annotations

import click

from pitstop.cli import output
from pitstop.cli.options import json_option
from pitstop.offers import OPERATIONS, PLANNERS, WORKERS
from pitstop.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pitstop.discovery import Entry


@click.command()
@json_option
def workers(as_json: bool) -> None:
    """List the worker types and the actions that are installed. Nothing is imported."""
    registry = Registry()
    entries = [*registry.entries(WORKERS), *registry.entries(PLANNERS)]
    if as_json:
        output.print_json([_document(entry) for entry in entries])
        return
    kinds = {WORKERS: "worker type", PLANNERS: "action"}
    rows = [(entry.name, kinds[entry.group], _distribution(entry), entry.target) for entry in entries]
    _table(("NAME", "KIND", "DISTRIBUTION", "TARGET"), rows, none="No plugin offers a worker type. Install one.")
    _warn(registry)


@click.command()
@click.argument("name", required=False)
@click.option("--worker", metavar="TYPE", help="Only those of one worker type.")
@json_option
def operations(name: str | None, worker: str | None, as_json: bool) -> None:
    """List the operations that are installed, or explain one.

    The list imports nothing. With NAME that operation is imported, and its parameters are shown; with --json their
    JSON Schema. What stands before a dot may be left out: 'vacuum' explains every 'something.vacuum'.
    """
    registry = Registry()
    if name is not None:
        _explain(registry, name, worker, as_json=as_json)
        return
    entries = [entry for entry in _operations(registry) if worker in (None, entry.group.removeprefix(OPERATIONS))]
    if as_json:
        output.print_json([{**_document(entry), "worker": entry.group.removeprefix(OPERATIONS)} for entry in entries])
        return
    rows = [(entry.name, entry.group.removeprefix(OPERATIONS), _distribution(entry), entry.target) for entry in entries]
    _table(("OPERATION", "WORKER", "DISTRIBUTION", "TARGET"), rows, none="No plugin offers an operation. Install one.")
    _warn(registry)


@click.command()
@json_option
def plugins(as_json: bool) -> None:
    """List the installed distributions that offer something, what it is, and what is switched off. Imports nothing."""
    registry = Registry()
    by_distribution: dict[tuple[str, str], list[Entry]] = {}
    for entry in registry.entries():
        by_distribution.setdefault((entry.distribution, entry.version), []).append(entry)
    blocked = [(entry, rule) for entry, rule in registry.blocked]
    if as_json:
        output.print_json(
            {
                "plugins": [
                    {"distribution": name, "version": version, "offers": [_document(entry) for entry in entries]}
                    for (name, version), entries in sorted(by_distribution.items())
                ],
                "blocked": [{**_document(entry), "rule": rule} for entry, rule in blocked],
                "problems": [problem.as_dict() for problem in registry.problems],
            }
        )
        return
    rows = [
        (name, version, entry.group.removeprefix("pitstop."), entry.name)
        for (name, version), entries in sorted(by_distribution.items())
        for entry in entries
    ]
    _table(("DISTRIBUTION", "VERSION", "OFFERS", "NAME"), rows, none="No plugin is installed.")
    for entry, rule in blocked:
        click.echo(f"switched off by {rule}: {entry.distribution} {entry.version} ({entry.group}: {entry.name})")
    _warn(registry)


def _explain(registry: Registry, name: str, worker: str | None, *, as_json: bool) -> None:
    from pitstop.errors import UnknownNameError

    distribution, slash, short = name.rpartition("/")
    candidates = [entry for entry in _operations(registry) if worker in (None, entry.group.removeprefix(OPERATIONS))]
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
        _table(("PARAMETER", "TYPE", ""), rows, none="It takes no parameters.")


def _operations(registry: Registry) -> list[Entry]:
    return [entry for entry in registry.entries() if entry.group.startswith(OPERATIONS)]


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, none: str) -> None:
    if rows:
        output.table(headings, rows)
    else:
        click.echo(none)


def _distribution(entry: Entry) -> str:
    return f"{entry.distribution} {entry.version}".strip()


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "group": entry.group,
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "target": entry.target,
    }


def _warn(registry: Registry) -> None:
    problems = registry.problems
    if problems:
        these = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        click.echo(f"{these} with plugins; 'pitstop doctor' tells more", err=True)
