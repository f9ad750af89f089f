"""`checkpoint`: copy the write-ahead log into the file, and empty it, keeping writers waiting as little as can be.

Owns the stages, and saying who is in the way. A checkpoint that copies all of a long log at once with the writers kept
out (FULL, RESTART, TRUNCATE) makes them wait for all of it: measured with a log of 70 MB, 230 ms for TRUNCATE, against
less than 1 ms for PASSIVE, which keeps nobody out. So PASSIVE copies what it can, and TRUNCATE only empties.

**The WAL-reset bug** (sqlite.org/wal.html#the_wal_reset_bug): SQLite 3.7.0 to 3.51.2, but for 3.44.6 and 3.50.7, can
lose a transaction if a checkpoint begins on a log that has been copied whole, while another connection's commit starts
that log anew. A checkpoint is exposed to that while it does not hold the lock for writing: PASSIVE does not; FULL,
RESTART and TRUNCATE take it before they read where the log ends (wal.c, sqlite3WalCheckpoint), and go on as PASSIVE if
they cannot have it. Hence TRUNCATE is not avoided on these versions, PASSIVE is not run again once it has copied
everything, and a warning says what the matter is if others have the file open. Applications run PASSIVE themselves, at
every thousandth page of the log by default, and are exposed to it whatever is done here.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Annotated, Final, Literal

from attrs import frozen

from pitstop.jobs import Result
from pitstop.operations import Bounds
from pitstop.text import size_text
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.files.paths import companion_path
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.inspection.survey import has_wal_reset_bug
from pitstop_database_maintenance.sqlite.operations._measured import OperationRun, begin
from pitstop_database_maintenance.sqlite.surveyor.processes import proc

#: Between two tries, in seconds: long enough for a short reader to end.
_TRY: Final = 0.02
#: Bytes that TRUNCATE may have to copy, with writers kept out: about 4 ms (measured: 350 MB/s), beside two syncs.
_FEW: Final = 1_000_000
#: How often TRUNCATE is tried. Each keeps writers out for as long as its syncs take.
_TRIES: Final = 20


@frozen(kw_only=True)
class Status:
    """What SQLite says after a checkpoint.

    Args:
        busy: whether somebody kept it from doing all that was asked.
        frames: how many pages the log holds; -1 if there is none.
        copied: how many of them are in the file.
    """

    busy: bool
    frames: int
    copied: int

    @property
    def left(self) -> int:
        """How many pages are not in the file yet."""
        return max(0, self.frames - self.copied)


def checkpoint(
    db: SQLiteConnection, *, truncate: bool = True, patience: Annotated[float, Bounds(ge=0)] = 5.0
) -> Result:
    """Copy the write-ahead log into the file, and then empty it.

    A reader that began before the newest transactions keeps what came after it from being copied; that is no failure,
    and the result's warning says who it is where that can be known.

    Args:
        db: the database.
        truncate: empty the log when everything is in the file. Else it stays as large as it was, to be written over.
        patience: for how many seconds to wait for a reader that is in the way.

    Raises:
        OperationError: it failed, or the database is not sound with its log; nothing was moved then.
        JobCancelledError, DeadlineExceededError: the job was asked to stop; what was copied is.
    """
    run = begin(db, "checkpoint")
    if not db.has_wal:
        return run.unchanged("not in WAL mode: there is no log")
    if run.before.wal_bytes:
        require_sound(db, rows=False)  # as it is with the log, which may be another file's
    until = time.monotonic() + min(patience, db.limits.time_left())
    with db.no_lock_wait():  # who waits within TRUNCATE keeps writers waiting too
        status = _copy(db, until)
        emptied = truncate and status.left * db.pragma("page_size") <= _FEW and _empty(db, until)
    return _result(run, status, emptied=emptied, truncate=truncate)


def _copy(db: SQLiteConnection, until: float) -> Status:
    """Copy all that can be copied without keeping anybody waiting; for a reader in the way it waits until then."""
    size = db.pragma("page_size")
    status = _run(db, "PASSIVE")
    while status.left * size > _FEW and time.monotonic() < until:
        db.context.progress(status.copied * size, status.frames * size, "bytes", "copying the log")
        db.check_stop()
        time.sleep(_TRY)
        status = _run(db, "PASSIVE")
    return status


def _empty(db: SQLiteConnection, until: float) -> bool:
    """Empty the log, which holds almost nothing that is not in the file; return whether nobody was in the way."""
    for tried in range(_TRIES):
        if tried:
            time.sleep(_TRY)
        with db.stalls.measure():
            status = _run(db, "TRUNCATE")
        if not status.busy:
            return True
        db.check_stop()
        if time.monotonic() >= until:
            break
    return False


def _run(db: SQLiteConnection, how: Literal["PASSIVE", "TRUNCATE"]) -> Status:
    busy, frames, copied = db.move_log(how)
    return Status(busy=bool(busy), frames=frames, copied=copied)


def _result(run: OperationRun, status: Status, *, emptied: bool, truncate: bool) -> Result:
    after = run.db.measure()
    done = emptied or (not truncate and not status.left)
    others = find_others(companion_path(run.db.path, "-shm"))
    warnings = [] if done else [_explain_rest(run.db, status, others)]
    warnings += _warn_of_bug(others)
    counts = {"busy": not done, "log_frames": status.frames, "copied_frames": status.copied, "emptied": emptied}
    log, now = run.before.wal_bytes, after.wal_bytes
    if not log and emptied:
        return run.unchanged("the write-ahead log is empty", after=after, warnings=warnings, **counts)
    if not done and status.copied <= 0:
        summary = f"nothing of the write-ahead log ({size_text(log)}) could be copied"
        return run.unchanged(summary, after=after, warnings=warnings, **counts)
    size = f"{size_text(log)} -> {size_text(now)}" if log != now else f"{size_text(log)} as before"
    share = "all" if not status.left else f"{status.copied} of {status.frames} pages"
    # SQLite tells of no frames after it has begun the log again, and where it can make out none
    what = f"{share} of it in the file" if status.frames > 0 else "nothing in it was left to be copied"
    return run.changed(f"write-ahead log {size}, {what}", after=after, warnings=warnings, **counts)


def _explain_rest(db: SQLiteConnection, status: Status, others: dict[int, bool] | None) -> str:
    readers = ", ".join(
        proc.process_text(number) if number > 0 else "a process that this one cannot see"
        for number, reads in sorted((others or {}).items())
        if reads
    )
    who = f"held by {readers}" if readers else "which process it is cannot be seen"
    size = size_text(max(0, status.left) * db.pragma("page_size"))
    if status.left:
        what = f"{size} of the write-ahead log wait for a reader that began before them, or for another checkpoint"
    else:
        what = "everything is in the file, and the log could not be emptied because others were reading or writing"
    return f"{what} ({who}); end its transaction, or try again later"


def find_others(path: str) -> dict[int, bool] | None:
    """Return which other processes have locks on a database's `-shm` file, and whether each of them reads now.

    None where the system does not tell.
    """
    try:
        held = proc.locks(os.stat(path))
    except OSError:
        return None
    if held is None:
        return None
    others: dict[int, bool] = {}
    for lock in held:
        if lock.pid != os.getpid():
            reads = lock.covers(proc.READERS[0], proc.READERS[-1])
            others[lock.pid] = others.get(lock.pid, False) or reads
    return others


def _warn_of_bug(others: dict[int, bool] | None) -> list[str]:
    if not has_wal_reset_bug(sqlite3.sqlite_version_info) or others == {}:
        return []
    there = "others may have the file open" if others is None else "others have the file open"
    return [
        f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug, which in very rare cases loses a transaction when a "
        f"checkpoint meets a write, and {there}; use 3.51.3 or newer (sqlite.org/wal.html#the_wal_reset_bug)"
    ]
