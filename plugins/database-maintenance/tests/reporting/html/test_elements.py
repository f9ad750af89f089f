"""HTML by functions: nothing gets into a page unescaped, and everything that gets in can be seen."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop_database_maintenance.reporting.html.elements import Markup, alone, element, escape, join

ANY_TEXT = st.text(st.characters(exclude_categories=()))
NASTY = ["<script>alert(1)</script>", '" onload="x', "' x='", "&lt;", "a & b", "</style>", "<!--", "]]>", "&#60;b"]


class Texts(HTMLParser):
    """Collects what a browser would see as text and as the attribute `title`, and which elements there are."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.elements, self.attributes, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data):
        self.text += data


def read(html):
    parser = Texts()
    parser.feed(html)
    parser.close()
    return parser


@pytest.mark.parametrize("text", NASTY)
def test_element_shows_markup_as_text(text):
    """What looks like markup is a text in an element and in an attribute."""
    found = read(element("p", text, title=text))
    assert (found.elements, found.text, found.attributes) == (["p"], text, [("title", text)])


@given(ANY_TEXT)
def test_element_makes_no_other_element_of_any_text(text):
    """Whatever a text holds, there is one element with one attribute, and both say the text."""
    found = read(element("p", text, title=text))
    assert found.elements == ["p"]
    assert found.attributes == [("title", found.text)]


@given(ANY_TEXT)
def test_escape_leaves_nothing_that_does_not_show(text):
    """No control character, no half of a character and no mark of direction is left, and UTF-8 has a form for it."""
    shown = escape(text)
    shown.encode("utf-8")
    assert not set(shown) & {*map(chr, range(0x20)), "\x7f", "\x9f", "\u202e", "\u2066", "\ufffe", "\U0010ffff"}


@given(st.text(st.characters(categories=["L", "N"])))
def test_escape_leaves_letters_of_all_scripts_alone(text):
    """Names in any script stay as they are."""
    assert escape(text) == text


def test_escape_writes_what_is_hidden_as_python_writes_it():
    """A name that would turn its line around, or that holds an end of line, says so."""
    assert escape("a\u202eb\nc\0\udc80") == "a\\u202eb\\nc\\x00\\udc80"


def test_join_takes_only_markup_as_it_is():
    """Nested content is put in a row; only what says that it is HTML stays HTML."""
    assert join(["<", [Markup("<b>"), None, 3], ("&",)]) == "&lt;<b>3&amp;"


def test_element_leaves_attributes_out_that_are_none_or_false():
    """An attribute that is True stands alone, and names lose what Python needs in them."""
    written = element("a", class_="x", data_label=3, hidden=True, title=None, download=False)
    assert written == '<a class="x" data-label="3" hidden></a>'


def test_alone_has_no_end():
    """An element that can have no content is not closed."""
    assert alone("meta", charset="utf-8") == '<meta charset="utf-8">'
