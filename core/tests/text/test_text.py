"""Texts for a person to read: sizes, times, counts, rows of names, and what was probably meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.text import count_noun, iso_text, join_names, moment_text, nearest, size_text, suggest, time_text


def test_nearest_suggests_only_what_is_close() -> None:
    """A suggestion that is far off would be worse than none."""
    assert nearest("vacum", ("analyze", "vacuum")) == "vacuum"
    assert nearest("zzz", ("analyze", "vacuum")) is None
    assert nearest("", ()) is None
    assert suggest("vacum", ("analyze", "vacuum")) == "did you mean 'vacuum'?"
    assert suggest("zzz", ("analyze", "vacuum")) == ""


@given(st.floats(0, 1e18))
def test_size_text_is_short(value: float) -> None:
    """At most four digits before the point, whatever the size, up to a thousand petabytes."""
    number, unit = size_text(value).split(" ")
    assert unit in ("byte", "bytes", "kB", "MB", "GB", "TB", "PB")
    assert len(number.partition(".")[0]) <= 4


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 ms"),
        (0.0004, "0.4 ms"),
        (0.00949, "9.5 ms"),
        (0.0095, "10 ms"),
        (0.9994, "999 ms"),
        (0.9995, "1.0 s"),
        (59.94, "59.9 s"),
        (59.95, "1 min"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_time_text_has_the_unit_that_suits(seconds: float, text: str) -> None:
    """Nothing is rounded up to 60 seconds or 60 minutes."""
    assert time_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, ""), (1, "a"), (2, "a and b"), (5, "a, b, c, d and e"), (6, "a, b, c, d, e and 1 more")]
)
def test_join_names_names_the_first_ones(count: int, text: str) -> None:
    """A row of names does not grow with the number of tables."""
    assert join_names(list("abcdef")[:count], at_most=5) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 pages"), (1, "1 page"), (12_000, "12,000 pages")])
def test_count_noun_has_the_noun_that_suits(count: int, text: str) -> None:
    """One is one; thousands are set apart."""
    assert count_noun(count, "page") == text
    assert count_noun(count, "index", "indexes") == text.replace("page", "index").replace("indexs", "indexes")


def test_what_is_not_known_has_no_text() -> None:
    """A time that nobody knows leaves its place empty."""
    assert (time_text(None), moment_text(None), iso_text(None)) == ("", "", None)
    assert iso_text(0) == "1970-01-01T00:00:00+00:00"
    assert len(moment_text(0, seconds=True)) == len(moment_text(0)) + 3
