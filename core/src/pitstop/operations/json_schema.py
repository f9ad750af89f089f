"""The JSON Schema (draft 2020-12) of parameters, and defaults as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import attrs

from pitstop.operations.docstrings import read_docstring
from pitstop.operations.parameter_types import BOUNDS, find_meaning, is_list, is_mapping, is_union, list_bounds

Schema = dict[str, Any]


def to_json(value: Any, *, other: Callable[[Any], Any] = repr) -> Any:
    """Return a default as JSON: the value of an enum's member, a list for a tuple.

    Args:
        value: the default.
        other: what stands for what JSON has not, such as infinity for "no limit".
    """
    if isinstance(value, Enum):
        return to_json(value.value, other=other)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(item, other=other) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: to_json(item, other=other) for key, item in value.items()}
    if value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return other(value)


def _refuse(value: Any) -> Any:
    raise ValueError(f"{value!r} is no JSON")


_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def _schema(kind: Any) -> Schema:
    origin: Any = get_origin(kind)
    arguments = get_args(kind)
    if origin is Annotated:
        return {**_schema(arguments[0]), **{BOUNDS[key][1]: limit for key, limit in list_bounds(kind)}}
    if kind in _JSON_TYPES:
        return {"type": _JSON_TYPES[kind]}
    if kind is None:
        return {"type": "null"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if is_union(kind):
        return {"anyOf": [_schema(a) for a in arguments]}
    if is_list(kind):
        return {"type": "array", **({"items": _schema(arguments[0])} if arguments else {})}
    if is_mapping(kind):
        return {"type": "object", **({"additionalProperties": _schema(arguments[1])} if arguments else {})}
    if attrs.has(kind):
        meanings = read_docstring(kind).arguments
        fields = {
            f.name: Field(
                f.type, f.default, f.default is attrs.NOTHING, find_meaning(f.type) or meanings.get(f.name, "")
            )
            for f in attrs.fields(attrs.resolve_types(kind))
            if f.init
        }
        return object_schema(fields, open_ended=False)
    return {}


class Field(NamedTuple):
    """One key of an object: a parameter, or a field of an attrs class."""

    type: Any
    default: Any
    required: bool
    description: str


def object_schema(fields: Mapping[str, Field], *, open_ended: bool) -> Schema:
    """Return the schema of an object with these keys, and with others if it is open-ended."""
    properties = {}
    for name, field in fields.items():
        entry = _schema(field.type)
        if field.description:
            entry = {**entry, "description": field.description}
        if not field.required:
            with suppress(ValueError):  # what cannot be written down is not told
                entry = {**entry, "default": to_json(field.default, other=_refuse)}
        properties[name] = entry
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": open_ended,
    }
