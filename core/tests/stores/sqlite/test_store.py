"""What only the SQLite store does: its file, its versions, other processes, and what can go wrong on a disk."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from pitstop.contracts import JobQuery
from pitstop.errors import InvalidValueError, StoreError, UnknownKeyError
from pitstop.jobs import Job, JobRecord, JobStatus, LogLine, Progress, Tolerance
from pitstop.stores.sqlite import errors, queries, rows, schema, statements
from pitstop.stores.sqlite.store import SQLiteStore, _purge_some, open_url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be."""
    return tmp_path / "jobs.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    """An open store."""
    made = SQLiteStore(path, durability="process")
    yield made
    made.close()


def ask(path: Path, sql: str) -> list[Any]:
    """Read from a file as a stranger would."""
    stranger = sqlite3.connect(path, isolation_level=None)
    try:
        return stranger.execute(sql).fetchall()
    finally:
        stranger.close()


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start another Python with a program whose standard output can be read."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def output(code: str, *arguments: object) -> str:
    """Return what another Python says."""
    with python(code, *arguments) as process:
        said, _ = process.communicate(timeout=60)
    return said


# -- URLs ----------------------------------------------------------------------------------------------------------


def test_open_url_takes_absolute_and_relative_paths(tmp_path, monkeypatch):
    """Three slashes are relative, four are absolute, and `url` opens the same file from anywhere."""
    monkeypatch.chdir(tmp_path)
    for url, name in ((f"sqlite:///{tmp_path}/a%3F b.db", "a? b.db"), ("sqlite:///b.db?durability=process", "b.db")):
        store = open_url(url)
        store.close()
        assert store.path == tmp_path / name
        again = open_url(store.url)
        again.close()
        assert (again.path, again.url) == (store.path, store.url)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a? b.db", "b.db"]


@pytest.mark.parametrize("url", ["sqlite:", "sqlite://", "sqlite:///", "sqlite://host/x.db", "sqlite:///:memory:"])
def test_open_url_refuses_what_names_no_file(url):
    """The error shows the forms that there are."""
    with pytest.raises(InvalidValueError, match=r"names no file; expected sqlite:///relative.db"):
        open_url(url)


def test_open_url_refuses_unknown_parameters_and_values(path):
    """A typing error gets a suggestion, and no file is made."""
    with pytest.raises(UnknownKeyError, match="did you mean 'durability'"):
        open_url(f"sqlite:///{path}?durabilty=full")
    with pytest.raises(InvalidValueError, match="'fulll' is not a durability; did you mean 'full'"):
        open_url(f"sqlite:///{path}?durability=fulll")
    with pytest.raises(InvalidValueError, match="'none' is what needs no file; open the store 'none'"):
        open_url(f"sqlite:///{path}?durability=none")
    with pytest.raises(InvalidValueError, match="it is one of: full, process"):
        SQLiteStore(path, durability="")
    assert not path.exists()


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("process", 1)])
def test_durability_sets_how_commits_are_written(path, make, durability, level):
    """`full` waits for the disk at each commit; progress and heartbeats never do."""
    store = SQLiteStore(path, durability=durability)
    raw = store._db._raw
    levels: list[int] = []

    def note() -> None:
        levels.append(raw.execute("PRAGMA synchronous").fetchone()[0])

    store.create([make.leaf("a")], then=make.claim("a"))
    note()
    store.progress("a", 1, Progress(done=1))
    note()
    store.heartbeat("me", lease_until=1.0)
    note()
    store.finish(make.end("a"))
    note()
    store.add_lines([LogLine(job_id="a", correlation_id="a", at=1.0, level="INFO", message="x")])
    note()
    store.close()
    assert levels == [level, 1, 1, level, level]


# -- the file ------------------------------------------------------------------------------------------------------


def test_store_makes_files_for_the_owner_alone(tmp_path, make):
    """Folders are 0700 and files 0600, whatever the umask; jobs may hold secrets."""
    before = os.umask(0)
    try:
        store = SQLiteStore(tmp_path / "deep" / "er" / "jobs.db")
        store.create([make.leaf("a")])
        modes = {
            each.name: stat.S_IMODE(each.stat().st_mode)
            for each in (tmp_path / "deep", tmp_path / "deep" / "er", *(tmp_path / "deep" / "er").iterdir())
        }
        store.close()
    finally:
        os.umask(before)
    assert modes == {"deep": 0o700, "er": 0o700, "jobs.db": 0o600, "jobs.db-wal": 0o600, "jobs.db-shm": 0o600}


def test_store_keeps_everything_when_it_is_reopened(path, make):
    """What was stored is there for the next process."""
    store = SQLiteStore(path)
    store.create(make.family("a"))
    make.run(store, "a")
    before = store.select(JobQuery())
    store.close()
    again = SQLiteStore(path)
    after = again.select(JobQuery())
    again.close()
    assert after == before
    assert ask(path, "PRAGMA journal_mode") == [("wal",)]


def test_store_is_of_this_version(path, store):
    """The file says whose it is and which schema it has."""
    assert ask(path, "PRAGMA application_id") == [(0x50495453,)]
    assert ask(path, "PRAGMA user_version") == [(schema.VERSION,)]


def foreign_wal(path: Path) -> None:
    ask(path, "PRAGMA journal_mode = WAL")
    ask(path, "CREATE TABLE theirs (x)")


FOREIGN = {
    "tables": lambda path: ask(path, "CREATE TABLE theirs (x)"),
    "wal": foreign_wal,
    "version": lambda path: ask(path, "PRAGMA user_version = 3"),
    "application": lambda path: ask(path, "PRAGMA application_id = 7"),
    "text": lambda path: path.write_text("dear diary\n" * 500),
}


@pytest.mark.parametrize("kind", list(FOREIGN))
def test_store_leaves_foreign_files_alone(path, kind):
    """A file that is not ours is refused, and neither it nor its folder changes."""
    FOREIGN[kind](path)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    with pytest.raises(StoreError, match=r"not a database|of another application; name another file"):
        SQLiteStore(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_store_leaves_the_log_of_a_foreign_file_alone(path):
    """A write-ahead log that another application left behind is not played back."""
    crashed = python(
        "import sqlite3, sys, os\nc = sqlite3.connect(sys.argv[1])\nc.execute('PRAGMA journal_mode = WAL')\n"
        "c.execute('CREATE TABLE theirs (x)')\nos._exit(0)",
        path,
    )
    with crashed:
        crashed.communicate(timeout=60)
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    assert "jobs.db-wal" in before
    with pytest.raises(StoreError, match="of another application"):
        SQLiteStore(path)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before


def test_store_refuses_a_folder(tmp_path):
    """A folder is not a file."""
    with pytest.raises(StoreError, match="it is a folder; name a file in it"):
        SQLiteStore(tmp_path)


def test_store_refuses_a_folder_that_cannot_be(tmp_path):
    """A file where a folder should be is said in words."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be opened .*[Nn]ot a directory"):
        SQLiteStore(tmp_path / "file" / "jobs.db")


def test_store_refuses_an_old_sqlite(path, monkeypatch):
    """The error says which SQLite there is and which is needed."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreError, match=r"and 3\.35\.0 or newer is needed"):
        SQLiteStore(path)
    assert not path.exists()


def test_closed_store_says_that_it_is_closed(path):
    """Using a store after its end is an error in words."""
    store = SQLiteStore(path)
    store.close()
    with pytest.raises(StoreError, match="it is closed"):
        store.get("a")


# -- the tables ----------------------------------------------------------------------------------------------------


def test_job_restores_every_field():
    """A field that is added to `Job` must be stored, too."""
    job = Job(type="t", tolerance=Tolerance())
    made = attrs.evolve(job, parent_id="p", resource="r", timeout=1.0)
    values = {"seq": 1, **rows.make_job_values(JobRecord(job=made), submitter=None)}
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
    removed, left = store._db.write(lambda transaction: _purge_some(transaction, roots=roots, before=9.0))
    assert (removed, left, store.ids("")) == (1, [], ["a"])


KEYS = {
    "GET": "sqlite_autoindex_job_1",
    "CLAIM": "sqlite_autoindex_job_1",
    "END": "sqlite_autoindex_job_1",
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
    if queries.by_kind(query) and not query.leaves and query.owner is None:
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


# -- several connections and processes -----------------------------------------------------------------------------


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


# -- what can go wrong ---------------------------------------------------------------------------------------------


def test_failed_transaction_is_rolled_back_whole(path, store, make):
    """An error in the middle undoes what came before it, and the store stays usable."""
    store.create([make.leaf("a"), make.leaf("b")])
    store.claim(make.claim("a"))
    ask(path, "CREATE TRIGGER trap BEFORE INSERT ON log BEGIN SELECT raise(ABORT, 'sprung'); END")
    line = LogLine(job_id="a", correlation_id="a", at=1.0, level="INFO", message="x")
    with pytest.raises(StoreError, match="sprung"):
        store.finish(make.end("a", lines=(line,)), then=make.claim("b"))
    assert (store.get("a").status, store.get("b").status) == (R, P)
    ask(path, "DROP TRIGGER trap")
    assert store.finish(make.end("a", lines=(line,)), then=make.claim("b")).claimed is not None


def test_value_that_cannot_be_stored_is_refused_in_words(store, make):
    """What SQLite has no room for is the store's error, not a bare one of Python."""
    with pytest.raises(StoreError, match="a number is too large to be stored"):
        store.create([make.leaf("a", max_attempts=10**30)])
    with pytest.raises(StoreError, match="surrogates not allowed"):
        store.create([make.leaf("caf\udce9")])
    assert store.ids("") == []


def test_name_of_a_file_that_is_no_utf_8_is_stored_escaped(store, make):
    """Such a file can be worked on, and its resource is still told from every other."""
    store.create([make.leaf("a", name="caf\udce9", resource="sqlite:caf\udce9", config={"database": "caf\udce9"})])
    record = store.claim(make.claim("a"))
    assert (record.job.name, record.job.resource) == ("caf\\udce9", "sqlite:caf\\udce9")
    assert record.job.config["database"] == "caf\udce9"
    assert [waiting.id for waiting in store.waiting(record.job.resource)] == []


AS_NOBODY = """
import os, sys
from pitstop.errors import StoreError
from pitstop.jobs import Job, JobRecord
from pitstop.stores.sqlite.store import SQLiteStore
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    store = SQLiteStore(sys.argv[1])
    try:
        store.create([JobRecord(job=Job(type="t"))])
    finally:
        store.close()
except StoreError as error:
    print(error)
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that any user may read; pytest's own are for the owner alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_read_only_file_is_said_to_be_read_only(public):
    """A file that may be read but not written is named so."""
    path = public / "jobs.db"
    SQLiteStore(path).close()
    path.chmod(0o444)
    public.chmod(0o1777 if os.geteuid() == 0 else 0o755)
    assert "it is read-only" in output(AS_NOBODY, path)


def test_read_only_folder_is_said_to_be_unusable(public):
    """A store that cannot be made says so, and which path it was."""
    public.chmod(0o555)
    said = output(AS_NOBODY, public / "jobs.db")
    public.chmod(0o755)
    assert "it cannot be opened (Permission denied: " in said
    assert str(public) in said


def test_problem_names_what_it_does_not_know():
    """Errors without a rule keep SQLite's own words."""
    assert "something odd (OperationalError)" in str(errors.store_error("u", sqlite3.OperationalError("something odd")))
    assert "No space left" in str(errors.store_error("u", OSError(errno.ENOSPC, "No space left on device")))
