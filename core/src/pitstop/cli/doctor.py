"""`pitstop doctor`: imports every plugin in turn and names what is broken, by whom, why, and what to do."""

from __future__ import annotations

import click

from pitstop.cli import FAILED, output
from pitstop.cli.options import json_option
from pitstop.registry import Registry


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Import each plugin in turn and name what is broken. Exit code 1 if anything is."""
    registry = Registry()
    problems = registry.check()
    entries = registry.entries()
    if as_json:
        output.print_json({"checked": len(entries), "problems": [problem.as_dict() for problem in problems]})
        return FAILED if problems else 0
    for problem in problems:
        click.echo(f"{click.style('problem:', fg='red')} {problem}")
    for entry, rule in registry.blocked:
        click.echo(f"switched off by {rule}: {entry.distribution} {entry.version} ({entry.group}: {entry.name})")
    distributions = len({entry.distribution for entry in entries})
    verdict = f"{len(problems)} broken" if problems else click.style("all work", fg="green")
    click.echo(f"checked {len(entries)} entries of {distributions} distributions: {verdict}")
    return FAILED if problems else 0
