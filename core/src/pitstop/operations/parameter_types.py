"""The kinds of a parameter: which types there are, how a person writes them, what an annotation says beside them."""

from __future__ import annotations

import operator
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

#: Attribute of a bound -> how a person writes it, how JSON Schema does, and whether a value keeps to it.
BOUNDS: Mapping[str, tuple[str, str, Callable[[Any, Any], bool]]] = {
    "ge": (">=", "minimum", operator.ge),
    "gt": (">", "exclusiveMinimum", operator.gt),
    "le": ("<=", "maximum", operator.le),
    "lt": ("<", "exclusiveMaximum", operator.lt),
}


def type_name(kind: Any) -> str:
    """Return a type as a person writes it, such as "list[str]", "'fast' | 'full'" or "int | None"."""
    if kind is Any:
        return "any"
    if kind is None or kind is type(None):
        return "None"
    if kind is Ellipsis:
        return "..."
    origin: Any = get_origin(kind)
    arguments = get_args(kind)
    if origin is Annotated:
        bounds = ", ".join(f"{BOUNDS[key][0]} {limit}" for key, limit in list_bounds(kind))
        return f"{type_name(arguments[0])} {bounds}".rstrip()
    if is_union(kind):
        return " | ".join(type_name(a) for a in arguments)
    if origin is Literal:
        return " | ".join(repr(a) for a in arguments)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " | ".join(repr(member.value) for member in kind)
    if origin is not None:
        return f"{getattr(origin, '__name__', origin)}[{', '.join(type_name(a) for a in arguments)}]"
    return getattr(kind, "__name__", str(kind))


def is_union(kind: Any) -> bool:
    """Whether a type is a union, such as `int | None`."""
    origin: Any = get_origin(kind)
    return origin is Union or origin is types.UnionType


def list_bounds(kind: Any) -> list[tuple[str, Any]]:
    """Return the bounds of an annotated type, such as `[("ge", 1)]`; other metadata says nothing to us."""
    found = [(key, getattr(noted, key, None)) for noted in kind.__metadata__ for key in BOUNDS]
    return [(key, limit) for key, limit in found if isinstance(limit, (int, float))]


def is_list(kind: Any) -> bool:
    """Whether a type is of values that are JSON arrays."""
    origin = get_origin(kind) or kind
    if origin is tuple:
        return len(get_args(kind)) == 2 and get_args(kind)[1] is Ellipsis
    return origin in (list, set, frozenset, typing.Sequence) or getattr(origin, "__name__", "") == "Sequence"


def is_mapping(kind: Any) -> bool:
    """Whether a type is of JSON objects with any keys."""
    return (get_origin(kind) or kind) in (dict, Mapping)


def find_meaning(kind: Any) -> str:
    """Return what an annotated type says of its meaning, in metadata such as `typing_extensions.Doc`."""
    texts = [getattr(noted, "documentation", None) for noted in getattr(kind, "__metadata__", ())]
    return next((text for text in texts if isinstance(text, str)), "")
