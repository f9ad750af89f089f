"""Operations and their parameters: read from a function's signature, checked with cattrs. Loads and finds nothing.

A number can have bounds: `limit: Annotated[int, Bounds(ge=1)]`, or any other metadata with an attribute `ge`, `gt`,
`le` or `lt`, such as that of the package annotated-types.
"""

from __future__ import annotations

import inspect
import math
import operator
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import attrs

from pitstop.credentials import secrets_of
from pitstop.docstrings import docstring_of
from pitstop.errors import InvalidValueError, UnknownKeyError
from pitstop.masking import mask, mask_value

if TYPE_CHECKING:
    from cattrs import Converter

REQUIRED: Any = inspect.Parameter.empty
Schema = dict[str, Any]
#: How many characters of a refused value are shown.
_SHOWN = 60
#: Attribute of a bound -> how a person writes it, how JSON Schema does, and whether a value keeps to it.
_BOUNDS: Mapping[str, tuple[str, str, Callable[[Any, Any], bool]]] = {
    "ge": (">=", "minimum", operator.ge),
    "gt": (">", "exclusiveMinimum", operator.gt),
    "le": ("<=", "maximum", operator.le),
    "lt": ("<", "exclusiveMaximum", operator.lt),
}


@attrs.frozen(kw_only=True)
class Bounds:
    """What a parameter's value must keep to, in an annotation: `Annotated[int, Bounds(ge=1, le=100)]`.

    Args:
        ge, gt, le, lt: at least, more than, at most, less than; None for no such bound.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None


@attrs.frozen(kw_only=True)
class Parameter:
    """One keyword-only argument of an operation.

    Args:
        name: as the caller writes it.
        type: what the annotation says; `typing.Any` if there is none.
        default: the value when it is left out, or `REQUIRED`.
        function: whose parameter it is, for its description.
    """

    name: str
    type: Any
    default: Any = REQUIRED
    function: Callable[..., Any] | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED

    @property
    def description(self) -> str:
        """What it means: what its annotation says (`Annotated[int, Doc("...")]`), or else the docstring; or ""."""
        noted = _noted(self.type)
        if noted or self.function is None:
            return noted
        return docstring_of(_documented(self.function)).arguments.get(self.name, "")

    @property
    def type_name(self) -> str:
        """The type as a person writes it, such as "int | None"."""
        return type_name(self.type)


@attrs.frozen(kw_only=True)
class Operation:
    """A named callable of one worker type; its signature is its parameter schema.

    Args:
        name: as registered, such as "sqlite.vacuum".
        function: called with what the worker hands its operations, and the parameters as keyword arguments.
        parameters: what it takes, in the order of its signature.
        open_ended: whether it takes any other keyword (`**options`).
        distribution: who offers it, such as "acme-freeze 0.1"; "" when it was added by hand.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    open_ended: bool = False
    distribution: str = ""

    @property
    def summary(self) -> str:
        """The first line of its docstring, or ""."""
        return docstring_of(_documented(self.function)).summary

    @property
    def description(self) -> str:
        """What its docstring says beyond the first line, without its sections; paragraphs are kept apart."""
        return docstring_of(_documented(self.function)).description

    @property
    def title(self) -> str:
        """Its name and who offers it, for messages."""
        return f"{self.name} ({self.distribution})" if self.distribution else self.name

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments to call the function with.

        Args:
            values: parameters as they stand in a job's config: JSON.

        Returns:
            Each given value in the type that the signature asks for. Defaults are left to the function.

        Raises:
            UnknownKeyError: a parameter that it does not take.
            InvalidValueError: a required one is missing, or a value has the wrong type.
        """
        if not isinstance(values, Mapping):
            raise InvalidValueError(
                where=self.title, name="parameters", problem=f"expected an object, got {_shown(values)}"
            )
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in values:
            if name not in known and not self.open_ended:
                raise UnknownKeyError(where=self.title, kind="parameter", name=str(name), known=tuple(known))
        for parameter in self.parameters:
            if parameter.required and parameter.name not in values:
                problem = f"is required ({parameter.type_name}); 'pitstop operations {self.name}' shows an example"
                raise InvalidValueError(where=self.title, name=parameter.name, problem=problem)
        return {
            name: _structure(self.title, known[name], value) if name in known else value
            for name, value in values.items()
        }

    def json_schema(self) -> Schema:
        """Return the JSON Schema (draft 2020-12) of its parameters object."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.name,
            **({"description": self.summary} if self.summary else {}),
            **_object_schema(
                {p.name: _Field(p.type, p.default, p.required, p.description) for p in self.parameters},
                open_ended=self.open_ended,
            ),
        }


def operation_of(name: str, function: Callable[..., Any], *, distribution: str = "") -> Operation:
    """Return the operation that a function is.

    Args:
        name: as registered.
        function: takes at least one positional argument; its keyword-only arguments are the parameters.
        distribution: who offers it.

    Raises:
        TypeError: it is no function that can serve as an operation; the message says why.
    """
    if not callable(function):
        raise TypeError(f"it is {type(function).__name__}, not a function")
    if any(is_deferred(f) for f in (function, _underlying(function)) for is_deferred in _DEFERRED):
        raise TypeError("it is a coroutine or generator function; an operation is a plain function")
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        raise TypeError(f"its signature cannot be read: {error}") from None
    positional, parameters, open_ended = [], [], False
    hints = _hints(function)
    for argument in signature.parameters.values():
        if argument.kind in (argument.POSITIONAL_ONLY, argument.POSITIONAL_OR_KEYWORD):
            positional.append(argument)
        elif argument.kind is argument.VAR_KEYWORD:
            open_ended = True
        elif argument.kind is argument.KEYWORD_ONLY:
            parameters.append(
                Parameter(
                    name=argument.name,
                    type=hints.get(argument.name, Any),
                    default=argument.default,
                    function=function,
                )
            )
    second = [a.name for a in positional[1:]]
    if not positional and not any(a.kind is a.VAR_POSITIONAL for a in signature.parameters.values()):
        raise TypeError("it takes no positional argument; the first one is what the worker hands it")
    if second:
        raise TypeError(f"parameters must be keyword-only: put '*' before {', '.join(second)}")
    return Operation(
        name=name,
        function=function,
        parameters=tuple(parameters),
        open_ended=open_ended,
        distribution=distribution,
    )


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
        bounds = ", ".join(f"{_BOUNDS[key][0]} {limit}" for key, limit in bounds_of(kind))
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


_DEFERRED = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def _underlying(function: Callable[..., Any]) -> Any:
    """Return the function that has the annotations: of a partial, a class, or an object that can be called."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, type):
        return function.__init__  # type: ignore[misc]
    if not inspect.isroutine(function) and not hasattr(function, "__wrapped__"):
        return type(function).__call__
    return function


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(_underlying(function), include_extras=True)
    except Exception as error:
        # A name that exists only for the type checker: nothing can be checked against it.
        raise TypeError(f"its annotations cannot be resolved: {error}") from error


def _structure(where: str, parameter: Parameter, value: Any) -> Any:
    if parameter.type is Any:
        return value
    from cattrs import transform_error

    try:
        return _converter().structure(value, parameter.type)
    except Exception as error:
        problems = [
            _without_own_path(line, parameter.name)
            for line in transform_error(error, path=parameter.name, format_exception=_text_of)
        ]
        # a long value is shown cut, so that its beginning counts as well
        secrets = [(form[: _SHOWN - 4], text) for form, text in secrets_of({parameter.name: value})]
        problem = mask("; ".join(problems), secrets)
        raise InvalidValueError(where=where, name=parameter.name, problem=problem) from (None if secrets else error)


def _text_of(error: BaseException, kind: type | None) -> str:
    from cattrs.v import format_exception

    # our own hooks say what was expected and what came; everything else is cattrs' to say
    return str(error) if type(error) is ValueError else format_exception(error, kind)


def _without_own_path(line: str, name: str) -> str:
    # cattrs writes "problem @ path"; the parameter itself is named by the error, only what lies inside it is news
    text, _, path = line.rpartition(" @ ")
    return text if path == name else f"{text} (at {path})"


def _shown(value: Any) -> str:
    # what is no JSON cannot be masked by its keys
    text = repr(mask_value(value) if isinstance(value, (str, dict, list)) else value)
    return f"{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'} ({type(value).__name__})"


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
                raise ValueError(f"expected {convert.__name__}, got {_shown(value)}")
            return convert(value)

        return hook

    for kind, accepted in ((str, (str,)), (bool, (bool,)), (int, (int,)), (float, (int, float))):
        converter.register_structure_hook(kind, exactly(*accepted, convert=kind))

    def one_of(value: Any, kind: Any) -> Any:
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
        raise ValueError(f"expected {type_name(kind)}, got {_shown(value)}") from last

    def literal(value: Any, kind: Any) -> Any:
        for choice in get_args(kind):
            if type(value) is type(choice) and value == choice:
                return choice
        raise ValueError(f"expected {type_name(kind)}, got {_shown(value)}")

    def member(value: Any, kind: type[Enum]) -> Enum:
        try:
            found = kind(value)
        except ValueError:
            found = None
        # True == 1 == 1.0, and so an enum takes each of them for the others
        if found is None or type(found.value) is not type(value):
            raise ValueError(f"expected {type_name(kind)}, got {_shown(value)}")
        return found

    def listed(value: Any, kind: Any) -> Any:
        if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
            raise ValueError(f"expected {type_name(kind)}, got {_shown(value)}")
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
                raise ValueError(f"expected {type_name(kind)}, an object, got {_shown(value)}")
            return structure(value, kind)

        return hook

    def mapped(kind: Any) -> Callable[[Any, Any], Any]:
        # not `converter.gen_structure_mapping`, which also registers what it returns, past the check for an object
        return from_object(
            make_mapping_structure_fn(kind, converter, dict) if get_args(kind) else lambda value, _: dict(value)
        )

    def record(kind: Any) -> Callable[[Any, Any], Any]:
        return from_object(converter.gen_structure_attrs_fromdict(kind))

    def annotated(kind: Any) -> Callable[[Any, Any], Any]:
        inner, bounds = get_args(kind)[0], bounds_of(kind)

        def hook(value: Any, _: Any) -> Any:
            taken = value if inner is Any else converter.structure(value, inner)
            if taken is not None and not all(_BOUNDS[key][2](taken, limit) for key, limit in bounds):
                raise ValueError(f"expected {type_name(kind)}, got {_shown(value)}")
            return taken

        return hook

    converter.register_structure_hook_factory(_is_annotated, annotated)
    converter.register_structure_hook_func(is_union, one_of)
    converter.register_structure_hook_func(_is_literal, literal)
    converter.register_structure_hook_func(lambda k: isinstance(k, type) and issubclass(k, Enum), member)
    converter.register_structure_hook_func(is_list, listed)
    converter.register_structure_hook_factory(is_mapping, mapped)
    converter.register_structure_hook_factory(attrs.has, record)
    return converter


def is_union(kind: Any) -> bool:
    """Whether a type is a union, such as `int | None`."""
    origin: Any = get_origin(kind)
    return origin is Union or origin is types.UnionType


def _is_annotated(kind: Any) -> bool:
    return get_origin(kind) is Annotated


def _documented(function: Callable[..., Any]) -> Any:
    """Return whose docstring tells of a function: a partial, or an object that can be called, has that of its class."""
    while isinstance(function, partial):
        function = function.func
    called = None if inspect.isroutine(function) or isinstance(function, type) else type(function).__call__
    return called if getattr(called, "__doc__", None) else function


def _noted(kind: Any) -> str:
    """Return what an annotated type says of its meaning, in metadata such as `typing_extensions.Doc`."""
    texts = [getattr(noted, "documentation", None) for noted in getattr(kind, "__metadata__", ())]
    return next((text for text in texts if isinstance(text, str)), "")


def bounds_of(kind: Any) -> list[tuple[str, Any]]:
    """Return the bounds of an annotated type, such as `[("ge", 1)]`; other metadata says nothing to us."""
    found = [(key, getattr(noted, key, None)) for noted in kind.__metadata__ for key in _BOUNDS]
    return [(key, limit) for key, limit in found if isinstance(limit, (int, float))]


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def is_list(kind: Any) -> bool:
    """Whether a type is of values that are JSON arrays."""
    origin = get_origin(kind) or kind
    if origin is tuple:
        return len(get_args(kind)) == 2 and get_args(kind)[1] is Ellipsis
    return origin in (list, set, frozenset, typing.Sequence) or getattr(origin, "__name__", "") == "Sequence"


def is_mapping(kind: Any) -> bool:
    """Whether a type is of JSON objects with any keys."""
    return (get_origin(kind) or kind) in (dict, Mapping)


def is_json(value: Any) -> bool:
    """Whether a default can be written as JSON; infinity, such as for "no limit", cannot."""
    if isinstance(value, Enum):
        return is_json(value.value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(is_json(item) for item in value)
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_json(item) for key, item in value.items())
    return value is None or isinstance(value, (str, int))


def plain(value: Any) -> Any:
    """Return a default as JSON: the value of an enum's member, a list for a tuple, and text for what JSON has not."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value if is_json(value) else repr(value)


_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def _schema(kind: Any) -> Schema:
    origin: Any = get_origin(kind)
    arguments = get_args(kind)
    if origin is Annotated:
        return {**_schema(arguments[0]), **{_BOUNDS[key][1]: limit for key, limit in bounds_of(kind)}}
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
        meanings = docstring_of(kind).arguments
        fields = {
            f.name: _Field(f.type, f.default, f.default is attrs.NOTHING, _noted(f.type) or meanings.get(f.name, ""))
            for f in attrs.fields(attrs.resolve_types(kind))
            if f.init
        }
        return _object_schema(fields, open_ended=False)
    return {}


class _Field(typing.NamedTuple):
    """One key of an object: a parameter, or a field of an attrs class."""

    type: Any
    default: Any
    required: bool
    description: str


def _object_schema(fields: Mapping[str, _Field], *, open_ended: bool) -> Schema:
    properties = {}
    for name, field in fields.items():
        entry = _schema(field.type)
        if field.description:
            entry = {**entry, "description": field.description}
        if not field.required and is_json(field.default):
            entry = {**entry, "default": plain(field.default)}
        properties[name] = entry
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": open_ended,
    }
