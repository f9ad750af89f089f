"""HTML by functions: every text is escaped unless it says that it is HTML already. Knows no database.

No templating library: the page has few shapes, and a text that cannot get into it unescaped, not even by a mistake, is
worth more than a template's looks.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final, TypeAlias, Union

#: Characters that turn the direction of what follows, so that a name could look like another one
#: (unicode.org/reports/tr9, section 2).
_TURNING: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Markup(str):
    """A text that is HTML as it stands. Made by `element` and `join`; anything else is escaped by them."""

    __slots__ = ()


Content: TypeAlias = Union[str, int, Markup, Iterable["Content"], None]  # noqa: UP007 - it names itself


def escape(text: str) -> Markup:
    """Return a text so that it shows as it is, in an element or in an attribute's quotes.

    What no page may hold, and what would not show or would turn the text around, is written as Python writes it:
    control characters, halves of characters, marks of direction.
    """
    return Markup(html.escape("".join(map(_visible, text)) if not text.isascii() or not text.isprintable() else text))


def join(content: Content) -> Markup:
    """Return content as HTML: texts escaped, `None` left out, what is nested put in a row."""
    if content is None:
        return Markup()
    if isinstance(content, Markup):
        return content
    if isinstance(content, (str, int)):
        return escape(str(content))
    return Markup("".join(join(part) for part in content))


def element(tag: str, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """Return an element with its content.

    Args:
        tag: its name.
        content: what is inside.
        attributes: `class_` is written "class", `aria_label` "aria-label". One that is None or False is left out, one
            that is True stands without a value.
    """
    return Markup(f"<{tag}{_format_attributes(attributes)}>{join(content)}</{tag}>")


def alone(tag: str, **attributes: str | float | bool | None) -> Markup:
    """Return an element that can have no content, such as `meta`."""
    return Markup(f"<{tag}{_format_attributes(attributes)}>")


def _format_attributes(attributes: dict[str, str | float | bool | None]) -> str:
    written = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        shown = name.rstrip("_").replace("_", "-")
        written.append(f" {shown}" if value is True else f' {shown}="{escape(str(value))}"')
    return "".join(written)


def _visible(character: str) -> str:
    code = ord(character)
    hidden = (
        code < 0x20
        or 0x7F <= code < 0xA0
        or 0xD800 <= code < 0xE000
        or code & 0xFFFE == 0xFFFE  # no characters, in any of the planes
        or 0xFDD0 <= code < 0xFDF0
        or character in _TURNING
    )
    return character.encode("unicode_escape").decode("ascii") if hidden else character
