"""What `--set KEY=VALUE` makes of a value: TOML, JSON or text. Nothing is run."""

import pytest

from pitstop.cli.options import assign
from pitstop.errors import InvalidValueError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("1_000", 1000),
        ("true", True),
        ("false", False),
        ("null", None),
        ('"null"', "null"),
        ('["a", "b"]', ["a", "b"]),
        ("['a']", ["a"]),
        ("[1, null]", [1, None]),
        ("{a = 1, b = true}", {"a": 1, "b": True}),
        ('{"a": {"b": [true, false, null]}}', {"a": {"b": [True, False, None]}}),
        ("{}", {}),
        ("[]", []),
        ("", ""),
        ("app.db", "app.db"),
        ("True", "True"),
        ("NaN", "NaN"),
        ("2024-01-01", "2024-01-01"),
        ("[a-c]*.db", "[a-c]*.db"),
        ("{name}-{time}.db", "{name}-{time}.db"),
        ("{name}-{time}", "{name}-{time}"),
        ("{name", "{name"),
        ('"unclosed', '"unclosed'),
    ],
)
def test_assign_takes_toml_and_json_and_else_text(text, value):
    """Both write most values alike; null and tables with colons are JSON's alone."""
    assigned = assign({}, (f"a.b={text}",))["a"]["b"]
    assert assigned == value
    assert type(assigned) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "[1",
        '["a", "b"',
        '{"a": 1',
        "{a = [1}",
        "[a]",
        "[a, b]",
        "[1, nul]",
        '{"a": nul}',
        "{a: b}",
        "{a = b}",
        "[" * 9999 + "]" * 9999,
    ],
)
def test_assign_refuses_what_only_looks_like_a_list_or_table(text):
    """The shell took the quotes away, or one is missing; the error says what to write, and not the value."""
    with pytest.raises(InvalidValueError, match="looks like a list or table, but is neither TOML nor JSON") as caught:
        assign({}, (f"tables={text}",))
    assert """--set 'tables=["a", "b"]'""" in str(caught.value)
    assert "nul" not in str(caught.value)
