"""References to the environment in a config."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InvalidJobError
from pitstop.jobs.variables import escape, expand


def test_expand_replaces_references_at_any_depth() -> None:
    """Texts in lists and objects are expanded; numbers, keys and the caller's config are left alone."""
    config = {"url": "pg://u:${PW}@h", "deep": [{"x": "${A}-${A}"}], "n": 5, "${A}": None}
    expanded = expand(config, {"PW": "hunter2", "A": "1"})
    assert expanded.config == {"url": "pg://u:hunter2@h", "deep": [{"x": "1-1"}], "n": 5, "${A}": None}
    assert config["url"] == "pg://u:${PW}@h"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$${X}", "${X}"),
        ("$$${X}", "$${X}"),
        ("$X", "$X"),
        ("$", "$"),
        ("${X", "${X"),
        ("{X}", "{X}"),
        ("$${not a name}", "${not a name}"),
        ("a${X}$${X}b", "avalue${X}b"),
    ],
)
def test_expand_escapes_and_leaves_the_rest(text: str, expanded: str) -> None:
    """A doubled dollar stands for the text itself, and a dollar without braces for a dollar."""
    assert expand({"k": text}, {"X": "value"}).config == {"k": expanded}


def test_expand_is_not_recursive() -> None:
    """A value that looks like a reference is taken as it is: the environment cannot ask for more of itself."""
    expanded = expand({"k": "${A}"}, {"A": "${B}$${B}", "B": "secret"})
    assert expanded.config == {"k": "${B}$${B}"}


def test_expand_of_nested_braces_takes_the_inner_one() -> None:
    """A reference inside a reference makes no new name."""
    assert expand({"k": "${A${B}}"}, {"B": "b", "Ab": "no"}).config == {"k": "${Ab}"}


def test_expand_refuses_a_missing_variable() -> None:
    """It names the variable and says where to set it."""
    with pytest.raises(
        InvalidJobError, match=r"uses \$\{GONE\}, and the environment has no variable 'GONE'; set it where the job runs"
    ):
        expand({"k": ["${GONE}"]}, {})


def test_expand_takes_an_empty_value() -> None:
    """A variable that is set to nothing is set."""
    assert expand({"k": "[${EMPTY}]"}, {"EMPTY": ""}).config == {"k": "[]"}


@pytest.mark.parametrize("name", ["", "1A", "A B", "A-B", "A.B", "Ä", "A\n", " A"])
def test_expand_refuses_what_is_no_name(name: str) -> None:
    """Braces that hold no name are a slip, not text."""
    with pytest.raises(InvalidJobError, match=r"in the config names no variable; write \$\{NAME\}"):
        expand({"k": f"${{{name}}}"}, {name: "x"})


def test_expand_lists_secrets_longest_first() -> None:
    """A secret that is part of another one must not tear that one apart when both are masked."""
    expanded = expand({"a": "${S}", "b": "${L}"}, {"S": "pass-word", "L": "pass-word-long"})
    assert expanded.secrets == (("pass-word-long", "${L}"), ("pass-word", "${S}"))


@pytest.mark.parametrize(
    ("name", "value", "masked"),
    [
        ("X", "1", False),
        ("X", "db", False),
        ("X", "hunter2", False),
        ("X", "hunter22", True),
        ("X", "123456789", False),
        ("X", "-1234.5678", False),
        ("X", "/var/lib/app.db", False),
        ("X", "./data/app.db", False),
        ("X", "sqlite:////var/lib/app.db", False),
        ("X", "/path/a@b", True),
        ("X", "/path/a=b", True),
        ("X", "db.example.com", True),
        ("X", "https://hooks.example/T0/secret", True),
        ("X_TOKEN", "hunter2", True),
        ("DB_PASS", "1234", True),
        ("PATH_SECRET", "/var/lib/app.db", True),
        ("API_KEY", "123", False),
    ],
)
def test_expand_masks_what_is_not_plainly_harmless(name: str, value: str, masked: bool) -> None:
    """A path, a number and a short word are shown, unless the variable's name says that it is a secret."""
    secrets = dict(expand({"note": f"${{{name}}}"}, {name: value}).secrets)
    assert (secrets.get(value) == f"${{{name}}}") is masked


@pytest.mark.parametrize(
    "config",
    [
        {"password": "${X}"},
        {"db": {"auth": ["${X}"]}},
        {"url": "pg://u:${X}@h/d"},
        {"url": "pg://h/d?password=${X}"},
        {"dsn": "host=h password=${X}"},
        {"password": "salt${X}"},
    ],
)
def test_expand_masks_what_stands_where_a_secret_belongs(config: dict[str, object]) -> None:
    """The place decides, whatever the value looks like."""
    assert dict(expand(config, {"X": "/etc"}).secrets)["/etc"] == "${X}"


def test_expand_lists_the_secrets_that_stand_in_the_config_itself() -> None:
    """Without a reference the config comes back as it is, with what is to be masked of it."""
    config = {"url": "pg://u:p%40ss-word@h/d", "n": 5}
    expanded = expand(config, {})
    assert expanded.config is config
    assert {"p%40ss-word", "p@ss-word"} <= dict(expanded.secrets).keys()
    assert expand({"n": 5, "note": "a=b"}, {}).secrets == ()


def test_expand_shows_no_secret_by_its_reference() -> None:
    """A value that is a part of its variable's name is replaced by something that it is no part of."""
    secrets = expand({"a": "${SECRET_WORD}"}, {"SECRET_WORD": "WORD"}).secrets
    assert secrets == (("WORD", "***"),)


def test_expand_shows_no_values_in_its_repr() -> None:
    """What a debugger or a traceback prints of it holds neither config nor secrets."""
    assert "hunter2" not in repr(expand({"a": "${S}"}, {"S": "hunter2"}))


@given(st.text(), st.text())
def test_expand_of_an_escaped_reference_reads_nothing(before: str, after: str) -> None:
    """Texts without a reference pass unchanged, with an empty environment."""
    text = (before + after).replace("$", "")
    assert expand({"k": text + "$${X}"}, {}).config == {"k": text + "${X}"}


@given(
    st.recursive(
        st.text("${}$AB ", max_size=12), lambda inner: st.lists(inner) | st.dictionaries(st.text("${A}"), inner)
    )
)
def test_expand_gives_back_what_was_escaped(value: object) -> None:
    """The name of a table may look like a variable, and is none."""
    assert expand({"x": escape(value)}, {}).config == {"x": value}
