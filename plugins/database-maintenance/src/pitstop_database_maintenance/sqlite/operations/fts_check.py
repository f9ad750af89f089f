"""`fts_check`: do full-text indexes and R-trees agree with what they index? Owns their verdict; repairs nothing.

`PRAGMA integrity_check` sees only the tables in which such an index keeps its data, and finds nothing wrong when these
are sound, whatever is in them. So it says "ok" of an index over a table whose rows VACUUM has numbered anew, though
a search for one row then returns another.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

from attrs import Factory, define

from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.checks.on_copy import Place, place_to_check
from pitstop_database_maintenance.sqlite.checks.parts import found_wrong
from pitstop_database_maintenance.sqlite.checks.verdicts import UNFINISHED, WHOLE, Verdicts, verdict
from pitstop_database_maintenance.sqlite.connection.check_answers import Flaw, Problem
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.operations._full_text import (
    BOXES,
    UNBOUNDED_SECONDS,
    EndlessError,
    VirtualTable,
    chosen,
    is_known,
    reading_within,
    tell,
    virtual_tables,
)
from pitstop_database_maintenance.sqlite.operations._measured import Started, begin, end, figures
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import GOOD

_KIND: Final = "fts_check"


def fts_check(
    db: SQLiteConnection,
    *,
    tables: list[str] | None = None,
    content_seconds: Annotated[float, Bounds(gt=0)] = UNBOUNDED_SECONDS,
) -> Result:
    """Compare each full-text index with the texts that it indexes, and look at each R-tree.

    It writes nothing. But SQLite checks a full-text index by an INSERT, so that writers are kept out while one is
    checked, with a write-ahead log too; readers are not. If that would be for longer than the job may keep them
    waiting, a copy is checked, or it is refused.

    Args:
        db: the database.
        tables: only these; by default all of FTS3, FTS4, FTS5 and R-tree.
        content_seconds: for how long the rows of a view or a virtual table, from which an index has its texts, are
            read at most: they may never end.

    Raises:
        UnknownNameError: there is no such table.
        OperationError: a table does not agree with what it indexes; the text names it and says what to do.
        JobCancelledError, DeadlineExceededError: the job was asked to stop.
        TransientError: somebody else held a lock for too long.
    """
    started = begin(db, "fts_check")
    db.take_any_text()
    verdicts = Verdicts.on(db)
    there_are = virtual_tables(db)
    able = chosen((table for table in there_are if table.full_text or table.module in BOXES), tables)
    looked = _Looked(warnings=[] if tables is not None else _unknown(db, there_are, able))
    if able:
        before = verdicts.of(_KIND)
        able.sort(key=lambda table: before[table.name].at if table.name in before else 0.0)
        times = [before[table.name].seconds for table in able if table.name in before]
        longest = max(times) if len(times) == len(able) else None
        with place_to_check(db, "fts_check", started.before.bytes, locks=True, longest=longest) as place:
            _check_all(db, place, able, looked, verdicts, content_seconds)
    if tables is None and not looked.left and not looked.unchecked:
        verdicts.keep([verdict(WHOLE, _KIND, problems=looked.problems)])
    if looked.problems:
        raise found_wrong(db, "fts_check", looked.problems)
    return end(db, started, _result(db, started, able, looked, copied=bool(able) and place.copied))


@define
class _Looked:
    """What came of the tables.

    Attributes:
        warnings: for the result.
        problems: what is wrong with them.
        unchecked: those of which nothing can be said, so that they do not count as checked.
        left: those for which there was no time.
    """

    warnings: list[str]
    problems: list[Problem] = Factory(list)
    unchecked: list[str] = Factory(list)
    left: list[str] = Factory(list)


def _unknown(db: SQLiteConnection, there_are: list[VirtualTable], able: list[VirtualTable]) -> list[str]:
    return [
        f"table {table.name!r} was not looked at: it is of the module {table.module!r}, which is not known to SQLite "
        "here"
        for table in there_are
        if table not in able and not is_known(db, table)
    ]


def _check_all(
    db: SQLiteConnection,
    place: Place,
    able: list[VirtualTable],
    looked: _Looked,
    verdicts: Verdicts,
    content_seconds: float,
) -> None:
    """Check one after the other."""
    for done, table in enumerate(able):
        db.context.progress(done, len(able), "tables", table.name)
        db.context.check_cancelled()
        began = place.db.clock()
        try:
            db.limits.check()
            with reading_within(place.db, table, db, content_seconds):
                problems = _problems(place, table)
        except TimeLimitReachedError:
            looked.left += [left.name for left in able[done:]]
            return
        except (SQLiteFailure, EndlessError) as failure:
            if isinstance(failure, SQLiteFailure) and failure.hopeless:
                raise
            why = failure.briefly if isinstance(failure, SQLiteFailure) else failure.reason
            if isinstance(failure, SQLiteFailure):
                # SQLite says no more of a tokenizer that only the application has, or of texts that are not there
                why += "; see whether its tokenizer is there, and the table and columns of its texts"
            looked.warnings.append(f"{table.title} was not checked: {why}")
            looked.unchecked.append(table.name)
            verdicts.keep([verdict(table.name, _KIND + UNFINISHED, seconds=place.db.clock() - began)])
            continue
        looked.problems += problems
        verdicts.keep([verdict(table.name, _KIND, seconds=place.db.clock() - began, problems=problems)])
    db.context.progress(len(able), len(able), "tables")


def _problems(place: Place, table: VirtualTable) -> list[Problem]:
    """Return what is wrong with a table, if anything is."""
    try:
        if table.module in BOXES:
            said = _look_at_boxes(place, table)
            if said == GOOD:
                return []
            lines = said.splitlines() or ["the check said nothing"]
            return [Problem(flaw=Flaw.BOXES, text=f"{table.title}: {line}", object=table.name) for line in lines]
        _compare(place, table)
    except MissingFeature:
        raise
    except SQLiteFailure as failure:
        if not failure.damaged:
            raise
        text = f"{table.title} does not agree with the texts that it indexes, so that searches find wrong rows or none"
        return [Problem(flaw=Flaw.FULL_TEXT, text=text, object=table.name)]
    return []


def _look_at_boxes(place: Place, table: VirtualTable) -> str:
    began = place.db.clock()
    try:
        return str(place.db.execute("SELECT rtreecheck('main', ?)", (table.name,))[0][0])
    finally:
        place.count(place.db.clock() - began)


def _compare(place: Place, table: VirtualTable) -> None:
    """Have a full-text index compared; the transaction that it needs is taken back, as nothing is to be written."""
    with place.db.trial():
        began = time.monotonic()
        try:
            # without the 1, FTS5 does not compare an index with texts kept elsewhere (sqlite.org/fts5.html, 6.4)
            tell(place.db, table, "integrity-check", 1 if table.module == "fts5" else None)
        finally:
            if not place.copied:
                place.original.stalls.add(time.monotonic() - began)


def _result(
    db: SQLiteConnection, started: Started, able: list[VirtualTable], looked: _Looked, *, copied: bool
) -> Result:
    checked = len(able) - len(looked.left) - len(looked.unchecked)
    data = figures(
        db,
        started,
        db.measure(),
        problems=0,
        tables=len(able),
        checked=checked,
        unchecked=looked.unchecked,
        copied=copied,
    )
    warnings = looked.warnings
    if looked.left:
        data |= {"stopped_by": "time limit", "left": {"tables": looked.left}}
    if not able:
        text = "there are no full-text indexes and no R-trees"
        return Result.unchanged(f"{text} that can be checked here" if warnings else text, warnings=warnings, **data)
    if not checked:
        return Result.skipped("no table could be checked", warnings=warnings, **data)
    of = (
        "1 table agrees with what it indexes"
        if len(able) == 1
        else f"{checked} of {len(able)} tables agree with what they index"
    )
    return Result.unchanged(of, warnings=warnings, **data)
