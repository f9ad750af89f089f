"""`compact` against `VACUUM` of the `sqlite3` program: seconds, and bytes written, on a file with churn.

Both work on a fresh copy each time, that lies in memory. The operation is timed within its process, from opening the
file to closing it, checks of the original and of the copy included; the row "whole process" adds the start of Python.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import Contender, Samples, Settings, disk_folder, interleave, table, timed, verdict

PEER, OURS, WHOLE = "sqlite3 FILE VACUUM", "compact", "compact, whole process"
TIME_TARGET, BYTES_TARGET = 0.5, 0.35
#: Bytes that a row of each table takes in the file together, indexes included; measured.
_ROW_BYTES = 640


def main(settings: Settings) -> None:
    """Measure and print."""
    if shutil.which("sqlite3") is None:
        print("\nno sqlite3 program here to compare with")
        return
    with disk_folder() as folder:
        for megabytes, runs in ((settings.choose(300, 30), settings.choose(7, 3)), (settings.choose(1000, 60), 3)):
            original = folder / "original.db"
            build(original, megabytes=megabytes)
            _compare(original, folder, runs=runs)
            original.unlink()


def _compare(original: Path, folder: Path, *, runs: int) -> None:
    written: dict[str, list[float]] = {PEER: [], OURS: []}
    whole = Samples()
    left: dict[str, int] = {}

    def peer() -> float:
        with _copied(original, folder) as copy, _noted(written[PEER]):
            done = timed(["sqlite3", "-bail", str(copy), "VACUUM"])
            left[PEER] = copy.stat().st_size
        return done.wall

    def ours() -> float:
        with _copied(original, folder) as copy, _noted(written[OURS]):
            done = timed([sys.executable, "-m", "benchmarks.compact", str(copy)])
            left[OURS] = copy.stat().st_size
        whole.values.append(done.wall)
        return float(done.output)

    taken = interleave([Contender(PEER, peer), Contender(OURS, ours)], runs=runs)
    size = original.stat().st_size
    if left[OURS] > left[PEER]:
        raise RuntimeError(f"compact left {left[OURS]} bytes, VACUUM {left[PEER]}")
    taken[WHOLE] = whole
    bytes_of = {name: Samples(values) for name, values in written.items()}
    bytes_of[WHOLE] = bytes_of[OURS]
    rows = [
        (
            name,
            f"{samples.median:.2f}",
            samples.spread(2),
            str(len(samples.values)),
            f"{samples.median / taken[PEER].median:.2f}",
            f"{bytes_of[name].median / 1e6:,.0f}",
            f"{bytes_of[name].median / bytes_of[PEER].median:.2f}",
        )
        for name, samples in taken.items()
    ]
    title = f"A file of {size / 1e6:,.0f} MB, {1 - left[OURS] / size:.0%} of it waste"
    table(title, ("", "median s", "min..max", "n", "x VACUUM", "MB written", "x VACUUM"), rows)
    ratio = taken[OURS].median / taken[PEER].median
    verdict("time of compact / VACUUM", ratio, at_most=TIME_TARGET, unit="x")
    ratio = bytes_of[OURS].median / bytes_of[PEER].median
    verdict("bytes written by compact / VACUUM", ratio, at_most=BYTES_TARGET, unit="x")


@contextmanager
def _copied(original: Path, folder: Path) -> Iterator[Path]:
    copy = folder / "copy.db"
    shutil.copyfile(original, copy)
    # written out now, or the first one to sync would pay for the copy
    os.sync()
    try:
        yield copy
    finally:
        copy.unlink()


@contextmanager
def _noted(written: list[float]) -> Iterator[None]:
    """Note how many bytes the processes that are started and waited for within had written to the disk."""
    before = _written()
    yield
    written.append(_written() - before)


def _written() -> int:
    """Return how many bytes this process, and those that it has waited for, dirtied (`write_bytes`, proc(5))."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


# -- the operation, in a process of its own ----------------------------------------------------------------------------


class _Context:
    """As much of a job's context as the operation needs."""

    deadline = None

    def __init__(self) -> None:
        from pitstop.logs import JobLog

        self.logger = JobLog(job_id="measured", correlation_id="measured").logger

    def progress(self, *args: object, **named: object) -> None:
        """Tell nobody."""

    def check_cancelled(self) -> None:
        """Go on."""


def _operation(path: str) -> None:
    from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
    from pitstop_database_maintenance.sqlite.operations.compact import compact

    context: Any = _Context()
    began = time.perf_counter()
    with SQLiteDatabase.connect(path, context) as database:
        compact(database, offline=True)
    print(time.perf_counter() - began)


# -- the file ----------------------------------------------------------------------------------------------------------


def build(path: Path, *, megabytes: float) -> None:
    """Make a database that has seen life: random and old rows are gone, others have grown, and some came after that.

    Args:
        path: the file, which must not be there yet.
        megabytes: about how large it is.
    """
    chance = random.Random(7)
    count = int(megabytes * 1e6 / _ROW_BYTES)

    def key() -> str:
        return f"{chance.getrandbits(128):032x}"

    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE account (id INTEGER PRIMARY KEY, token TEXT UNIQUE, profile TEXT, score REAL);"
            "CREATE TABLE member (team TEXT, number INTEGER, since TEXT, PRIMARY KEY (team, number)) WITHOUT ROWID;"
            "CREATE TABLE event (at REAL, kind INTEGER, who TEXT, body TEXT);"
            "CREATE INDEX account_score ON account (score, profile);"
            "CREATE INDEX member_since ON member (since);"
            "CREATE INDEX event_at ON event (at, kind);"
            "CREATE INDEX event_who ON event (who);"
        )
        accounts = ((number, key(), key() * 2, chance.random()) for number in range(count))
        connection.executemany("INSERT INTO account VALUES (?, ?, ?, ?)", accounts)
        members = ((key(), number, key()) for number in range(count))
        connection.executemany("INSERT INTO member VALUES (?, ?, ?)", members)
        events = ((number, number % 9, key(), key() * 6) for number in range(count))
        connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", events)
        connection.execute("DELETE FROM account WHERE id * 2654435761 % 10 < 3")
        connection.execute("DELETE FROM member WHERE number % 10 IN (1, 4, 7)")
        connection.execute("DELETE FROM event WHERE at < ?", (count // 5,))
        connection.execute("UPDATE account SET profile = profile || profile WHERE id % 7 = 0")
        more = ((key(), number, key()) for number in range(count // 10))
        connection.executemany("INSERT INTO member VALUES (?, ?, ?)", more)
        connection.commit()
        connection.execute("PRAGMA journal_mode = DELETE")
    with path.open("rb") as file:
        os.fsync(file.fileno())


if __name__ == "__main__":
    _operation(sys.argv[1])
