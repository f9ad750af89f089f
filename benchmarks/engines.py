"""The same work in engines that are made for more than one machine: Celery on Redis, and DBOS on SQLite.

A job that does nothing, from its submission to its recorded end, so many one after the other. Celery acknowledges late
and keeps a result, which is what comes closest to a record; its worker is a process of its own. DBOS runs a workflow of
one step directly. Pitstop stores each job with `durability=full`. They are in the dependency group "peers"; what is not
installed, or has no Redis at `PITSTOP_BENCHMARK_REDIS`, is left out and says so.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.idle import CONFIG, Idle, check_completed
from benchmarks.measure import Contender, Settings, disk_folder, interleave, simple_table, verdict

REDIS = os.environ.get("PITSTOP_BENCHMARK_REDIS", "redis://127.0.0.1:6379/9")
BARE, PITSTOP, CELERY, WORKFLOW = (
    "bare sqlite3, two commits a job",
    "Pitstop, full",
    "Celery on Redis, late acks, results",
    "DBOS on SQLite, a workflow of one step",
)
#: At least so many times as fast.
OVER_CELERY, OVER_DBOS = 3.0, 20.0

_CELERY_APP = """
from celery import Celery

app = Celery("peer", broker={url!r}, backend={url!r})
app.conf.update(task_acks_late=True, task_track_started=True, broker_connection_retry_on_startup=True)

@app.task(name="peer.nothing")
def nothing(config):
    return None
"""


def main(settings: Settings) -> None:
    """Measure and print."""
    jobs, few = settings.choose(1000, 50), settings.choose(200, 20)
    with disk_folder() as folder, ExitStack() as stack:
        contenders = [Contender(BARE, lambda: _bare(folder, jobs)), Contender(PITSTOP, lambda: _pitstop(folder, jobs))]
        reason = _no_celery()
        if reason is None:
            contenders.append(Contender(CELERY, stack.enter_context(_celery(folder, jobs))))
        else:
            print(f"{CELERY}: left out, {reason}")
        if find_spec("dbos") is None:
            print(f"{WORKFLOW}: left out, it is not installed: uv sync --group peers")
        else:
            contenders.append(Contender(WORKFLOW, stack.enter_context(_dbos(folder, few))))
        for contender in contenders:
            contender.sample()  # connections and first calls are not a job's cost
        taken = interleave(contenders, runs=settings.choose(5, 2))
    simple_table(
        f"One job that does nothing, submitted and recorded, us per job ({jobs:,} a sample, of DBOS {few:,})",
        taken,
        unit="us",
        limit=BARE,
    )
    for name, target in ((CELERY, OVER_CELERY), (WORKFLOW, OVER_DBOS)):
        if name in taken:
            verdict(f"Pitstop over {name}", taken[name].over(taken[PITSTOP]), at_least=target, unit="x")


def _bare(folder: Path, jobs: int) -> float:
    with closing(sqlite3.connect(folder / f"bare-{time.monotonic_ns()}.db", isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, status TEXT, config TEXT)")
        began = time.perf_counter()
        for _ in range(jobs):
            raw.execute("INSERT INTO job (status, config) VALUES ('pending', ?)", (json.dumps(CONFIG),))
        for number in range(1, jobs + 1):
            raw.execute("UPDATE job SET status = 'completed' WHERE id = ?", (number,))
        return (time.perf_counter() - began) / jobs * 1e6


def _pitstop(folder: Path, jobs: int) -> float:
    from pitstop import Job, Orchestrator, Registry
    from pitstop.runners.thread import ThreadRunner
    from pitstop.stores.sqlite.store import SQLiteStore

    registry = Registry()
    registry.add_worker(Idle)
    path = folder / f"jobs-{time.monotonic_ns()}.db"
    with Orchestrator(SQLiteStore(path), registry=registry, runner=ThreadRunner(1)) as orchestrator:
        began = time.perf_counter()
        roots = [orchestrator.submit(Job(type="idle", config=CONFIG)) for _ in range(jobs)]
        orchestrator.wait(roots[-1].id)
        took = time.perf_counter() - began
        check_completed(orchestrator.store, jobs)
    return took / jobs * 1e6


def _no_celery() -> str | None:
    if find_spec("celery") is None or find_spec("redis") is None:
        return "it is not installed: uv sync --group peers"
    import redis

    try:
        redis.Redis.from_url(REDIS).ping()
    except redis.RedisError as error:
        return f"there is no Redis at {REDIS}: {error}"
    return None


@contextmanager
def _celery(folder: Path, jobs: int) -> Iterator[Callable[[], float]]:
    """Yield what takes a sample, while a worker runs."""
    (folder / "peer_celery.py").write_text(_CELERY_APP.format(url=REDIS))
    command = [sys.executable, "-m", "celery", "-A", "peer_celery", "worker", "--pool", "solo", "--loglevel", "ERROR"]
    with (folder / "celery.log").open("wb") as log:
        worker = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"], cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    sys.path.insert(0, str(folder))
    try:
        from peer_celery import nothing  # type: ignore[import-not-found]

        def sample() -> float:
            began = time.perf_counter()
            results = [nothing.delay(CONFIG) for _ in range(jobs)]
            for result in results:
                result.get(timeout=120)
            took = time.perf_counter() - began
            for result in results:
                result.forget()  # or this Redis would keep them for a day
            return took / jobs * 1e6

        yield sample
    finally:
        sys.path.remove(str(folder))
        worker.terminate()
        worker.wait()


@contextmanager
def _dbos(folder: Path, jobs: int) -> Iterator[Callable[[], float]]:
    """Yield what takes a sample, while DBOS is launched."""
    from dbos import DBOS

    DBOS(config={"name": "peer", "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}", "log_level": "ERROR"})

    @DBOS.step()
    def step(config: dict[str, Any]) -> str:
        return str(config["operation"])

    @DBOS.workflow()
    def workflow(config: dict[str, Any]) -> None:
        step(config)

    DBOS.launch()

    def sample() -> float:
        began = time.perf_counter()
        for _ in range(jobs):
            workflow(CONFIG)
        return (time.perf_counter() - began) / jobs * 1e6

    try:
        yield sample
    finally:
        DBOS.destroy()
