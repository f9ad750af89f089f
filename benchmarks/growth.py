"""What a long history costs: a job, and a page of a listing, in stores that hold few records and very many.

The stores are filled without Pitstop: a few jobs are run through it, and SQLite copies what it finds of them in each
table, under other ids and times. So the rows are what this Pitstop writes, and a million of them take half a minute.

Each listing is asked of a store that was opened a moment ago, as `pitstop jobs` does. The limit is bare sqlite3 on a
new connection: the newest rows by their key, without a condition, as they are.
"""

from __future__ import annotations

import hashlib
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve

from benchmarks.idle import CONFIG, Idle
from benchmarks.measure import Contender, Samples, Settings, disk_folder, interleave, table, verdict
from pitstop import InlineRunner, Job, JobQuery, JobStatus, Orchestrator, Plan, Registry
from pitstop.jobs import AttemptResult, JobRecord, Result, Tolerance
from pitstop.orchestration.manager import JobManager
from pitstop.stores.sqlite.store import SQLiteStore

#: Records in each store.
SIZES, QUICK_SIZES = (1_000, 100_000, 1_000_000), (1_000, 10_000)
#: How much more a job may cost in the largest store than in the smallest, and how long a page of it may take.
FLAT, PAGE_MS = 1.25, 20.0
PAGES = (20, 100)

#: Of a hundred trees so many are a job alone, one that needs a file, one that failed; the others have three children.
ALONE, WITH_FILE, FAILED = 60, 36, 1
FILES = 1_000
#: Jobs that wait and jobs that run; a small store has fewer.
PENDING, RUNNING = 300, 100

BARE, TOTAL = "bare sqlite3, the newest", "how many: "
ALONE_COST, DRAIN_COST = "started as it is stored, then ended", "stored, later ended with the next one's start"

#: Answers one question; how many rows it shows.
Ask = Callable[[SQLiteStore, int], object]


class Failing(Idle):
    """A worker whose jobs fail."""

    worker_type = "failing"

    def execute(self, job: Any, context: Any) -> None:
        """Fail."""
        raise ValueError("as it was asked to")


def main(settings: Settings) -> None:
    """Measure and print."""
    sizes = QUICK_SIZES if settings.quick else SIZES
    with disk_folder() as folder:
        paths = {size: folder / f"{size}.db" for size in sizes}
        for size, path in paths.items():
            _fill(path, size)
        _listings(paths, runs=settings.choose(7, 3))
        for durability, jobs in (("process", settings.choose(200, 50)), ("full", settings.choose(100, 20))):
            _jobs(paths, durability, jobs, runs=settings.choose(15, 3))


# -- stores --------------------------------------------------------------------------------------------------------


def _fill(path: Path, size: int) -> None:
    registry = Registry()
    for worker in (Idle, Failing):
        registry.add_worker(worker)
    with Orchestrator(SQLiteStore(path), registry=registry, runner=InlineRunner()) as orchestrator:
        roots = [
            orchestrator.submit(Job(type="idle", config=CONFIG)),
            orchestrator.submit(Job(type="idle", config=CONFIG, resource="file:0")),
            orchestrator.submit(Job(type="failing", config=CONFIG)),
            orchestrator.submit(
                Plan(
                    parent=Job(type="several", tolerance=Tolerance()),
                    children=[Job(type="idle", config=CONFIG, name=f"part {number}") for number in range(3)],
                )
            ),
        ]
        trees = [[job.seq for job in _tree(orchestrator.store, root.id)] for root in roots]
    live = min(size // 10, PENDING + RUNNING)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        _copy(raw, trees, size - live)
    _add_live(path, live)
    with closing(sqlite3.connect(path)) as raw:
        (records,) = raw.execute("SELECT count(*) FROM job").fetchone()
    if records != size:
        raise RuntimeError(f"{path} should hold {size} records, and holds {records}")


def _tree(store: Any, root_id: str) -> list[JobRecord]:
    found: list[JobRecord] = store.select(JobQuery(correlation_id=root_id, oldest_first=True))
    return found


def _copy(raw: sqlite3.Connection, trees: Sequence[Sequence[int]], size: int) -> None:
    """Copy trees, given by the `seq` of their jobs, until there are `size` records."""
    ids = {name: f"other_id(copy.tree, old.{name})" for name in ("id", "parent_id", "job_id", "correlation_id")}
    # one job a second until now
    times = {name: f"old.{name} - ({size} - copy.seq)" for name in ("at", "began")}
    times |= {name: f"old.{name} - ({size} - copy.seq)" for name in ("created_at", "started_at", "finished_at")}
    file = {"resource": f"iif(old.resource IS NULL, NULL, 'file:' || copy.tree % {FILES})"}
    tables = {
        "job": ("old.seq", {**ids, **times, **file, "seq": "copy.seq"}),
        "past": ("old.job", {**times, "job": "copy.seq"}),
        "log": ("(SELECT seq FROM old_job WHERE old_job.id = old.job_id)", {**ids, **times, "id": "NULL"}),
    }
    raw.create_function("other_id", 2, _other_id, deterministic=True)
    raw.execute("PRAGMA synchronous = OFF")
    raw.execute("PRAGMA cache_size = -1000000")
    raw.execute("BEGIN")
    raw.execute("CREATE TEMP TABLE copy (seq INTEGER PRIMARY KEY, tree INTEGER, original INTEGER)")
    raw.executemany("INSERT INTO copy VALUES (?, ?, ?)", _copies(trees, size))
    for name in tables:
        raw.execute(f"CREATE TEMP TABLE old_{name} AS SELECT * FROM main.{name}")
    for name, (key, changed) in tables.items():
        columns = [row[1] for row in raw.execute(f"PRAGMA main.table_info({name})")]
        values = ", ".join(changed.get(column, f"old.{column}") for column in columns)
        raw.execute(
            f"INSERT INTO main.{name} ({', '.join(columns)}) SELECT {values} FROM copy CROSS JOIN old_{name} AS old"
            f" WHERE {key} = copy.original ORDER BY copy.seq"
        )
    raw.execute("COMMIT")


def _copies(trees: Sequence[Sequence[int]], size: int) -> Iterator[tuple[int, int, int]]:
    """Yield the `seq` of each record to make, the number of its tree, and the `seq` of what it is a copy of."""
    alone, with_file, failed, family = trees
    hundred = [alone] * ALONE + [with_file] * WITH_FILE + [failed] * FAILED
    hundred += [family] * (100 - len(hundred))
    Random(7).shuffle(hundred)
    seq = family[-1]
    for number, tree in enumerate(cycle(hundred)):
        if len(tree) > size - seq:
            tree = alone
        for original in tree:
            if seq == size:
                return
            seq += 1
            yield seq, number, original


def _other_id(number: int, known: str | None) -> str | None:
    return None if known is None else hashlib.md5(f"{number} {known}".encode()).hexdigest()[: len(known)]


def _add_live(path: Path, number: int) -> None:
    running = number * RUNNING // (PENDING + RUNNING)
    with closing(SQLiteStore(path, durability="process")) as store:
        manager = JobManager(store)
        for place in range(running):
            manager.create_running(Job(type="idle", config=CONFIG, resource=f"file:{place}" if place % 2 else None))
        waiting = range(number - running)
        manager.create([Job(type="idle", config=CONFIG, resource=f"file:{n}" if n % 3 else None) for n in waiting])
        manager.close(keep_store=True)


# -- listings ------------------------------------------------------------------------------------------------------


def _listings(paths: dict[int, Path], *, runs: int) -> None:
    largest = max(paths)
    taken: dict[str, dict[tuple[int, int], Samples]] = {}
    for size, path in paths.items():
        asks = {BARE: None, **_questions(path)}
        for name, ask in asks.items():
            for rows in PAGES:
                own = taken.setdefault(name, {}).setdefault((size, rows), Samples())
                for _ in range(runs):
                    own.values.append(_bare(path, rows) if ask is None else _answered(path, ask, rows))
    columns = [(size, rows) for size in paths for rows in PAGES]
    table(
        f"A listing of a store that was just opened, ms (median of {runs})",
        ("", *(f"{rows} of {size:,}" for size, rows in columns), "worst", "x limit"),
        [
            (
                name,
                *(f"{found[column].median:.2f}" for column in columns),
                f"{max(found[columns[-1]].values):.2f}",
                f"{found[columns[-1]].median / taken[BARE][columns[-1]].median:.1f}",
            )
            for name, found in taken.items()
        ],
    )
    for what, names in (
        ("page", [name for name in taken if not name.startswith(TOTAL)]),
        ("total", [name for name in taken if name.startswith(TOTAL)]),
    ):
        slowest = max(names, key=lambda name: taken[name][columns[-1]].median)
        found = taken[slowest][columns[-1]].median
        verdict(f"the slowest {what} of {largest:,} records ({slowest})", found, at_most=PAGE_MS, unit="ms")


def _questions(path: Path) -> dict[str, Ask]:
    """Return what the command line asks of a store: each filter of `jobs list`, and what the other commands look up."""
    completed, failed, pending = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.PENDING
    with closing(sqlite3.connect(path)) as raw:
        parents = [row[0] for row in raw.execute("SELECT id FROM job WHERE type = 'several' ORDER BY seq")]
    parent = parents[len(parents) // 2]
    queries = {
        "jobs list": JobQuery(roots=True),
        "jobs list --all": JobQuery(),
        "jobs list --status completed": JobQuery(roots=True, statuses=(completed,)),
        "jobs list --all --status completed": JobQuery(statuses=(completed,)),
        "jobs list --status pending": JobQuery(roots=True, statuses=(pending,)),
        "jobs list --status pending --status failed": JobQuery(roots=True, statuses=(pending, failed)),
        "jobs list --type idle": JobQuery(roots=True, types=("idle",)),
        "jobs list --type several (3 %)": JobQuery(roots=True, types=("several",)),
        "jobs list --type unknown": JobQuery(roots=True, types=("unknown",)),
        "jobs list --all --type idle --status failed": JobQuery(types=("idle",), statuses=(failed,)),
        "what needs one resource": JobQuery(resource="file:7"),
        "children of one parent": JobQuery(parent_id=parent),
        "a whole tree (jobs show)": JobQuery(correlation_id=parent, oldest_first=True),
    }

    def page(query: JobQuery) -> Ask:
        return lambda store, rows: store.select(evolve(query, limit=rows))

    def total(query: JobQuery) -> Ask:
        return lambda store, _rows: store.count(query)

    return {
        **{name: page(query) for name, query in queries.items()},
        "ids that begin with 'a'": lambda store, rows: store.ids("a", limit=rows),
        f"{TOTAL}roots": total(JobQuery(roots=True)),
        f"{TOTAL}all": total(JobQuery()),
        f"{TOTAL}completed roots": total(JobQuery(roots=True, statuses=(completed,))),
        f"{TOTAL}roots of a type": total(JobQuery(roots=True, types=("idle",))),
        f"{TOTAL}pending": total(JobQuery(statuses=(pending,))),
    }


def _answered(path: Path, ask: Ask, rows: int) -> float:
    with closing(SQLiteStore(path)) as store:
        began = time.perf_counter()
        ask(store, rows)
        return (time.perf_counter() - began) * 1e3


def _bare(path: Path, rows: int) -> float:
    with closing(sqlite3.connect(path)) as raw:
        began = time.perf_counter()
        raw.execute("SELECT * FROM job ORDER BY seq DESC LIMIT ?", (rows,)).fetchall()
        return (time.perf_counter() - began) * 1e3


# -- jobs ----------------------------------------------------------------------------------------------------------


def _jobs(paths: dict[int, Path], durability: str, jobs: int, *, runs: int) -> None:
    managers = {size: JobManager(SQLiteStore(path, durability=durability)) for size, path in paths.items()}
    costs = {ALONE_COST: _alone, DRAIN_COST: _drained}
    cpu: dict[str, list[float]] = {}

    def contender(cost: str, size: int) -> Contender:
        def sample() -> float:
            took, busy = time.perf_counter(), time.process_time()
            costs[cost](managers[size], jobs)
            took, busy = time.perf_counter() - took, time.process_time() - busy
            cpu.setdefault(_row(cost, size), []).append(busy / jobs * 1e6)
            return took / jobs * 1e6

        return Contender(_row(cost, size), sample)

    try:
        contenders = [contender(cost, size) for cost in costs for size in managers]
        for each in contenders:
            each.sample()  # the pages that every job needs are read once
        taken = interleave(contenders, runs=runs)
    finally:
        for manager in managers.values():
            manager.close()
    small, large = min(paths), max(paths)
    table(
        f"One job in a store that holds many, durability={durability}, us per job ({jobs:,} jobs a sample)",
        ("", "median us", "min..max", "n", f"x {small:,}", "CPU us", f"x {small:,}"),
        [
            (
                _row(cost, size),
                f"{samples.median:,.0f}",
                samples.spread(0),
                str(len(samples.values)),
                f"{samples.over(taken[_row(cost, small)]):.2f}",
                f"{statistics.median(cpu[_row(cost, size)]):,.0f}",
                f"{statistics.median(cpu[_row(cost, size)]) / statistics.median(cpu[_row(cost, small)]):.2f}",
            )
            for cost in costs
            for size in managers
            for samples in (taken[_row(cost, size)],)
        ],
    )
    for cost in costs:
        ratio = taken[_row(cost, large)].over(taken[_row(cost, small)])
        verdict(f"{cost}, {durability}, {large:,} records / {small:,}", ratio, at_most=FLAT, unit="x")


def _row(cost: str, size: int) -> str:
    return f"{cost}, {size:,} records"


def _alone(manager: JobManager, jobs: int) -> None:
    done = AttemptResult(kind="completed", result=Result())
    for _ in range(jobs):
        _, record = manager.create_running(Job(type="idle", config=CONFIG))
        assert record is not None
        manager.finish(record, done)


def _drained(manager: JobManager, jobs: int) -> None:
    done = AttemptResult(kind="completed", result=Result())
    stored = [manager.create([Job(type="idle", config=CONFIG)])[0].id for _ in range(jobs)]
    record = manager.claim(stored[0])
    for following in (*stored[1:], None):
        assert record is not None
        finished = manager.finish(record, done, then=following)
        assert finished is not None
        record = finished.claimed
