"""Each value is taken in the type that the signature asks for, or refused in words."""

from __future__ import annotations

import enum
import json
import re
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InvalidValueError, UnknownKeyError
from pitstop.operations import operation_of

from .signatures import ALL, BOUNDED, Flavour, Level, Limits, Mode, Window, freeze


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
