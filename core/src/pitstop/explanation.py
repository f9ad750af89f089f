"""`explain`: all there is to tell of an operation, for `pitstop operations NAME`. Imports the operation and its worker.

What an operation's worker knows better than the core, it may say in two optional methods: see
`pitstop.contracts.Worker`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from pitstop.declarations import Entry, cause_of
from pitstop.docstrings import docstring_of
from pitstop.errors import PitstopError, UnknownNameError, nearest
from pitstop.masking import mask
from pitstop.offers import OPERATIONS
from pitstop.operations import Operation, Parameter
from pitstop.registry import Registry
from pitstop.samples import command_line
from pitstop.schemas import plain

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

    entry: Entry
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
            **{key: value for key, value in self.entry.as_dict().items() if key != "location"},
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
    registry: Registry, name: str, *, worker: str | None = None
) -> tuple[list[Explanation], list[PitstopError]]:
    """Return all there is to tell of the operations that a name means.

    Args:
        registry: where they are looked up.
        name: of an operation; what stands before its last dot may be left out, so that "hello" means every
            "something.hello". "distribution/name" picks one distribution's.
        worker: only operations of this worker type.

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
        raise _unknown(name, sorted({found for _, found in offered}))
    explanations: list[Explanation] = []
    errors: list[PitstopError] = []
    for group, found in meant:
        try:
            explanations.append(_explained(registry, registry.entry(group, distribution + slash + found)))
        except PitstopError as error:
            errors.append(error)
    if not explanations:
        raise errors[0]
    return explanations, errors


def _unknown(name: str, known: list[str]) -> UnknownNameError:
    """Return the error for a name that nobody offers; it may be near to one without what stands before the dot."""
    shorts = {found.rpartition(".")[2]: found for found in reversed(known)}
    close = nearest(name, known) or shorts.get(nearest(name, shorts) or "")
    hint = f"did you mean {close!r}?" if close else ""
    return UnknownNameError(kind="operation", name=name, known=tuple(known), hint=hint)


def _explained(registry: Registry, entry: Entry) -> Explanation:
    worker_type = entry.group.removeprefix(OPERATIONS)
    picked = f"{entry.distribution}/{entry.name}" if entry.distribution else entry.name
    operation = registry.operation(worker_type, picked)
    facts: dict[str, str] = {}
    example, trouble = _written_example(operation), ""
    try:
        worker = registry.worker(worker_type)
        facts = {str(heading): str(text) for heading, text in getattr(worker, "facts", _no_facts)(operation).items()}
        if not example and hasattr(worker, "example"):
            example = str(worker.example(operation))
    except KeyboardInterrupt:
        raise
    except PitstopError as error:
        trouble = str(error)
    except BaseException as error:
        trouble = f"the worker {worker_type!r} explains nothing: {mask(cause_of(error))}"
    if not example and not trouble:
        example = command_line(worker_type, operation)
    return Explanation(entry=entry, operation=operation, facts=facts, example=example, trouble=trouble)


def _written_example(operation: Operation) -> str:
    """Return the first command line that stands under `Example:` in the operation's docstring, or ""."""
    lines = [line.removeprefix("$ ") for line in docstring_of(operation.function).examples]
    return next((line for line in lines if line.startswith(_PROGRAM)), "")


def _no_facts(_operation: Operation) -> dict[str, str]:
    return {}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    given = {} if parameter.required else {"default": plain(parameter.default)}
    return {
        "name": parameter.name,
        "type": parameter.type_name,
        "required": parameter.required,
        **given,
        "description": parameter.description,
    }
