"""Which functions can be operations, and what one tells of itself."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import attrs
import pytest

from pitstop.errors import InvalidValueError
from pitstop.operations import Operation, operation_of

from .signatures import ALL, freeze


def test_operation_with_options_takes_any_other_parameter() -> None:
    """`**options` makes it open-ended; what it names is still checked."""

    def tune(db: object, *, level: int = 1, **options: Any) -> None:
        """Tune."""

    operation = operation_of("tune", tune)
    assert operation.check({"level": 2, "other": [1]}) == {"level": 2, "other": [1]}
    assert operation.json_schema()["additionalProperties"] is True
    with pytest.raises(InvalidValueError, match="level: expected int"):
        operation.check({"level": "2", "other": 1})


def test_operation_knows_its_summary_and_title() -> None:
    """The first line of the docstring, and the name with its distribution."""
    assert ALL.summary == "Take one of each."
    assert ALL.title == "everything (acme 1.0)"
    assert operation_of("x", lambda db: None).summary == ""
    assert operation_of("x", lambda db: None).title == "x"


class Tool:
    """A class whose objects can be called."""

    def __init__(self, db: object = None, *, size: int = 1) -> None:
        self.size = size

    def __call__(self, db: object, *, size: int) -> None:
        """Do it."""

    def method(self, db: object, *, size: int) -> None:
        """Do it."""

    @staticmethod
    def static(db: object, *, size: int) -> None:
        """Do it."""

    @classmethod
    def of(cls, db: object, *, size: int) -> None:
        """Do it."""


@functools.wraps(freeze)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    """Pass on."""
    return freeze(*args, **kwargs)


def sized(db: object, *, size: int, name: str = "n") -> None:
    """Do it."""


@pytest.mark.parametrize(
    "function",
    [
        Tool,
        Tool(),
        Tool().method,
        Tool.static,
        Tool.of,
        functools.partial(sized, name="m"),
        functools.partial(functools.partial(sized, name="m"), name="o"),
        functools.lru_cache(sized),
    ],
)
def test_operation_may_be_any_plain_callable(function: Callable[..., Any]) -> None:
    """Classes, objects, methods and partials have checked parameters as functions do."""
    operation = operation_of("x", function)
    assert operation.check({"size": 2}) == {"size": 2}
    with pytest.raises(InvalidValueError, match=r"size: expected int, got 'big' \(str\)"):
        operation.check({"size": "big"})


def test_operation_of_a_partial_has_its_values_as_defaults() -> None:
    """What a partial fills in need not be given, and may be."""
    operation = operation_of("x", functools.partial(sized, size=3))
    assert operation.check({}) == {}
    assert operation.check({"size": 4}) == {"size": 4}
    with pytest.raises(TypeError, match="takes no positional argument"):
        operation_of("x", functools.partial(sized, "db"))


def test_operation_of_a_decorated_function_has_its_parameters() -> None:
    """A decorator that uses functools.wraps hides nothing."""
    assert [p.name for p in operation_of("freeze", wrapped).parameters] == ["table", "older_than"]
    with pytest.raises(InvalidValueError, match="table: expected str"):
        operation_of("freeze", wrapped).check({"table": 1})


async def coroutine(db: object) -> None:
    """Wait."""


def generator(db: object) -> Iterator[int]:
    """Yield."""
    yield 1


async def async_generator(db: object) -> AsyncIterator[int]:
    """Yield and wait."""
    yield 1


class AsyncTool:
    """Its objects are coroutine functions in disguise."""

    async def __call__(self, db: object) -> None:
        """Wait."""


@pytest.mark.parametrize("function", [coroutine, generator, async_generator, AsyncTool(), functools.partial(coroutine)])
def test_operation_refuses_functions_that_return_before_they_have_run(function: Callable[..., Any]) -> None:
    """Calling one of these does nothing, which would be told as success."""
    with pytest.raises(TypeError, match=r"it (is an 'async def'|yields), .*; write a plain"):
        operation_of("x", function)


def misspelled(db: object, *, x: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Be annotated with nothing."""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda db, table: None, r"parameters must be keyword-only: put '\*' before table"),
        (lambda db, a, b=1, c=None: None, r"put '\*' before a, b, c$"),
        (lambda: None, "takes no positional argument; the first one is what the worker hands it"),
        (lambda *, table: None, "takes no positional argument"),
        ("text", "it is str, not a function"),
        (misspelled, "its annotations cannot be resolved: name 'Nowhere' is not defined"),
    ],
)
def test_operation_refuses_what_cannot_serve(function: Any, said: str) -> None:
    """Each refusal says what is wrong with the function."""
    with pytest.raises(TypeError, match=said):
        operation_of("x", function)


def test_operation_takes_its_target_by_star() -> None:
    """`*args` can take what the worker hands it."""
    assert operation_of("x", lambda *args, **options: None).open_ended


def test_operation_is_frozen_and_compares_by_value() -> None:
    """An operation is a record."""
    assert operation_of("freeze", freeze) == operation_of("freeze", freeze)
    assert isinstance(ALL, Operation)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ALL.name = "x"  # type: ignore[misc]


def test_missing_parameter_names_the_next_step() -> None:
    """Where an example can be seen."""
    with pytest.raises(InvalidValueError, match=r"table: is required \(str\); 'pitstop operations freeze' shows an ex"):
        operation_of("freeze", freeze).check({})


def test_operation_of_an_object_is_told_by_its_call():
    """What a call does, and what its arguments mean, stands at the method that is called."""

    class Freeze:
        """Knows how to freeze."""

        def __call__(self, db, *, table: str):
            """Freeze a table.

            Args:
                table: which.
            """

    operation = operation_of("freeze", Freeze())
    assert (operation.summary, operation.parameters[0].description) == ("Freeze a table.", "which.")
