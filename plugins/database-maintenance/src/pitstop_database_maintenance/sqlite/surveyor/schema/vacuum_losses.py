"""What VACUUM and VACUUM INTO leave out of a schema. Owns that knowledge; runs nothing.

So it is in vacuum.c, from SQLite 3.15 to 3.54. Into an empty file it

1. runs the SQL of each entry of the type "table" that has a root page, but for `sqlite_sequence`, and then that of each
   entry of the type "index": one statement of each, up to a NUL character, and *only if the text begins with "CRE"*, in
   capitals. Any other text is passed over;
2. inserts all rows into each table that there is then. `sqlite_sequence` is there if a table is AUTOINCREMENT;
3. copies the entries of the types "view" and "trigger", and those of virtual tables, as they are.

No error tells of what is neither of these. SQLite itself writes no such entries: their text was edited by hand, or by a
migration, through `PRAGMA writable_schema`. When it reads a schema, SQLite takes "create" for "CREATE" and "View" for
"view", so that nothing seems to be wrong with such a file, and no check finds anything.
"""

from __future__ import annotations

import re
from enum import Enum

from pitstop_database_maintenance.sqlite.surveyor.schema import sql_tokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any, Final

_GAP = r"(?:[\s\ufeff]|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*"
#: How the text of an entry begins, up to the object's name.
_BEGINNING: Final = re.compile(
    rf"CREATE\b{_GAP}(?P<temporary>TEMP(?:ORARY)?\b)?{_GAP}(?P<how>UNIQUE\b|VIRTUAL\b)?{_GAP}"
    rf"(?P<kind>TABLE|INDEX|VIEW|TRIGGER)\b{_GAP}(?:IF\b{_GAP}NOT\b{_GAP}EXISTS\b{_GAP})?",
    re.IGNORECASE | re.DOTALL,
)
_KINDS: Final = ("table", "index", "view", "trigger")
#: The beginnings that VACUUM runs.
_REPLAYED: Final = "CRE"
SEQUENCES: Final = "sqlite_sequence"
_SEQUENCES: Final = "CREATE TABLE sqlite_sequence(name,seq)"


class Loss(Enum):
    """Why an entry of the schema would not be in a rebuilt file, or not as it is.

    Attributes:
        reason: it, in words.
        statement: what to say to SQLite so that nothing would be lost; all but the deletion with
            PRAGMA writable_schema.
    """

    CAPITALS = (
        "the text does not begin with CREATE in capitals",
        "UPDATE sqlite_master SET sql = 'CREATE' || substr(sql, 7)"
        " WHERE type IN ('table', 'index') AND sql LIKE 'create%'",
    )
    #: SQLite then takes it for a temporary table.
    TEMPORARY = (
        "the text makes a temporary table",
        "UPDATE sqlite_master SET sql = ... WHERE name = ...",
    )
    TYPE = (
        "the type is spelled in another way than 'table', 'index', 'view' or 'trigger'",
        "UPDATE sqlite_master SET type = lower(CAST(type AS TEXT))",
    )
    #: SQLite stops reading there.
    NUL = (
        "the text has a NUL character, after which nothing is kept",
        "UPDATE sqlite_master SET sql = substr(sql, 1, instr(sql, char(0)) - 1)"
        " WHERE type IN ('table', 'index') AND instr(sql, char(0))",
    )
    #: SQLite reads it as a text.
    BLOB = (
        "the name is stored as a blob",
        "UPDATE sqlite_master SET name = CAST(name AS TEXT)",
    )
    #: In capitals: SQLite refuses a schema with any other difference. The new file has the one in the text.
    SPELLING = (
        "the name is spelled in another way than in its text",
        "UPDATE sqlite_master SET name = ... WHERE name = ...",
    )
    SEQUENCE = (
        "it has rows, and no table is AUTOINCREMENT",
        "DELETE FROM sqlite_sequence",
    )
    COLUMNS = (
        "its text is not the one that SQLite gives it",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE sqlite_sequence(name,seq)' WHERE name = 'sqlite_sequence'",
    )

    def __init__(self, reason: str, statement: str) -> None:
        self.reason = reason
        self.statement = statement


def find_losses(entries: Iterable[tuple[Any, Any, Any, Any]], *, sequences: bool) -> Iterator[tuple[Any, Any, Loss]]:
    """Yield the type and name of each entry that would be lost, and why.

    Args:
        entries: of the schema: type, name, SQL and root page.
        sequences: whether `sqlite_sequence` has rows.
    """
    numbered = False
    for kind, name, sql, root in entries:
        found = find_loss(kind, name, sql, stored=bool(root))
        if (kind, name) == ("table", SEQUENCES):
            if sequences and (not isinstance(sql, str) or normalize(sql) != normalize(_SEQUENCES)):
                yield kind, name, Loss.COLUMNS
        elif found is not None:
            yield kind, name, found
        elif kind == "table" and isinstance(sql, str) and not numbered:
            numbered = is_numbered(sql)
    if sequences and not numbered:
        yield "table", SEQUENCES, Loss.SEQUENCE


def find_loss(kind: object, name: object, sql: object, *, stored: bool) -> Loss | None:
    """Return why one entry would be lost; None if it will be kept.

    Args:
        kind: its type.
        name: its name.
        sql: its text; None of an index that SQLite made for a constraint, which its table makes again.
        stored: whether it has a root page.
    """
    if kind not in _KINDS:
        return Loss.TYPE
    if kind not in ("table", "index") or not stored:
        return None  # which is copied as it is
    if isinstance(name, bytes):
        return Loss.BLOB
    if isinstance(sql, bytes):
        sql = sql.decode("utf-8", "surrogateescape")  # SQLite reads it as a text, and makes it one
    if not isinstance(sql, str):
        return None
    if "\0" in sql:
        return Loss.NUL
    if not sql.startswith(_REPLAYED):
        return Loss.CAPITALS
    begins = _BEGINNING.match(sql)
    if begins and begins["temporary"]:
        return Loss.TEMPORARY
    if begins and isinstance(name, str) and _is_other_spelling(name, sql[begins.end() :]):
        return Loss.SPELLING
    return None


def _is_other_spelling(name: str, rest: str) -> bool:
    """Return whether what follows "CREATE TABLE" begins with this name, but for capitals."""
    if rest.startswith(name):
        return False  # which is so of nearly all
    written = sql_tokens.unquote(next(sql_tokens.tokens(rest), ""))
    return written != name and written.lower() == name.lower()


def entry_kind(sql: str) -> str | None:
    """Return what a text makes: "table", "index", "view" or "trigger"; None if it makes nothing of these."""
    begins = _BEGINNING.match(sql)
    return begins["kind"].lower() if begins else None


def is_numbered(sql: str) -> bool:
    """Return whether a table is AUTOINCREMENT."""
    return "autoincrement" in sql.lower() and any(token.lower() == "autoincrement" for token in sql_tokens.tokens(sql))


def normalize(sql: str) -> tuple[str, ...]:
    """Return the text of a table or an index in a form in which two are the same that VACUUM makes one of the other.

    It writes the beginning anew, so that IF NOT EXISTS is gone, and nothing of what comes after the statement.
    """
    begins = _BEGINNING.match(sql)
    if begins is None:
        return (sql,)
    words = []
    for word in sql_tokens.tokens(sql[begins.end() :]):
        if word == ";":
            break
        words.append(word)
    how = (begins["how"] or "").lower()
    return (begins["kind"].lower(), how, *words)


def advise(why: Collection[Loss]) -> str:
    """Return how to mend a schema, so that nothing is lost any more.

    Args:
        why: why entries of it would be lost.
    """
    said = [f'"{loss.statement};"' for loss in Loss if loss in why and loss is not Loss.SEQUENCE]
    clauses = []
    if said:
        clauses.append(
            "stop the application, copy the file, and in the sqlite3 program, after '.dbconfig defensive off' and "
            f"'PRAGMA writable_schema = ON;', say {' and '.join(said)}"
        )
    if Loss.SEQUENCE in why:
        clauses.append(f'if nothing reads these rows, say "{Loss.SEQUENCE.statement};"')
    return "; ".join(clauses)
