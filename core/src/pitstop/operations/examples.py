"""Example calls: a value that fits a parameter's type, and how a value is written on the command line. Runs nothing."""

from __future__ import annotations

import json
import shlex
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import attrs

from pitstop.operations import Operation
from pitstop.operations.parameter_types import is_list, is_mapping, is_union, list_bounds


def command_line(worker_type: str, operation: Operation) -> str:
    """Return a `pitstop run` that calls an operation of a worker that reads its config as `OperationWorker` does."""
    sets = [assignment("operation", operation.name), *assignments("parameters.", operation)]
    return " ".join([f"pitstop run {shlex.quote(worker_type)}", *sets])


def assignments(prefix: str, operation: Operation) -> list[str]:
    """Return a `--set` for each required parameter, with a value that fits its type.

    Args:
        prefix: what stands before each parameter's name, such as "parameters.".
        operation: whose parameters.
    """
    required = [parameter for parameter in operation.parameters if parameter.required]
    return [assignment(prefix + p.name, sample(p.type, p.name)) for p in required]


def assignment(key: str, value: Any) -> str:
    """Return `--set KEY=VALUE` for a shell, the value as `pitstop run` reads it: TOML, or else text."""
    bare = isinstance(value, str) and value.replace("_", "").replace(".", "").isalpha()
    plain = bare and value not in ("true", "false", "null", "inf", "nan")
    return f"--set {shlex.quote(f'{key}={value if plain else toml(value)}')}"


def toml(value: Any) -> str:
    """Return a JSON value as TOML, in which null is not."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(toml(item) for item in value)}]"
    # the only letter that JSON leaves as it is and TOML does not take
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def sample(kind: Any, name: str) -> Any:
    """Return JSON that fits a type, as far as a type can tell.

    Args:
        kind: a parameter's type.
        name: the parameter's name, which serves where any text would.
    """
    if kind is str or kind is Any:
        return name
    if kind is bool:
        return True
    if kind in (int, float):
        return 1
    arguments = get_args(kind)
    if hasattr(kind, "__metadata__"):
        return _fit_bounds(sample(arguments[0], name), dict(list_bounds(kind)))
    if get_origin(kind) is Literal:
        return arguments[0]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind)).value
    if is_union(kind):
        return sample(next((a for a in arguments if a is not type(None)), str), name)
    if is_list(kind):
        return [sample(arguments[0] if arguments else str, name)]
    if attrs.has(kind):
        fields = attrs.fields(attrs.resolve_types(kind))
        return {f.name: sample(f.type, f.name) for f in fields if f.init and f.default is attrs.NOTHING}
    return {} if is_mapping(kind) else name


def _fit_bounds(value: Any, bounds: dict[str, Any]) -> Any:
    """Return a number within its bounds, the given one if that is."""
    if not isinstance(value, (int, float)):
        return value
    low = max((b for b in (bounds.get("ge"), bounds.get("gt")) if b is not None), default=None)
    high = min((b for b in (bounds.get("le"), bounds.get("lt")) if b is not None), default=None)
    if low is not None and (value < low or value == bounds.get("gt")):
        value = low + 1 if low == bounds.get("gt") else low
    if high is not None and (value > high or value == bounds.get("lt")):
        value = high if high != bounds.get("lt") else (high - 1 if low is None else (low + high) / 2)
    return value
