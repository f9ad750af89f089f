"""Checking a value against the type of a parameter, with cattrs: JSON is taken as it is, and errors are words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import attrs

from pitstop.errors import InvalidValueError
from pitstop.operations.parameter_types import (
    BOUNDS,
    is_list,
    is_mapping,
    is_union,
    list_bounds,
    type_name,
)
from pitstop.secrets.masking import mask, mask_value
from pitstop.secrets.places import find_secrets
from pitstop.text.escaping import one_line

if TYPE_CHECKING:
    from cattrs import Converter

#: How many characters of a refused value are shown.
_SHOWN = 60
#: What a value may be already, so that nothing needs to be made of it.
_PLAIN = (str, bool, int, float)
#: Of all that is wrong with a value so many characters are told.
_LONGEST = 2000


def convert_value(value: Any, kind: Any, *, where: str, name: str) -> Any:
    """Return a value in the type that is asked for.

    Args:
        value: as it is in a job's config: JSON.
        kind: the type of the parameter.
        where, name: whose value it is, for the error.

    Raises:
        InvalidValueError: it has another type, or is beyond its bounds; secrets in it are masked.
    """
    if kind is Any or (kind in _PLAIN and type(value) is kind):
        return value
    # imported where it is needed: it takes longer than most commands
    from cattrs import transform_error

    try:
        return _converter().structure(value, kind)
    except Exception as error:
        problems = [
            _drop_own_path(line, name) for line in transform_error(error, path=name, format_exception=_describe_error)
        ]
        # a long value is shown cut, so that its beginning counts as well
        secrets = [(form[: _SHOWN - 4], text) for form, text in find_secrets({name: value})]
        problem = one_line(mask("; ".join(problems), secrets), at_most=_LONGEST)
        raise InvalidValueError(where=where, name=name, problem=problem) from (None if secrets else error)


def _describe_error(error: BaseException, kind: type | None) -> str:
    from cattrs.v import format_exception

    # our own hooks say what was expected and what came; everything else is cattrs' to say
    return str(error) if type(error) is ValueError else format_exception(error, kind)


def _drop_own_path(line: str, name: str) -> str:
    # cattrs writes "problem @ path"; the parameter itself is named by the error, only what lies inside it is news
    text, _, path = line.rpartition(" @ ")
    return text if path == name else f"{text} (at {path})"


def format_value(value: Any) -> str:
    """Return a refused value with its type, for a message: masked and cut."""
    # what is no JSON cannot be masked by its keys
    text = repr(mask_value(value) if isinstance(value, (str, dict, list)) else value)
    return f"{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'} ({type(value).__name__})"


def _has_origin(origin: Any) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


@cache
def _converter() -> Converter:
    """Return a converter that takes JSON as it is: "5" is no integer, 1 is no boolean, and no key is ignored."""
    from cattrs import Converter
    from cattrs.errors import IterableValidationError, IterableValidationNote, StructureHandlerNotFoundError
    from cattrs.gen import make_mapping_structure_fn

    converter = Converter(forbid_extra_keys=True, detailed_validation=True)

    def exactly(*accepted: type, convert: type) -> Callable[[Any, Any], Any]:
        def hook(value: Any, kind: Any) -> Any:
            if issubclass(kind, Enum):  # a StrEnum is registered as the str that it is, but not every text is in it
                return member(value, kind)
            if (isinstance(value, bool) and bool not in accepted) or not isinstance(value, accepted):
                raise ValueError(f"expected {convert.__name__}, got {format_value(value)}")
            return convert(value)

        return hook

    for kind, accepted in ((str, (str,)), (bool, (bool,)), (int, (int,)), (float, (int, float))):
        converter.register_structure_hook(kind, exactly(*accepted, convert=kind))

    def validate_union(value: Any, kind: Any) -> Any:
        members = [m for m in get_args(kind) if m is not type(None)]
        if value is None and len(members) < len(get_args(kind)):
            return None
        # an exact match first, so that `float | int` keeps an int
        for member in sorted(members, key=lambda m: type(value) is not m):
            try:
                return converter.structure(value, member)
            except StructureHandlerNotFoundError:
                raise
            except Exception as error:
                last = error
                if len(members) == 1:
                    raise
        raise ValueError(f"expected {type_name(kind)}, got {format_value(value)}") from last

    def literal(value: Any, kind: Any) -> Any:
        for choice in get_args(kind):
            if type(value) is type(choice) and value == choice:
                return choice
        raise ValueError(f"expected {type_name(kind)}, got {format_value(value)}")

    def member(value: Any, kind: type[Enum]) -> Enum:
        try:
            found = kind(value)
        except ValueError:
            found = None
        # True == 1 == 1.0, and so an enum takes each of them for the others
        if found is None or type(found.value) is not type(value):
            raise ValueError(f"expected {type_name(kind)}, got {format_value(value)}")
        return found

    def validate_list(value: Any, kind: Any) -> Any:
        if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
            raise ValueError(f"expected {type_name(kind)}, got {format_value(value)}")
        origin, arguments = get_origin(kind) or kind, get_args(kind) or (Any,)
        items, errors = [], []
        for index, item in enumerate(value):
            try:
                items.append(item if arguments[0] is Any else converter.structure(item, arguments[0]))
            except Exception as error:
                error.add_note(IterableValidationNote(f"at index {index}", index, arguments[0]))
                errors.append(error)
        if errors:
            raise IterableValidationError(f"expected {type_name(kind)}", errors, kind)
        return (origin if isinstance(origin, type) and origin in (list, set, frozenset, tuple) else list)(items)

    def from_object(structure: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def hook(value: Any, kind: Any) -> Any:
            if not isinstance(value, Mapping):
                raise ValueError(f"expected {type_name(kind)}, an object, got {format_value(value)}")
            return structure(value, kind)

        return hook

    def mapping_hook(kind: Any) -> Callable[[Any, Any], Any]:
        # not `converter.gen_structure_mapping`, which also registers what it returns, past the check for an object
        return from_object(
            make_mapping_structure_fn(kind, converter, dict) if get_args(kind) else lambda value, _: dict(value)
        )

    def record(kind: Any) -> Callable[[Any, Any], Any]:
        return from_object(converter.gen_structure_attrs_fromdict(kind))

    def bounds_hook(kind: Any) -> Callable[[Any, Any], Any]:
        inner, bounds = get_args(kind)[0], list_bounds(kind)

        def hook(value: Any, _: Any) -> Any:
            taken = value if inner is Any else converter.structure(value, inner)
            if taken is not None and not all(BOUNDS[key][2](taken, limit) for key, limit in bounds):
                raise ValueError(f"expected {type_name(kind)}, got {format_value(value)}")
            return taken

        return hook

    converter.register_structure_hook_factory(_has_origin(Annotated), bounds_hook)
    converter.register_structure_hook_func(is_union, validate_union)
    converter.register_structure_hook_func(_has_origin(Literal), literal)
    converter.register_structure_hook_func(lambda k: isinstance(k, type) and issubclass(k, Enum), member)
    converter.register_structure_hook_func(is_list, validate_list)
    converter.register_structure_hook_factory(is_mapping, mapping_hook)
    converter.register_structure_hook_factory(attrs.has, record)
    return converter
