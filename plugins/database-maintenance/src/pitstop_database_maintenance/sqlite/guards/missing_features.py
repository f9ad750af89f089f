"""What a schema needs that this connection does not have: collations and functions. Owns finding it beforehand.

VACUUM and VACUUM INTO run the SQL of every table and index again, and fail at the first thing that is unknown; so the
same SQL is run first on an empty database in memory. Views, triggers and virtual tables are copied as they are, and
need nothing. What is missing is never replaced on a connection that writes: an index that is built with another
collation passes SQLite's own integrity check, and the application then misses most of its rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final

from attrs import frozen

from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.on_connect import NOTHING
from pitstop_database_maintenance.sqlite.connection.opening import replace_undecodable
from pitstop_database_maintenance.sqlite.guards.collation_order import require_order
from pitstop_database_maintenance.sqlite.surveyor.schema.missing_features import probe_statement
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature

#: Since which version SQLite has these functions by itself (sqlite.org/changes.html).
_SINCE: Final = {
    "unhex": (3, 41, 0),
    "json_error_position": (3, 42, 0),
    "octet_length": (3, 43, 0),
    "timediff": (3, 43, 0),
    "concat": (3, 44, 0),
    "concat_ws": (3, 44, 0),
    "jsonb": (3, 45, 0),
    "jsonb_array": (3, 45, 0),
    "jsonb_extract": (3, 45, 0),
    "jsonb_insert": (3, 45, 0),
    "jsonb_object": (3, 45, 0),
    "jsonb_patch": (3, 45, 0),
    "jsonb_remove": (3, 45, 0),
    "jsonb_replace": (3, 45, 0),
    "jsonb_set": (3, 45, 0),
    "json_pretty": (3, 46, 0),
    "if": (3, 48, 0),
    "unistr": (3, 50, 0),
    "unistr_quote": (3, 50, 0),
}
#: How many of them a message names.
_NAMED: Final = 5
#: What schemas lack that need nothing of an application's, and of how many that is remembered: the databases of a fleet
#: mostly have one and the same, and to try it out takes a tenth of what a small one takes to be rebuilt.
_answers: dict[tuple[tuple[Any, ...], ...], list[Missing]] = {}
_ANSWERS: Final = 16


@frozen(kw_only=True)
class Missing:
    """Something that the schema uses and this connection does not have.

    Args:
        kind: what it is.
        name: its name.
        where: what uses it first, tables before indexes, such as "index 'by_name'".
    """

    kind: Feature
    name: str
    where: str

    def __str__(self) -> str:
        return f"the {self.kind} {self.name!r} ({self.where})"


def find_missing(db: SQLiteConnection) -> list[Missing]:
    """Return what the tables and indexes of the main schema need and do not find, each once. Reads the schema only."""
    entries = tuple(
        db.execute(
            "SELECT type, name, sql FROM main.sqlite_master"
            " WHERE type IN ('table', 'index') AND rootpage > 0 AND sql IS NOT NULL ORDER BY type DESC, rowid"
        )
    )
    if db.setup is not NOTHING:
        return _find_missing(db, entries)  # what an application registers may be another thing each time
    if entries not in _answers:
        if len(_answers) >= _ANSWERS:
            _answers.clear()
        _answers[entries] = _find_missing(db, entries)
    return list(_answers[entries])


def _find_missing(db: SQLiteConnection, entries: Iterable[tuple[Any, ...]]) -> list[Missing]:
    found: dict[tuple[Feature, str], Missing] = {}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        db.setup.apply(memory)
        memory.execute(f"PRAGMA trusted_schema = {db.setup.trust}")
        # as VACUUM does it: only so are names allowed that SQLite keeps for itself
        memory.execute("PRAGMA writable_schema = ON")
        for entry, name, sql in entries:
            for kind, lacking in probe_statement(memory, replace_undecodable(sql)):
                found.setdefault((kind, lacking), Missing(kind=kind, name=lacking, where=f"{entry} {name!r}"))
    return list(found.values())


def find_missing_feature(db: SQLiteConnection, statement: str) -> MissingFeature | None:
    """Return what a statement needs and does not find; it is compiled and not run."""
    try:
        db.execute(f"EXPLAIN {statement}")
    except MissingFeature as lacking:
        return lacking
    except SQLiteFailure:
        pass  # running it will tell, and better
    return None


def require_features(db: SQLiteConnection, what: str) -> None:
    """Refuse what rebuilds every table and index, before anything is written, if that would fail or be wrong.

    It would fail where something is missing, and be wrong where a collation is not the one that an index was built
    with (`pitstop_database_maintenance.sqlite.guards.collation_order`).

    Args:
        db: the database.
        what: the operation, such as "vacuum".

    Raises:
        MissingFeature: something is missing; the text names all of it, and what to do.
        OperationError: an index is in another order; the text names it, and what to do.
        JobCancelledError, DeadlineExceededError: the job was asked to stop.
    """
    lacking = find_missing(db)
    if lacking:
        raise refuse_missing(db, what, lacking)
    require_order(db, what)


def refuse_missing(db: SQLiteConnection, what: str, lacking: list[Missing]) -> MissingFeature:
    """Return what to raise for an operation that needs what is missing."""
    named = "; ".join(str(each) for each in lacking[:_NAMED])
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    return MissingFeature(
        reason=f"{what} of {db.path} needs what the application registers and SQLite here lacks: {named}{more}",
        hint=f"{advise(each.name for each in lacking if each.kind is Feature.FUNCTION)}; nothing was touched",
        kind=lacking[0].kind,
        name=lacking[0].name,
    )


def advise(functions: Iterable[str], *, option: str = "the option on_connect") -> str:
    """Return what to do about what is missing, among which these functions are."""
    since = max((_SINCE[name.lower()] for name in functions if name.lower() in _SINCE), default=(0, 0, 0))
    register = f"register it by {option}, or run the operation from the application"
    if since > sqlite3.sqlite_version_info:
        newer = ".".join(map(str, since))
        here = sqlite3.sqlite_version
        return f"run Pitstop with a Python whose SQLite is {newer} or newer (this is {here}), or {register}"
    return register
