"""The checker itself: each rule notices what it is for. What notices nothing proves nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from pitstop.contracts import JobQuery
from pitstop.jobs import AttemptResult, Counts, Job, JobRecord, JobStatus, Plan, Result, StatusChange, Tolerance
from pitstop.orchestration.manager import JobManager
from pitstop.orchestration.submission import flatten_request
from pitstop.stores.sqlite.store import SQLiteStore

from . import invariants, traces
from .racers import note

R, C = JobStatus.RUNNING, JobStatus.COMPLETED
COMPLETED = AttemptResult(kind="completed", result=Result(data={"attempt": 1}))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a store with a tree that ran well: a root, a plan in it, and three jobs of which two share a resource."""
    path = tmp_path / "jobs.db"
    store = SQLiteStore(path, durability="process")
    manager = JobManager(store)
    inner = Plan(parent=_parent("inner"), children=[_job("b"), _job("c")])
    manager.create(flatten_request(Plan(parent=_parent("root"), children=[_job("a"), inner])))
    for job_id in "abc":
        record = manager.claim(job_id)
        assert record is not None
        manager.finish(record, COMPLETED)
    manager.close()
    return path


def _parent(job_id: str) -> Job:
    return Job(type="group", id=job_id, tolerance=Tolerance(on_error="stop"))


def _job(job_id: str) -> Job:
    return Job(type="act", id=job_id, resource=None if job_id == "a" else "db")


class Edited:
    """What a store says of itself, with something changed."""

    path = None

    def __init__(self, path: Path) -> None:
        store = SQLiteStore(path, durability="process")
        self.records = store.select(JobQuery(oldest_first=True, limit=None))
        self.changes = list(store.history("root", tree=True))
        store.close()

    def select(self, query: JobQuery) -> list[JobRecord]:
        return self.records

    def history(self, job_id: str, *, tree: bool = False) -> list[StatusChange]:
        return self.changes

    def set(self, job_id: str, **fields: Any) -> None:
        self.records = [evolve(r, **fields) if r.id == job_id else r for r in self.records]

    def where(self, job_id: str, new: str) -> int:
        (place,) = (n for n, change in enumerate(self.changes) if (change.job_id, change.new) == (job_id, new))
        return place

    def found(self) -> list[str]:
        return invariants.violations(self, settled=True)  # type: ignore[arg-type]


@pytest.fixture
def edited(tree: Path) -> Edited:
    return Edited(tree)


def test_check_finds_nothing_in_a_sound_store(tree: Path, edited: Edited) -> None:
    """A tree that ran well breaks no rule."""
    store = SQLiteStore(tree, durability="process")
    invariants.check(store)
    store.close()
    assert edited.found() == []
    assert invariants.damage(tree) == []


def drop(edited: Edited, new: str) -> None:
    del edited.changes[edited.where("a", new)]


def again(edited: Edited) -> None:
    last = edited.changes[edited.where("a", "completed")]
    edited.changes.append(evolve(last, old=C, new=R, attempt=2))


def twice(edited: Edited) -> None:
    edited.changes.append(edited.changes[edited.where("a", "completed")])


def change(edited: Edited, new: str, /, **fields: Any) -> None:
    place = edited.where("b", new)
    edited.changes[place] = evolve(edited.changes[place], **fields)


def late(edited: Edited) -> None:
    edited.changes.append(edited.changes.pop(edited.where("b", "completed")))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda edited: drop(edited, "completed"), "its history ends with"),
        (lambda edited: drop(edited, "running"), "pending is followed by running -> completed"),
        (lambda edited: drop(edited, "pending"), "does not begin with its creation"),
        (again, "completed -> running is not allowed"),
        (twice, "it completed more than once"),
        (lambda edited: change(edited, "running", attempt=2), "attempt 0 is followed by 2 as it became running"),
        (lambda edited: change(edited, "completed", at=9.0), "its time goes back by"),
        (lambda edited: change(edited, "completed", new=JobStatus.FAILED), "after its ancestor inner had stopped"),
        (lambda edited: change(edited, "completed", job_id="x"), "x: it has a history and no record"),
        (late, "b: it became completed after its ancestor root had ended"),
        (lambda edited: change(edited, "completed", at=9e12), "s before b let go of 'db'"),
        (lambda edited: edited.set("a", status=R), "a: it is still running"),
        (lambda edited: edited.set("a", status=R), "a: it is running without an owner or a lease"),
        (lambda edited: edited.set("a", attempt=4), "a: it was started 4 times, of 3"),
        (lambda edited: edited.set("a", result=None), "its result is None"),
        (lambda edited: edited.set("a", status=JobStatus.FAILED, result=None), "its error is None"),
        (lambda edited: edited.set("a", lease_until=9.0), "it is completed, and has a lease"),
        (lambda edited: edited.set("a", finished_at=9.0), "it ended at 9.0, and its history says"),
        (lambda edited: edited.set("a", finished_at=None), "and ended at None"),
        (lambda edited: edited.set("a", created_at=9.0), "it was created at 9.0"),
        (lambda edited: edited.set("inner", counts=Counts(completed=9)), "inner: it counts"),
        (lambda edited: edited.set("root", status=JobStatus.FAILED), "root: it is failed, and by its children"),
        (lambda edited: edited.records.pop(2), "b has a parent that does not exist"),
    ],
)
def test_violations_notices(edited: Edited, edit: Callable[[Edited], object], words: str) -> None:
    """Each breach of a rule is told, with what breaks it."""
    edit(edited)
    assert any(words in sentence for sentence in edited.found()), edited.found()


def started_again(ledger: Path, journal: Path) -> None:
    note(str(journal), "start", "a", 2)


def ran_twice(ledger: Path, journal: Path) -> None:
    note(str(journal), "start", "a", 1)


def never_done(ledger: Path, journal: Path) -> None:
    journal.write_text(journal.read_text().replace("done a 1", "stopped a 1"))


def overlapped(ledger: Path, journal: Path) -> None:
    journal.write_text("start a 1\ndone a 1\nstart b 1\nstart c 1\ndone b 1\ndone c 1\n")


def gone(ledger: Path, journal: Path) -> None:
    note(str(ledger), "stored", "x")


def torn(ledger: Path, journal: Path) -> None:
    note(str(ledger), "asking", "root", 6)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (started_again, "a: attempt 2 ran, and its record knows 1"),
        (ran_twice, "a: an attempt ran twice"),
        (never_done, "a: it completed at attempt 1, which was never done"),
        (overlapped, "c worked with 'db' while"),
        (gone, "x: it was stored, and is gone"),
        (torn, "root: of 6 jobs of its tree 5 were stored"),
    ],
)
def test_traces_are_compared_with_the_store(tree: Path, harm: Callable[[Path, Path], None], words: str) -> None:
    """What jobs did and what was acknowledged is held against the store."""
    ledger, journal = tree.with_name("ledger"), tree.with_name("journal")
    note(str(ledger), "asking", "root", 5)
    note(str(ledger), "stored", "root", "inner", "a", "b", "c")
    for job_id in "abc":
        note(str(journal), "start", job_id, 1)
        note(str(journal), "done", job_id, 1)
    store = SQLiteStore(tree, durability="process")
    try:
        assert traces.violations(store, ledger=ledger, journal=journal) == []
        harm(ledger, journal)
        assert any(words in sentence for sentence in traces.violations(store, ledger=ledger, journal=journal))
    finally:
        store.close()


def test_damage_is_seen(tree: Path) -> None:
    """A page of zeros in the middle of a file is what SQLite's own check tells."""
    with closing(sqlite3.connect(tree)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        root = connection.execute("SELECT max(rootpage) FROM sqlite_master WHERE tbl_name = 'job'").fetchone()[0]
    with tree.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(bytes(size))
    assert invariants.damage(tree) != []
