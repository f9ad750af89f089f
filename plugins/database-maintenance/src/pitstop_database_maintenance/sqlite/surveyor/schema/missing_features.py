"""What a schema uses and this SQLite library does not have. Owns finding it by compiling; runs none of it.

VACUUM makes each table and index anew by its own SQL, so that this is compiled here: on an empty database in memory,
on which what is missing can be replaced, so that the next missing thing is found too.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, suppress

from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature, missing_feature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

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


def apply(register: Callable[..., Any] | None, db: sqlite3.Connection) -> None:
    """Have an application register on a connection what it has, if it has anything; rows and texts come as before."""
    if register is None:
        return
    text_factory = db.text_factory
    register(db)
    db.isolation_level = db.row_factory = None
    db.text_factory = text_factory


def collations(register: Callable[..., Any] | None) -> set[str]:
    """Return which collations there are, in capitals.

    Asked of an empty database: one whose schema uses a collation lists it, whether it is there or not.
    """
    if register not in _collations:
        with closing(sqlite3.connect(":memory:")) as db:
            apply(register, db)
            _collations[register] = {name.upper() for _, name in db.execute("PRAGMA collation_list")}
    return _collations[register]


def find_missing(statements: Iterable[str], register: Callable[..., Any] | None) -> list[tuple[Feature, str]]:
    """Return what statements need that is not there, such as (Feature.FUNCTION, "jsonb").

    Args:
        statements: those of tables, each before those of its indexes.
        register: the application's `on_connect`, or None.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        apply(register, db)
        return [lacking for statement in statements for lacking in probe_statement(db, statement)]


def probe_statement(db: sqlite3.Connection, statement: str) -> list[tuple[Feature, str]]:
    """Return what a statement of a schema needs that is not there; a stub takes the place of each from then on.

    Args:
        db: a database in memory that holds no row: the statement is run on it.
        statement: its text. It comes from the file: nothing but what a schema consists of is run.
    """
    found: list[tuple[Feature, str]] = []
    if statement.lstrip()[:7].upper() != "CREATE ":
        return found
    ((trusted,),) = db.execute("PRAGMA trusted_schema")
    for _ in range(_MOST):
        try:
            db.execute(statement)
        except FAILURES as error:
            lacking = missing_feature(error)
            if lacking is None or lacking[0] is Feature.MODULE or lacking in found:
                break
            found.append(lacking)
            with suppress(*FAILURES):
                register_stub(db, *lacking)
            # a stub is not called by a schema that is not trusted
            db.execute("PRAGMA trusted_schema = ON")
        else:
            break
    db.execute(f"PRAGMA trusted_schema = {trusted}")
    return found


def register_stub(db: sqlite3.Connection, kind: Feature, name: str) -> None:
    """Register an empty function or collation, so that a statement that does not run it can be compiled.

    Not on a connection that does any work: an index that is built with it would be wrong.
    """
    if kind is Feature.COLLATION:
        db.create_collation(name, lambda one, other: (one > other) - (one < other))
    else:
        db.create_function(name, -1, lambda *_: None, deterministic=True)
