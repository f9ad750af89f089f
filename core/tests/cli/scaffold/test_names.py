"""Which names a new package can have, and what follows from one."""

from __future__ import annotations

import pytest

from pitstop.cli.scaffold.names import derive_names
from pitstop.errors import InvalidValueError


@pytest.mark.parametrize(
    ("name", "short", "distribution", "module"),
    [
        ("sqlite.prune", "prune", "pitstop-prune", "pitstop_prune"),
        ("hello", "hello", "pitstop-hello", "pitstop_hello"),
        ("count-rows", "count_rows", "pitstop-count-rows", "pitstop_count_rows"),
        ("a.b.count_rows", "count_rows", "pitstop-count-rows", "pitstop_count_rows"),
        ("Freeze2", "Freeze2", "pitstop-freeze2", "pitstop_freeze2"),
        ("test_it", "test_it", "pitstop-test-it", "pitstop_test_it"),
        ("trailing_", "trailing_", "pitstop-trailing", "pitstop_trailing"),
    ],
)
def test_names_follow_from_one(name, short, distribution, module):
    """The function, the package and its module are called after the operation."""
    names = derive_names("operation", name)
    assert (names.name, names.short, names.distribution, names.module) == (name, short, distribution, module)


def test_names_take_a_distribution():
    """An author may call the package what they like."""
    names = derive_names("worker type", "greeting", distribution="Acme.Greeting_Worker")
    assert (names.distribution, names.module, names.class_name) == (
        "Acme.Greeting_Worker", "acme_greeting_worker", "GreetingWorker",
    )  # fmt: skip
    assert derive_names("worker type", "web_page-fetch").class_name == "WebPageFetchWorker"


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "1st", "a b", "ä", "a/b", "a$b", "../x", "-a", "_a", "a\n", "a=b"]
)
def test_names_that_cannot_be_are_refused(name):
    """No name that an entry point, a function or a folder could not have."""
    with pytest.raises(InvalidValueError, match=r"as the name of an operation: expected words of letters"):
        derive_names("operation", name)


@pytest.mark.parametrize("name", ["import", "sqlite.class", "None"])
def test_names_that_python_has_are_refused(name):
    """A keyword can be no function."""
    with pytest.raises(InvalidValueError, match="is a word of Python itself; choose another one"):
        derive_names("operation", name)


@pytest.mark.parametrize(
    ("distribution", "why"),
    [
        ("", "expected letters, digits"),
        ("-x", "expected letters, digits"),
        ("x-", "expected letters, digits"),
        ("a b", "expected letters, digits"),
        ("../evil", "expected letters, digits"),
        ("ü", "expected letters, digits"),
        ("x" * 101, "it has 101 characters, and 100 are the most"),
        ("7zip", "would be '7zip', which Python cannot import"),
        ("Class", "would be 'class', which Python cannot import"),
        ("json", "would be 'json', which is Python's own"),
        ("Email", "would be 'email', which is Python's own"),
    ],
)
def test_distributions_that_cannot_be_are_refused(distribution, why):
    """Neither pip nor Python would take it."""
    with pytest.raises(InvalidValueError, match=f"as the name of a distribution: .*{why}"):
        derive_names("operation", "x", distribution=distribution)


def test_names_that_are_too_long_are_refused():
    """They could be no file names any more."""
    with pytest.raises(
        InvalidValueError, match="xxx\\.\\.\\.: as the name of an operation: it has 101 characters, and 100 are"
    ):
        derive_names("operation", "x" * 101)
