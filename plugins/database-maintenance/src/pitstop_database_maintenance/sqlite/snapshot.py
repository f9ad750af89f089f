"""A private copy of a database as it is now, for what must not keep anybody waiting. Owns how it is taken, and removed.

What a copy costs others depends on the journal mode:

- With a write-ahead log a read transaction blocks nobody, so that SQLite's backup can take all the time it needs. The
  log grows meanwhile. The transaction is held from the first page to the last: without it the backup would begin anew
  with each foreign write (sqlite.org/c3ref/backup_finish.html).
- In rollback mode nobody can write while somebody reads. On a file system that can share blocks between files (btrfs,
  xfs, bcachefs) a clone is a matter of milliseconds. On others the whole file has to be copied under the lock, which is
  quicker than a check (measured: 1.3 s against 14 s for 1 GB), and yet a stall; beyond the limit it is refused.

The file itself is read by a child process: in this one, closing a plain handle to it would drop SQLite's locks.
"""

from __future__ import annotations

import os
import select
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Final, Literal

from pitstop.errors import OperationError
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.errors import explained
from pitstop_database_maintenance.sqlite.leftovers import Temporary, temporary
from pitstop_database_maintenance.sqlite.stalls import as_waited
from pitstop_database_maintenance.sqlite.uri import connection_uri

#: Bytes a second at which a file is copied while writers wait; measured: 0.73 to 1.6 s for 1 GB.
COPY_RATE: Final = 600e6
#: Pages that are copied between two looks at whether to stop; 40 MB of 4 kB pages take about 0.1 s.
_PAGES: Final = 10_000
#: Seconds between two looks at whether to stop while the child copies.
_PATIENCE: Final = 0.05
#: The child: clones the file, or copies it if told so; says "clone", "copy" or "neither". Then it waits: the handle
#: that it was given holds the lock by which a leftover is told from a file in use, and this process must have none. The
#: number of the request is FICLONE of linux/fs.h.
_CHILD: Final = """
import fcntl, os, sys
source, how, new = sys.argv[1], sys.argv[2], int(sys.argv[3])
if how != "hold":
    old = os.open(source, os.O_RDONLY)
    try:
        fcntl.ioctl(new, 0x40049409, old)
        how = "clone"
    except OSError:
        left = os.fstat(old).st_size if how == "copy" else 0
        if how == "clone":
            how = "neither"
        while left > 0:
            done = os.sendfile(new, old, None, min(left, 1 << 24))
            if not done:
                break
            left -= done
print(how, flush=True)
sys.stdin.read()
"""


@contextmanager
def snapshot(db: SQLiteDatabase, *, max_stall: float | None) -> Iterator[SQLiteDatabase]:
    """Yield a connection to a copy of the database as it is now, which is removed on leaving.

    How long writers and readers were kept waiting for it is counted by `db.stalls`.

    Args:
        db: the database.
        max_stall: for how many seconds a writer may be kept waiting; None for any time.

    Raises:
        OperationError: there is no room, or writers would have to wait for too long; nothing was copied.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was told to stop.
        TransientError: somebody else held a lock for too long.
    """
    wal = db.execute("PRAGMA main.journal_mode")[0][0] == "wal"
    with temporary(db.path, "snapshot") as file, ExitStack() as stack:
        if wal:
            _check_room(db)
            stack.enter_context(_child(db, file, "hold"))
            _backup(db, file.path)
        else:
            _clone_or_copy(db, file, max_stall, stack)
        copy = stack.enter_context(SQLiteDatabase.connect(file.path, db.context, on_connect=db.setup.spec, force=True))
        copy.limits = db.limits
        yield copy


def _check_room(db: SQLiteDatabase) -> None:
    folder = os.path.dirname(os.path.realpath(db.path))
    needed, free = db.measure().bytes, shutil.disk_usage(folder).free
    if free < needed:
        raise OperationError(
            reason=f"a copy of {db.path} needs {size_text(needed)} in {folder}, where {size_text(free)} are free",
            hint="make room, or allow a longer stall, so that no copy is needed; nothing was touched",
        )


def _backup(db: SQLiteDatabase, path: str) -> None:
    def tell(_: int, left: int, total: int) -> None:
        db.context.progress(total - left, total, "pages", "copying")
        db.check_stop()

    # connections of its own: one of a job may have a handler of its own, and is not for another's statements
    uri = connection_uri(db.path, mode="ro")
    try:
        with (
            closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=db.BUSY_SECONDS)) as source,
            closing(sqlite3.connect(connection_uri(path, mode="rw"), uri=True, isolation_level=None)) as target,
        ):
            target.execute("PRAGMA synchronous = OFF")  # a copy that the power takes is made anew
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM sqlite_master").fetchall()
            source.backup(target, pages=_PAGES, progress=tell, sleep=0)
            # the copy is nobody else's, and so needs no log
            target.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.Error as error:
        raise explained(error, path=db.path, waited=db.BUSY_SECONDS) from error


def _clone_or_copy(db: SQLiteDatabase, file: Temporary, max_stall: float | None, stack: ExitStack) -> None:
    size = db.measure().file_bytes
    seconds = size / COPY_RATE
    fits = max_stall is None or as_waited(seconds) <= max_stall
    has_room = shutil.disk_usage(os.path.dirname(file.path)).free >= size
    with db.second("ro") as reader:
        reader.execute("BEGIN")
        with db.blocking(readers=True):
            # from here on nobody writes to the file, and no journal waits to be rolled back
            reader.execute("SELECT 1 FROM main.sqlite_master LIMIT 1")
            came = stack.enter_context(_child(db, file, "copy" if fits and has_room else "clone"))
            reader.rollback()
    if came == "neither":
        if fits:
            _check_room(db)
        raise OperationError(
            reason=f"a copy of {db.path} would keep writers waiting for about {seconds:.2g} s, more than "
            f"{max_stall:g} s: the database has no write-ahead log, and its file system cannot clone files",
            hint="allow a longer stall, or set journal_mode to WAL in the application; nothing was touched",
        )


@contextmanager
def _child(db: SQLiteDatabase, file: Temporary, how: Literal["clone", "copy", "hold"]) -> Iterator[str]:
    """Have a child fill the file, and hold its lock within; yield what it did.

    Raises:
        OperationError: it failed.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was told to stop.
    """
    command = [sys.executable, "-I", "-S", "-c", _CHILD, db.path, how, str(file.handle)]
    with subprocess.Popen(  # noqa: S603 - this interpreter
        command,
        pass_fds=[file.handle],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            file.release()
            yield _said(db, child)
        finally:
            child.kill()


def _said(db: SQLiteDatabase, child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    assert child.stderr is not None
    while not select.select([child.stdout], [], [], _PATIENCE)[0]:
        db.check_stop()
    said = child.stdout.readline().decode().strip()
    if not said:
        lines = child.stderr.read().decode(errors="replace").strip().splitlines() or ["its process was ended"]
        raise OperationError(reason=f"{db.path} could not be copied: {lines[-1]}", hint="check the room and the rights")
    return said
