"""Several connections and processes on the file of one SQLite store."""

from __future__ import annotations

import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from pitstop.stores.sqlite import schema
from pitstop.stores.sqlite.store import SQLiteStore, open_url

from .strangers import ask, python


def test_second_store_on_the_same_file_sees_and_respects_the_first(path, store, make):
    """Two stores on one file are one store: what one claims the other cannot have."""
    other = open_url(store.url)
    try:
        store.create([make.leaf("a", resource="db"), make.leaf("b", resource="db")])
        assert other.claim(make.claim("a", owner="other")) is not None
        assert store.claim(make.claim("a")) is None
        assert store.claim(make.claim("b")) is None
        assert store.get("a").owner == "other"
    finally:
        other.close()


def test_transaction_holds_the_write_lock_from_its_beginning(path, store):
    """Nobody can write between what a transaction has read and what it writes then."""
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:

        def work(transaction: Any) -> None:
            with pytest.raises(sqlite3.OperationalError, match="database is locked"):
                other.execute("BEGIN IMMEDIATE")

        store._db.write(work)
        other.execute("BEGIN IMMEDIATE")
    finally:
        other.close()


RACE = """
import sys
from pitstop.contracts import Claim
from pitstop.stores.sqlite.store import SQLiteStore
store = SQLiteStore(sys.argv[1], durability="process")
print("ready", flush=True)
sys.stdin.readline()
won = []
for job_id in sys.argv[3].split(","):
    if store.claim(Claim(job_id=job_id, owner=sys.argv[2], now=1.0, lease_until=9.0)):
        won.append(job_id)
store.close()
print(",".join(won))
"""


def race(path: Path, ids: list[str]) -> list[str]:
    """Have two processes claim the same jobs at the same time. Returns what both got together."""
    racers = [python(RACE, path, owner, ",".join(ids)) for owner in ("one", "two")]
    try:
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 2
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        said = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    return sorted(job_id for won in said for job_id in won.split(",") if job_id)


def test_processes_that_race_for_jobs_get_each_once(path, store, make):
    """Every job is claimed by exactly one of two processes."""
    ids = [f"j{number:03}" for number in range(100)]
    store.create([make.leaf(job_id) for job_id in ids])
    assert race(path, ids) == ids


def test_processes_that_race_for_a_resource_get_one_job(path, store, make):
    """Of many jobs that need one resource, two processes together run one."""
    ids = [f"j{number:03}" for number in range(100)]
    store.create([make.leaf(job_id, resource="db") for job_id in ids])
    assert len(race(path, ids)) == 1


OPEN = """
import sys
from pitstop.jobs import Job, JobRecord
from pitstop.stores.sqlite.store import SQLiteStore
print("ready", flush=True)
sys.stdin.readline()
for folder in range(10):
    store = SQLiteStore(f"{sys.argv[1]}/{folder}/jobs.db")
    store.create([JobRecord(job=Job(type="t"))])
    store.close()
print("done")
"""


def test_processes_may_create_one_file_at_once(tmp_path):
    """Whoever comes second uses what the first has made; nobody fails and nothing is lost."""
    openers = [python(OPEN, tmp_path) for _ in range(3)]
    try:
        assert [opener.stdout.readline() for opener in openers] == ["ready\n"] * 3
        for opener in openers:
            opener.stdin.write("go\n")
            opener.stdin.flush()
        assert [opener.communicate(timeout=60)[0] for opener in openers] == ["done\n"] * 3
    finally:
        for opener in openers:
            opener.kill()
            opener.communicate()
    for folder in range(10):
        assert ask(tmp_path / str(folder) / "jobs.db", "SELECT count(*) FROM job") == [(3,)]


def test_threads_may_create_and_use_one_file_at_once(path, make):
    """Stores of one process on one file do not take each other's locks away."""
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            store = SQLiteStore(path, durability="process")
            for step in range(20):
                store.create([make.leaf(f"{number}-{step}")])
                make.run(store, f"{number}-{step}")
            store.close()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert ask(path, "SELECT status, count(*) FROM job") == [("completed", 80)]


WRITE = """
import itertools, os, sys
from pitstop.contracts import Claim, Completion
from pitstop.jobs import Counts, Job, JobRecord, JobStatus, LogLine, Tolerance
from pitstop.stores.sqlite.store import SQLiteStore
store = SQLiteStore(sys.argv[1], durability="process")
for number in itertools.count():
    root = Job(type="p", tolerance=Tolerance())
    children = [Job(type="t", parent_id=root.id, correlation_id=root.id) for _ in range(3)]
    store.create([
        JobRecord(job=root, status=JobStatus.RUNNING, counts=Counts(pending=3)), *(JobRecord(job=j) for j in children)
    ])
    claims = [Claim(job_id=job.id, owner="o", now=1.0, lease_until=2.0) for job in children]
    store.claim(claims[0])
    for job, following in zip(children, [*claims[1:], None]):
        line = LogLine(job_id=job.id, correlation_id=root.id, at=1.0, level="INFO", message="m")
        store.finish(
            Completion(job_id=job.id, attempt=1, status=JobStatus.COMPLETED, now=3.0, lines=(line,)), then=following
        )
    print(root.id, flush=True)
"""

INVARIANTS = {
    "counts are what the children are": """
        SELECT count(*) FROM job AS p WHERE on_error IS NOT NULL AND (pending, running, completed) <> (
            SELECT sum(status = 'pending'), sum(status = 'running'), sum(status = 'completed')
            FROM job WHERE parent_id = p.id)""",
    "a parent is completed when all its children are": """
        SELECT count(*) FROM job WHERE on_error IS NOT NULL
        AND status <> CASE WHEN pending + running THEN 'running' ELSE 'completed' END""",
    "every end has its lines": """
        SELECT count(*) FROM job WHERE on_error IS NULL
        AND (status = 'completed') <> (SELECT count(*) FROM log WHERE job_id = job.id)""",
}


def test_kill_of_a_writer_leaves_a_consistent_store(path):
    """However often a process is killed at whatever moment: what it has said is there, and all of it fits together."""
    said: list[str] = []
    for rounds in range(6):
        with python(WRITE, path) as writer:
            said += [writer.stdout.readline().strip() for _ in range(3 * rounds + 1)]
            writer.send_signal(signal.SIGKILL)
            said += [line.strip() for line in writer.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
        assert ask(path, "PRAGMA integrity_check") == [("ok",)]
        for what, sql in INVARIANTS.items():
            assert ask(path, sql) == [(0,)], what
        completed = {row[0] for row in ask(path, "SELECT id FROM job WHERE status = 'completed'")}
        assert set(said) <= completed


CREATE = """
import itertools, sys
from pitstop.stores.sqlite.store import SQLiteStore
for number in itertools.count():
    print(number, flush=True)
    SQLiteStore(f"{sys.argv[1]}/{number}.db")
"""


def test_kill_of_a_process_that_creates_a_store_leaves_one_that_opens(tmp_path):
    """Whatever was on the disk at that moment is completed by whoever comes next."""
    for rounds in range(6):
        folder = tmp_path / str(rounds)
        with python(CREATE, folder) as creator:
            for _ in range(rounds + 1):
                creator.stdout.readline()
            creator.send_signal(signal.SIGKILL)
            creator.communicate()
        for file in folder.glob("*.db"):
            SQLiteStore(file).close()
            assert ask(file, "PRAGMA user_version") == [(schema.VERSION,)]
