"""Durable jobs a second: submitted one at a time, recorded in SQLite, run by one thread, their ends recorded.

Everyone works in a process of its own on a fresh file in the same folder, at the same `PRAGMA synchronous`, which is
asked back from the connection that wrote. Run as a program this module takes one such sample and prints it as JSON:
`python -m benchmarks.durable CONTENDER JOBS SYNCHRONOUS FOLDER`; that is also what strace counts the syncs of.

The limit is bare sqlite3 in WAL mode: one commit that inserts a job and one that updates it, on a row of four columns.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.idle import CONFIG, Idle, check_completed
from benchmarks.measure import Contender, Samples, Settings, disk_folder, interleave, table, timed, verdict

#: How SQLite calls what Pitstop calls "full" and "process", and the number by which a PRAGMA answers.
LEVELS = {"FULL": 2, "NORMAL": 1}
DURABILITY = {"FULL": "full", "NORMAL": "process"}
#: huey asks its file for work so often, in seconds; its default of 0.1 would measure the waiting.
POLL = 0.001

RAW = "bare sqlite3, two commits a job"
OURS = "Pitstop"
OURS_LIVE = "Pitstop, runs while it submits"
OURS_INLINE = "Pitstop, inline"
HUEY = "huey, no results"
HUEY_RESULTS = "huey, keeps results"
HUEY_LIVE = "huey, no results, runs while it submits"

#: Targets for one caller and one thread: as fast as huey at the same `synchronous`, although everything is recorded,
#: and no more syncs than a job's two commits take.
TIMES_HUEY, SYNCS_FULL = 1.0, 2.05

Sample = dict[str, float]


def main(settings: Settings) -> None:
    """Measure and print."""
    with disk_folder() as folder:
        for level in LEVELS:
            _compare(level, folder, settings)
        _count_syncs(folder, settings)


# -- samples in processes of their own -----------------------------------------------------------------------------


def _compare(level: str, folder: Path, settings: Settings) -> None:
    # a disk that others use too is quick one minute and slow the next: there many short samples, compared in pairs
    jobs = settings.choose(400 if level == "FULL" else 2000, 200)
    details: dict[str, list[Sample]] = {name: [] for name in CONTENDERS}

    def contender(name: str) -> Contender:
        def sample() -> float:
            found: Sample = json.loads(timed(_command(name, jobs, level, folder)).output)
            if found["synchronous"] != LEVELS[level]:
                raise RuntimeError(f"{name} worked at synchronous {found['synchronous']}, not {level}")
            details[name].append(found)
            return jobs / found["total"]

        return Contender(name, sample)

    taken = interleave([contender(name) for name in CONTENDERS], runs=settings.choose(11 if level == "FULL" else 5, 3))

    def rate(name: str, part: str) -> Samples:
        return Samples([jobs / sample[part] for sample in details[name] if part in sample])

    rows = []
    for name, samples in taken.items():
        parts = [rate(name, part) for part in ("submit", "drain")]
        rows.append(
            (
                name,
                *(f"{part.median:,.0f}" if part.values else "" for part in parts),
                f"{samples.median:,.0f}",
                samples.spread(0),
                str(len(samples.values)),
                f"{samples.over(taken[RAW]):.2f}",
                f"{samples.over(taken[HUEY]):.2f}",
                f"{statistics.median(sample['cpu'] for sample in details[name]) / jobs * 1e6:,.0f}",
            )
        )
    headings = ("", "submit/s", "drain/s", "jobs/s", "min..max", "n", "x limit", "x huey", "CPU us a job")
    table(f"Durable jobs at synchronous={level} ({jobs:,} jobs a sample; more is better)", headings, rows)
    for peer in (HUEY, HUEY_RESULTS):
        verdict(f"end to end, {level}: Pitstop / {peer}", taken[OURS].over(taken[peer]), at_least=TIMES_HUEY, unit="x")


def _count_syncs(folder: Path, settings: Settings) -> None:
    strace = shutil.which("strace")
    if strace is None:
        print("\nno strace here, so syncs are not counted")
        return
    few, many = settings.choose(200, 100), settings.choose(1200, 300)

    def syncs(name: str, jobs: int) -> int:
        report = folder / "strace.txt"
        watch = [strace, "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", report]
        timed([*watch, *_command(name, jobs, "FULL", folder)])
        return sum("sync(" in line for line in report.read_text().splitlines())

    # the difference of two runs, so that making the file and closing it do not count
    counted = {name: (syncs(name, many) - syncs(name, few)) / (many - few) for name in CONTENDERS}
    rows = [(name, f"{count:.2f}") for name, count in counted.items()]
    table("fsync and fdatasync a job at synchronous=FULL, counted by strace", ("", "syncs a job"), rows)
    verdict("syncs a job, full", counted[OURS], at_most=SYNCS_FULL, unit="syncs")


def _command(name: str, jobs: int, level: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.durable", name, str(jobs), level, str(folder)]


# -- one sample, in this process -------------------------------------------------------------------------------------


def _raw(jobs: int, level: str, folder: Path) -> Sample:
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {level}")
    connection.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, status TEXT NOT NULL, config TEXT, result TEXT)")
    config = json.dumps(CONFIG)

    def submit() -> None:
        connection.execute("INSERT INTO job (status, config) VALUES ('pending', ?)", (config,))

    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(jobs):
        submit()
    submitted = time.perf_counter()
    for number in range(1, jobs + 1):
        connection.execute("UPDATE job SET status = 'completed', result = '{}' WHERE id = ?", (number,))
    ended, cpu = time.perf_counter(), time.process_time() - cpu
    return _sample(cpu, began, submitted, ended, connection.execute("PRAGMA synchronous").fetchone()[0])


class _Body:
    """What all jobs do: nothing but count, and the last one tells."""

    def __init__(self, jobs: int) -> None:
        self._left = jobs
        self.last = threading.Event()

    def run(self) -> None:
        self._left -= 1
        if not self._left:
            self.last.set()


def _huey(jobs: int, level: str, folder: Path, *, results: bool = False, live: bool = False) -> Sample:
    from huey import SqliteHuey

    body = _Body(jobs)
    huey = SqliteHuey(filename=str(folder / "huey.db"), storage_class=_huey_storage(level), results=results)

    @huey.task()
    def idle(_config: Mapping[str, Any]) -> int | None:
        body.run()
        return 1 if results else None

    consumer = huey.create_consumer(
        workers=1, periodic=False, initial_delay=POLL, max_delay=POLL, check_worker_health=False
    )
    if live:
        consumer.start()
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(jobs):
        idle(CONFIG)
    submitted = time.perf_counter()
    if not live:
        consumer.start()
    _wait(body.last)
    ended, cpu = time.perf_counter(), time.process_time() - cpu
    consumer.stop(graceful=True)
    synchronous = huey.storage.sql("PRAGMA synchronous", results=True)[0][0]
    return _sample(cpu, began, None if live else submitted, ended, synchronous)


def _huey_storage(level: str) -> type:
    from huey.storage import SqliteStorage

    class Storage(SqliteStorage):
        """huey offers FULL and OFF; this one takes any level, on each of its connections."""

        def _create_connection(self) -> sqlite3.Connection:
            connection: sqlite3.Connection = super()._create_connection()
            connection.execute(f"PRAGMA synchronous = {level}")
            return connection

    return Storage


class _Counted(Idle):
    """A worker whose jobs only count."""

    def __init__(self, body: _Body) -> None:
        self._body = body

    def execute(self, job: Any, context: Any) -> None:
        """Count."""
        self._body.run()


class _Gate(Idle):
    """A worker whose only job keeps the runner's thread until all others have been submitted."""

    worker_type = "gate"

    def __init__(self) -> None:
        self.open = threading.Event()

    def execute(self, job: Any, context: Any) -> None:
        """Wait."""
        _wait(self.open)


def _pitstop(jobs: int, level: str, folder: Path, *, live: bool = False, inline: bool = False) -> Sample:
    from pitstop import InlineRunner, Job, Orchestrator, Registry, ThreadRunner
    from pitstop.stores.sqlite import SQLiteStore

    store = SQLiteStore(folder / "pitstop.db", durability=DURABILITY[level])
    body, gate, registry = _Body(jobs), _Gate(), Registry()
    registry.add_worker(_Counted(body))
    registry.add_worker(gate)
    with Orchestrator(store, registry=registry, runner=InlineRunner() if inline else ThreadRunner(1)) as orchestrator:
        if live or inline:
            gate.open.set()
        first = orchestrator.submit(Job(type="gate"))
        if live or inline:
            orchestrator.wait(first.id)
        cpu, began = time.process_time(), time.perf_counter()
        for _ in range(jobs):
            last = orchestrator.submit(Job(type="idle", config=CONFIG))
        submitted = time.perf_counter()
        gate.open.set()
        _wait(body.last)
        orchestrator.wait(last.id)
        ended, cpu = time.perf_counter(), time.process_time() - cpu
        synchronous = _synchronous(store)
        check_completed(store, jobs + 1)
    return _sample(cpu, began, None if live or inline else submitted, ended, synchronous)


def _synchronous(store: Any) -> int:
    # only the connection itself can tell; no public call asks it
    number: int = store._db.query("PRAGMA synchronous")[0][0]
    return number


def _wait(event: threading.Event) -> None:
    if not event.wait(300):
        raise RuntimeError("the last job has not run within 300 s")


def _sample(cpu: float, began: float, submitted: float | None, ended: float, synchronous: int) -> Sample:
    sample = {"total": ended - began, "cpu": cpu, "synchronous": synchronous}
    if submitted is not None:
        sample |= {"submit": submitted - began, "drain": ended - submitted}
    return sample


CONTENDERS: dict[str, Callable[[int, str, Path], Sample]] = {
    RAW: _raw,
    HUEY: _huey,
    HUEY_RESULTS: lambda jobs, level, folder: _huey(jobs, level, folder, results=True),
    OURS: _pitstop,
    HUEY_LIVE: lambda jobs, level, folder: _huey(jobs, level, folder, live=True),
    OURS_LIVE: lambda jobs, level, folder: _pitstop(jobs, level, folder, live=True),
    OURS_INLINE: lambda jobs, level, folder: _pitstop(jobs, level, folder, inline=True),
}


def _take_one() -> None:
    name, jobs, level, folder = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=folder) as own:
        print(json.dumps(CONTENDERS[name](int(jobs), level, Path(own))))


if __name__ == "__main__":
    _take_one()
