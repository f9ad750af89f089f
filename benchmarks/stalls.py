"""How long an application waits while its database's free pages are given back: a writer and a reader beside each way.

A file with churn, of which about a third of the pages is free, is copied for each contender; then a process that makes
400 transactions a second writes to it, and another one looks up rows, while the contender works. Reported are the
longest and the 99th percentile of the writer's transactions, what Pitstop itself reports of them, and what it had
predicted. A bare writer, beside which nothing else works, is the limit: what it sees, the disk and the machine do.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Settings, disk_folder, table, verdict

BARE, OURS = "nothing", "pitstop incremental_vacuum"
#: Bytes that a row takes in the file, with its place in the index and the other table; measured.
ROW_BYTES = 520
#: Seconds between two transactions of the writer, two look-ups of the reader, and for which a bare writer writes.
WRITES_EVERY, READS_EVERY, BARE_SECONDS = 1 / 400, 1 / 200, 10.0
#: What the operator allows, and the targets: milliseconds.
MAX_STALL, LONGEST, P99 = 0.05, 50, 25
#: By how much a figure that is reported, or predicted, may be wrong.
REPORTED, PREDICTED = 0.20, 0.30


@dataclass(frozen=True)
class UnchangedFiles:
    """What one process beside saw: seconds, and how many transactions."""

    longest: float
    p99: float
    count: int


@dataclass(frozen=True)
class Trial:
    """One contender on one file: what was seen beside it, what it took, and what it said of itself."""

    seconds: float
    writer: UnchangedFiles
    reader: UnchangedFiles
    told: dict[str, Any]


def main(settings: Settings) -> None:
    """Measure and print."""
    with disk_folder() as folder:
        os.environ["PITSTOP_HISTORY"] = str(folder / "history.db")
        for megabytes in (30,) if settings.quick else (300, 1000):
            original = folder / f"{megabytes}.db"
            _build(original, megabytes)
            for journal in ("wal", "delete"):
                _compare(original, folder, journal, bare=1.0 if settings.quick else BARE_SECONDS)
            original.unlink()


def _compare(original: Path, folder: Path, journal: str, *, bare: float) -> None:
    ways = {
        BARE: ["bare", str(bare)],
        "VACUUM": ["operation", "vacuum"],
        "incremental_vacuum, all at once": ["slices", "0"],
        "1000 pages, 20 ms pauses": ["slices", "1000"],
        OURS: ["operation", "incremental_vacuum"],
        f"{OURS}, again": ["operation", "incremental_vacuum"],
    }
    trials = {name: _trial(original, folder / "copy.db", journal, way) for name, way in ways.items()}
    size = f"{original.stat().st_size / 1e6:,.0f} MB, {'WAL' if journal == 'wal' else 'rollback'} mode"
    table(
        f"Beside a writer and a reader: {size}",
        (
            "",
            "s",
            "writer max ms",
            "p99 ms",
            "reader max ms",
            "reported ms",
            "predicted ms",
            "predicted s",
            "free after",
        ),
        [(name, *_row(trial)) for name, trial in trials.items()],
    )
    _judge(trials, size)


def _row(trial: Trial) -> Iterator[str]:
    yield f"{trial.seconds:.1f}"
    for seconds in (trial.writer.longest, trial.writer.p99, trial.reader.longest):
        yield f"{1000 * seconds:,.1f}"
    for name in ("writer_stall", "predicted_stall"):
        yield f"{1000 * trial.told[name]:,.1f}" if trial.told.get(name) is not None else ""
    yield f"{trial.told['predicted_seconds']:.1f}" if trial.told.get("predicted_seconds") else ""
    yield f"{trial.told['free']:,}"


def _judge(trials: dict[str, Trial], size: str) -> None:
    ours, again = trials[OURS], trials[f"{OURS}, again"]
    longest = max(ours.writer.longest, again.writer.longest)
    verdict(f"longest wait of a writer, {size}", 1000 * longest, at_most=LONGEST, unit="ms")
    bare = trials[BARE].writer.longest
    verdict(
        "the same beyond that of a writer beside which nothing works",
        1000 * (longest - bare),
        at_most=LONGEST,
        unit="ms",
    )
    verdict("99th percentile", 1000 * max(ours.writer.p99, again.writer.p99), at_most=P99, unit="ms")
    verdict("VACUUM's / ours", trials["VACUUM"].writer.longest / longest, at_least=20, unit="x")
    for name, trial in (("VACUUM", trials["VACUUM"]), (OURS, ours), ("the same again", again)):
        wrong = abs(trial.told["writer_stall"] / trial.writer.longest - 1)
        verdict(f"reported by {name} and seen differ by", wrong, at_most=REPORTED, unit="of it")
    for what, value, actual in (
        ("stall", again.told["predicted_stall"], again.writer.longest),
        ("time", again.told["predicted_seconds"], again.told["seconds"]),
    ):
        if value is None:
            print(f"\nMISSED predicted {what}: nothing was predicted")
            continue
        verdict(f"predicted and actual {what} differ by", abs(value / actual - 1), at_most=PREDICTED, unit="of it")


# -- one trial ---------------------------------------------------------------------------------------------------------


def _trial(original: Path, copy: Path, journal: str, way: Sequence[str]) -> Trial:
    _remove(copy)
    shutil.copyfile(original, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
    os.sync()  # or the first one to sync would pay for the copy
    with _beside("writer", copy) as writer, _beside("reader", copy) as reader:
        began = time.monotonic()
        told = json.loads(_role(way[0], str(copy), *way[1:]))
        seconds = time.monotonic() - began - told.get("not_counted", 0.0)
    with closing(sqlite3.connect(copy)) as connection:
        told["free"] = connection.execute("PRAGMA freelist_count").fetchone()[0]
        wrong = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if wrong != "ok":
        raise RuntimeError(f"{' '.join(way)} damaged the file: {wrong}")
    _remove(copy)
    return Trial(seconds=seconds, writer=writer[0], reader=reader[0], told=told)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _role(name: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.stalls", name, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@contextmanager
def _beside(role: str, path: Path) -> Iterator[list[UnchangedFiles]]:
    """Have a process beside; what it saw is in the list afterwards."""
    seen: list[UnchangedFiles] = []
    command = [sys.executable, "-m", "benchmarks.stalls", role, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.3)
        try:
            yield seen
        finally:
            output, _ = process.communicate()
    took = sorted(json.loads(output))
    seen.append(UnchangedFiles(longest=took[-1], p99=took[int(0.99 * len(took))], count=len(took)))


# -- the roles: each a process -----------------------------------------------------------------------------------------


def _write(path: str) -> None:
    """Insert a row in a transaction of its own, 400 times a second, until stdin ends."""

    def one(connection: sqlite3.Connection, chance: random.Random) -> None:
        connection.execute("BEGIN IMMEDIATE")
        row = (time.time(), f"{chance.getrandbits(64):016X}", "x" * 200)
        connection.execute("INSERT INTO event (at, tag, body) VALUES (?, ?, ?)", row)
        connection.execute("COMMIT")

    _repeat(path, one, WRITES_EVERY)


def _read(path: str) -> None:
    """Look a row up, 200 times a second, until stdin ends."""

    def one(connection: sqlite3.Connection, chance: random.Random) -> None:
        connection.execute("SELECT * FROM event WHERE id = ?", (chance.randrange(10**6),)).fetchall()

    _repeat(path, one, READS_EVERY)


def _repeat(path: str, one: Any, every: float) -> None:
    ended, took, chance = threading.Event(), [], random.Random(1)
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        print("ready", flush=True)
        due = time.perf_counter()
        while not ended.is_set():
            began = time.perf_counter()
            one(connection, chance)
            took.append(time.perf_counter() - began)
            # who was kept waiting does not catch up
            due = max(due + every, time.perf_counter())
            time.sleep(max(0.0, due - time.perf_counter()))
    print(json.dumps(took))


def _bare(path: str, seconds: str) -> None:  # noqa: ARG001 - as the others
    """Do nothing."""
    time.sleep(float(seconds))
    print("{}")


def _slices(path: str, pages: str) -> None:
    """Give free pages back so many at a time, with pauses of 20 ms; 0 for all at once."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
        # executescript, because execute gives back one page whatever it is told
        connection.executescript(f"PRAGMA incremental_vacuum({pages})")
        while pages != "0" and connection.execute("PRAGMA freelist_count").fetchone()[0] > 0:
            time.sleep(0.02)
            connection.executescript(f"PRAGMA incremental_vacuum({pages})")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    print("{}")


def _operation(path: str, name: str) -> None:
    """Run one of Pitstop's operations as its worker does, and tell what it reports and what was predicted."""
    from pitstop import Job, Registry

    began = time.monotonic()
    prediction = _predicted(path, name)
    limits = {"max_stall": MAX_STALL} if name != "vacuum" else {}
    job = Job(type="database_maintenance_operation", config={"operation": name, "database": path, "limits": limits})
    worker = Registry().worker(job.type)
    worker.validate(job)
    not_counted = time.monotonic() - began
    context: Any = _Context()
    result: Any = worker.execute(job, context)
    told = {key: result.data.get(key) for key in ("seconds", "writer_stall", "reader_stall")}
    seconds, stall = prediction.seconds, prediction.writer_stall
    print(json.dumps(told | {"predicted_seconds": seconds, "predicted_stall": stall, "not_counted": not_counted}))


def _predicted(path: str, name: str) -> Any:
    from pitstop_database_maintenance.databases.assessment import Look
    from pitstop_database_maintenance.history import History
    from pitstop_database_maintenance.sqlite.assessments import space
    from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
    from pitstop_database_maintenance.sqlite.inspection.survey import survey

    [inspection] = survey([path])
    with History() as history:
        look = Look(
            database=path,
            inspection=inspection,
            history=history.of(SQLiteDatabase.resource(path)),
            max_stall=MAX_STALL,
        )
        return getattr(space, name)(look).prediction


class _Context:
    """As much of a job's context as an operation needs."""

    attempt, deadline = 1, None

    def __init__(self) -> None:
        from pitstop.logs import JobLog

        self.logger = JobLog(job_id="stalls", correlation_id="stalls").logger

    def progress(self, *args: object, **named: object) -> None:
        """Tell nobody."""

    def check_cancelled(self) -> None:
        """Go on."""

    @contextmanager
    def on_cancel(self, callback: object) -> Iterator[None]:
        """Nobody cancels."""
        yield


# -- the file ----------------------------------------------------------------------------------------------------------


def _build(path: Path, megabytes: int) -> None:
    """Make a database of events, of which the old ones have gone in one piece and others here and there."""
    rows = int(megabytes * 1e6 / ROW_BYTES)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"""
            PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
            PRAGMA cache_size = -400000;
            CREATE TABLE event (id INTEGER PRIMARY KEY, at REAL NOT NULL, tag TEXT NOT NULL, body TEXT NOT NULL);
            CREATE TABLE state (k TEXT PRIMARY KEY, v TEXT, n INTEGER) WITHOUT ROWID;
            BEGIN;
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                INSERT INTO event SELECT i, i * 1.5, hex(randomblob(8)), hex(randomblob(200)) FROM n;
            INSERT INTO state SELECT tag, substr(body, 1, 60), id FROM event WHERE id % 3 = 0;
            CREATE INDEX event_tag ON event (tag, at);
            DELETE FROM event WHERE id <= {rows} * 35 / 100 OR id % 7 = 0;
            DELETE FROM state WHERE n <= {rows} * 35 / 100;
            UPDATE event SET body = body || hex(randomblob(40)) WHERE id % 11 = 0;
            COMMIT;
            PRAGMA journal_mode = DELETE;
        """)
        pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    print(f"\n{path.stat().st_size / 1e6:,.0f} MB, {free / pages:.0%} of the pages are free")


if __name__ == "__main__":
    {"writer": _write, "reader": _read, "bare": _bare, "slices": _slices, "operation": _operation}[sys.argv[1]](
        *sys.argv[2:]
    )
