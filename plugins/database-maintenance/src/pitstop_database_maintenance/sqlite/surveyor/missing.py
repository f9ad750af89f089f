"""What a schema uses and this SQLite library does not have. Owns finding it by compiling; runs none of it.

VACUUM makes each table and index anew by its own SQL, so that this is compiled here: on an empty database in memory,
on which what is missing can be replaced, so that the next missing thing is found too.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_UNKNOWN = re.compile(
    r"(?:no such (?P<kind>function|collation sequence|tokenizer)|unknown (?P<other>tokenizer)): (?P<name>.+)"
)
#: What a statement on a file with anything in it can raise: Python reads the text of SQLite's errors as UTF-8, whatever
#: name it quotes, and a damaged length may ask for more memory than there is.
FAILURES = (sqlite3.Error, UnicodeDecodeError, MemoryError)
#: Words without which the statement of a table needs nothing that could be missing.
_NEEDING = re.compile(r"\b(?:CHECK|AS|DEFAULT|COLLATE)\b", re.IGNORECASE)
#: What `collations` found, which is the same for every file.
_collations: dict[Callable[..., Any] | None, set[str]] = {}
#: How many things may be missing from one statement.
_MOST = 50


def may_need(sql: str) -> bool:
    """Return whether the SQL of a table could need a function or a collation at all."""
    return bool(_NEEDING.search(sql))


def collations(register: Callable[..., Any] | None) -> set[str]:
    """Return which collations there are, in capitals.

    Asked of an empty database: one whose schema uses a collation lists it, whether it is there or not.
    """
    if register not in _collations:
        with closing(sqlite3.connect(":memory:")) as db:
            if register is not None:
                register(db)
            _collations[register] = {name.upper() for _, name in db.execute("PRAGMA collation_list")}
    return _collations[register]


def missing(statements: Iterable[str], register: Callable[..., Any] | None) -> list[str]:
    """Return what statements need that is not there: "function jsonb", "collation german".

    Args:
        statements: those of tables, each before those of its indexes.
        register: the application's `on_connect`, or None.
    """
    found: list[str] = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        if register is not None:
            register(db)
        for statement in statements:
            # the text comes from the file: nothing but what a schema consists of is run, and that on nothing
            if statement.lstrip()[:7].upper() == "CREATE ":
                _compile(db, statement, found)
    return found


def _compile(db: sqlite3.Connection, statement: str, found: list[str]) -> None:
    for _ in range(_MOST):
        try:
            db.execute(statement)
        except FAILURES as error:
            what = named(error)
            if not what or what in found:
                return
            found.append(what)
            _stand_in(db, what)
        else:
            return


def named(error: Exception) -> str:
    """Return what an error says is missing, such as "function jsonb"; "" if it is about something else."""
    match = _UNKNOWN.search(str(error))
    if match is None:
        return ""
    kind = match["kind"] or match["other"]
    return f"{kind.split(' ')[0]} {match['name']}"


def _stand_in(db: sqlite3.Connection, what: str) -> None:
    """Replace what is missing, on a database in memory that holds no row."""
    kind, _, name = what.partition(" ")
    with suppress(*FAILURES):
        if kind == "collation":
            db.create_collation(name, lambda one, other: (one > other) - (one < other))
        else:
            db.create_function(name, -1, lambda *_: None, deterministic=True)
