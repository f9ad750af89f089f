"""What is read out of docstrings, in each of the styles that are in use, and out of what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.operations.docstrings import Docstring, parse, read_docstring

GOOGLE = '''
    """Prune old rows.

    It goes from the oldest on,
    a few at a time.

    It can be stopped.

    Args:
        db: the database.
        older_than (int, optional): days: what is older
            goes.

            Even if it is kept.
        keep, spare: how many stay.
        **options: whatever else.
        nothing:

    Returns:
        keep: not a parameter.

    Example:
        $ pitstop run prune

        then look
    """
'''
SPHINX = '''
    """Prune old rows.

    It goes from the oldest on, a few at a time.

    It can be stopped.

    :param db: the database.
    :param int older_than: days: what is older
        goes. Even if it is kept.
    :type older_than: int
    :param keep: how many stay.
    :raises ValueError: never
    :keyword spare: how many stay.
    :return: what :param nothing: came of it
    """
'''
NUMPY = '''
    """Prune old rows.

    It goes from the oldest on, a few at a time.

    It can be stopped.

    Parameters
    ----------
    db : object
        the database.
    older_than : int, optional
        days: what is older
        goes.

        Even if it is kept.
    keep, spare : int
        how many stay.

    Returns
    -------
    nothing
        not a parameter.
    """
'''


def function(text: str):
    space: dict = {}
    exec(f"def prune(db, *, older_than, keep, spare, **options):\n{text}", space)
    return space["prune"]


@pytest.mark.parametrize("text", [GOOGLE, SPHINX, NUMPY], ids=["google", "sphinx", "numpy"])
def test_docstring_of_each_style(text: str) -> None:
    """Summary, description and the meaning of each argument are the same, however they are written."""
    found = read_docstring(function(text))
    assert found.summary == "Prune old rows."
    assert found.description == "It goes from the oldest on, a few at a time.\n\nIt can be stopped."
    arguments = {name: text for name, text in found.arguments.items() if name != "options"}
    assert arguments == {
        "db": "the database.",
        "older_than": "days: what is older goes. Even if it is kept.",
        "keep": "how many stay.",
        "spare": "how many stay.",
    }


def test_docstring_has_the_examples() -> None:
    """Each line under `Example:`, without its indentation."""
    assert read_docstring(function(GOOGLE)).examples == ("$ pitstop run prune", "then look")
    assert read_docstring(function(GOOGLE)).arguments["options"] == "whatever else."


@pytest.mark.parametrize("style", ["Keyword Args:", "Arguments:", "Other Parameters:", "PARAMETERS:"])
def test_docstring_with_other_headings(style: str) -> None:
    """What people call that section in Google's style."""
    assert parse(f"Do.\n\n{style}\n  x: it").arguments == {"x": "it"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Docstring()),
        ("Do.", Docstring("Do.")),
        ("Do.\nAnd more.", Docstring("Do.", "And more.")),
        ("Do.\n\nArgs:", Docstring("Do.")),
        ("Do.\n\nArgs:\n    no colon here", Docstring("Do.")),
        ("Do.\n\nArgs\n    x: no heading", Docstring("Do.", "Args x: no heading")),
        ("Do.\n\nNote: this is no heading.", Docstring("Do.", "Note: this is no heading.")),
        ("Do.\n\nIt says: no.\n  Args: x", Docstring("Do.", "It says: no. Args: x")),
    ],
)
def test_docstring_of_no_style(text: str, expected: Docstring) -> None:
    """What is no section belongs to the description."""
    assert parse(text) == expected


@given(st.text(st.sampled_from("aA:-= \n\t(),*#ö") | st.characters()))
def test_docstring_of_anything(text: str) -> None:
    """No text makes it raise, and no argument is without a meaning."""
    for block in (text, f"Do.\n\nArgs:\n{text}", f"Do.\n\nParameters\n------\n{text}", f"Do.\n\n:param {text}"):
        assert all(name and meaning for name, meaning in parse(block).arguments.items())


class Hostile:
    @property
    def __doc__(self):  # type: ignore[override]
        raise RuntimeError("no docs")


def test_docstring_of_what_has_none() -> None:
    """No docstring, one that is no text, and one that raises are empty ones."""
    assert read_docstring(lambda: None) == Docstring()
    assert read_docstring(Hostile()) == Docstring()
    thing = function('    "Do."')
    thing.__doc__ = 5
    assert read_docstring(thing) == Docstring()
