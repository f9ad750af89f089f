"""`incremental_vacuum`: give free pages back in slices, so short that writers hardly notice. Owns what a slice does.

It moves the last pages of the file into its free ones and cuts the end off; only whole free pages come back, and what
is free within pages stays (that is for `vacuum`).
"""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop.text import count_noun, size_text
from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.databases.limits import TimeLimitReachedError
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.lock_waits import aim
from pitstop_database_maintenance.sqlite.files.sound_files import ALL_PAGES
from pitstop_database_maintenance.sqlite.guards.soundness import require_movable, require_sound
from pitstop_database_maintenance.sqlite.operations._measured import OperationRun, begin
from pitstop_database_maintenance.sqlite.operations._time_slices import Slices, limit_stall

#: How far the write-ahead log may grow, in bytes, while somebody reads from it and so keeps it from being emptied.
_LOG_LIMIT: Final = 64 * 1024 * 1024
#: So many pages each slice gives back, if they take no longer than is aimed at: where a sync alone takes too long,
#: fewer at a time would make nothing shorter.
_LEAST: Final = 64
#: Seconds for a page; measured: 20 us to move it, and as long to write it with the pages that point at it.
_PAGE_TAKES: Final = 50e-6


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
    run = begin(db, "incremental_vacuum")
    stall = limit_stall(db, max_stall)
    run.require_autocommit()
    _check_map(db)
    reserve = int(keep * run.before.pages)
    free = run.before.free_pages
    wanted = free - reserve
    if wanted <= 0:
        why = f"{count_noun(free, 'free page')}, of which {reserve} may stay" if free else "no free page"
        return run.unchanged(f"{size_text(run.before.bytes)}, {why}")
    if whole_look:
        require_sound(db)
    looked = ALL_PAGES if whole_look else require_movable(db, max_stall=stall)
    slices = Slices(db, max_stall=stall, least=max(1, min(_LEAST, int(aim(stall) / _PAGE_TAKES))))
    freed, stopped_by = _free(db, slices, wanted, reserve)
    counts: dict[str, Any] = {
        "freed_pages": freed,
        "slices": slices.count,
        "held_seconds": round(slices.held, 3),
        "max_stall": stall,
        "looked_at": looked,
    }
    if stopped_by:
        given = {"max_stall": max_stall, "whole_look": whole_look or None}
        left = {name: value for name, value in given.items() if value is not None}
        counts |= {"stopped_by": stopped_by, "left": {"keep": keep, **left}}
    return _result(run, slices, freed, stopped_by, counts)


def _check_map(db: SQLiteConnection) -> None:
    """Refuse a file that keeps no map of which page points at which, without which none can be moved."""
    if db.pragma("auto_vacuum") == 0:
        raise OperationError(
            reason=f"incremental_vacuum cannot move pages of {db.path}: its auto_vacuum is none",
            hint="run convert_auto_vacuum once (a rebuild, during which nobody can write), or vacuum instead",
        )


def _free(db: SQLiteConnection, slices: Slices, wanted: int, reserve: int) -> tuple[int, str]:
    """Give back so many pages, but none of the reserve; return how many went back, and why not all of them, or "".

    Raises:
        TransientError: nothing could be given back, because others held locks.
    """
    size, freed, why, free = db.pragma("page_size"), 0, "", 0

    def step(done: int) -> bool:
        nonlocal free
        if not done:
            free = db.pragma("freelist_count")
        if done >= min(wanted - freed, free - reserve):
            return False
        # One at a time: in Python 3.11 `execute` and `fetchall` step such a statement once, whatever number is in it,
        # and say nothing (3.12 and 3.13 go on at `fetchall`); and so the clock can be looked at between two pages.
        db.execute("PRAGMA main.incremental_vacuum(1)")
        return True

    def verify(done: int) -> None:
        gone = free - db.pragma("freelist_count")
        if gone != done:
            raise OperationError(
                reason=f"SQLite gave back {gone} free pages of {db.path} where {done} were asked for",
                hint="that was undone; run integrity_check, and vacuum if it finds nothing",
            )

    with slices.prepare():
        while freed < wanted and not why:
            try:
                done = slices.run(step, verify)
                if not done:
                    break  # others have used what was free
                freed += done
                db.context.progress(freed * size, wanted * size, "bytes", "giving free pages back")
                why = _yield_to_others(db, slices) if freed < wanted else ""
            except TimeLimitReachedError:
                why = "time limit"
            except LockedError as locked:
                if not freed:
                    raise
                why = str(locked)
        if slices.wal:
            _checkpoint(db)
    return freed, why


def _yield_to_others(db: SQLiteConnection, slices: Slices) -> str:
    """Let others get on, and empty the log; return why no further slice may follow, or ""."""
    began = time.monotonic()
    log = _checkpoint(db) if slices.wal else 0
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


def _result(run: OperationRun, slices: Slices, freed: int, stopped_by: str, counts: dict[str, Any]) -> Result:
    if not freed and stopped_by:
        return run.skipped("the time was over before any page could be given back", **counts)
    if not freed:
        return run.unchanged("the free pages were used again before they could be given back", **counts)
    after, stall, longest = run.db.measure(), slices.max_stall, run.db.stalls.writer_stall
    summary = f"{size_text(freed * after.page_size)} given back in {count_noun(slices.count, 'slice')}"
    if stopped_by:
        summary += f", stopped by {stopped_by} with {size_text(after.free_bytes)} still free"
    warnings = []
    if longest > stall:
        warnings.append(
            f"a writer was kept waiting for up to {1000 * longest:.0f} ms, where {1000 * stall:.0f} ms were allowed: "
            "a single write and sync took that long"
        )
    return run.changed(summary, after=after, warnings=warnings, **counts)
