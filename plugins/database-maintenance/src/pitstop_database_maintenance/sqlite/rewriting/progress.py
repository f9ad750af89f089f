"""How far a statement is that rewrites a file. Owns telling it while the statement runs, which itself says nothing.

VACUUM calls nobody back for most of its time. But what it writes can be counted: its result three times, to a temporary
file, to the journal or log, and to the file (measured: 3.00 times, at a steady rate, in both journal modes).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.session import SQLiteMeasure

#: How often, in seconds, it is told.
_TOLD_EVERY: Final = 0.25
#: Of fewer bytes only the beginning is told: the rest is written before anybody could read of it, and a thread for each
#: of thousands of small databases costs more than is told by it.
_SOON: Final = 4 << 20
#: How often VACUUM writes its result.
VACUUM_WRITES: Final = 3


@contextmanager
def report_bytes(db: SQLiteConnection, done: Callable[[], int | None], *, total: int, message: str) -> Iterator[None]:
    """Report how many bytes are done, as long as the block runs.

    Args:
        db: tells its job's context.
        done: returns the bytes; None if that can no longer be known.
        total: how many there will be.
        message: what is being done.
    """
    db.context.progress(0, total, "bytes", message)
    if total < _SOON:
        yield
        return
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(_TOLD_EVERY):
            now = done()
            if now is None:
                return
            db.context.progress(min(now, total), total, "bytes", message)

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()


def predict_bytes(db: SQLiteConnection, before: SQLiteMeasure) -> int:
    """Return how large a database will be when it has been rewritten: as planned, or without its free pages."""
    gain = db.predicted.get("gain")
    return max(0, before.bytes - max(before.free_bytes, gain if isinstance(gain, int) else 0))


def make_write_counter() -> Callable[[], int | None]:
    """Return what counts, from any thread, how many bytes the thread that calls this has written from now on.

    Only Linux counts them for each thread (proc(5), `wchar`); elsewhere it is not known.
    """
    counter = f"/proc/self/task/{threading.get_native_id()}/io"
    before = _read_counter(counter)

    def count_written() -> int | None:
        now = _read_counter(counter)
        return None if before is None or now is None else now - before

    return count_written


def _read_counter(counter: str) -> int | None:
    try:
        with open(counter, encoding="ascii") as file:
            fields = dict(line.split(": ") for line in file.read().splitlines())
        return int(fields["wchar"])
    except (OSError, ValueError, KeyError):
        return None
