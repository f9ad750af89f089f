"""`fts_optimize`: merge the pieces of full-text indexes, a little at a time. Owns when an index is done.

Each transaction of the application adds a piece, a segment, to a full-text index, and a search has to look into each.
FTS merges some of them by itself; `optimize` merges all, in one statement during which nobody can write. The same comes
of many small merges: for FTS5 one with a negative number of pages, which marks all segments for it, and then others
until one has nothing more to do, which changes less than two rows (sqlite.org/fts5.html, 6.8; fts3.html, 7.2).
"""

from __future__ import annotations

import sqlite3
import time
from typing import Annotated, Any, Final

from attrs import frozen

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.checks.parts import found_wrong
from pitstop_database_maintenance.sqlite.connection.check_answers import Flaw, Problem
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.connection.lock_waits import DEFAULT_STALL, as_waited
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.operations._full_text import (
    UNBOUNDED_SECONDS,
    EndlessError,
    VirtualTable,
    chosen,
    is_known,
    reading_within,
    segments,
    tell,
    virtual_tables,
)
from pitstop_database_maintenance.sqlite.operations._measured import Started, begin, end, figures
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
    started = begin(db, "fts_optimize")
    there_are = [table for table in virtual_tables(db) if table.full_text]
    wanted = chosen(there_are, tables)
    known = [table for table in wanted if is_known(db, table)]
    warnings = [
        f"{table.title} was skipped: its module is not known to SQLite here" for table in wanted if table not in known
    ]
    if rebuild:
        _check_stall(db, started)
    if known:
        require_sound(db)
    broken: list[Problem] = []
    seconds = content_seconds if rebuild else None
    done, names = _all(db, known, pages=pages, rebuild_seconds=seconds, warnings=warnings, broken=broken)
    if broken:
        raise found_wrong(db, "fts_optimize", broken)
    if known and not done and not names:
        raise OperationError(reason=f"no full-text index of {db.path} could be worked on: {'; '.join(warnings)}")
    left = _next_parameters(names, pages=pages, rebuild=rebuild, content_seconds=content_seconds)
    return end(db, started, _result(db, started, done, left, warnings, skipped=bool(wanted) and not known))


def _next_parameters(names: list[str], *, pages: int, rebuild: bool, content_seconds: float) -> dict[str, Any]:
    """Return with which parameters the next run goes on."""
    if not names:
        return {}
    left: dict[str, Any] = {"tables": names, "pages": pages, "rebuild": rebuild}
    return {**left, "content_seconds": content_seconds} if content_seconds != UNBOUNDED_SECONDS else left


def _check_stall(db: SQLiteConnection, started: Started) -> None:
    limit, seconds = db.limits.max_stall, started.before.bytes / _REBUILD_RATE
    if limit is not None and as_waited(seconds) > limit:
        raise OperationError(
            reason=f"to build the full-text indexes of {db.path} anew would keep writers waiting for up to "
            f"{seconds:.2g} s, more than {limit:g} s",
            hint="allow a longer stall, or do it while nobody writes; nothing was touched",
        )


def _all(
    db: SQLiteConnection,
    wanted: list[VirtualTable],
    *,
    pages: int,
    rebuild_seconds: float | None,
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
            one = _merge_table(db, table, pages) if rebuild_seconds is None else _rebuilt(db, table, rebuild_seconds)
        except TimeLimitReachedError:
            return done, left
        except SQLiteFailure as failure:
            if failure.damaged and failure.code == sqlite3.SQLITE_CORRUPT:
                broken.append(_broken(table))
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


def _broken(table: VirtualTable) -> Problem:
    text = f"{table.title} cannot be worked on: the index itself is damaged, and the rest of the file is not"
    return Problem(flaw=Flaw.FULL_TEXT, text=text, object=table.name)


def _rebuilt(db: SQLiteConnection, table: VirtualTable, seconds: float) -> Optimized:
    before = segments(db, table)
    with reading_within(db, table, db, seconds), db.transaction():
        tell(db, table, "rebuild")
    return Optimized(table=table, before=before, after=segments(db, table), changed=True)


def _merge_table(db: SQLiteConnection, table: VirtualTable, pages: int) -> Optimized:
    before = segments(db, table)
    if before is not None and before < _TOGETHER:
        return Optimized(table=table, before=before, after=before)
    merging = _Merging(db, table, pages)
    finished = True
    try:
        _merge(db, merging, most=2 + 2 * db.pragma("page_count") // pages)
    except TimeLimitReachedError:
        finished = False
    return Optimized(table=table, before=before, after=segments(db, table), changed=merging.changed, finished=finished)


def _merge(db: SQLiteConnection, merging: _Merging, *, most: int) -> None:
    """Merge in slices until there is nothing more to do.

    Args:
        db: the database.
        merging: the index.
        most: how many merges are enough: while an application adds segments, there is always something to do.

    Raises:
        TimeLimitReachedError: the time is over.
        TransientError: readers of a database without a write-ahead log left no moment to commit in.
    """
    wal = db.execute("PRAGMA main.journal_mode")[0][0] == "wal"
    slices = Slices(db, max_stall=DEFAULT_STALL if db.limits.max_stall is None else db.limits.max_stall, wal=wal)
    steps, since = 0, time.monotonic()
    with slices.working():
        while steps < most:
            done = slices.run(merging.step)
            if done.given_up:
                merging.forget_undone()
                if (waited := time.monotonic() - since) >= db.patience:
                    db.waited += waited
                    raise LockedError(f"readers of {db.path} left no moment to commit in; try again later")
            else:
                steps, since = steps + max(done.steps, 1), time.monotonic()
                merging.keep()
                if wal:
                    db.move_log("PASSIVE")
            if merging.done:
                return
            slices.pause()


class _Merging:
    """Merges of one index, one after the other.

    Attributes:
        done: whether there is nothing more to merge.
        changed: whether anything was merged, and committed.
    """

    def __init__(self, db: SQLiteConnection, table: VirtualTable, pages: int) -> None:
        self.done = False
        self.changed = False
        self._db, self._table, self._pages = db, table, pages
        self._marked = False
        self._pending = False

    def step(self, _: int) -> bool:
        """Merge a little; return whether that was anything."""
        before = self._changes()
        if self._table.module == "fts5":
            tell(self._db, self._table, "merge", self._pages if self._marked else -self._pages)
            self._marked = True
        else:
            tell(self._db, self._table, f"merge={self._pages},{_TOGETHER}")
        self.done = self._changes() - before < _CHANGED
        self._pending = self._pending or not self.done
        return not self.done

    def keep(self) -> None:
        """Take note that what was merged is committed."""
        self.changed = self.changed or self._pending

    def forget_undone(self) -> None:
        """Take note that what was merged was undone."""
        self.done = self._marked = self._pending = False

    def _changes(self) -> int:
        return int(self._db.execute("SELECT total_changes()")[0][0])


def _result(
    db: SQLiteConnection,
    started: Started,
    done: list[Optimized],
    left: dict[str, Any],
    warnings: list[str],
    *,
    skipped: bool,
) -> Result:
    changed = [one for one in done if one.changed]
    data = figures(
        db,
        started,
        db.measure(),
        indexes=len(done),
        segments_before={one.table.name: one.before for one in done},
        segments_after={one.table.name: one.after for one in done},
    )
    if left:
        data |= {"stopped_by": "time limit", "left": left}
    if skipped:
        return Result.skipped("no module of a full-text index is known to SQLite here", warnings=warnings, **data)
    if left and not changed:
        return Result.skipped("the time was over before an index was done", warnings=warnings, **data)
    if not done:
        return Result.unchanged("there are no full-text indexes", warnings=warnings, **data)
    if not changed:
        return Result.unchanged("every full-text index is in one piece already", warnings=warnings, **data)
    named = ", ".join(f"{one.table.name} {one.before} -> {one.after}" for one in changed)
    return Result.changed(f"segments of full-text indexes: {named}", warnings=warnings, **data)
