"""Parameters as a person and as JSON Schema write them, and what they mean."""

from __future__ import annotations

import functools
import json
import math
from typing import Annotated, Any, Literal

import attrs
import pytest

from pitstop.operations import operation_of
from pitstop.operations.parameter_types import type_name

from .signatures import ALL, BOUNDED, Level, Mode, Window, freeze


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
