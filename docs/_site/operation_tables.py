"""What can be set of the operations on SQLite, made from what they declare: Markdown, a table of parameters and one of
thresholds.

What stands in a docstring is what it means. Nothing is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pitstop.operations import Operation, Parameter, operation_of
from pitstop.registry.registry import Registry
from pitstop_database_maintenance.databases.assessment import GROUP
from pitstop_database_maintenance.databases.traits import WORKER_TYPE
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

_PREFIX = "sqlite."


def operations() -> dict[str, Operation]:
    """Return the operations on SQLite, by their short names."""
    registry = Registry()
    names = [name for name in registry.operation_names(WORKER_TYPE) if name.startswith(_PREFIX)]
    return {name.removeprefix(_PREFIX): registry.operation(WORKER_TYPE, name) for name in sorted(names)}


def thresholds() -> dict[str, Parameter]:
    """Return each threshold of the assessments and policies, but for what is a parameter of the operation itself."""
    registry, found = Registry(), {}
    assessed = [name for name in sorted(registry.names(GROUP)) if name.startswith(_PREFIX)]
    taken = operations()
    for name in assessed:
        short = name.removeprefix(_PREFIX)
        own = {parameter.name for parameter in taken[short].parameters}
        assess = operation_of(name, registry.load(GROUP, name))
        found |= {f"{short}.{each.name}": each for each in assess.parameters if each.name not in own}
    for need, policy in sorted(SQLiteDatabase.policies().items()):
        found |= {f"{need}.{each.name}": each for each in operation_of(need, policy).parameters}
    return found


def parameter_table() -> str:
    """Return a table of what each operation takes."""
    rows = {f"{short}.{each.name}": each for short, operation in operations().items() for each in operation.parameters}
    return _table("parameter", rows)


def threshold_table() -> str:
    """Return a table of the thresholds."""
    return _table("threshold", thresholds())


def _table(title: str, rows: dict[str, Parameter]) -> str:
    return "\n".join([f"| {title} | default | means |", "|---|---|---|", *_rows(rows)])


def _rows(rows: dict[str, Parameter]) -> Iterator[str]:
    for name, each in rows.items():
        meaning = " ".join(each.description.split())
        if not meaning:
            raise ValueError(f"{name} says nothing of what it means; write it into the docstring")
        default = "must be given" if each.required else ""
        if not each.required and each.default is not None:
            default = f"`{json.dumps(each.default)}`"
        yield f"| `{name}` | {default} | {meaning.replace('|', chr(92) + '|')} |"
