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
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Literal

from pitstop.children import isolate
from pitstop.errors import OperationError
from pitstop.text import size_text
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.helper_process import HelperProcess
from pitstop_database_maintenance.sqlite.connection.lock_waits import worst_wait
from pitstop_database_maintenance.sqlite.files.temporary_files import Temporary, temporary

#: Bytes a second at which a file is copied while writers wait; measured: 0.73 to 1.6 s for 1 GB.
COPY_RATE: Final = 600e6
#: The child: clones the file, or copies it if told so; sends "clone", "copy" or "neither". Then it waits: the handle
#: that it was given holds the lock by which a leftover is told from a file in use, and this process must have none. The
#: number of the request is FICLONE of linux/fs.h.
_CHILD: Final = """
import fcntl, os, sys
source, how, new, device, number = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
if how != "hold":
    old = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    found = os.fstat(old)
    if (found.st_dev, found.st_ino) != (device, number):
        sys.exit("it became another file")
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
os.write(0, b'{"done": "%b"}\\n' % how.encode())
os.read(0, 1)
"""


@contextmanager
def snapshot(db: SQLiteConnection, *, max_stall: float | None) -> Iterator[SQLiteConnection]:
    """Yield a connection to a copy of the database as it is now, which is removed on leaving.

    How long writers and readers were kept waiting for it is counted by `db.stalls`.

    Args:
        db: the database.
        max_stall: for how many seconds a writer may be kept waiting; None for any time.

    Raises:
        OperationError: there is no room, or writers would have to wait for too long; nothing was copied.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop.
        TransientError: somebody else held a lock for too long.
    """
    with temporary(db.real, "snapshot", needed=db.measure().bytes) as file, ExitStack() as stack:
        if db.has_wal:
            _check_room(db, file)
            stack.enter_context(_child(db, file, "hold"))
            _copy_pages(db, file.path)
        else:
            _clone_or_copy(db, file, max_stall, stack)
        copy = stack.enter_context(db.connect(file.path, db.context, on_connect=db.setup.spec, force=True))
        copy.limits = db.limits
        yield copy


def _check_room(db: SQLiteConnection, file: Temporary) -> None:
    folder = os.path.dirname(file.path)
    needed, free = db.measure().bytes, shutil.disk_usage(folder).free
    if free < needed:
        raise OperationError(
            reason=f"a copy of {db.path} needs {size_text(needed)} in {folder}, where {size_text(free)} are free",
            hint="make room, or allow a longer stall, so that no copy is needed; nothing was touched",
        )


def _copy_pages(db: SQLiteConnection, path: str) -> None:
    def report(done: int, pages: int) -> None:
        db.context.progress(done, pages, "pages", "copying")
        db.check_stop()

    with db.second("ro") as reader, reader.read_transaction():
        reader.copy(path, progress=report)
    with db.second("rw", path=path) as copy:
        copy.execute("PRAGMA main.journal_mode = DELETE")  # it is nobody else's, and so needs no log


def _clone_or_copy(db: SQLiteConnection, file: Temporary, max_stall: float | None, stack: ExitStack) -> None:
    size = db.measure().file_bytes
    seconds = size / COPY_RATE
    fits = max_stall is None or worst_wait(seconds) <= max_stall
    has_room = shutil.disk_usage(os.path.dirname(file.path)).free >= size
    # while it reads nobody writes to the file, and no journal waits to be rolled back
    with db.second("ro") as reader, db.blocking(readers=True), reader.read_transaction():
        came = stack.enter_context(_child(db, file, "copy" if fits and has_room else "clone"))
    if came == "neither":
        if fits:
            _check_room(db, file)
        raise OperationError(
            reason=f"a copy of {db.path} would keep writers waiting for about {seconds:.2g} s, more than "
            f"{max_stall:g} s: the database has no write-ahead log, and its file system cannot clone files",
            hint="allow a longer stall, or set journal_mode to WAL in the application; nothing was touched",
        )


@contextmanager
def _child(db: SQLiteConnection, file: Temporary, how: Literal["clone", "copy", "hold"]) -> Iterator[str]:
    """Have a child fill the file, and hold its lock within; yield what it did.

    Raises:
        OperationError: it failed.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop.
    """
    command = isolate("-c", _CHILD, db.path, how, str(file.handle), str(db.found.st_dev), str(db.found.st_ino))
    failure, hint = f"{db.path} could not be copied", "check the room and the rights"
    with HelperProcess(db, command, problem=failure, hint=hint, descriptors=[file.handle]) as child:
        file.release()
        yield str(child.answer()["done"])
