"""A process that is stopped beyond its lease, and goes on.

Where its lock is seen, its job is its own, however long it takes. On another machine others have its job by then, and
its end is late.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pitstop.contracts import JobQuery
from pitstop.jobs import JobRecord, JobStatus
from pitstop.orchestration.manager import JobManager

from . import invariants, traces
from .load import Place
from .processes import PATIENCE, Program, eventually

Start = Callable[..., Program]
RUNNING, PENDING = JobStatus.RUNNING, JobStatus.PENDING


def noted(place: Place, what: str) -> bool:
    """Return whether the first attempt of the first job has come so far."""
    return any(words[0] == what and words[2] == "1" for words in traces.read(place.journal))


def started(place: Place) -> int:
    """Return how many attempts have started so far."""
    return sum(words[0] == "start" for words in traces.read(place.journal))


def stop(program: Program, place: Place) -> None:
    """Stop a process while it writes nothing: SQLite's lock would stay with it, and nobody could write."""

    def stopped() -> bool:
        program.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        with closing(sqlite3.connect(place.store, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                program.signal(signal.SIGCONT)
                return False
            connection.execute("ROLLBACK")
            return True

    eventually(stopped, "it writes nothing for a moment")


def stop_beyond_lease(start: Start, place: Place, *arguments: str) -> Program:
    """Start a process, stop it in the middle of its first job, and have another one rescue that."""
    program = start("stopped", *arguments)
    runner, _, _, resource = arguments
    # side by side the short job may start before the one that is to be rescued
    starts = 1 if resource or runner == "inline" else 2
    eventually(lambda: started(place) >= starts, "the job starts")
    stop(program, place)
    rescuer = start("rescuer")
    assert rescuer.until("rescued", seconds=PATIENCE), rescuer.complaint()
    assert rescuer.end() == 0, rescuer.complaint()
    return program


def records(place: Place) -> dict[str | None, JobRecord]:
    """Return all records by their job's name, after they were looked at."""
    store = place.open()
    try:
        invariants.check(store, backwards=1.0)
        return {record.job.name: record for record in store.select(JobQuery(limit=None))}
    finally:
        store.close()


def moves(place: Place, job_id: str) -> list[tuple[str, int]]:
    """Return the statuses that a job had, each with its attempt."""
    store = place.open()
    try:
        return [(change.new.value, change.attempt) for change in store.history(job_id)]
    finally:
        store.close()


@pytest.mark.parametrize("resource", ["db", ""])
@pytest.mark.parametrize("runner", ["inline", "thread", "process"])
def test_a_stopped_runner_stops_a_job_that_was_taken_from_it(
    start: Start, place: Place, runner: str, resource: str
) -> None:
    """When it goes on, it is told; the job's next attempt and what waits behind it run, and the tree ends."""
    program = stop_beyond_lease(start, place, runner, "race", "hold", resource)
    program.signal(signal.SIGCONT)
    eventually(lambda: noted(place, "stopped"), "the stale attempt is told to stop")
    (place.folder / "release").touch()
    assert program.end() == 0, program.complaint()
    found = records(place)
    assert {record.status for record in found.values()} == {JobStatus.COMPLETED}
    first = [("pending", 0), ("running", 1), ("pending", 1), ("running", 2), ("completed", 2)]
    assert moves(place, found["first"].id) == first


@pytest.mark.parametrize(("runner", "resource"), [("inline", "db"), ("thread", ""), ("process", "db")])
def test_a_late_end_changes_nothing(start: Start, place: Place, runner: str, resource: str) -> None:
    """A job that is not to be told completes long after it was lost; it stays failed, as the rescue left it."""
    program = stop_beyond_lease(start, place, runner, "fragile", "deaf", resource)
    (place.folder / "release").touch()
    program.signal(signal.SIGCONT)
    assert program.end() == 0, program.complaint()
    assert noted(place, "done")
    found = records(place)
    assert found["first"].status is JobStatus.FAILED
    assert found["first"].error is not None
    assert found["first"].error.type == "LostError"
    assert found["first"].result is None
    assert moves(place, found["first"].id) == [("pending", 0), ("running", 1), ("failed", 1)]
    assert found["after"].status is JobStatus.COMPLETED
    assert found["root"].status is JobStatus.FAILED


def test_what_a_stopped_process_holds_is_had_by_another(start: Start, place: Place) -> None:
    """Whoever waits for a resource looks for the lost himself, and runs while the other is still stopped."""
    program = start("stopped", "thread", "fragile", "hold", "db")
    eventually(lambda: noted(place, "start"), "the job starts")
    stop(program, place)
    heir = start("heir", "db")
    assert heir.until("heir completed", seconds=PATIENCE), heir.complaint()
    assert heir.end() == 0, heir.complaint()
    program.signal(signal.SIGCONT)
    assert program.end() == 0, program.complaint()
    assert records(place)["first"].status is JobStatus.FAILED


@pytest.mark.parametrize(("runner", "resource"), [("inline", "db"), ("thread", ""), ("process", "db")])
def test_a_stopped_process_whose_lock_is_held_keeps_its_job(
    start: Start, place: Place, runner: str, resource: str
) -> None:
    """Its lease ends, a rescue looks for the lost, and there is none: the job runs once, and ends as ever."""
    program = start("stopped", runner, "race", "hold", resource, "here")
    eventually(lambda: started(place) >= (1 if resource or runner == "inline" else 2), "the job starts")
    stop(program, place)
    store = place.open()
    try:
        running = JobQuery(statuses=(RUNNING,), leaves=True)
        (record,) = (record for record in store.select(running) if record.job.name == "first")
        eventually(lambda: (record.lease_until or 0.0) < time.time(), "its lease ends")
        other = JobManager(store)
        rescued = other.rescue(on_crash=lambda _: "retry")
        assert (rescued.lost, rescued.orphans, rescued.left) == ((), (), ())
        assert other.claim(record.id) is None
        assert not other.process_lock.is_dead(record.owner or "", now=time.time() + 3600), "the clock was set"
        other.close(keep_store=True)
    finally:
        store.close()
    (place.folder / "release").touch()
    program.signal(signal.SIGCONT)
    assert program.end() == 0, program.complaint()
    found = records(place)
    assert {record.status for record in found.values()} == {JobStatus.COMPLETED}
    assert moves(place, found["first"].id) == [("pending", 0), ("running", 1), ("completed", 1)]


def test_a_child_of_a_killed_process_keeps_its_job_until_it_ends(start: Start, place: Place) -> None:
    """A child process holds the lock with its parent: while it is stopped and lives, nobody starts beside it."""
    program = start("stopped", "process", "race", "hold", "db", "here")
    eventually(lambda: started(place) >= 1, "the job starts")
    left = children(program.pid)  # one of them runs it
    assert left
    for child in left:
        os.kill(child, signal.SIGSTOP)
    eventually(lambda: all(process_status(child)[0] == "T" for child in left), "the children are stopped")
    program.signal(signal.SIGKILL)
    program.end()
    store = place.open()
    try:
        (record,) = store.select(JobQuery(statuses=(RUNNING,), leaves=True))
        other = JobManager(store)
        assert other.rescue().lost == ()
        for child in left:
            os.kill(child, signal.SIGKILL)
        eventually(lambda: len(other.rescue().lost) == 1, "the death of the last process that held the lock")
        assert store.get(record.id).status is PENDING, "its worker says retry, which is stored with it"
        other.close(keep_store=True)
    finally:
        store.close()


def children(pid: int) -> list[int]:
    """Return the children of a process: asked of each process, as the kernel's own list may leave some out."""
    everyone = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [other for other in everyone if process_status(other)[1] == pid]


def process_status(pid: int) -> tuple[str, int]:
    """Return the state of a process, such as "T" for stopped, and its parent; ("", 0) if it has ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    state, parent = status.rpartition(")")[2].split()[:2]
    return state, int(parent)
