"""Texts of a database that are not valid UTF-8, such as a table's name in Latin-1: read so that nothing is lost.

SQLite takes any bytes for a text. Python would raise at the first that it cannot decode, and so no operation could even
read the schema. What cannot be decoded becomes half of a character ("surrogateescape", as Python does it for the names
of files). No statement can say such a name: `SQLiteConnection.quote` refuses it.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Final

_DECODE: Final = partial(str, encoding="utf-8", errors="surrogateescape")


def decode_any_text(connection: sqlite3.Connection) -> None:
    """Have a connection return every text, valid or not."""
    connection.text_factory = _DECODE


def is_valid_utf8(name: str) -> bool:
    """Return whether a statement can name an object of this name: not if it is no valid UTF-8."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


#: Why something was left out of which that is not so.
NOT_UTF8: Final = "its name is not valid UTF-8, so that no statement can name it; have the application rename it"


def replace_undecodable(text: str | bytes) -> str:
    """Return a text with a replacement character, which is a letter to SQLite, for what could not be decoded."""
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return raw.decode("utf-8", "replace")
