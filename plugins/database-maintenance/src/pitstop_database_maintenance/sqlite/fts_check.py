"""`fts_check`: do full-text indexes and R-trees agree with what they index? Owns their verdict; repairs nothing.

`PRAGMA integrity_check` sees only the tables in which such an index keeps its data, and finds nothing wrong when these
are sound, whatever stands in them. So it says "ok" of an index over a table whose rows VACUUM has numbered anew, though
a search for one row then returns another.
"""

from __future__ import annotations

import time
from typing import Final

from pitstop.jobs import Result
from pitstop_database_maintenance.history import Checked
from pitstop_database_maintenance.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.aside import Place, standing_aside
from pitstop_database_maintenance.sqlite.checking import found_wrong
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.report import Started, begin, end, figures
from pitstop_database_maintenance.sqlite.virtual_tables import (
    BOXES,
    VirtualTable,
    chosen,
    is_known,
    tell,
    virtual_tables,
)

_KIND: Final = "fts_check"
_HINT: Final = (
    "fts_optimize with rebuild=true builds a full-text index anew, the application an R-tree; if VACUUM has numbered "
    "the rows anew, give their table an INTEGER PRIMARY KEY; nothing was written"
)


def fts_check(db: SQLiteDatabase, *, tables: list[str] | None = None) -> Result:
    """Compare each full-text index with the texts that it indexes, and look at each R-tree.

    It writes nothing. But SQLite checks a full-text index by an INSERT, so that writers are kept out while one is
    checked, with a write-ahead log too; readers are not. If that would be for longer than the job may keep them
    waiting, a copy is checked, or it is refused.

    Args:
        db: the database.
        tables: only these; by default all of FTS3, FTS4, FTS5 and R-tree.

    Raises:
        UnknownNameError: there is no such table.
        OperationError: a table does not agree with what it indexes; the text names it and says what to do.
        JobCancelledError, DeadlineExceededError: the job was told to stop.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "fts_check")
    there_are = virtual_tables(db)
    able = chosen((table for table in there_are if table.full_text or table.module in BOXES), tables)
    warnings = [] if tables is not None else _unknown(db, there_are, able)
    if not able:
        _remember(db, "", 0.0, 0)
        return end(db, started, _result(db, started, [], [], warnings, copied=False))
    before = {} if db.history is None else db.history.checked(_KIND)
    able.sort(key=lambda table: before[table.name].at if table.name in before else 0.0)
    times = [before[table.name].seconds for table in able if table.name in before]
    longest = max(times) if len(times) == len(able) else None
    with standing_aside(db, "fts_check", started.before.bytes, locks=True, longest=longest) as place:
        problems, left = _check_all(db, place, able, warnings)
    unchecked = sum("was not checked" in text for text in warnings)
    if tables is None and not left and len(able) + len(warnings) > unchecked:
        _remember(db, "", 0.0, len(problems))
    if problems:
        raise found_wrong(db, "fts_check", problems, hint=_HINT)
    return end(db, started, _result(db, started, able, left, warnings, copied=place.copied))


def _unknown(db: SQLiteDatabase, there_are: list[VirtualTable], able: list[VirtualTable]) -> list[str]:
    return [
        f"table {table.name!r} was not checked: it is of the module {table.module!r}, which is not known to SQLite here"
        for table in there_are
        if table not in able and not is_known(db, table)
    ]


def _check_all(
    db: SQLiteDatabase, place: Place, able: list[VirtualTable], warnings: list[str]
) -> tuple[list[str], list[str]]:
    """Check one after the other; return the problems, and the tables for which there was no time."""
    problems: list[str] = []
    for done, table in enumerate(able):
        db.context.progress(done, len(able), "tables", table.name)
        db.context.check_cancelled()
        began = place.db.clock()
        try:
            db.limits.check()
            problem = _problem(place, table)
        except TimeLimitReachedError:
            return problems, [left.name for left in able[done:]]
        except SQLiteFailure as failure:
            if failure.hopeless:
                raise
            # SQLite says no more of a tokenizer that only the application has, or of texts that are not there
            warnings.append(
                f"{table.title} was not checked: {failure.reason}; see whether its tokenizer is there, "
                "and the table and columns of its texts"
            )
            continue
        problems += problem
        _remember(db, table.name, place.db.clock() - began, len(problem))
    db.context.progress(len(able), len(able), "tables")
    return problems, []


def _remember(db: SQLiteDatabase, name: str, seconds: float, problems: int) -> None:
    if db.history is not None:
        db.history.remember_checked(
            [Checked(object=name, kind=_KIND, at=time.time(), seconds=seconds, problems=problems)]
        )


def _problem(place: Place, table: VirtualTable) -> list[str]:
    """Return what is wrong with a table, if anything is."""
    try:
        if table.module in BOXES:
            said = _look_at_boxes(place, table)
            return [] if said == "ok" else [f"{table.title}: {line}" for line in said.splitlines()]
        _compare(place, table)
    except MissingFeature:
        raise
    except SQLiteFailure as failure:
        if not failure.damaged:
            raise
        return [
            f"{table.title} does not agree with the texts that it indexes, so that searches find wrong rows or none"
        ]
    return []


def _look_at_boxes(place: Place, table: VirtualTable) -> str:
    began = place.db.clock()
    try:
        return str(place.db.execute("SELECT rtreecheck('main', ?)", (table.name,))[0][0])
    finally:
        place.count(place.db.clock() - began)


def _compare(place: Place, table: VirtualTable) -> None:
    """Have a full-text index compared; the transaction that it needs is taken back, as nothing is to be written."""
    db = place.db
    db.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    try:
        # without the 1, FTS5 does not compare an index with texts that are kept elsewhere (sqlite.org/fts5.html, 6.4)
        tell(db, table, "integrity-check", 1 if table.module == "fts5" else None)
    finally:
        db.rollback()
        if not place.copied:
            place.original.stalls.add(time.monotonic() - began)


def _result(
    db: SQLiteDatabase,
    started: Started,
    able: list[VirtualTable],
    left: list[str],
    warnings: list[str],
    *,
    copied: bool,
) -> Result:
    checked = len(able) - len(left) - sum("was not checked" in text for text in warnings if "module" not in text)
    data = figures(db, started, db.measure(), problems=0, tables=len(able), checked=checked, copied=copied)
    if left:
        data |= {"stopped_by": "time limit", "left": {"tables": left}}
    if not able:
        text = "there are no full-text indexes and no R-trees"
        return Result.unchanged(f"{text} that can be checked here" if warnings else text, warnings=warnings, **data)
    if not checked:
        return Result.skipped("no table could be checked", warnings=warnings, **data)
    return Result.unchanged(f"{checked} of {len(able)} tables agree with what they index", warnings=warnings, **data)
