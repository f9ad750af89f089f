"""An operation's parameters: what its signature says, what is taken, what is refused, and its JSON Schema."""

from __future__ import annotations

import enum
import functools
import json
import math
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InvalidValueError, UnknownKeyError
from pitstop.operations import Bounds, Operation, operation_of
from pitstop.operations.parameter_types import type_name


class Mode(enum.Enum):
    FAST = "fast"
    FULL = "full"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Flavour(enum.StrEnum):
    SWEET = "sweet"


@attrs.frozen
class Limits:
    """Two limits, one with a default."""

    rows: int
    seconds: float = 1.5


@attrs.frozen
class Window:
    """A record with records in it."""

    name: str
    limits: Limits | None = None
    days: list[str] = attrs.field(factory=list)
    computed: int = attrs.field(default=0, init=False)


def everything(
    db: object,
    *,
    text: str = "",
    number: int = 0,
    real: float = 0.0,
    flag: bool = False,
    choice: Literal["a", 1, None] = "a",
    mode: Mode = Mode.FAST,
    level: Level = Level.LOW,
    flavour: Flavour = Flavour.SWEET,
    maybe: int | None = None,
    either: int | str = 0,
    numbers: list[int] = [],  # noqa: B006 - a default that can be changed is what is tested
    sequence: Sequence[str] = (),
    rest: tuple[int, ...] = (),
    unique: set[int] = frozenset(),  # type: ignore[assignment]
    table: dict[str, int] = {},  # noqa: B006
    mapping: Mapping[str, int] = {},
    plain_list: list = [],  # type: ignore[type-arg]  # noqa: B006
    plain_dict: dict = {},  # type: ignore[type-arg]  # noqa: B006
    window: Window | None = None,
    windows: list[Window] = [],  # noqa: B006
    noted: Annotated[int, "a note"] = 0,
    anything: Any = None,
    untyped=None,  # type: ignore[no-untyped-def]
) -> None:
    """Take one of each.

    And more text.
    """


ALL = operation_of("everything", everything, distribution="acme 1.0")


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("text", "5", "5"),
        ("number", 5, 5),
        ("real", 5, 5.0),
        ("real", 0.5, 0.5),
        ("flag", True, True),
        ("choice", "a", "a"),
        ("choice", 1, 1),
        ("choice", None, None),
        ("mode", "full", Mode.FULL),
        ("level", 2, Level.HIGH),
        ("flavour", "sweet", Flavour.SWEET),
        ("maybe", None, None),
        ("maybe", 3, 3),
        ("either", "3", "3"),
        ("either", 3, 3),
        ("numbers", [1, 2], [1, 2]),
        ("numbers", [], []),
        ("sequence", ["a"], ["a"]),
        ("rest", [1, 2], (1, 2)),
        ("unique", [1, 1], {1}),
        ("table", {"a": 1}, {"a": 1}),
        ("mapping", {"a": 1}, {"a": 1}),
        ("plain_list", [1, "a", None], [1, "a", None]),
        ("plain_dict", {"a": [1]}, {"a": [1]}),
        ("window", None, None),
        ("window", {"name": "n"}, Window("n")),
        ("window", {"name": "n", "limits": {"rows": 1}, "days": ["mon"]}, Window("n", Limits(1), ["mon"])),
        ("windows", [{"name": "n"}], [Window("n")]),
        ("noted", 1, 1),
        ("anything", {"a": [None]}, {"a": [None]}),
        ("untyped", "x", "x"),
    ],
)
def test_check_takes_a_value_in_the_type_of_the_signature(name: str, value: object, taken: object) -> None:
    """JSON becomes what the annotation says, and nothing else is added."""
    checked = ALL.check({name: value})
    assert checked == {name: taken}
    assert type(checked[name]) is type(taken)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("text", 5, "expected str, got 5 (int)"),
        ("text", None, "expected str, got None (NoneType)"),
        ("number", "5", "expected int, got '5' (str)"),
        ("number", True, "expected int, got True (bool)"),
        ("number", 5.0, "expected int, got 5.0 (float)"),
        ("real", "0.5", "expected float, got '0.5' (str)"),
        ("real", True, "expected float, got True (bool)"),
        ("flag", 1, "expected bool, got 1 (int)"),
        ("flag", "true", "expected bool, got 'true' (str)"),
        ("choice", True, "expected 'a' | 1 | None, got True (bool)"),
        ("choice", "b", "expected 'a' | 1 | None, got 'b' (str)"),
        ("choice", [], "expected 'a' | 1 | None, got [] (list)"),
        ("mode", "slow", "expected 'fast' | 'full', got 'slow' (str)"),
        ("mode", ["fast"], "expected 'fast' | 'full', got ['fast'] (list)"),
        ("level", True, "expected 1 | 2, got True (bool)"),
        ("level", 2.0, "expected 1 | 2, got 2.0 (float)"),
        ("level", "1", "expected 1 | 2, got '1' (str)"),
        ("maybe", "3", "expected int, got '3' (str)"),
        ("either", 1.5, "expected int | str, got 1.5 (float)"),
        ("either", True, "expected int | str, got True (bool)"),
        ("either", None, "expected int | str, got None (NoneType)"),
        ("numbers", "12", "expected list[int], got '12' (str)"),
        ("numbers", 1, "expected list[int], got 1 (int)"),
        ("numbers", {"a": 1}, "expected list[int], got {'a': 1} (dict)"),
        ("numbers", [1, "2"], "expected int, got '2' (str) (at numbers[1])"),
        ("numbers", ["1", 2, True], "expected int, got '1' (str) (at numbers[0]); expected int, got True (bool)"),
        ("sequence", "abc", "expected Sequence[str], got 'abc' (str)"),
        ("rest", 1, "expected tuple[int, ...], got 1 (int)"),
        ("table", [["a", 1]], "expected dict[str, int], an object, got [['a', 1]] (list)"),
        ("table", {"a": "1"}, "expected int, got '1' (str) (at table['a'])"),
        ("mapping", 1, "expected Mapping[str, int], an object, got 1 (int)"),
        ("plain_list", "x", "expected list, got 'x' (str)"),
        ("plain_dict", [["a", 1]], "expected dict, an object"),
        ("window", 5, "expected Window, an object, got 5 (int)"),
        ("window", [1], "expected Window, an object, got [1] (list)"),
        ("window", {}, "required field missing (at window.name)"),
        ("window", {"name": "n", "nme": 1}, "extra fields found (nme)"),
        ("window", {"name": "n", "limits": {"rows": "1"}}, "expected int, got '1' (str) (at window.limits.rows)"),
        ("windows", [{"name": "n"}, {"name": 1}], "expected str, got 1 (int) (at windows[1].name)"),
        ("noted", "1", "expected int, got '1' (str)"),
    ],
)
def test_check_refuses_a_value_of_another_type(name: str, value: object, problem: str) -> None:
    """The message names the operation, the parameter, what was expected, what came, and where it lies inside."""
    with pytest.raises(InvalidValueError, match=re.escape(f"everything (acme 1.0): {name}: {problem}")):
        ALL.check({name: value})


def test_check_shortens_what_it_shows() -> None:
    """A long value is cut in the message."""
    with pytest.raises(InvalidValueError, match=r"expected int, got 'x{50,60}\.\.\. \(str\)") as caught:
        ALL.check({"number": "x" * 10_000})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("values", [None, [], "x", 5])
def test_check_refuses_parameters_that_are_no_object(values: Any) -> None:
    """Parameters are an object."""
    with pytest.raises(InvalidValueError, match=r"parameters: expected an object, got .*"):
        ALL.check(values)


def freeze(db: object, /, *, table: str, older_than: int = 0) -> dict[str, Any]:
    """Freeze every row version of a table."""
    return {"table": table, "older_than": older_than}


def test_check_refuses_an_unknown_parameter_with_the_nearest() -> None:
    """A misspelled parameter gets a suggestion, another one the list."""
    operation = operation_of("freeze", freeze, distribution="acme-freeze 0.1")
    with pytest.raises(
        UnknownKeyError,
        match=re.escape(
            "freeze (acme-freeze 0.1) takes no parameter 'oldr_than'; did you mean 'older_than'? "
            "(it takes: table, older_than)"
        ),
    ):
        operation.check({"table": "t", "oldr_than": 1})
    with pytest.raises(UnknownKeyError, match="takes no parameter 'zzz'; it takes: table, older_than"):
        operation.check({"zzz": 1})


def test_check_refuses_a_missing_required_parameter() -> None:
    """It says which, and of what type."""
    with pytest.raises(InvalidValueError, match=r"freeze: table: is required \(str\)"):
        operation_of("freeze", freeze).check({"older_than": 1})


def test_check_leaves_defaults_to_the_function() -> None:
    """A default that can be changed is never handed out, and what is left out is not passed."""
    assert ALL.check({}) == {}
    taken = ALL.check({"numbers": [1]})["numbers"]
    taken.append(2)
    assert next(p for p in ALL.parameters if p.name == "numbers").default == []


def test_check_copies_nothing_back_into_its_argument() -> None:
    """The job's config is not changed by checking it."""
    values = {"window": {"name": "n", "limits": {"rows": 1}}, "numbers": [1]}
    before = json.dumps(values)
    ALL.check(values)
    assert json.dumps(values) == before


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


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (str, "str"),
        (list[str], "list[str]"),
        (dict[str, int | None], "dict[str, int | None]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Literal["fast", "full"], "'fast' | 'full'"),
        (Mode, "'fast' | 'full'"),
        (Level, "1 | 2"),
        (int | None, "int | None"),
        (None, "None"),
        (Any, "any"),
        (Window, "Window"),
    ],
)
def test_type_name_is_as_a_person_writes_it(kind: Any, name: str) -> None:
    """Types in messages and listings read as in a signature."""
    assert type_name(kind) == name


def test_json_schema_of_each_type() -> None:
    """The schema says of each parameter what check() takes."""
    schema = ALL.json_schema()
    limits = {
        "type": "object",
        "properties": {"rows": {"type": "integer"}, "seconds": {"type": "number", "default": 1.5}},
        "required": ["rows"],
        "additionalProperties": False,
    }
    window = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "limits": {"anyOf": [limits, {"type": "null"}], "default": None},
            "days": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    integers = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert schema["properties"] == {
        "text": {"type": "string", "default": ""},
        "number": {"type": "integer", "default": 0},
        "real": {"type": "number", "default": 0.0},
        "flag": {"type": "boolean", "default": False},
        "choice": {"enum": ["a", 1, None], "default": "a"},
        "mode": {"enum": ["fast", "full"], "default": "fast"},
        "level": {"enum": [1, 2], "default": 1},
        "flavour": {"enum": ["sweet"], "default": "sweet"},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": 0},
        "numbers": {"type": "array", "items": {"type": "integer"}, "default": []},
        "sequence": {"type": "array", "items": {"type": "string"}, "default": []},
        "rest": {"type": "array", "items": {"type": "integer"}, "default": []},
        "unique": {"type": "array", "items": {"type": "integer"}, "default": []},
        "table": {**integers, "default": {}},
        "mapping": {**integers, "default": {}},
        "plain_list": {"type": "array", "default": []},
        "plain_dict": {"type": "object", "default": {}},
        "window": {"anyOf": [window, {"type": "null"}], "default": None},
        "windows": {"type": "array", "items": window, "default": []},
        "noted": {"type": "integer", "default": 0},
        "anything": {"default": None},
        "untyped": {"default": None},
    }


def test_json_schema_is_json_and_names_itself() -> None:
    """It can be written out, and carries the dialect, the name and the summary."""
    schema = json.loads(json.dumps(operation_of("freeze", freeze).json_schema()))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["title"], schema["description"]) == ("freeze", "Freeze every row version of a table.")
    assert (schema["type"], schema["required"], schema["additionalProperties"]) == ("object", ["table"], False)
    json.dumps(ALL.json_schema())
    assert "description" not in operation_of("x", lambda db: None).json_schema()


windows = st.fixed_dictionaries(
    {"name": st.text()},
    optional={
        "limits": st.none()
        | st.fixed_dictionaries({"rows": st.integers(), "seconds": st.floats(allow_nan=False, allow_infinity=False)}),
        "days": st.lists(st.text(), max_size=2),
    },
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(),
    "number": st.integers(),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "choice": st.sampled_from(["a", 1, None]),
    "mode": st.sampled_from(["fast", "full"]),
    "level": st.sampled_from([1, 2]),
    "maybe": st.none() | st.integers(),
    "either": st.integers() | st.text(),
    "numbers": st.lists(st.integers(), max_size=3),
    "rest": st.lists(st.integers(), max_size=3),
    "table": st.dictionaries(st.text(), st.integers(), max_size=3),
    "window": st.none() | windows,
    "windows": st.lists(windows, max_size=2),
    "untyped": st.none() | st.booleans() | st.text(),
}


def _as_json(value: Any) -> Any:
    if attrs.has(type(value)):
        fields = {f.name: getattr(value, f.name) for f in attrs.fields(type(value)) if f.init}
        return {name: _as_json(entry) for name, entry in fields.items()}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_as_json(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _as_json(entry) for key, entry in value.items()}
    return value


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_check_of_an_accepted_value_round_trips(values: dict[str, Any]) -> None:
    """What was accepted, written as JSON again, is accepted again and is the same."""
    checked = ALL.check(values)
    assert set(checked) == set(values)
    assert ALL.check(json.loads(json.dumps(_as_json(checked)))) == checked


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([p.name for p in ALL.parameters]), json_values)
def test_check_of_any_json_takes_it_or_says_why_not(name: str, value: Any) -> None:
    """No JSON value makes it raise anything but its own error, and none says "unknown error"."""
    refused = None
    try:
        ALL.check({name: value})
    except InvalidValueError as error:
        refused = error
    assert refused is None or (refused.name == name and "unknown error" not in refused.problem)


def test_operation_is_frozen_and_compares_by_value() -> None:
    """An operation is a record."""
    assert operation_of("freeze", freeze) == operation_of("freeze", freeze)
    assert isinstance(ALL, Operation)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ALL.name = "x"  # type: ignore[misc]


class Least:
    """A bound of somebody else's, such as those of annotated-types."""

    def __init__(self, ge: float) -> None:
        self.ge = ge


@attrs.frozen
class Share:
    """A record with a bounded field."""

    percent: Annotated[float, Bounds(ge=0, le=100)]


def bounded(
    db: object,
    *,
    limit: Annotated[int, Bounds(ge=1)] | None = None,
    foreign: Annotated[int, Least(5), "a note"] = 5,
    ratio: Annotated[float, Bounds(gt=0, lt=1)] = 0.5,
    either: Annotated[int | None, Bounds(le=9)] = None,
    items: list[Annotated[int, Bounds(ge=0)]] = [],  # noqa: B006
    share: Share | None = None,
    loose: Annotated[Any, "only a note"] = None,
) -> None:
    """Take numbers within bounds."""


BOUNDED = operation_of("bounded", bounded)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", 1),
        ("limit", None),
        ("foreign", 5),
        ("ratio", 0.001),
        ("either", 9),
        ("either", None),
        ("items", [0, 1]),
        ("loose", "x"),
    ],
)
def test_check_takes_a_value_within_its_bounds(name: str, value: object) -> None:
    """A bound is met by its own value if it says so, and null has none."""
    assert BOUNDED.check({name: value}) == {name: value}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("limit", 0, "expected int >= 1, got 0 (int)"),
        ("limit", -(10**30), f"expected int >= 1, got -{10**30} (int)"),
        ("foreign", 4, "expected int >= 5, got 4 (int)"),
        ("ratio", 0, "expected float > 0, < 1, got 0 (int)"),
        ("ratio", 1.0, "expected float > 0, < 1, got 1.0 (float)"),
        ("either", 10, "expected int | None <= 9, got 10 (int)"),
        ("items", [1, -1], "expected int >= 0, got -1 (int) (at items[1])"),
        ("share", {"percent": 101}, "expected float >= 0, <= 100, got 101 (int) (at share.percent)"),
        ("limit", "1", "expected int, got '1' (str)"),
    ],
)
def test_check_refuses_a_value_outside_its_bounds(name: str, value: object, problem: str) -> None:
    """It is refused before anything starts, with the bounds as a person writes them."""
    with pytest.raises(InvalidValueError) as caught:
        BOUNDED.check({name: value})
    assert caught.value.problem == problem


def test_json_schema_tells_bounds() -> None:
    """Each bound has its keyword, wherever it stands; a note has none."""
    properties = BOUNDED.json_schema()["properties"]
    assert properties["limit"]["anyOf"] == [{"type": "integer", "minimum": 1}, {"type": "null"}]
    assert properties["foreign"] == {"type": "integer", "minimum": 5, "default": 5}
    assert properties["ratio"] == {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.5}
    assert properties["items"]["items"] == {"type": "integer", "minimum": 0}
    assert properties["share"]["anyOf"][0]["properties"]["percent"] == {"type": "number", "minimum": 0, "maximum": 100}
    assert properties["loose"] == {"default": None}


def test_type_name_tells_bounds() -> None:
    """In listings a bound stands after its type."""
    named = {parameter.name: parameter.type_name for parameter in BOUNDED.parameters}
    assert (named["limit"], named["loose"]) == ("int >= 1 | None", "any")


class Doc:
    """As `typing_extensions.Doc` is."""

    def __init__(self, documentation: str) -> None:
        self.documentation = documentation


@attrs.frozen(kw_only=True)
class Span:
    """A span of days.

    Args:
        first: the day it begins with.
    """

    first: int
    last: Annotated[int, Doc("the day it ends with")] = 9


def explained(
    db: object, *, span: Span, deep: Annotated[bool, Doc("look at everything")] = False, until: float = math.inf
) -> None:
    """Explain itself.

    It has more to say.

    Args:
        span: which days.
        deep: not this text.
        until: seconds.
    """


def test_description_is_of_the_annotation_or_else_of_the_docstring() -> None:
    """The operation and each parameter tell what they mean; one that says nothing is no fault."""
    operation = operation_of("explained", explained)
    assert (operation.summary, operation.description) == ("Explain itself.", "It has more to say.")
    assert {p.name: p.description for p in operation.parameters} == {
        "span": "which days.",
        "deep": "look at everything",
        "until": "seconds.",
    }
    assert [p.description for p in operation_of("freeze", freeze).parameters] == ["", ""]
    bound = operation_of("bound", functools.partial(explained, until=1.0))
    assert (bound.summary, bound.parameters[0].description) == ("Explain itself.", "which days.")


def test_json_schema_has_descriptions_also_within_records() -> None:
    """Each property says what it means; a default that JSON does not know is left out."""
    properties = operation_of("explained", explained).json_schema()["properties"]
    assert properties["span"]["description"] == "which days."
    assert properties["span"]["properties"] == {
        "first": {"type": "integer", "description": "the day it begins with."},
        "last": {"type": "integer", "description": "the day it ends with", "default": 9},
    }
    assert properties["until"] == {"type": "number", "description": "seconds."}


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
