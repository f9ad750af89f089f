"""`fts_optimize`: merge the pieces of full-text indexes, a little at a time. Owns when an index is done.

Each transaction of the application adds a piece, a segment, to a full-text index, and a search has to look into each.
FTS merges some of them by itself; `optimize` merges all, in one statement during which nobody can write. The same comes
of many small merges: for FTS5 one with a negative number of pages, which marks all segments for it, and then others
until one has nothing more to do, which changes less than two rows (sqlite.org/fts5.html, 6.8; fts3.html, 7.2).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Annotated, Any, Final

from attrs import frozen

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.checks.parts import report_problems
from pitstop_database_maintenance.sqlite.connection.check_answers import Flaw, Problem
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.lock_waits import worst_wait
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations._full_text import (
    UNBOUNDED_SECONDS,
    EndlessError,
    VirtualTable,
    choose_tables,
    count_segments,
    is_known,
    limit_reading,
    send_command,
    virtual_tables,
)
from pitstop_database_maintenance.sqlite.operations._measured import OperationRun, begin
from pitstop_database_maintenance.sqlite.operations._time_slices import Slices

#: A merge that had nothing to do has changed fewer rows than this (sqlite.org/fts5.html, 6.8).
_CHANGED: Final = 2
#: Segments of one level that FTS3 and FTS4 merge at a time, at least.
_TOGETHER: Final = 2
#: Bytes of database that are indexed anew in a second; measured: 60 MB of texts in 1.2 s.
_REBUILD_RATE: Final = 50e6


@frozen(kw_only=True)
class Optimized:
    """What became of one index.

    Args:
        table: it.
        before, after: in how many segments it was, and is; None if unknown.
        changed: whether anything was written.
        finished: whether there was time for all of it.
    """

    table: VirtualTable
    before: int | None
    after: int | None = None
    changed: bool = False
    finished: bool = True


def fts_optimize(
    db: SQLiteConnection,
    *,
    tables: list[str] | None = None,
    pages: Annotated[int, Bounds(ge=1)] = 16,
    rebuild: bool = False,
    content_seconds: Annotated[float, Bounds(gt=0)] = UNBOUNDED_SECONDS,
) -> Result:
    """Merge the segments of each full-text index, so that a search has fewer to look into.

    The merges are transactions of their own, as short as writers need them; what is merged stays so, whatever comes
    after.

    Args:
        db: the database.
        tables: only these; by default all of FTS3, FTS4 and FTS5.
        pages: about how many pages one merge writes; how many are in one transaction is up to how long they take.
        rebuild: rebuild each index from its texts instead, in one transaction: for one that `fts_check` found wrong.

        content_seconds: for how long the rows of a view or a virtual table, from which an index has its texts, are
            read at most when it is rebuilt: they may never end.

    Raises:
        UnknownNameError: there is no such table.
        OperationError: an index is damaged, of which the text says what to do; what was merged of the others stays so.
            Or none could be optimized, or the file is damaged, of which nothing was written.
        JobCancelledError, DeadlineExceededError: the job was asked to stop; what was merged stays so.
        TransientError: somebody else held a lock for too long.
    """
    run = begin(db, "fts_optimize")
    there_are = [table for table in virtual_tables(db) if table.full_text]
    wanted = choose_tables(there_are, tables, operation="fts_optimize")
    known = [table for table in wanted if is_known(db, table)]
    warnings = [
        f"{table.title} was skipped: its module is not known to SQLite here" for table in wanted if table not in known
    ]
    if rebuild:
        seconds = worst_wait(run.before.bytes / _REBUILD_RATE)
        hint = "allow a longer stall, or do it while nobody writes"
        run.require_short_stall(seconds, "building the full-text indexes", hint=hint)
    if known:
        require_sound(db)
    broken: list[Problem] = []

    def work(table: VirtualTable) -> Optimized:
        return _rebuild(db, table, content_seconds) if rebuild else _merge(db, table, pages)

    done, names = _work_on_all(db, known, work, warnings=warnings, broken=broken)
    if broken:
        raise report_problems(db, "fts_optimize", broken)
    if known and not done and not names:
        raise OperationError(reason=f"no full-text index of {db.path} could be worked on: {'; '.join(warnings)}")
    left: dict[str, Any] = {}
    if names:
        left = {"tables": names, "pages": pages, "rebuild": rebuild}
        left |= {"content_seconds": content_seconds} if content_seconds != UNBOUNDED_SECONDS else {}
    return _result(run, done, left, warnings, skipped=bool(wanted) and not known)


def _work_on_all(
    db: SQLiteConnection,
    wanted: list[VirtualTable],
    work: Callable[[VirtualTable], Optimized],
    *,
    warnings: list[str],
    broken: list[Problem],
) -> tuple[list[Optimized], list[str]]:
    """Work on one after the other; return what became of them, and those that are left for the next run.

    The file was found sound before it: what is damaged is the index alone, within the tables that hold its data.
    """
    done: list[Optimized] = []
    for number, table in enumerate(wanted):
        left = [each.name for each in wanted[number:]]
        db.context.progress(number, len(wanted), "indexes", table.name)
        try:
            db.check_stop()
            one = work(table)
        except TimeLimitReachedError:
            return done, left
        except SQLiteFailure as failure:
            if failure.damaged and failure.code == sqlite3.SQLITE_CORRUPT:
                text = (
                    f"{table.title} cannot be worked on: the index itself is damaged, and the rest of the file is not"
                )
                broken.append(Problem(flaw=Flaw.FULL_TEXT, text=text, object=table.name))
                continue
            if failure.hopeless:
                raise
            warnings.append(f"{table.title} was left as it was: {failure.briefly}")
            continue
        except EndlessError as endless:
            warnings.append(f"{table.title} was left as it was: {endless}")
            continue
        done.append(one)
        if not one.finished:
            return done, left
    db.context.progress(len(wanted), len(wanted), "indexes")
    return done, []


def _rebuild(db: SQLiteConnection, table: VirtualTable, seconds: float) -> Optimized:
    before = count_segments(db, table)
    with limit_reading(db, table, db, seconds), db.transaction():
        send_command(db, table, "rebuild")
    return Optimized(table=table, before=before, after=count_segments(db, table), changed=True)


def _merge(db: SQLiteConnection, table: VirtualTable, pages: int) -> Optimized:
    """Merge in slices until there is nothing more to do, or the time is over.

    Raises:
        TransientError: readers of a database without a write-ahead log left no moment to commit in.
    """
    before = count_segments(db, table)
    if before is not None and before < _TOGETHER:
        return Optimized(table=table, before=before, after=before)
    slices, more, merged, committed = Slices(db), True, 0, 0
    # while an application adds segments, there is always something to do
    enough = 2 + 2 * db.pragma("page_count") // pages

    def step(done: int) -> bool:
        nonlocal more
        earlier = _count_changes(db)
        if table.module == "fts5":
            # the first one marks all segments
            send_command(db, table, "merge", pages if done or committed else -pages)
        else:
            send_command(db, table, f"merge={pages},{_TOGETHER}")
        more = _count_changes(db) - earlier >= _CHANGED
        return more

    try:
        with slices.prepare():
            while more and committed < enough:
                steps = slices.run(step)
                merged, committed = merged + steps, committed + max(steps, 1)
                if slices.wal:
                    db.move_log("PASSIVE")
                if more:
                    slices.pause()
        finished = True
    except TimeLimitReachedError:
        finished = False
    after = count_segments(db, table)
    return Optimized(table=table, before=before, after=after, changed=bool(merged), finished=finished)


def _count_changes(db: SQLiteConnection) -> int:
    return int(db.execute("SELECT total_changes()")[0][0])


def _result(
    run: OperationRun, done: list[Optimized], left: dict[str, Any], warnings: list[str], *, skipped: bool
) -> Result:
    changed = [one for one in done if one.changed]
    counts: dict[str, Any] = {
        "indexes": len(done),
        "segments_before": {one.table.name: one.before for one in done},
        "segments_after": {one.table.name: one.after for one in done},
    }
    if left:
        counts |= {"stopped_by": "time limit", "left": left}
    if skipped:
        return run.skipped("no module of a full-text index is known to SQLite here", warnings=warnings, **counts)
    if left and not changed:
        return run.skipped("the time was over before an index was done", warnings=warnings, **counts)
    if not done:
        return run.unchanged("there are no full-text indexes", warnings=warnings, **counts)
    if not changed:
        return run.unchanged("every full-text index is in one piece already", warnings=warnings, **counts)
    named = ", ".join(f"{one.table.name} {one.before} -> {one.after}" for one in changed)
    return run.changed(f"segments of full-text indexes: {named}", warnings=warnings, **counts)
