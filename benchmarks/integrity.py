"""What `integrity_check` adds to SQLite's own: the same coverage, against the `sqlite3` program, cold and warm.

Cold is a file of which nothing is in the system's cache. Each sample is a whole process, its start included.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.measure import Contender, Samples, Settings, disk_folder, interleave, table, timed, verdict

PEER = "sqlite3: PRAGMA integrity_check"
OURS, ALONE = "integrity_check", "integrity_check, 1 worker"
PEER_QUICK, OURS_QUICK = "sqlite3: PRAGMA quick_check", "quick_check"
TARGET = 3.0
#: Bytes of the file for each event, with its message and its share of the accounts, indexes included; measured.
EVENT_BYTES = 520

SCHEMA = """
CREATE TABLE event (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, at REAL NOT NULL, data TEXT);
CREATE TABLE message (id INTEGER PRIMARY KEY, thread INTEGER NOT NULL, sender TEXT NOT NULL, at REAL, body TEXT);
CREATE TABLE account (name TEXT, number INTEGER, owner TEXT NOT NULL, balance REAL, PRIMARY KEY (name, number))
    WITHOUT ROWID;
CREATE INDEX event_kind ON event (kind, at);
CREATE INDEX message_thread ON message (thread, at);
CREATE INDEX message_sender ON message (sender);
CREATE INDEX account_owner ON account (owner, balance);
"""
#: One operation as a job runs it, without the job's own books.
PROGRAM = """
import sys
from contextlib import contextmanager
from types import SimpleNamespace
from pitstop.logs import JobLog
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations.integrity_check import integrity_check
from pitstop_database_maintenance.sqlite.operations.quick_check import quick_check
context = SimpleNamespace(
    logger=JobLog(job_id="j", correlation_id="j").logger, progress=lambda *_: None, check_cancelled=lambda: None
)
with SQLiteDatabase.connect(sys.argv[2], context) as database:
    if sys.argv[1] == "quick_check":
        result = quick_check(database)
    else:
        result = integrity_check(database, workers=int(sys.argv[3]))
    print(result.summary)
"""


def main(settings: Settings) -> None:
    """Measure and print."""
    if shutil.which("sqlite3") is None:
        print("\nno sqlite3 program here to compare with")
        return
    with disk_folder() as folder:
        path = folder / "checked.db"
        _build(path, megabytes=settings.choose(1000, 200))
        _describe(path)
        for title, before in (("cold", _drop), ("warm", _read)):
            processor: dict[str, list[float]] = {}
            taken = interleave(_contenders(path, before, processor), runs=settings.choose(3, 2))
            _show(f"A check of a file of {path.stat().st_size / 1e6:,.0f} MB, {title}", taken, processor)
            verdict(
                f"{PEER} / {OURS}, {title}",
                taken[PEER].over(taken[OURS]),
                at_least=TARGET if title == "cold" else 1.0,
                unit="x",
            )


def _contenders(path: Path, before: Callable[[Path], object], processor: dict[str, list[float]]) -> list[Contender]:
    def contender(name: str, command: Sequence[str], expected: str) -> Contender:
        def sample() -> float:
            before(path)
            done = timed(command)
            if expected not in done.output:
                raise RuntimeError(f"{name} says {done.output!r} of a sound file")
            processor.setdefault(name, []).append(done.cpu)
            return done.wall

        return Contender(name, sample)

    def ours(name: str, *given: str) -> Contender:
        return contender(name, [sys.executable, "-c", PROGRAM, given[0], str(path), *given[1:]], "no problem was found")

    def peer(name: str) -> Contender:
        return contender(name, ["sqlite3", str(path), name.removeprefix("sqlite3: ")], "ok")

    return [
        peer(PEER),
        ours(ALONE, "integrity_check", "1"),
        ours(OURS, "integrity_check", "2"),
        peer(PEER_QUICK),
        ours(OURS_QUICK, "quick_check"),
    ]


def _show(title: str, taken: dict[str, Samples], processor: dict[str, list[float]]) -> None:
    rows = [
        (
            name,
            f"{samples.median:.2f}",
            samples.spread(2),
            str(len(samples.values)),
            f"{taken[PEER_QUICK if 'quick' in name else PEER].over(samples):.2f}",
            f"{Samples(processor[name]).median:.2f}",
        )
        for name, samples in taken.items()
    ]
    table(title, ("", "median s", "min..max", "n", "times as fast as sqlite3", "CPU s"), rows)


def _drop(path: Path) -> None:
    """Have nothing of the file in the system's cache; no process has it open now."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)  # what is not on the disk yet would stay
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def _read(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def _describe(path: Path) -> None:
    library = timed(["sqlite3", "-version"]).output.split()[0]
    with closing(sqlite3.connect(path)) as connection:
        free, pages = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count"))
    print(f"\nsqlite3 {library}, Python's library {sqlite3.sqlite_version}; {free / pages:.0%} of the pages are free")


def _build(path: Path, *, megabytes: float) -> None:
    """Make a file of three tables of about one size and six indexes, with random keys; then a third of the rows goes.

    Args:
        path: the file, which must not be there yet.
        megabytes: about how large it is, free pages included.
    """
    chance = random.Random(11)
    count = int(megabytes * 1e6 / EVENT_BYTES)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}")
        for part in range(10):
            first, after = count * part // 10, count * (part + 1) // 10
            with connection:
                connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", _events(chance, first, after))
                connection.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?)", _messages(chance, first, after))
                connection.executemany(
                    "INSERT OR IGNORE INTO account VALUES (?, ?, ?, ?)", _accounts(chance, first, after)
                )
        with connection:
            connection.execute("DELETE FROM event WHERE id * 2654435761 % 4294967296 % 100 < 30")
            connection.execute("DELETE FROM message WHERE id < ?", (count // 5,))
            connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", _events(chance, count, count * 11 // 10))
        connection.execute("PRAGMA journal_mode = DELETE")


def _events(chance: random.Random, first: int, after: int) -> Iterator[tuple[object, ...]]:
    kinds = ("opened", "closed", "moved", "paid", "failed")
    for number in range(first, after):
        key = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        yield number, key, chance.choice(kinds), 1.6e9 + number, f"data {chance.getrandbits(64):x} " * 4


def _messages(chance: random.Random, first: int, after: int) -> Iterator[tuple[object, ...]]:
    for number in range(first, after):
        sender = f"user{chance.randrange(100_000)}@example.org"
        yield number, chance.randrange(50_000), sender, 1.6e9 + number, "a few words " * chance.randrange(4, 12)


def _accounts(chance: random.Random, first: int, after: int) -> Iterator[tuple[object, ...]]:
    for number in range(first, after):
        name, owner = f"account {chance.getrandbits(40):x}", f"owner {chance.randrange(200_000):08}"
        yield name, number % 7, owner, chance.randrange(10**6) / 100
