"""The store is input: whatever somebody wrote into one row, the others are read, claimed, ended and settled."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from pitstop import Job, JobQuery, Orchestrator, Plan, Registry, Result, Tolerance
from pitstop.contracts import RunJob, Unreadable
from pitstop.contracts.hooks import hookimpl
from pitstop.errors import PitstopError, StoreError, UnreadableRecordError
from pitstop.jobs import AttemptResult, Counts, JobRecord, JobStatus
from pitstop.orchestration.manager import JobManager
from pitstop.runners.thread import ThreadRunner
from pitstop.stores.sqlite.columns import EARLIEST, LATEST, read_time
from pitstop.stores.sqlite.store import SQLiteStore

#: What a column may hold after somebody wrote into the file, as SQL.
HOSTILE = {
    "null": "NULL",
    "text": "'x'",
    "empty": "''",
    "blob": "x'ff00fe'",
    "no Unicode": "CAST(x'ff41' AS TEXT)",
    "NUL": "'a' || char(0) || 'b'",
    "escape": "char(27) || '[2J' || char(10) || 'x'",
    "large number": "9223372036854775807",
    "negative": "-7",
    "infinity": "9e999",
    "minus infinity": "-9e999",
    "half": "1.5",
    "late": "1e30",
    "no JSON": "'{\"a\":'",
    "JSON list": "'[1,2,3,4]'",
    "JSON number": "'7'",
    "JSON null": "'null'",
    "infinite JSON": "'{\"a\": 1e999}'",
    "NaN": "'{\"a\": NaN}'",
    "deep JSON": "replace(hex(zeroblob(50000)), '0', '[')",
    "deep object": "replace(hex(zeroblob(200)), '0', '{\"a\":') || '1' || replace(hex(zeroblob(200)), '0', '}')",
    "odd result": "'[\"changed\", 7, [], null]'",
    "odd progress": "'[\"x\", null, 1, {}]'",
    "odd wait": '\'[1, 2, "", "", [1, 2, 3]]\'',
    "long": "hex(zeroblob(300000))",
    "itself": "id",
}
#: Seconds in which what must come has come, on whatever machine.
PATIENCE = 60.0
TABLES = {"job": "id", "past": "CAST(job AS TEXT)", "log": "job_id"}


class Act:
    """Does what it is told by its name."""

    worker_type = "act"

    def validate(self, job: Job) -> None:
        """Accept everything."""

    def execute(self, job: Job, context: object) -> Result:
        """Complete."""
        context.logger.info("done")  # type: ignore[attr-defined]
        context.progress(1, 2, "parts", "half")  # type: ignore[attr-defined]
        return Result.changed("done", rows=7)


def registry() -> Registry:
    """Return a registry that knows nothing but `Act`."""
    made = Registry(path=[])
    made.add_worker(Act)
    return made


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with what a store has: trees and jobs that ended, a tree that is pending, one that a dead process ran."""
    path = tmp_path_factory.mktemp("filled") / "jobs.db"
    with Orchestrator(SQLiteStore(path, durability="process"), registry=registry()) as orchestrator:
        orchestrator.run(Plan(parent=Job(type="group", name="done"), children=[Job(type="act", name=n) for n in "ab"]))
        orchestrator.run(Job(type="act", name="single"))
        dead = JobManager(orchestrator.store)
        common = {"resource": "r", "on_crash": "fail"}
        jobs = [Job(type="group", name="left", id="left", tolerance=Tolerance())]
        jobs += [Job(type="act", name=n, id=n, parent_id="left", correlation_id="left", **common) for n in "xyz"]
        jobs += [Job(type="act", name="alone", id="alone")]
        dead.create(jobs)
        assert dead.claim("x") is not None
        dead.process_lock.release()
    with closing(sqlite3.connect(path)) as stranger:
        stranger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def columns() -> list[tuple[str, str]]:
    """Return every column of every table."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        from pitstop.stores.sqlite import schema

        schema.prepare(connection, "x")
        return [(t, row[1]) for t in TABLES for row in connection.execute(f"PRAGMA table_info({t})")]


def write(path: Path, sql: str) -> bool:
    """Write into a store as somebody who knows no rule. Returns whether SQLite let them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("PRAGMA synchronous = OFF")
        stranger.execute("PRAGMA ignore_check_constraints = 1")
        stranger.execute("PRAGMA writable_schema = 1")
        stranger.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'")
        stranger.execute("PRAGMA writable_schema = RESET")
        try:
            stranger.execute("DROP TRIGGER job_counts")
            stranger.execute("DROP TRIGGER job_history")
            try:
                stranger.execute(sql)
            finally:
                from pitstop.stores.sqlite import schema

                stranger.execute(schema._COUNTS)
                stranger.execute(schema._HISTORY_OF_INPUT)
        except sqlite3.IntegrityError:
            return False
        return True


def use(path: Path, *, leased: bool = False) -> dict[str, object]:
    """Do with a store all that can be done, as one process after another would. Returns what could be seen.

    Args:
        path: the store.
        leased: whether the resource is somebody's, so that no job that needs it is waited for.
    """
    seen: dict[str, object] = {}
    with closing(SQLiteStore(path, durability="process")) as store:
        everything = JobQuery(limit=None)
        seen["listed"] = {record.id for record in store.select(everything)}
        seen["unreadable"] = {bad.id for bad in store.unreadable(everything)}
        store.count(everything)
        for job_id in ("x", "left", "alone", *list(seen["listed"])[:3]):
            list(store.lines(job_id, tree=True))
            list(store.history(job_id, tree=True))
        for query in (JobQuery(roots=True, limit=3), JobQuery(statuses=(JobStatus.RUNNING,), types=("act",))):
            store.select(query)
    with Orchestrator(SQLiteStore(path, durability="process"), registry=registry()) as orchestrator:
        orchestrator.rescue()
        plan = Plan(parent=Job(type="group"), children=[Job(type="act", resource="r") for _ in "ab"])
        submitted = orchestrator.submit(plan)
        seen["alone"] = orchestrator.wait("alone", timeout=PATIENCE).status
        new = orchestrator.wait(submitted.id, timeout=0 if leased else PATIENCE)
        seen["new"] = (new.status, new.counts.completed)
        for job_id in ("y", "z", "left"):
            try:
                seen[job_id] = orchestrator.wait(job_id, timeout=0).status
            except PitstopError as error:
                seen[job_id] = error
        orchestrator.store.purge(before=time.time() + 10, statuses=[JobStatus.COMPLETED])
    return seen


#: Of the values each row and column gets one in so many, another part of them each, so that a run stays short; with 1
#: each gets all (some minutes).
PART = 10


def hostile(table: str, number: int, *, part: int = PART) -> dict[str, str]:
    """Return what to write into a table's columns; that a job is its own parent is a matter of jobs only."""
    kinds = [kind for kind in HOSTILE if table == "job" or kind != "itself"]
    return {kind: HOSTILE[kind] for kind in kinds[number % part :: part]}


ROWS = {"job": ("id = 'x'", "id = 'y'", "id = 'left'", "name = 'a'"), "past": ("true",), "log": ("true",)}


@pytest.mark.parametrize(("table", "column"), columns())
def test_row_that_somebody_spoiled_stops_no_other(filled: Path, tmp_path: Path, table: str, column: str) -> None:
    """Each value in each column, of a running, a pending, an ended job and a parent: the rest goes on."""
    for row, where in enumerate(ROWS[table]):
        for kind, value in hostile(table, columns().index((table, column)) + row).items():
            path = tmp_path / "jobs.db"
            for old in tmp_path.iterdir():
                old.unlink() if old.is_file() else shutil.rmtree(old)
            shutil.copyfile(filled, path)
            limit = " LIMIT 1" if table != "job" else ""
            rowid = "job" if table == "past" else "rowid"
            inner = f"{rowid} IN (SELECT {rowid} FROM {table} WHERE {where}{limit})"
            if not write(path, f"UPDATE {table} SET {column} = {value} WHERE {inner}"):
                continue
            told = (where, kind)
            # what nobody, or a stranger, is written to run is somebody's until its lease ends
            leased = (column, where) == ("owner", "id = 'x'")
            seen = use(path, leased=leased)
            if not leased:
                assert seen["new"] == (JobStatus.COMPLETED, 2), told
            assert {"alone"} <= seen["listed"], told  # type: ignore[operator]
            assert seen["alone"] is JobStatus.COMPLETED, told
            assert all(isinstance(end, (JobStatus, PitstopError)) for end in (seen["y"], seen["z"], seen["left"])), told
            if where == "id = 'x'" and column not in (
                "id",
                "parent_id",
                "correlation_id",
                "status",
                "on_error",
                "owner",
            ):
                assert (seen["y"], seen["z"]) == (JobStatus.COMPLETED, JobStatus.COMPLETED), told
                assert seen["left"] in (JobStatus.FAILED, JobStatus.CANCELLED), told


@pytest.fixture
def spoiled(filled: Path, tmp_path: Path) -> Path:
    """A store in which the config of the job "y" is no JSON."""
    path = tmp_path / "jobs.db"
    shutil.copyfile(filled, path)
    assert write(path, "UPDATE job SET config = '{\"a\":' WHERE id = 'y'")
    return path


def test_unreadable_record_is_told_by_its_id_and_left_out(spoiled: Path) -> None:
    """Its neighbours are listed, a page is as long as it was asked to be, and asking for it says what is wrong."""
    with closing(SQLiteStore(spoiled)) as store:
        everything = JobQuery(limit=None, oldest_first=True)
        listed = [record.id for record in store.select(everything)]
        assert "y" not in listed
        assert [(bad.id, bad.problem) for bad in store.unreadable(everything)] == [("y", "config is no JSON object")]
        page = store.select(JobQuery(limit=len(listed), oldest_first=True))
        assert [record.id for record in page] == listed
        assert [record.id for record in store.waiting("r")] == ["z"]
        with pytest.raises(UnreadableRecordError, match=r"record of job y cannot be read: config is no JSON"):
            store.get("y")


def test_unreadable_job_fails_when_it_is_claimed(spoiled: Path) -> None:
    """Nobody can run it, so that whoever claimed it ends it: as every job ends, and its parent ends with it."""
    with closing(SQLiteStore(spoiled)) as store:
        manager = JobManager(store)
        manager.rescue(on_crash=lambda _: "fail", whole=False)
        with pytest.raises(UnreadableRecordError, match="config is no JSON") as raised:
            manager.claim("y")
        unreadable = Unreadable(id="y", seq=raised.value.seq, problem=raised.value.flaw)
        assert manager.fail_unreadable(unreadable) is not None
        assert manager.fail_unreadable(unreadable) is None
        assert store.count(JobQuery(parent_id="left")).failed == 2
        last = manager.claim("z")
        assert last is not None
        finished = manager.finish(last, AttemptResult(kind="completed", result=Result()))
        assert finished is not None
        assert [(parent.id, parent.status) for parent in finished.closed] == [("left", JobStatus.FAILED)]
        changes = [(change.old, change.new) for change in store.history("y")]
        assert changes[-1] == (JobStatus.RUNNING, JobStatus.FAILED)
        manager.close(keep_store=True)


def test_unreadable_job_costs_the_end_before_it_nothing(spoiled: Path) -> None:
    """It is claimed with the end of another: that is stored, and says what cannot be run."""
    with closing(SQLiteStore(spoiled)) as store:
        manager = JobManager(store)
        manager.rescue(on_crash=lambda _: "fail", whole=False)
        alone = manager.claim("alone")
        assert alone is not None
        finished = manager.finish(alone, AttemptResult(kind="completed", result=Result()), then="y")
        assert finished is not None
        assert (finished.record.status, finished.claimed) == (JobStatus.COMPLETED, None)
        assert finished.unreadable is not None
        assert manager.fail_unreadable(finished.unreadable) is not None
        assert store.count(JobQuery(parent_id="left")).failed == 2
        manager.close(keep_store=True)


class Halting(ThreadRunner):
    """Gives no job to the end of another, so that each is claimed by itself."""

    def start(self, run_job: RunJob) -> None:
        """Begin, with what claims a job alone."""
        super().start(lambda job_id, following: run_job(job_id))


class Ends:
    """Notes the ends that hooks are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, JobStatus]] = []

    @hookimpl
    def pitstop_job_finished(self, record: JobRecord) -> None:
        """Note the end."""
        self.told.append((record.job.name, record.status))


@pytest.mark.parametrize("kind", [ThreadRunner, Halting])
def test_end_of_an_unreadable_job_is_told_to_hooks_as_every_end(tmp_path: Path, kind: type[ThreadRunner]) -> None:
    """Its own, and its parent's, whether it is claimed with the end of the one before it or by itself, later."""
    path, ends, made = tmp_path / "jobs.db", Ends(), Registry(path=[])

    class Spoiler(Act):
        def execute(self, job: Job, context: object) -> Result:
            assert write(path, "UPDATE job SET created_at = 'x' WHERE id = 'z'")
            return Result.changed("spoiled")

    made.add_worker(Spoiler)
    made.add_hooks(ends)
    children = [Job(type="act", name="y"), Job(type="act", name="z", id="z")]
    plan = Plan(parent=Job(type="group", name="p"), children=children)
    with Orchestrator(SQLiteStore(path), registry=made, runner=kind(threads=1)) as orchestrator:
        root = orchestrator.submit(plan)
        assert orchestrator.wait(root.id, timeout=PATIENCE).status is JobStatus.FAILED
    assert ends.told == [("y", JobStatus.COMPLETED), ("z", JobStatus.FAILED), ("p", JobStatus.FAILED)]


COUNTED = ("pending", "running", "completed", "failed", "cancelled", "max_failures")


@pytest.mark.parametrize("column", COUNTED)
@pytest.mark.parametrize("value", ["NULL", "'x'", "-7", "x'ff'"])
def test_parent_whose_counts_cannot_be_read_ends_with_its_children(
    filled: Path, tmp_path: Path, column: str, value: str
) -> None:
    """They are counted anew by its children; of a tolerance that nobody can read nothing is left."""
    path = tmp_path / "jobs.db"
    shutil.copyfile(filled, path)
    assert write(path, f"UPDATE job SET {column} = {value} WHERE id = 'left'")
    with Orchestrator(SQLiteStore(path), registry=registry()) as orchestrator:
        orchestrator.rescue()
        orchestrator.wait("y", timeout=PATIENCE)
        orchestrator.wait("z", timeout=PATIENCE)
        left = orchestrator.wait("left", timeout=PATIENCE)
        assert (left.status, left.counts) == (JobStatus.FAILED, Counts(completed=2, failed=1))


def test_parent_that_was_spoiled_after_its_children_ended_ends_at_the_next_rescue(filled: Path, tmp_path: Path) -> None:
    """Nothing else would ever bring it to an end; its own parent's ends with it."""
    path = tmp_path / "jobs.db"
    shutil.copyfile(filled, path)
    ended = "UPDATE job SET status = 'completed', finished_at = 9, owner = NULL WHERE parent_id = 'left'"
    assert write(path, ended)
    assert write(path, "UPDATE job SET completed = 'x', pending = NULL, running = -1 WHERE id = 'left'")
    with Orchestrator(SQLiteStore(path), registry=registry()) as orchestrator:
        assert [record.id for record in orchestrator.rescue().lost] == ["left"]
        left = orchestrator.store.get("left")
        assert (left.status, left.counts) == (JobStatus.COMPLETED, Counts(completed=3))


@pytest.mark.parametrize("column", ["pending", "running"])
@pytest.mark.parametrize("ended", [True, False], ids=["all ended", "some live"])
def test_parent_whose_counts_are_too_high_closes(filled: Path, tmp_path: Path, column: str, ended: bool) -> None:
    """They look like counts, and nothing that its children do would ever bring them down to none."""
    path = tmp_path / "jobs.db"
    shutil.copyfile(filled, path)
    if ended:
        assert write(
            path, "UPDATE job SET status = 'completed', finished_at = 9, owner = NULL WHERE parent_id = 'left'"
        )
        assert write(path, "UPDATE job SET completed = 3, pending = 0, running = 0 WHERE id = 'left'")
    assert write(path, f"UPDATE job SET {column} = {column} + 7 WHERE id = 'left'")
    with Orchestrator(SQLiteStore(path), registry=registry()) as orchestrator:
        lost = [record.id for record in orchestrator.rescue().lost]
        assert not ended or lost == ["left"]
        left = orchestrator.wait("left", timeout=PATIENCE)
        assert (left.counts.pending, left.counts.running, left.counts.total) == (0, 0, 3)


def test_circle_in_the_store_ends(filled: Path, tmp_path: Path) -> None:
    """Parents that are each other's children are no tree, and nothing walks round and round."""
    path = tmp_path / "jobs.db"
    shutil.copyfile(filled, path)
    assert write(path, "UPDATE job SET parent_id = 'left' WHERE id = 'left'")
    with Orchestrator(SQLiteStore(path), registry=registry()) as orchestrator:
        orchestrator.cancel("left", reason="enough")
        orchestrator.rescue()
        assert orchestrator.wait("left", timeout=5).status is JobStatus.CANCELLED


def test_line_of_the_log_that_cannot_be_read_says_so_in_its_place(filled: Path, tmp_path: Path) -> None:
    """Nobody takes the log for whole, and the lines around it are there."""
    path = tmp_path / "jobs.db"
    shutil.copyfile(filled, path)
    assert write(path, "UPDATE log SET extra = 'x' WHERE id = (SELECT min(id) FROM log)")
    with closing(SQLiteStore(path)) as store:
        roots = store.select(JobQuery(roots=True, limit=None))
        lines = [line.message for root in roots for line in store.lines(root.id, tree=True)]
    assert lines.count("this line of the log cannot be read: its extra is no JSON object") == 1
    assert "done" in lines


def test_file_whose_tables_are_others_is_told_as_one_that_somebody_must_see_to(filled: Path, tmp_path: Path) -> None:
    """A column that is gone is no fault of Pitstop's, and no matter of time."""
    path = tmp_path / "jobs.db"
    shutil.copyfile(filled, path)
    assert write(path, "DROP TABLE log")
    with closing(SQLiteStore(path)) as store, pytest.raises(StoreError, match="tables are not as they") as raised:
        list(store.lines("x"))
    assert not raised.value.passing


@pytest.mark.parametrize("value", [EARLIEST, LATEST, float("inf"), float("-inf"), float("nan"), 1e30, "1", b"1", None])
def test_what_no_calendar_can_name_is_no_time(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its column says what it is not
        read_time(value)
    assert read_time(1_700_000_000) == 1_700_000_000
