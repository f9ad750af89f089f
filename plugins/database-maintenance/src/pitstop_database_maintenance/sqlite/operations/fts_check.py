"""`fts_check`: do full-text indexes and R-trees agree with what they index? Owns their verdict; repairs nothing.

`PRAGMA integrity_check` sees only the tables in which such an index keeps its data, and finds nothing wrong when these
are sound, whatever is in them. So it says "ok" of an index over a table whose rows VACUUM has numbered anew, though
a search for one row then returns another.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop_database_maintenance.sqlite.checks.on_copy import Place
from pitstop_database_maintenance.sqlite.connection.check_answers import Flaw, Problem
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.operations._full_text import (
    BOXES,
    UNBOUNDED_SECONDS,
    EndlessError,
    VirtualTable,
    choose_tables,
    is_known,
    limit_reading,
    send_command,
    virtual_tables,
)
from pitstop_database_maintenance.sqlite.operations._measured import begin
from pitstop_database_maintenance.sqlite.operations._table_checks import UncheckedError, check_tables
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import GOOD

#: Bytes of database that are checked in a second. Measured on two cores, from the system's cache: 300 MB in 1.2 s.
_RATE: Final = 250e6


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
    run = begin(db, "fts_check")
    db.take_any_text()
    there_are = virtual_tables(db)
    able = choose_tables(
        (table for table in there_are if table.full_text or table.module in BOXES), tables, operation="fts_check"
    )
    unknown = [table for table in there_are if table not in able and not is_known(db, table)] if tables is None else []
    warnings = [
        f"table {table.name!r} was not looked at: it is of the module {table.module!r}, which is not known to SQLite "
        "here"
        for table in unknown
    ]

    def check(place: Place, table: VirtualTable) -> list[Problem]:
        try:
            with limit_reading(place.db, table, db, content_seconds):
                return _find_problems(place, table)
        except EndlessError as failure:
            raise UncheckedError(f"{table.title} was not checked: {failure.reason}") from None
        except SQLiteFailure as failure:
            if failure.hopeless:
                raise
            # SQLite says no more of a tokenizer that only the application has, or of texts that are not there
            raise UncheckedError(
                f"{table.title} was not checked: {failure.briefly}; see whether its tokenizer is there, and the table "
                "and columns of its texts"
            ) from None

    by_name = {table.name: table for table in able}
    found = check_tables(run, by_name, check, rate=_RATE, whole=tables is None, locks=True, warnings=warnings)

    def good(checked: int) -> str:
        many = f"{checked} of {len(able)} tables agree with what they index"
        return "1 table agrees with what it indexes" if len(able) == 1 else many

    there = " that can be checked here" if warnings else ""
    return found.end(run, nothing=f"there are no full-text indexes and no R-trees{there}", good=good)


def _find_problems(place: Place, table: VirtualTable) -> list[Problem]:
    """Return what is wrong with a table, if anything is."""
    try:
        if table.module in BOXES:
            with place.measure():
                said = str(place.db.execute("SELECT rtreecheck('main', ?)", (table.name,))[0][0])
            lines = [] if said == GOOD else said.splitlines() or ["the check said nothing"]
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


def _compare(place: Place, table: VirtualTable) -> None:
    """Have a full-text index compared; the transaction that it needs is taken back, as nothing is to be written."""
    with place.db.trial():
        began = time.monotonic()
        try:
            # without the 1, FTS5 does not compare an index with texts kept elsewhere (sqlite.org/fts5.html, 6.4)
            send_command(place.db, table, "integrity-check", 1 if table.module == "fts5" else None)
        finally:
            if not place.copied:
                place.original.stalls.add(time.monotonic() - began)
