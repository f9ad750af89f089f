"""What somebody else wrote is shown so that it commands nothing, forges nothing and floods nothing."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.text.escaping import LONGEST_NAME, cut, indent_lines, json_text, one_line, printable

NASTY = "a\x1b[2Jb\rc\x9bd\u202ee\x07\x7f\u2028f\u2066g\ufeffh\udc80i\u200ej"


def test_printable_writes_out_what_a_terminal_obeys() -> None:
    """Controls of both kinds, separators, marks of direction and halves of characters; lines and tabs stay."""
    shown = printable(f"{NASTY}\nä\t→")
    assert shown == r"a\x1b[2Jb\x0dc\x9bd\u202ee\x07\x7f\u2028f\u2066g\ufeffh\udc80i\u200ej" + "\nä\t→"
    assert printable(shown) == shown
    assert printable("plain, ä, 日本, नमस्‍ते, 👩‍🚀, \xa0") == "plain, ä, 日本, नमस्‍ते, 👩‍🚀, \xa0"


def test_one_line_is_one_line() -> None:
    """A line break of any kind in a name begins no line, and a tab no column."""
    for separator in ("\n", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"):
        assert len(one_line(f"a{separator}b").splitlines()) == 1, repr(separator)
    assert one_line("a\n\tb") == r"a\n\tb"


def test_further_lines_are_indented() -> None:
    """None of them begins where a line of Pitstop's own does."""
    assert indent_lines("one\n12:00:00.000 INFO two\n") == "one\n  12:00:00.000 INFO two\n  "


@pytest.mark.parametrize("length", [0, 299, 300, 301, 900_000])
def test_long_texts_are_cut_in_the_middle(length: int) -> None:
    """Beginning and end are shown, and how many characters are not; what fits is left as it is."""
    text = "b" * (length // 2) + "e" * (length - length // 2)
    shown = one_line(text)
    if length <= LONGEST_NAME:
        assert shown == text
        return
    assert len(shown) <= LONGEST_NAME
    begins, count, ends = shown.replace(" characters left out) ...", "... (").split("... (")
    assert len(begins) + int(count.replace(",", "")) + len(ends) == length
    assert (begins, ends) == (text[: len(begins)], text[length - len(ends) :])


@given(st.text(), st.integers(60, 200))
def test_nothing_unseen_is_shown(text: str, at_most: int) -> None:
    """Whatever the text is: what is shown of it is bounded, one line, and shows the same when it is shown again."""
    shown = one_line(text, at_most=at_most)
    assert len(shown) <= at_most
    assert all(letter in "\u200c\u200d" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs") for letter in shown)
    assert one_line(shown, at_most=at_most) == shown
    assert cut(text, at_most) in (text, cut(cut(text, at_most), at_most))


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_json_keeps_its_meaning(value: object) -> None:
    """A program reads the same, a terminal obeys nothing."""
    written = json_text(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(written) == value
    assert not {letter for letter in written if unicodedata.category(letter) == "Cc"} - {"\n"}
    assert json_text(json.dumps(NASTY, ensure_ascii=False)).isprintable()
    assert json.loads(json_text(json.dumps("\U000e0001", ensure_ascii=False))) == "\U000e0001"
