"""The tables and statements of the SQLite store: what the file itself enforces, and which index each uses."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from pitstop.contracts import JobQuery
from pitstop.jobs import Job, JobRecord, JobStatus, LogLine, Tolerance
from pitstop.stores.sqlite import queries, rows, statements
from pitstop.stores.sqlite.steps import purge_some

from .strangers import ask


def test_job_restores_every_field():
    """A field that is added to `Job` must be stored, too."""
    job = Job(type="t", tolerance=Tolerance())
    made = attrs.evolve(job, parent_id="p", resource="r", timeout=1.0)
    values = dict(zip(rows.NEW_COLUMNS, rows.make_job_row(JobRecord(job=made), submitter=None), strict=True), seq=1)
    restored = rows.read_record(tuple(values[name] for name in rows.COLUMNS.split(", "))).job
    assert restored == made
    assert {field.name for field in attrs.fields(Job)} == set(attrs.asdict(restored, recurse=False))


def test_database_itself_enforces_the_resource_rule(path, store, make):
    """Not even a program that knows nothing of the rule can run two jobs on one resource."""
    store.create([make.leaf("a", resource="db"), make.leaf("b", resource="db")])
    store.claim(make.claim("a"))
    with pytest.raises(sqlite3.IntegrityError, match=r"UNIQUE constraint failed: job.resource"):
        ask(path, "UPDATE job SET status = 'running' WHERE id = 'b'")
    with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
        ask(path, "UPDATE job SET status = 'done' WHERE id = 'b'")


def test_purge_removes_lines(path, store, make):
    """Nothing of a purged tree stays in the file."""
    store.create(make.family("a"))
    make.run(store, "a", lines=(LogLine(job_id="a", correlation_id="p", at=1.0, level="INFO", message="x"),))
    assert store.purge(before=99.0, statuses=list(JobStatus)) == 2
    for table in ("job", "log", "past"):
        assert ask(path, f"SELECT count(*) FROM {table}") == [(0,)]


HOT = (
    "GET",
    "PARENT_STATE",
    "CLAIM",
    "END",
    "END_KNOWN",
    "RETRY",
    "CLOSE_PARENT",
    "PROGRESS",
    "HEARTBEAT",
    "ADOPT",
    "READY",
    "WAITING",
    "RUNNING",
    "HISTORY_OF_JOB",
    "HISTORY_OF_TREE",
)
WIDE = (
    "IDS",
    "CANCEL_PENDING",
    "STOP_PENDING",
    "MARK_RUNNING",
    "MARK_PARENTS",
    "PURGE_LINES",
    "PURGE_JOBS",
    "PURGE_PAST",
)


def plan(path: Path, sql: str) -> list[str]:
    values = [None] * sql.count("?")
    stranger = sqlite3.connect(path)
    try:
        return [row[3] for row in stranger.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    finally:
        stranger.close()


@pytest.mark.parametrize("name", [*HOT, *WIDE, "LINES_OF_JOB", "LINES_OF_TREE"])
def test_statements_search_and_never_scan(path, store, name):
    """No statement that runs often looks at every row, however long the history is."""
    steps = plan(path, getattr(statements, name))
    assert steps
    # what is scanned is what a recursion has found, never a table
    assert [s for s in steps if s.startswith("SCAN") and s.split()[1] not in ("below", "tree", "CONSTANT")] == []


@pytest.mark.parametrize("name", ["WAITING", "LINES_OF_JOB", "LINES_OF_TREE"])
def test_statements_read_in_order_without_sorting(path, store, name):
    """An index gives these rows in order, so that a limit ends the work."""
    assert not [step for step in plan(path, getattr(statements, name)) if "TEMP B-TREE" in step]


def test_purge_leaves_alone_what_has_changed_since_it_looked(store, make):
    """Roots are looked for while others write; each is looked at again before it goes."""
    store.create([make.leaf("a"), make.leaf("b")])
    make.run(store, "b", now=5.0)
    roots = [(store.get(job_id).seq, job_id) for job_id in "ab"]
    removed, left = store._db.write(lambda transaction: purge_some(transaction, roots=roots, before=9.0))
    assert (removed, left, store.ids("")) == (1, [], ["a"])


KEYS = {
    "GET": "sqlite_autoindex_job_1",
    "CLAIM": "sqlite_autoindex_job_1",
    "END": "sqlite_autoindex_job_1",
    "END_KNOWN": "sqlite_autoindex_job_1",
    "WAITING": "job_by_resource (resource=? AND status=? AND rowid>?)",
    "HEARTBEAT": "job_by_kind (status=?)",
    "RUNNING": "job_by_kind (status=?)",
    "LINES_OF_JOB": "log_by_job (job_id=? AND at>?)",
    "HISTORY_OF_JOB": "past USING PRIMARY KEY (job=?)",
}


@pytest.mark.parametrize("name", KEYS)
def test_statements_use_the_key_that_fits(path, store, name):
    """The statements that every job needs go straight to its row."""
    steps = plan(path, getattr(statements, name))
    assert any(KEYS[name] in step for step in steps), steps
    if not name.startswith("HISTORY"):
        assert len(steps) == 1, steps


P, R = JobStatus.PENDING, JobStatus.RUNNING
KIND = "job_by_kind (status=? AND is_root=? AND type=?"
LISTINGS = [
    (JobQuery(), "SCAN job"),
    (JobQuery(statuses=(P,)), KIND),
    (JobQuery(statuses=(P, R), roots=True, limit=None), KIND),
    (JobQuery(types=("t",), beyond=7), KIND),
    (JobQuery(roots=True, oldest_first=True), KIND),
    (JobQuery(statuses=(R,), leaves=True, limit=None), KIND),
    (JobQuery(statuses=(R,), owner="x"), KIND),
    (JobQuery(parent_id="x"), "job_by_parent (parent_id=?"),
    (JobQuery(parent_id="x", statuses=(P, R)), "job_by_parent (parent_id=?"),
    (JobQuery(correlation_id="x"), "job_by_tree (correlation_id=?"),
    (JobQuery(correlation_id="x", statuses=(P, R), leaves=True), "job_by_tree (correlation_id=?"),
    (JobQuery(resource="x"), "job_by_resource (resource=? AND status=?"),
    (JobQuery(statuses=(P,), resource="x", owner="y"), "job_by_resource (resource=? AND status=?"),
]


@pytest.mark.parametrize(("query", "index"), LISTINGS)
def test_listings_merge_the_ends_of_indexes(path, store, query, index):
    """A page is found without looking at, or sorting, more than it shows."""
    kinds = [(status, is_root, kind) for status in JobStatus for is_root in (0, 1) for kind in "tu"]
    steps = plan(path, queries.select(query, kinds)[0])
    assert any(index in step for step in steps), steps
    assert [step for step in steps if "TEMP B-TREE" in step] == []
    if query != JobQuery():
        assert "SCAN job" not in steps


@pytest.mark.parametrize("query", [query for query, _ in LISTINGS])
def test_count_reads_an_index(path, store, query):
    """Counting by what the index of kinds knows reads nothing else."""
    steps = plan(path, queries.count(query)[0])
    if queries.is_by_kind(query) and not query.leaves and query.owner is None:
        assert any("USING COVERING INDEX job_by_kind" in step for step in steps), steps


def test_kinds_are_found_without_looking_at_every_job(path, store, make):
    """Each kind leads to the next."""
    store.create([*make.family("a", "b"), make.leaf("c"), make.leaf("d")])
    make.run(store, "c")
    found = store._db.read(queries.KINDS)
    assert found == [("completed", 1, "t"), ("pending", 0, "t"), ("pending", 1, "t"), ("running", 1, "p")]
    steps = [step for step in plan(path, queries.KINDS) if step.startswith(("SEARCH other", "SCAN other"))]
    keys = ("status=? AND is_root=? AND type>?", "status=? AND is_root>?", "status>?")
    assert steps == [f"SEARCH other USING COVERING INDEX job_by_kind ({key})" for key in keys]


def test_kinds_take_no_longer_with_more_jobs(path, store, make):
    """What SQLite does for them is counted: a plan does not tell how far a search goes on."""
    with closing(sqlite3.connect(path)) as stranger:
        stranger.execute(queries.KINDS).fetchall()  # reading the schema counts, too
        counted = []
        for number in (10, 2000):
            store.create([make.leaf(f"{number}-{each}") for each in range(number)])
            ticks: list[int] = []
            stranger.set_progress_handler(lambda ticks=ticks: ticks.append(1), 1)
            stranger.execute(queries.KINDS).fetchall()
            counted.append(len(ticks))
    assert counted[0] == counted[1]


def test_select_of_many_kinds_looks_at_every_job(store, make):
    """With more types than can be merged, listings are still right."""
    store.create([attrs.evolve(make.leaf(f"j{n:03}"), job=Job(id=f"j{n:03}", type=f"t{n}")) for n in range(150)])
    assert [each.id for each in store.select(JobQuery(types=("t7", "t149")))] == ["j149", "j007"]
    assert [each.id for each in store.select(JobQuery(roots=True, limit=2, beyond=5))] == ["j003", "j002"]
