"""VACUUM and VACUUM INTO, before and after: the one place that knows what they would lose, and compares what they kept.

What SQLite guarantees, and what is therefore not counted again: docs/decisions/what-survives.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from attrs import evolve, frozen

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.guards.contents import (
    Contents,
    FileFacts,
    compare_contents,
    has_sequences,
    name_some,
    read_contents,
)
from pitstop_database_maintenance.sqlite.surveyor.schema import sql_tokens, vacuum_losses
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import GOOD
from pitstop_database_maintenance.sqlite.surveyor.schema.vacuum_losses import Loss

#: How many entries of the schema, and how many problems, a message names.
_ENTRIES: Final = 3


def require_survival(db: SQLiteConnection, what: str) -> None:
    """Refuse to rebuild a file of which VACUUM would leave something out. Reads the schema only, as a rule.

    Args:
        db: the database.
        what: the operation, such as "vacuum".

    Raises:
        OperationError: something would be lost; the text names it and says how to mend the schema.
        JobCancelledError, DeadlineExceededError: the job was asked to stop.
    """
    entries = db.execute("SELECT type, name, sql, rootpage FROM main.sqlite_master")
    lost = list(vacuum_losses.find_losses(entries, sequences=has_sequences(db, entries)))
    if lost:
        raise OperationError(
            reason=f"{what} of {db.path} would lose what VACUUM leaves out: {_name_losses(lost)}",
            hint=f"nothing was touched; mend the schema first: {vacuum_losses.advise({loss for *_, loss in lost})}",
        )
    _require_rows_kept(db, what, entries)


def _name_losses(lost: list[tuple[object, object, Loss]]) -> str:
    """Return what would be lost, grouped by the reasons why."""
    clauses = []
    for loss in Loss:
        names = [f"{kind} {name!r}" for kind, name, why in lost if why is loss]
        if names:
            more = f" and {len(names) - _ENTRIES} more" if len(names) > _ENTRIES else ""
            clauses.append(f"{', '.join(names[:_ENTRIES])}{more} ({loss.reason})")
    return "; ".join(clauses)


def _require_rows_kept(
    db: SQLiteConnection, what: str, entries: Collection[tuple[object, object, object, object]]
) -> None:
    """Refuse rows that VACUUM would drop, or change, because it cannot copy them as they are.

    It does so as a rule, whatever constraints say. Only where an index is another one in the new file, which is so for
    DESC in a file of the old schema formats 1 to 3, in which DESC is ignored, it inserts each row as the application
    would: values are converted to the types of their columns, and what ON CONFLICT IGNORE or REPLACE means comes true.
    """
    for table in _find_reinserted_tables(db, entries):
        with db.second("ro") as reader:
            reader.execute("PRAGMA ignore_check_constraints = ON")  # as VACUUM does
            answers = reader.execute(f"PRAGMA main.integrity_check({db.quote(table)})")
        problems = [str(text) for (text,) in answers if text != GOOD]
        if problems:
            raise OperationError(
                reason=f"{what} of {db.path} would insert the rows of table {table!r} anew, because the file has an "
                f"old format in which DESC is ignored, and not all are as the table demands: "
                f"{'; '.join(problems[:_ENTRIES])}",
                hint="nothing was touched; have the application correct these rows, or run reindex if it is an index",
            )


def _find_reinserted_tables(
    db: SQLiteConnection, entries: Collection[tuple[object, object, object, object]]
) -> list[str]:
    """Return the tables with an index that is declared with DESC where the file's format does not know it."""
    tables: list[str] = []
    for kind, name, sql, stored in entries:
        if kind in ("table", "index") and stored and isinstance(name, str) and _says_desc(sql):
            query = "SELECT tbl_name FROM main.sqlite_master WHERE type = ? AND name = ?"
            [(table,)] = db.execute(query, (kind, name))
            if any(descending for (descending,) in db.execute(_DESCENDING, (table,))):
                return []  # it knows it
            tables.append(table)
    return list(dict.fromkeys(tables))


#: Whether an index of a table has a descending column, as the file has it.
_DESCENDING: Final = (
    "SELECT x.desc FROM pragma_index_list(?, 'main') AS l, pragma_index_xinfo(l.name, 'main') AS x WHERE x.key"
)


def _says_desc(sql: object) -> bool:
    # the word is rare, and taking a text apart is slow
    return isinstance(sql, str) and "desc" in sql.lower() and any(t.lower() == "desc" for t in sql_tokens.tokens(sql))


@frozen(kw_only=True)
class _State:
    """A database at one moment: what it holds, the file, and the numbers that tell who has changed it since."""

    contents: Contents
    file: FileFacts
    schema_version: int
    data_version: int


@contextmanager
def guard_rebuild(db: SQLiteConnection, what: str, *, changes: Collection[str] = ()) -> Iterator[None]:
    """Have a VACUUM within: refuse it if something would be lost, and compare what is there after it.

    Args:
        db: the database; no transaction is open.
        what: the operation, such as "vacuum".
        changes: the settings that it is to change.

    Raises:
        OperationError: before it, as `require_survival`; after it, something is not as it was: the text has both sides.
    """
    require_survival(db, what)
    before = _state(db)
    yield
    after = _state(db)
    found = before.file.compare(after.file)
    # VACUUM adds one; if it is more, somebody else has changed the schema since, and it is no longer ours to compare
    if after.schema_version == (before.schema_version + 1) % 2**32:
        # PRAGMA data_version changes when others write, and not by what this connection does
        others_wrote = after.data_version != before.data_version
        there = evolve(after.contents, rows={}) if others_wrote else after.contents
        found += compare_contents(before.contents, there, but={*changes, *(_SET_BY_OTHERS if others_wrote else ())})
    if found:
        raise OperationError(
            reason=f"{what} of {db.path} has not kept everything: {name_some(found)}",
            hint="stop what uses the file, and take what is missing from a backup; it cannot be undone",
        )


#: What others may set meanwhile, without a change to the schema.
_SET_BY_OTHERS: Final = ("user_version", "application_id", "default_cache_size")


def _state(db: SQLiteConnection) -> _State:
    with db.reading(), db.read_transaction():
        return _State(
            contents=read_contents(db),
            file=FileFacts.read(db.path),
            schema_version=db.pragma("schema_version") % 2**32,
            data_version=db.pragma("data_version"),
        )
