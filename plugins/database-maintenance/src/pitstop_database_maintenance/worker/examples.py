"""How an operation is called from the command line, and for which databases. Runs none, and looks at no database.

What is told here is what `pitstop operations NAME` shows beside what the core knows: the worker passes it on.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pitstop.contracts import Lookup
from pitstop.errors import InvalidValueError, PitstopError
from pitstop.operations import Operation
from pitstop.operations.examples import assignments
from pitstop_database_maintenance.databases.database import GROUP, Database


def example(lookup: Lookup, operation: Operation, databases: Sequence[str] = ()) -> str:
    """Return a `pitstop maintain` that runs an operation on databases, or on a made-up one of its kind."""
    prefix, _, short = operation.name.partition(".")
    given = shlex.join(databases or [_example_url(lookup, prefix)])
    return " ".join([f"pitstop maintain {given} --operations {short}", *assignments(f"{short}.", operation)])


def facts(lookup: Lookup, worker_type: str, operation: Operation) -> dict[str, str]:
    """Return the URL schemes that an operation is for, and the other operations of its name.

    Args:
        lookup: what is installed.
        worker_type: of these operations.
        operation: registered as "scheme.operation".
    """
    prefix, _, short = operation.name.partition(".")
    schemes = [scheme for scheme in lookup.names(GROUP) if scheme == prefix or _dialect(lookup, scheme) == prefix]
    told = {"databases": ", ".join(schemes) or f"{prefix}, of which no installed package knows how to connect"}
    others = [
        name
        for name in lookup.operation_names(worker_type)
        if name.partition(".")[2] == short and name != operation.name
    ]
    return {**told, "see also": ", ".join(others)} if others else told


def check_given(operation: Operation, parameters: Any) -> None:
    """Check that no required parameter is missing; what was given is for the operation to check.

    If something was given that it does not take, that comes first: it may be the missing one, misspelt.

    Raises:
        InvalidValueError: one is missing; the text says how it is given on the command line.
    """
    known = {parameter.name for parameter in operation.parameters}
    if not isinstance(parameters, Mapping) or not known.issuperset(parameters):
        return
    short = operation.name.partition(".")[2]
    for parameter in operation.parameters:
        if parameter.required and parameter.name not in parameters:
            given = f"--set {short}.{parameter.name}=VALUE"
            problem = f"is required ({parameter.type_name}): {given}; 'pitstop operations {operation.name}' tells more"
            raise InvalidValueError(where=operation.title, name=parameter.name, problem=problem)


def _example_url(lookup: Lookup, prefix: str) -> str:
    kind = _kind(lookup, prefix)
    return (kind.example if kind else "") or f"{prefix}://user@host/name"


def _dialect(lookup: Lookup, scheme: str) -> str:
    kind = _kind(lookup, scheme)
    return kind.dialect if kind else ""


def _kind(lookup: Lookup, scheme: str) -> type[Database] | None:
    """Return the class that serves a scheme, or None: that it cannot be had is no reason to explain nothing."""
    try:
        kind = lookup.load(GROUP, scheme)
    except PitstopError:
        return None
    return kind if isinstance(kind, type) and issubclass(kind, Database) else None
