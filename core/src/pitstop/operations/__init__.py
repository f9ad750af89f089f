"""Operations and their parameters: read from a function's signature. Loads and finds nothing.

A number can have bounds: `limit: Annotated[int, Bounds(ge=1)]`, or any other metadata with an attribute `ge`, `gt`,
`le` or `lt`, such as that of the package annotated-types. What types there are is in `parameter_types`, how a value is
checked in `validation`, the JSON Schema in `json_schema`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from pitstop.callables import call_fault
from pitstop.errors import InvalidValueError, UnknownKeyError
from pitstop.operations.docstrings import Docstring, read_docstring
from pitstop.operations.json_schema import Field, Schema, object_schema
from pitstop.operations.parameter_types import find_meaning, type_name
from pitstop.operations.validation import convert_value, format_value

REQUIRED: Any = inspect.Parameter.empty


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
        noted = find_meaning(self.type)
        if noted or self.function is None:
            return noted
        return _describe_function(self.function).arguments.get(self.name, "")

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
        return _describe_function(self.function).summary

    @property
    def description(self) -> str:
        """What its docstring says beyond the first line, without its sections; paragraphs are kept apart."""
        return _describe_function(self.function).description

    @property
    def title(self) -> str:
        """Its name and who offers it, for messages."""
        return f"{self.name} ({self.distribution})" if self.distribution else self.name

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments to call the function with.

        Args:
            values: parameters as they are in a job's config: JSON.

        Returns:
            Each given value in the type that the signature asks for. Defaults are left to the function.

        Raises:
            UnknownKeyError: a parameter that it does not take.
            InvalidValueError: a required one is missing, or a value has the wrong type.
        """
        if not isinstance(values, Mapping):
            raise InvalidValueError(
                where=self.title, name="parameters", problem=f"expected an object, got {format_value(values)}"
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
            name: convert_value(value, known[name].type, where=self.title, name=name) if name in known else value
            for name, value in values.items()
        }

    def json_schema(self) -> Schema:
        """Return the JSON Schema (draft 2020-12) of its parameters object."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.name,
            **({"description": self.summary} if self.summary else {}),
            **object_schema(
                {p.name: Field(p.type, p.default, p.required, p.description) for p in self.parameters},
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
    if fault := call_fault(function):
        raise TypeError(f"it {fault}")
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        raise TypeError(f"its signature cannot be read: {error}") from None
    hints = _read_annotations(function)
    arguments = list(signature.parameters.values())
    positional = [a.name for a in arguments if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD)]
    if not positional and not any(a.kind is a.VAR_POSITIONAL for a in arguments):
        raise TypeError("it takes no positional argument; the first one is what the worker hands it")
    if positional[1:]:
        raise TypeError(f"parameters must be keyword-only: put '*' before {', '.join(positional[1:])}")
    return Operation(
        name=name,
        function=function,
        parameters=tuple(
            Parameter(name=a.name, type=hints.get(a.name, Any), default=a.default, function=function)
            for a in arguments
            if a.kind is a.KEYWORD_ONLY
        ),
        open_ended=any(a.kind is a.VAR_KEYWORD for a in arguments),
        distribution=distribution,
    )


def _unwrap(function: Callable[..., Any]) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


def _read_annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function; of a class or an object that can be called, those of what is called."""
    function = _unwrap(function)
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc]
    elif not inspect.isroutine(function) and not hasattr(function, "__wrapped__"):
        function = type(function).__call__
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        # A name that exists only for the type checker: nothing can be checked against it.
        raise TypeError(f"its annotations cannot be resolved: {error}") from error


def _describe_function(function: Callable[..., Any]) -> Docstring:
    """Return what a function's docstring says, or that of the class of an object that can be called."""
    function = _unwrap(function)
    if inspect.isroutine(function) or isinstance(function, type) or not type(function).__call__.__doc__:
        return read_docstring(function)
    return read_docstring(type(function).__call__)
