"""`foreign_key_check`: rows that refer to rows that are not there. Owns its verdict; corrects no row.

SQLite enforces foreign keys only on connections that ask for it, each of them anew (sqlite.org/foreignkeys.html,
2), so that a database may hold what its own constraints forbid. No integrity check looks for it.
"""

from __future__ import annotations

import time
from typing import Final

from pitstop.errors import UnknownNameError
from pitstop.jobs import Result
from pitstop_database_maintenance.history import Checked
from pitstop_database_maintenance.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.aside import Place, standing_aside
from pitstop_database_maintenance.sqlite.checking import found_wrong
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.report import Started, begin, end, figures

_KIND: Final = "foreign_key_check"
_HINT: Final = (
    "delete these rows, or add those that they refer to, from the application, and let it set PRAGMA foreign_keys = ON "
    "on each connection; nothing was written"
)


def foreign_key_check(db: SQLiteDatabase, *, tables: list[str] | None = None) -> Result:
    """Look for rows that break a foreign key, and for foreign keys that SQLite could not enforce.

    It only reads. With a write-ahead log it blocks nobody. Without one, writers wait while a table is checked; if that
    would be for longer than the job may keep them waiting, a copy is checked, or it is refused.

    Args:
        db: the database.
        tables: only the rows of these; by default of all tables that have a foreign key.

    Raises:
        UnknownNameError: there is no such table, or it has no foreign key.
        OperationError: a foreign key is broken; the text says which, by how many rows, and what to do.
        JobCancelledError, DeadlineExceededError: the job was told to stop.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "foreign_key_check")
    able = _chosen(_referring(db), tables)
    before = {} if db.history is None else db.history.checked(_KIND)
    able.sort(key=lambda name: before[name].at if name in before else 0.0)
    times = [before[name].seconds for name in able if name in before]
    longest = max(times, default=0.0) if len(times) == len(able) else None
    warnings: list[str] = []
    with standing_aside(db, "foreign_key_check", started.before.bytes, longest=longest) as place:
        problems, left = _check_all(db, place, able, warnings)
    if tables is None and not left:
        _remember(db, "", 0.0, len(problems))
    if problems:
        raise found_wrong(db, "foreign_key_check", problems, hint=_HINT)
    return end(db, started, _result(db, started, able, left, warnings, copied=place.copied))


def _referring(db: SQLiteDatabase) -> list[str]:
    """Return the tables that have a foreign key."""
    rows = db.execute(
        "SELECT DISTINCT m.name FROM main.sqlite_master AS m, pragma_foreign_key_list(m.name, 'main')"
        " WHERE m.type = 'table' AND typeof(m.name) = 'text'"
    )
    return [name for (name,) in rows]


def _chosen(there_are: list[str], tables: list[str] | None) -> list[str]:
    if tables is None:
        return there_are
    known = {name.lower(): name for name in there_are}
    for name in tables:
        if name.lower() not in known:
            raise UnknownNameError(kind="table with a foreign key", name=name, known=tuple(there_are))
    return list(dict.fromkeys(known[name.lower()] for name in tables))


def _check_all(db: SQLiteDatabase, place: Place, able: list[str], warnings: list[str]) -> tuple[list[str], list[str]]:
    """Check one after the other; return the problems, and the tables for which there was no time."""
    problems: list[str] = []
    for done, table in enumerate(able):
        db.context.progress(done, len(able), "tables", table)
        db.context.check_cancelled()
        began = place.db.clock()
        try:
            db.limits.check()
            found = _broken(place, table)
        except TimeLimitReachedError:
            return problems, able[done:]
        except MissingFeature as missing:
            warnings.append(f"table {table!r} was not checked: {missing.reason}")
            continue
        seconds = place.db.clock() - began
        problems += found
        _remember(db, table, seconds, len(found))
    db.context.progress(len(able), len(able), "tables")
    return problems, []


def _remember(db: SQLiteDatabase, name: str, seconds: float, problems: int) -> None:
    if db.history is not None:
        db.history.remember_checked(
            [Checked(object=name, kind=_KIND, at=time.time(), seconds=seconds, problems=problems)]
        )


def _broken(place: Place, table: str) -> list[str]:
    """Return one line for each foreign key of a table that is broken, or cannot be checked."""
    db, began = place.db, place.db.clock()
    try:
        # grouped by SQLite as it goes: a table may have millions of such rows
        rows = db.execute(
            "SELECT fkid, parent, count(*), min(\"rowid\") FROM pragma_foreign_key_check(?, 'main')"
            " GROUP BY fkid, parent ORDER BY fkid",
            (table,),
        )
    except MissingFeature:
        raise
    except SQLiteFailure as failure:
        if failure.hopeless or failure.damaged:
            raise
        # "foreign key mismatch": what it refers to is no key, so that SQLite refuses every write to the table too
        return [f"the foreign keys of table {table!r} cannot be enforced: {failure.reason}"]
    finally:
        place.count(db.clock() - began)
    columns = _columns(db, table)
    return [_line(table, columns.get(fkid, ""), parent, count, rowid) for fkid, parent, count, rowid in rows]


def _columns(db: SQLiteDatabase, table: str) -> dict[int, str]:
    """Return the columns of each foreign key, in words."""
    found: dict[int, list[str]] = {}
    # columns: id, place, the parent's table, the column, the parent's column, ...
    for number, _, _, column, *_ in db.execute("SELECT * FROM pragma_foreign_key_list(?, 'main')", (table,)):
        found.setdefault(number, []).append(str(column))
    return {number: ", ".join(names) for number, names in found.items()}


def _line(table: str, columns: str, parent: str, count: int, rowid: int | None) -> str:
    rows = "1 row" if count == 1 else f"{count} rows"
    example = "" if rowid is None else f", such as rowid {rowid}"
    return f"{rows} of table {table!r} refer by {columns} to rows of {parent!r} that are not there{example}"


def _result(
    db: SQLiteDatabase, started: Started, able: list[str], left: list[str], warnings: list[str], *, copied: bool
) -> Result:
    checked = len(able) - len(left) - len(warnings)
    data = figures(db, started, db.measure(), problems=0, tables=len(able), checked=checked, copied=copied)
    if left:
        data |= {"stopped_by": "time limit", "left": {"tables": left}}
    if not able:
        return Result.unchanged("no table has a foreign key", **data)
    if not checked:
        return Result.skipped("no table could be checked", warnings=warnings, **data)
    text = f"all foreign keys of {checked} of {len(able)} tables are whole"
    return Result.unchanged(text, warnings=warnings, **data)
