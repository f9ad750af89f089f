"""Durable jobs a second, and how long one takes: recorded in SQLite, run by threads, their ends recorded.

Everyone works in a process of its own on a fresh file in the same folder, at the same durability; who commits how is
asked back from the connection that wrote. The jobs themselves are in `durable_jobs`, which is run as a program.

The limit is bare sqlite3 with a row like a job's: one commit that inserts it and one that updates it, or, for sixteen
callers, sixteen of either to a commit.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from functools import partial
from pathlib import Path

from benchmarks.durable_jobs import FULL, HUEY, HUEY_RESULTS, LIMIT, NAMES, OURS, PROCESS, Sample
from benchmarks.measure import Contender, Samples, Settings, disk_folder, interleave, table, timed, verdict

#: Targets: so many times huey's rate with one thread and with sixteen, and so many syncs a job.
TIMES_HUEY, TIMES_HUEY_TOGETHER, SYNCS, SYNCS_TOGETHER = 1.4, 2.5, 2.05, 0.5
#: Jobs a second where the disk is not waited for, and milliseconds from the submission of a job to its end.
PROCESS_RATE, P50_MS, P99_MS = 5_000.0, 1.2, 5.0

#: How jobs come: what a table about it is called, how many callers and threads there are, and jobs in a sample at
#: "full" and at "process".
SHAPES = {
    "first": ("submitted by one caller, then run by one thread", 1, 400, 2000),
    "live": ("submitted by one caller while one thread runs them", 1, 400, 2000),
    "batches": ("submitted a hundred at a time while one thread runs them", 1, 400, 2000),
    "together": ("submitted by 16 callers while 16 threads run them", 16, 1600, 3200),
}


def main(settings: Settings) -> None:
    """Measure and print."""
    with disk_folder() as folder:
        for durability in (FULL, PROCESS):
            for shape in SHAPES:
                _rates(shape, durability, folder, settings)
        _idle(folder, settings)
        _count_syncs(folder, settings)


def _rates(shape: str, durability: str, folder: Path, settings: Settings) -> None:
    title, callers, full, process = SHAPES[shape]
    # a disk that others use too is quick one minute and slow the next: there many short samples, compared in pairs
    jobs = settings.choose(full if durability == FULL else process, 160)
    details: dict[str, list[Sample]] = {name: [] for name in NAMES}

    def contender(name: str) -> Contender:
        def sample() -> float:
            found = _take(name, shape, jobs, durability, folder)
            details[name].append(found)
            return jobs / found["total"]

        return Contender(name, sample)

    taken = interleave([contender(name) for name in NAMES], runs=settings.choose(9 if durability == FULL else 5, 2))

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
                f"{samples.over(taken[LIMIT]):.2f}",
                f"{samples.over(taken[HUEY]):.2f}",
                f"{statistics.median(sample['cpu'] for sample in details[name]) / jobs * 1e6:,.0f}",
            )
        )
    headings = ("", "submit/s", "drain/s", "jobs/s", "min..max", "n", "x limit", "x huey", "CPU us a job")
    table(f"Durability `{durability}`: {title} ({jobs:,} jobs a sample; more is better)", headings, rows)
    if shape == "batches":
        return  # shows what `submit_many` saves; huey's rate with single calls is no target for it
    if durability == FULL:
        times = TIMES_HUEY if callers == 1 else TIMES_HUEY_TOGETHER
        verdict(f"{title}, full: Pitstop / huey", taken[OURS].over(taken[HUEY]), at_least=times, unit="x")
    else:
        verdict(f"{title}, process", taken[OURS].median, at_least=PROCESS_RATE, unit="jobs/s")


def _idle(folder: Path, settings: Settings) -> None:
    jobs, runs = settings.choose(300, 60), settings.choose(7, 2)
    for durability in (FULL, PROCESS):
        found: dict[str, list[Sample]] = {name: [] for name in NAMES}

        def sample(name: str, level: str = durability, into: dict[str, list[Sample]] = found) -> float:
            into[name].append(_take(name, "idle", jobs, level, folder))
            return into[name][-1]["p50"] * 1e3

        taken = interleave([Contender(name, partial(sample, name)) for name in NAMES], runs=runs)
        p99 = {name: Samples([sample["p99"] * 1e3 for sample in samples]) for name, samples in found.items()}
        rows = [
            (
                name,
                f"{samples.median:.2f}",
                samples.spread(2),
                f"{p99[name].median:.2f}",
                str(len(samples.values)),
                f"{samples.over(taken[LIMIT]):.2f}",
            )
            for name, samples in taken.items()
        ]
        headings = ("", "p50 ms", "min..max", "p99 ms", "n", "p50 x limit")
        table(f"Durability `{durability}`: one job at a time, from its submission to its end", headings, rows)
        if durability == FULL:
            verdict("an idle job, p50", taken[OURS].median, at_most=P50_MS, unit="ms")
            verdict("an idle job, p99", p99[OURS].median, at_most=P99_MS, unit="ms")


def _count_syncs(folder: Path, settings: Settings) -> None:
    strace = shutil.which("strace")
    if strace is None:
        print("\nno strace here, so syncs are not counted")
        return
    few, many = settings.choose(160, 96), settings.choose(1280, 288)

    def syncs(name: str, shape: str, jobs: int) -> int:
        report = folder / "strace.txt"
        watch = [strace, "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", report]
        timed([*watch, *_command(name, shape, jobs, FULL, folder)])
        return sum("sync(" in line for line in report.read_text().splitlines())

    # the difference of two runs, so that making the file and closing it do not count
    counted = {
        name: [(syncs(name, shape, many) - syncs(name, shape, few)) / (many - few) for shape in SHAPES]
        for name in NAMES
    }
    rows = [(name, *(f"{count:.2f}" for count in counts)) for name, counts in counted.items()]
    headings = ("", "then run", "while it runs", "in batches", "16 callers")
    table(f"fsync and fdatasync a job at durability `{FULL}`, counted by strace", headings, rows)
    verdict("syncs a job, one caller", max(counted[OURS][:3]), at_most=SYNCS, unit="syncs")
    verdict("syncs a job, 16 callers", counted[OURS][3], at_most=SYNCS_TOGETHER, unit="syncs")


def _take(name: str, shape: str, jobs: int, durability: str, folder: Path) -> Sample:
    found: Sample = json.loads(timed(_command(name, shape, jobs, durability, folder)).output)
    expected = {FULL: 2, PROCESS: 0 if name in (HUEY, HUEY_RESULTS) else 1}[durability]
    if found["synchronous"] != expected:
        raise RuntimeError(f"{name} worked at synchronous {found['synchronous']}, not {expected}")
    return found


def _command(name: str, shape: str, jobs: int, durability: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.durable_jobs", name, shape, str(jobs), durability, str(folder)]
