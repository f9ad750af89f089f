"""Example calls: the values fit the types, and the command line reads them as they were."""

from __future__ import annotations

import shlex
from enum import Enum
from typing import Annotated, Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.cli.options import assign
from pitstop.operations import Bounds, operation_of
from pitstop.operations.examples import assignment, command_line, sample


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen(kw_only=True)
class Window:
    start: str
    hours: Annotated[int, Bounds(ge=3)]
    days: list[str] = attrs.field(factory=list)


@pytest.mark.parametrize(
    "kind",
    [
        Any,
        str,
        bool,
        int,
        float,
        int | None,
        None | str,
        Literal["fast", "full"],
        Literal[2],
        Colour,
        list[str],
        list[int],
        tuple[Colour, ...],
        set[str],
        list,
        dict,
        dict[str, int],
        Window,
        list[Window],
        Annotated[int, Bounds(ge=5)],
        Annotated[int, Bounds(gt=5)],
        Annotated[int, Bounds(le=0)],
        Annotated[int, Bounds(lt=1)],
        Annotated[float, Bounds(gt=0, lt=1)],
        Annotated[float, Bounds(ge=0, le=0.5)],
        Annotated[int, Bounds(gt=1, lt=3)],
        Annotated[str, "a note"],
    ],
)
def test_sample_fits_its_type_and_survives_the_command_line(kind: Any) -> None:
    """What is pasted into a shell is what the operation takes."""

    def hello(target: object, *, value: Any) -> None: ...

    hello.__annotations__["value"] = kind
    operation = operation_of("hello", hello)
    operation.check({"value": sample(kind, "value")})
    program, command, worker, *sets = shlex.split(command_line("some worker", operation))
    assert (program, command, worker) == ("pitstop", "run", "some worker")
    config = assign({}, tuple(text for text in sets if text != "--set"))
    assert config == {"operation": "hello", "parameters": {"value": sample(kind, "value")}}
    operation.check(config["parameters"])


JSON = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab c.\"'", min_size=1), inner, max_size=3),
    max_leaves=6,
)


@given(JSON)
def test_assignment_is_read_as_it_was_meant(value: Any) -> None:
    """Texts that look like something else, quotes, lists and objects come back unchanged."""
    option, text = shlex.split(assignment("key", value))
    assert option == "--set"
    read = assign({}, (text,))["key"]
    assert (read, type(read)) == (value, type(value))
