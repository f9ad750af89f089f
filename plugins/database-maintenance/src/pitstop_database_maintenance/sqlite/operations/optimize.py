"""`optimize`: let SQLite gather only those statistics that it finds wanting. Owns making that work at once.

`PRAGMA optimize` is meant for the end of a long connection; on a fresh one it finds nothing. From SQLite 3.46 a flag
makes it look at every table. Before, it looks only at tables whose statistics the planner wanted on this connection, so
that a query per index is planned first (planned, not run).

SQLite says which tables are wanting; gathering is done as `analyze` does it. What SQLite gathers here by itself looks
at so few entries that it misleads where an index has few distinct values.
"""

from __future__ import annotations

import sqlite3

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.opening import NOT_UTF8, is_valid_utf8
from pitstop_database_maintenance.sqlite.connection.schema import Index, indexes, statistics, tables
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations import _saved_statistics
from pitstop_database_maintenance.sqlite.operations._measured import begin
from pitstop_database_maintenance.sqlite.operations.analyze import LIMIT, Done, analyze_each, counts, summary

#: From here on, 0x10000 means "all tables, not only those queried" (sqlite.org/pragma.html#pragma_optimize).
_LOOKS_AT_ALL = (3, 46, 0)
#: 0x02: run ANALYZE where needed.
_NEW_MASK, _OLD_MASK = 0x10002, 0x02
#: Return the statements instead of running them.
_DRY = 0x01
#: The schema as SQLite writes it in the statements that it returns.
_MAIN = '"main"'


def optimize(db: SQLiteConnection) -> Result:
    """Gather the statistics that are missing or out of date by SQLite's own judgement.

    It is cheap where `analyze` ran before: then it finds nothing to do. What there was is kept for `rollback_stats`.

    Raises:
        OperationError: it failed for every table, or the file is damaged; nothing was written then.
        JobCancelledError, DeadlineExceededError: the job was asked to stop; what was not finished is as before.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "optimize")
    before = statistics(db)
    statements, warnings = _find_due(db, _NEW_MASK) if _looks_at_all() else _find_due_after_reading(db)
    done = _gather_statistics(db, statements)
    after = statistics(db)
    own = {**counts(before, after), "statements": statements, **done.data()}
    if done.left:
        own["left"] = {}  # the next run asks SQLite anew
    warnings = [*warnings, *done.warnings]
    if after == before:
        why = "the statistics were right already" if statements else "SQLite wants no new statistics"
        return run.unchanged(why, warnings=warnings, **own)
    return run.changed(summary(after), warnings=warnings, **own)


def _gather_statistics(db: SQLiteConnection, statements: list[str]) -> Done:
    """Gather the statistics of the tables that SQLite names in the statements that it would run."""
    sayable = [statement for statement in statements if is_valid_utf8(statement)]
    left_out = [f"{statement!r} was left out: {NOT_UTF8}" for statement in statements if statement not in sayable]
    if not sayable:
        return Done(warnings=left_out)
    # in the schema a table's name may be written otherwise where an index names it
    wanting = {statement.lower() for statement in sayable}
    said = [table for table in tables(db) if is_valid_utf8(table)]
    names = [table for table in said if f"ANALYZE {_MAIN}.{db.quote(table)}".lower() in wanting]
    if len(names) != len(wanting):
        raise OperationError(
            reason=f"on {db.path} SQLite {sqlite3.sqlite_version} would run what optimize does not know: "
            f"{'; '.join(statements)}",
            hint="run analyze instead",
        )
    require_sound(db)
    _saved_statistics.keep(db)
    done = analyze_each(db, names, limit=LIMIT)
    done.warnings += left_out
    return done


def _looks_at_all() -> bool:
    return sqlite3.sqlite_version_info >= _LOOKS_AT_ALL


def _find_due_after_reading(db: SQLiteConnection) -> tuple[list[str], list[str]]:
    """Show SQLite every table, let it judge, and judge those that it cannot be shown; return as `_find_due` does.

    A table that has only an index on expressions, or a partial or a unique one of one column, comes to no query that
    knows nothing but column names. SQLite's rule for what it does see is simple enough to apply to them: an index
    without statistics is wanting.
    """
    shown, warnings = _show(db)
    statements, _ = _find_due(db, _OLD_MASK)
    return statements + _unseen(db, shown, statements), warnings


def _show(db: SQLiteConnection) -> tuple[list[Index], list[str]]:
    """Plan one query per index that has rows; return these indexes, and a warning for each that cannot be planned."""
    shown, warnings = [], []
    for index in indexes(db):
        if not is_valid_utf8(index.name + index.table):
            warnings.append(f"index {index.name!r} of table {index.table!r} was left out: {NOT_UTF8}")
            continue
        table = f"main.{db.quote(index.table)}"
        try:
            if not db.execute(f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608 - quoted
                continue  # statistics of no rows are none: it would be wanting for ever
            for condition in _conditions(db, index):
                db.execute(f"EXPLAIN SELECT * FROM {table} WHERE {condition}", (1,))  # noqa: S608 - quoted
        except SQLiteFailure as failure:
            if failure.hopeless or failure.damaged:
                raise
            warnings.append(f"table {index.table!r} was left out: {failure.advised}")
            continue
        shown.append(index)
    return shown, list(dict.fromkeys(warnings))


def _conditions(db: SQLiteConnection, index: Index) -> list[str]:
    # columns of index_xinfo: place, column number, column, descending, collation, part of the key
    _, _, column, _, collation, _ = db.execute(f"PRAGMA main.index_xinfo({db.quote(index.name)})")[0]
    return [] if column is None else [f"{db.quote(column)} = ? COLLATE {db.quote(collation)}"]


def _unseen(db: SQLiteConnection, shown: list[Index], statements: list[str]) -> list[str]:
    described = {index for _, index, _ in statistics(db)}
    wanting = (f"ANALYZE {_MAIN}.{db.quote(index.table)}" for index in shown if index.name not in described)
    return [statement for statement in dict.fromkeys(wanting) if statement not in statements]


def _find_due(db: SQLiteConnection, mask: int) -> tuple[list[str], list[str]]:
    """Return the statements that SQLite would run, and warnings, of which it has none."""
    # Even for this it begins to write (seen in 3.51.1), by which it sets right a header that has another number of
    # pages than the file. Whether that may be is not known yet, so it is taken back.
    with db.trial(immediate=False):
        return [statement for (statement,) in db.execute(f"PRAGMA main.optimize({mask | _DRY})")], []
