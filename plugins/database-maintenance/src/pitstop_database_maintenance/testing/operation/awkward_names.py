"""Names that tables, columns and indexes really have somewhere, and that break what does not quote them."""

from __future__ import annotations

from typing import Final

#: The table that the names of injections would drop. It is there, with a row, and must still be there afterwards.
CANARY: Final = "x"

#: No two of them are the same where upper and lower case do not count, and none begins as a database's own tables do.
AWKWARD_NAMES: Final = (
    '"; DROP TABLE x; --',
    "'; DROP TABLE x; --",
    "`; DROP TABLE x; --",
    "]; DROP TABLE x; --",
    "); DROP TABLE x; --",
    '"',
    '""',
    "'",
    "''",
    "`",
    "[",
    "[in brackets]",
    'it\'s "all" `of` [them]',
    "back\\slash",
    "\\",
    "new\nline",
    "carriage\rreturn",
    "tab\tbed",
    " between spaces ",
    " ",
    "",
    "select",
    "table",
    "1st",
    "42",
    "-1",
    "100%",
    "%s",
    "%(name)s",
    ":name",
    "?",
    "?1",
    "@name",
    "$1",
    "{name}",
    "semi;colon",
    "main.dotted",
    "under_score",
    "underXscore",  # which the one before it matches as a pattern
    "a,b",
    "-- comment",
    "/* comment */",
    "na\u00efve",  # one character,
    "nai\u0308ve",  # and two that look just like it
    "\u0130stanbul",  # longer in lower case
    "\u202ereversed",
    "\U0001f3ce\ufe0f",
    "\x7f",
    "long " * 50,
)

#: Names that hardly any database can give to anything.
IMPOSSIBLE_NAMES: Final = ("nul\0within", "\0", "half of a character \ud800")


def quote_name(name: str) -> str:
    """Return a name for a message: in quotes, on one line, and not too long."""
    return ascii(name if len(name) <= 40 else f"{name[:40]}...")
