"""`pitstop operations NAME`: prints what `pitstop.explanation` found."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator

import click

from pitstop.cli import COMPLETED, FAILED, output
from pitstop.explanation import Explanation, explain
from pitstop.logs import printable
from pitstop.operations import Parameter
from pitstop.registry import Registry
from pitstop.schemas import plain


def print_explanations(name: str, worker: str | None, *, as_json: bool, json_schema: bool) -> int:
    """Print all there is to tell of the operations that a name means, and return the exit code.

    Raises:
        PitstopError: none of them can be had, or a schema was asked for and the name means several.
    """
    explanations, errors = explain(Registry(), name, worker=worker)
    if json_schema:
        output.print_json(_one(name, explanations).operation.json_schema())
    elif as_json:
        output.print_json([explanation.as_dict() for explanation in explanations])
    else:
        click.echo("\n\n".join("\n".join(_lines(explanation)) for explanation in explanations))
    for error in errors:
        click.echo(f"Error: {error}", err=True)
    return FAILED if errors else COMPLETED


def _one(name: str, explanations: list[Explanation]) -> Explanation:
    if len(explanations) > 1:
        several = ", ".join(explanation.entry.name for explanation in explanations)
        raise click.UsageError(f"{name!r} means {several}; name one, perhaps with --worker")
    return explanations[0]


def _lines(explanation: Explanation) -> Iterator[str]:
    operation, entry = explanation.operation, explanation.entry
    yield click.style(printable(entry.name), bold=True)
    yield from _wrapped(operation.summary, indent=2)
    for paragraph in operation.description.split("\n\n") if operation.description else ():
        yield ""
        yield from _wrapped(paragraph, indent=2)
    facts = {
        **explanation.facts,
        "worker type": explanation.worker_type,
        "from": f"{entry.origin or 'this program'} ({entry.target})",
    }
    yield ""
    width = max(map(len, facts))
    for heading, text in facts.items():
        yield from _wrapped(text, indent=width + 4, label=f"  {printable(heading):{width}}  ")
    yield ""
    yield from _parameters(operation.parameters, open_ended=operation.open_ended)
    yield ""
    if explanation.example:
        yield "Example:"
        # never wrapped: it is there to be copied
        yield f"  {printable(explanation.example)}"
    if explanation.trouble:
        yield from _wrapped(explanation.trouble, indent=2)


def _parameters(parameters: tuple[Parameter, ...], *, open_ended: bool) -> Iterator[str]:
    if not parameters:
        yield "It takes any parameters." if open_ended else "It takes no parameters."
        return
    yield "Parameters:"
    width = max(len(parameter.name) for parameter in parameters)
    for parameter in parameters:
        needed = "required" if parameter.required else f"default {_shown(plain(parameter.default))}"
        yield f"  {parameter.name:{width}}  {parameter.type_name}, {needed}"
        yield from _wrapped(parameter.description, indent=width + 4)
    if open_ended:
        yield "  It takes others too."


def _shown(default: object) -> str:
    # as it is written behind --set, except that TOML has no word for nothing
    return "none" if default is None else json.dumps(default, ensure_ascii=False)


def _wrapped(text: str, *, indent: int, label: str = "") -> list[str]:
    """Return lines no longer than the terminal is wide, indented; the first one behind a label, if there is one."""
    return textwrap.wrap(
        printable(text),
        width=max(min(shutil.get_terminal_size().columns, 120), indent + 40),
        initial_indent=label or " " * indent,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
