"""`incremental_vacuum`: give free pages back in slices, so short that writers hardly notice. Owns what a slice does.

It moves the last pages of the file into its free ones and cuts the end off; only whole free pages come back, and what
is free within pages stays (that is for `vacuum`).
"""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any, Final

from attrs import frozen

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop.text import count_noun, size_text
from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.lock_waits import DEFAULT_STALL, aim
from pitstop_database_maintenance.sqlite.guards.soundness import require_movable, require_sound
from pitstop_database_maintenance.sqlite.operations._measured import Started, begin, end, figures
from pitstop_database_maintenance.sqlite.operations._time_slices import Slices

#: How far the write-ahead log may grow, in bytes, while somebody reads from it and so keeps it from being emptied.
_LOG_LIMIT: Final = 64 * 1024 * 1024
#: So many pages each slice gives back, if they take no longer than is aimed at: where a sync alone takes too long,
#: fewer at a time would make nothing shorter.
_LEAST: Final = 64
#: Seconds for a page; measured: 20 us to move it, and as long to write it with the pages that point at it.
_PAGE_TAKES: Final = 50e-6
#: As every operation calls it.
TIME_LIMIT: Final = "time limit"


@frozen(kw_only=True)
class Freed:
    """What the slices did.

    Args:
        pages: how many pages went back.
        slices: in how many slices.
        held: for how many seconds writers were kept out, all together.
        stopped_by: why not all of them went back; "" if they did.
    """

    pages: int
    slices: int
    held: float
    stopped_by: str = ""


def incremental_vacuum(
    db: SQLiteConnection,
    *,
    keep: Annotated[float, Bounds(ge=0, le=1)] = 0.0,
    max_stall: Annotated[float, Bounds(gt=0)] | None = None,
    whole_look: bool = False,
) -> Result:
    """Give the file's free pages back to the system, a few at a time.

    Each slice is a transaction of its own, whose length is steered by the lock times of those before; between two of
    them others get on. What was given back stays so, whatever comes after. With a write-ahead log the log is copied
    into the file after each slice, which keeps nobody waiting.

    Args:
        db: the database, of which `auto_vacuum` is incremental or full.
        keep: what share of the file's pages, from 0 to 1, may stay free for the application to use again.
        max_stall: seconds for which a writer may be kept waiting at a stretch; by default the job's limit, or 0.05.
        whole_look: look at every page for damage first even if that keeps writers waiting for longer. By default, in
            a large file without a write-ahead log, only what tells which pages are free is looked at.

    Raises:
        OperationError: `auto_vacuum` is none, a transaction is open, or the file is damaged; nothing was written then.
        JobCancelledError, DeadlineExceededError: the job was asked to stop; what was given back stays so.
        TransientError: somebody else held a lock for too long; nothing was written.
    """
    started = begin(db, "incremental_vacuum")
    stall = _stall(db, max_stall)
    _check_no_transaction(db)
    _check_map(db)
    reserve = int(keep * started.before.pages)
    wanted = started.before.free_pages - reserve
    if wanted <= 0:
        return end(db, started, _nothing(db, started, reserve))
    looked = _look(db, stall, whole=whole_look)
    freed = _free(db, wanted, reserve, stall)
    left = _next_parameters(keep, max_stall, whole_look) if freed.stopped_by else None
    return end(db, started, _result(db, started, freed, stall, left, looked))


def _stall(db: SQLiteConnection, asked: float | None) -> float:
    return min((stall for stall in (asked, db.limits.max_stall) if stall is not None), default=DEFAULT_STALL)


def _check_no_transaction(db: SQLiteConnection) -> None:
    if db.in_transaction:
        raise OperationError(
            reason=f"a transaction is open on the connection to {db.path}",
            hint="commit it: each slice is one of its own",
        )


def _check_map(db: SQLiteConnection) -> None:
    """Refuse a file that keeps no map of which page points at which, without which none can be moved."""
    if db.pragma("auto_vacuum") == 0:
        raise OperationError(
            reason=f"incremental_vacuum cannot move pages of {db.path}: its auto_vacuum is none",
            hint="run convert_auto_vacuum once (a rebuild, during which nobody can write), or vacuum instead",
        )


def _look(db: SQLiteConnection, stall: float, *, whole: bool) -> str:
    if whole:
        require_sound(db)
        return "all pages"
    return require_movable(db, max_stall=stall)


def _free(db: SQLiteConnection, wanted: int, reserve: int, stall: float) -> Freed:
    """Give back so many pages, but none of the reserve; return what came of it.

    Raises:
        TransientError: nothing could be given back, because others held locks.
    """
    wal = _wal(db)
    slices = Slices(db, max_stall=stall, wal=wal, least=max(1, min(_LEAST, int(aim(stall) / _PAGE_TAKES))))
    size, freed, why = db.pragma("page_size"), 0, ""
    with slices.working():
        while freed < wanted and not why:
            try:
                done = _commit_slice(db, slices, wanted - freed, reserve)
                if not done:
                    break  # others have used what was free
                freed += done
                db.context.progress(freed * size, wanted * size, "bytes", "giving free pages back")
                why = _after(db, slices, wal=wal) if freed < wanted else ""
            except TimeLimitReachedError:
                why = TIME_LIMIT
            except LockedError as locked:
                if not freed:
                    raise
                why = str(locked)
        if wal:
            _checkpoint(db)
    return Freed(pages=freed, slices=slices.count, held=slices.held, stopped_by=why)


def _commit_slice(db: SQLiteConnection, slices: Slices, wanted: int, reserve: int) -> int:
    """Give back some pages, trying again while readers would not let it commit; return how many.

    Raises:
        TransientError: they would not for longer than `BUSY_SECONDS`, or somebody held the lock for so long.
    """
    began, patience = time.monotonic(), db.patience
    while True:
        free: list[int] = []
        done = slices.run(partial(_step, db, wanted, reserve, free), partial(_verify, db, free))
        if done.steps or not done.given_up:
            return done.steps
        slices.pause()
        waited = time.monotonic() - began
        if waited >= patience:
            db.waited += waited
            raise LockedError(f"readers of {db.path} left no moment to commit in for {waited:.2g} s; try again later")


def _step(db: SQLiteConnection, wanted: int, reserve: int, free: list[int], done: int) -> bool:
    """Give back one page, unless there are none left; `free` keeps how many were free at the beginning."""
    if not free:
        free.append(db.pragma("freelist_count"))
    if done >= min(wanted, free[0] - reserve):
        return False
    # One at a time: in Python 3.11 `execute` and `fetchall` step such a statement once, whatever number is in it, and
    # say nothing (3.12 and 3.13 go on at `fetchall`); and so the clock can be looked at between two pages.
    db.execute("PRAGMA main.incremental_vacuum(1)")
    return True


def _verify(db: SQLiteConnection, free: list[int], done: int) -> None:
    """Raise if not as many pages are gone from the list of free pages as were given back.

    Raises:
        OperationError: they are not.
    """
    gone = free[0] - db.pragma("freelist_count")
    if gone != done:
        raise OperationError(
            reason=f"SQLite gave back {gone} free pages of {db.path} where {done} were asked for",
            hint="that was undone; run integrity_check, and vacuum if it finds nothing",
        )


def _after(db: SQLiteConnection, slices: Slices, *, wal: bool) -> str:
    """Let others get on, and empty the log; return why no further slice may follow, or ""."""
    began = time.monotonic()
    log = _checkpoint(db) if wal else 0
    slices.pause()
    # while a reader holds the log, the next slice would only make it longer
    while log > _LOG_LIMIT:
        if time.monotonic() - began > db.BUSY_SECONDS:
            return "a reader that keeps the write-ahead log from being emptied"
        slices.pause()
        log = _checkpoint(db)
    return ""


def _checkpoint(db: SQLiteConnection) -> int:
    """Copy what can be copied from the log into the file, waiting for nobody; return how many bytes could not be."""
    _, log, copied = db.move_log("PASSIVE")
    return int(max(0, log - copied)) * db.pragma("page_size")


def _wal(db: SQLiteConnection) -> bool:
    return str(db.execute("PRAGMA main.journal_mode")[0][0]) == "wal"


def _next_parameters(keep: float, max_stall: float | None, whole_look: bool) -> dict[str, Any]:
    """Return the parameters with which the next run goes on."""
    stall = {} if max_stall is None else {"max_stall": max_stall}
    return {"keep": keep, **stall, **({"whole_look": True} if whole_look else {})}


def _nothing(db: SQLiteConnection, started: Started, reserve: int) -> Result:
    free = started.before.free_pages
    why = f"{count_noun(free, 'free page')}, of which {reserve} may stay" if free else "no free page"
    return Result.unchanged(f"{size_text(started.before.bytes)}, {why}", **figures(db, started, started.before))


def _result(
    db: SQLiteConnection, started: Started, freed: Freed, stall: float, left: dict[str, Any] | None, looked: str
) -> Result:
    after = db.measure()
    own: dict[str, Any] = {
        "freed_pages": freed.pages,
        "slices": freed.slices,
        "held_seconds": round(freed.held, 3),
        "max_stall": stall,
        "looked_at": looked,
    }
    if left is not None:
        own |= {"stopped_by": freed.stopped_by, "left": left}
    data = figures(db, started, after, **own)
    if not freed.pages and freed.stopped_by:
        return Result.skipped("the time was over before any page could be given back", **data)
    if not freed.pages:
        return Result.unchanged("the free pages were used again before they could be given back", **data)
    summary = f"{size_text(freed.pages * after.page_size)} given back in {count_noun(freed.slices, 'slice')}"
    if freed.stopped_by:
        summary += f", stopped by {freed.stopped_by} with {size_text(after.free_bytes)} still free"
    return Result.changed(summary, warnings=_warnings(db, stall), **data)


def _warnings(db: SQLiteConnection, stall: float) -> list[str]:
    longest = db.stalls.writer_stall
    if longest <= stall:
        return []
    return [
        f"a writer was kept waiting for up to {1000 * longest:.0f} ms, where {1000 * stall:.0f} ms were allowed: "
        "a single write and sync took that long"
    ]
