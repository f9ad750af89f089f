"""`pitstop operations NAME`: all there is to tell of an operation. Imports the operation and its worker.

What an operation's worker knows better than the core, it may say in two optional methods: see
`pitstop.contracts.Worker`.
"""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import click
from attrs import frozen

from pitstop.cli import printing, say
from pitstop.cli.exit_codes import COMPLETED, FAILED
from pitstop.errors import PitstopError, UnknownNameError
from pitstop.operations import Operation, Parameter
from pitstop.operations.docstrings import read_docstring
from pitstop.operations.examples import command_line
from pitstop.operations.json_schema import to_json
from pitstop.registry.catalog import OPERATIONS
from pitstop.registry.entry_points import EntryPoint, describe_error
from pitstop.registry.registry import Registry
from pitstop.secrets.masking import mask
from pitstop.text import nearest
from pitstop.text.escaping import one_line, printable

_PROGRAM = "pitstop "


@frozen(kw_only=True)
class Explanation:
    """All there is to tell of one operation.

    Args:
        entry: who offers it, and where it is.
        operation: the operation itself.
        facts: what its worker says of it, by headings.
        example: a command line that runs it; "" if there is none to be had.
        trouble: why its worker says nothing; "" if it does.
    """

    entry: EntryPoint
    operation: Operation
    facts: Mapping[str, str]
    example: str = ""
    trouble: str = ""

    @property
    def worker_type(self) -> str:
        """Whose operation it is."""
        return self.entry.group.removeprefix(OPERATIONS)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON: the keys of the listing, and more."""
        operation = self.operation
        return {
            **self.entry.describe(),
            "worker": self.worker_type,
            "summary": operation.summary,
            "description": operation.description,
            "facts": dict(self.facts),
            "parameters": [_parameter(parameter) for parameter in operation.parameters],
            "open_ended": operation.open_ended,
            "example": self.example,
            "schema": operation.json_schema(),
        }


def explain(
    registry: Registry, name: str, *, worker: str | None = None, words: Sequence[str] = ()
) -> tuple[list[Explanation], list[PitstopError]]:
    """Return all there is to tell of the operations that a name means.

    Args:
        registry: where they are looked up.
        name: of an operation; what stands before its last dot may be left out, so that "hello" means every
            "something.hello". "distribution/name" picks one distribution's.
        worker: only operations of this worker type.
        words: what its example is to work on, where its worker knows what to do with that.

    Returns:
        What was found, sorted, and why others that the name means cannot be had.

    Raises:
        UnknownNameError: there is none of this name.
        ConflictError, BlockedError, PluginError: none of them can be had.
    """
    distribution, slash, short = name.rpartition("/")
    groups = {entry.group for entry in registry.entries() if entry.group.startswith(OPERATIONS)}
    offered = sorted((g, n) for g in groups if worker in (None, g.removeprefix(OPERATIONS)) for n in registry.names(g))
    meant = [pair for pair in offered if pair[1] == short]
    meant = meant or [pair for pair in offered if pair[1].rpartition(".")[2] == short]
    if not meant:
        raise _unknown_operation_error(name, sorted({found for _, found in offered}))
    explanations: list[Explanation] = []
    errors: list[PitstopError] = []
    for group, found in meant:
        try:
            explanations.append(_explain_entry(registry, registry.entry(group, distribution + slash + found), words))
        except PitstopError as error:
            errors.append(error)
    if not explanations:
        raise errors[0]
    return explanations, errors


def operation_hint(name: str, words: Sequence[str], known: Sequence[str]) -> str:
    """Return what runs an operation that was written where something else is due; "" if it is none.

    Args:
        name: what was written.
        words: what was written behind it.
        known: what could have been written; one that is close is what was meant.
    """
    try:
        close = nearest(name, known)
        found = (
            [] if close else explain(Registry(), name.casefold(), words=[*takewhile(lambda w: w[:1] != "-", words)])[0]
        )
    except PitstopError:
        return ""
    example = next((each.example for each in found if each.example), "")
    return f"it is an operation: did you mean {example!r}?" if example else ""


def _unknown_operation_error(name: str, known: list[str]) -> UnknownNameError:
    """Return the error for a name that nobody offers; it may be near to one without what stands before the dot."""
    shorts = {found.rpartition(".")[2]: found for found in reversed(known)}
    close = nearest(name, known) or shorts.get(nearest(name, shorts) or "")
    hint = f"did you mean {close!r}?" if close else ""
    return UnknownNameError(kind="operation", name=name, known=tuple(known), hint=hint)


def _explain_entry(registry: Registry, entry: EntryPoint, words: Sequence[str]) -> Explanation:
    worker_type = entry.group.removeprefix(OPERATIONS)
    picked = f"{entry.distribution}/{entry.name}" if entry.distribution else entry.name
    operation = registry.operation(worker_type, picked)
    facts: dict[str, str] = {}
    example, trouble = _find_example(operation), ""
    try:
        worker = registry.worker(worker_type)
        facts = {str(heading): str(text) for heading, text in getattr(worker, "facts", _no_facts)(operation).items()}
        if (words or not example) and hasattr(worker, "example"):
            example = str(worker.example(operation, words) if words else worker.example(operation))
    except KeyboardInterrupt:
        raise
    except PitstopError as error:
        trouble = str(error)
    except BaseException as error:
        trouble = f"the worker {worker_type!r} explains nothing: {mask(describe_error(error))}"
    if not example and not trouble:
        example = command_line(worker_type, operation)
    return Explanation(entry=entry, operation=operation, facts=facts, example=example, trouble=trouble)


def _find_example(operation: Operation) -> str:
    """Return the first command line that stands under `Example:` in the operation's docstring, or ""."""
    lines = [line.removeprefix("$ ") for line in read_docstring(operation.function).examples]
    return next((line for line in lines if line.startswith(_PROGRAM)), "")


def _no_facts(_operation: Operation) -> dict[str, str]:
    return {}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    given = {} if parameter.required else {"default": to_json(parameter.default)}
    return {
        "name": parameter.name,
        "type": parameter.type_name,
        "required": parameter.required,
        **given,
        "description": parameter.description,
    }


def print_explanations(name: str, worker: str | None, *, as_json: bool, json_schema: bool) -> int:
    """Print all there is to tell of the operations that a name means, and return the exit code.

    Raises:
        PitstopError: none of them can be had, or a schema was asked for and the name means several.
    """
    explanations, errors = explain(Registry(), name, worker=worker)
    if json_schema:
        printing.print_json(_one(name, explanations).operation.json_schema())
    elif as_json:
        printing.print_json([explanation.as_dict() for explanation in explanations])
    else:
        click.echo("\n\n".join("\n".join(_lines(explanation)) for explanation in explanations))
    for error in errors:
        say(f"Error: {error}")
    return FAILED if errors else COMPLETED


def _one(name: str, explanations: list[Explanation]) -> Explanation:
    if len(explanations) > 1:
        several = ", ".join(explanation.entry.name for explanation in explanations)
        raise click.UsageError(f"{name!r} means {several}; name one, perhaps with --worker")
    return explanations[0]


def _lines(explanation: Explanation) -> Iterator[str]:
    operation, entry = explanation.operation, explanation.entry
    yield click.style(one_line(entry.name), bold=True)
    yield from _wrap(operation.summary, indent=2)
    for paragraph in operation.description.split("\n\n") if operation.description else ():
        yield ""
        yield from _wrap(paragraph, indent=2)
    facts = {
        **explanation.facts,
        "worker type": explanation.worker_type,
        "from": f"{entry.origin or 'this program'} ({entry.target})",
    }
    yield ""
    width = max(map(len, facts))
    for heading, text in facts.items():
        yield from _wrap(text, indent=width + 4, label=f"  {one_line(heading):{width}}  ")
    yield ""
    yield from _parameters(operation.parameters, open_ended=operation.open_ended)
    yield ""
    if explanation.example:
        yield "Example:"
        # never wrapped: it is there to be copied
        yield f"  {one_line(explanation.example, at_most=2000)}"
    if explanation.trouble:
        yield from _wrap(explanation.trouble, indent=2)


def _parameters(parameters: tuple[Parameter, ...], *, open_ended: bool) -> Iterator[str]:
    if not parameters:
        yield "It takes any parameters." if open_ended else "It takes no parameters."
        return
    yield "Parameters:"
    width = max(len(parameter.name) for parameter in parameters)
    for parameter in parameters:
        needed = "required" if parameter.required else f"default {_format_default(to_json(parameter.default))}"
        yield f"  {parameter.name:{width}}  {parameter.type_name}, {needed}"
        yield from _wrap(parameter.description, indent=width + 4)
    if open_ended:
        yield "  It takes others too."


def _format_default(default: object) -> str:
    # as it is written behind --set, except that TOML has no word for nothing
    return "none" if default is None else json.dumps(default, ensure_ascii=False)


def _wrap(text: str, *, indent: int, label: str = "") -> list[str]:
    """Return lines no longer than the terminal is wide, indented; the first one behind a label, if there is one."""
    return textwrap.wrap(
        printable(text),
        width=max(min(shutil.get_terminal_size().columns, 120), indent + 40),
        initial_indent=label or " " * indent,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
