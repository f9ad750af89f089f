"""The connection: cancelling, locks, full disks, and what SQLite's errors become."""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import (
    DeadlineExceededError,
    InvalidValueError,
    JobCancelledError,
    OperationError,
    TransientError,
)
from pitstop_database_maintenance.databases.limits import Limits, TimeLimitReachedError
from pitstop_database_maintenance.sqlite.connection.errors import MissingFeature, SQLiteFailure
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations.analyze import analyze
from pitstop_database_maintenance.sqlite.operations.optimize import optimize
from pitstop_database_maintenance.sqlite.operations.reindex import reindex
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop_database_maintenance.sqlite.surveyor.temporary_folder import temporary_folder

Open = Callable[..., SQLiteDatabase]
# it ends by itself after some seconds, so that a statement that cannot be stopped fails a test instead of hanging it
LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000000) SELECT count(*) FROM n"
EVERY = pytest.mark.parametrize("operation", [vacuum, analyze, reindex, optimize], ids=lambda f: f.__name__)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_connect_never_creates(tmp_path: Path, opened: Open) -> None:
    """A file that vanished since it was checked is an error, not a new database."""
    with pytest.raises(OperationError, match=r"cannot be opened.*check that the file is there"):
        opened(tmp_path / "gone.db").execute("SELECT 1 FROM sqlite_master")
    assert list(tmp_path.iterdir()) == []


def test_quote_doubles_quotes(bloated: Path, opened: Open) -> None:
    """Whatever a name holds, it ends where it should."""
    db = opened(bloated)
    assert db.quote('a"; DROP TABLE x; --') == '"a""; DROP TABLE x; --"'
    with pytest.raises(InvalidValueError, match="NUL"):
        db.quote("a\0b")
    with pytest.raises(InvalidValueError, match="half of a character"):
        db.quote("a\ud800b")


def test_connect_empties_the_log_although_it_was_interrupted(make: Callable[..., Path], context: Any) -> None:
    """An interrupt that comes after the last statement does not keep the write-ahead log beside the file."""
    path = make("PRAGMA journal_mode = wal", "CREATE TABLE t (a)")
    with SQLiteDatabase.connect(str(path), context) as db:
        db.execute("INSERT INTO t VALUES (1)")
        db.interrupt()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_measure_counts_pages_and_files(bloated: Path, opened: Open) -> None:
    """Figures agree with the file on disk."""
    found = opened(bloated).measure()
    assert found.bytes == found.pages * found.page_size == found.file_bytes == bloated.stat().st_size
    assert found.free_bytes == found.free_pages * found.page_size > 0
    assert found.wal_bytes == 0


def test_execute_stops_when_told_between_checks(
    bloated: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The progress handler alone stops a statement, also when no interrupt ever comes."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 1000)
    db = opened(bloated)
    context.at_check = lambda count: context.cancel() if count == 5 else None
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        db.execute(LONG)
    assert context.checks == 5


def test_execute_stops_at_an_interrupt(
    bloated: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt from another thread alone stops a statement, and becomes what the context says."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 2**31 - 1)
    db = opened(bloated)
    context.expire()
    ended = threading.Event()

    def interrupt_until_ended() -> None:
        while not ended.wait(0.001):
            db.interrupt()

    thread = threading.Thread(target=interrupt_until_ended)
    thread.start()
    try:
        with pytest.raises(DeadlineExceededError, match="the test's time is over"):
            db.execute(LONG)
    finally:
        ended.set()
        thread.join()


def test_execute_tells_of_an_interrupt_that_nobody_asked_for(
    bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted without a reason is a failure, not a cancellation."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 2**31 - 1)
    db = opened(bloated)
    ended = threading.Event()

    def interrupt_until_ended() -> None:
        while not ended.wait(0.001):
            db.interrupt()

    thread = threading.Thread(target=interrupt_until_ended)
    thread.start()
    try:
        with pytest.raises(SQLiteFailure, match="though the job was not told to stop"):
            db.execute(LONG)
    finally:
        ended.set()
        thread.join()


def test_execute_passes_on_what_the_context_raises(
    bloated: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also an unforeseen error of the context reaches the caller instead of being lost in SQLite."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 1000)
    db = opened(bloated)

    def fail(count: int) -> None:
        raise LookupError("no such context")

    context.at_check = fail
    with pytest.raises(LookupError, match="no such context"):
        db.execute(LONG)


@EVERY
@pytest.mark.parametrize("stop", ["cancel", "expire"])
def test_operations_do_not_begin_when_told_to_stop(
    bloated: Path, opened: Open, context: Any, seen: Any, operation: Any, stop: str
) -> None:
    """A job that is told before its first statement touches nothing."""
    before = seen.content(bloated)
    getattr(context, stop)()
    with pytest.raises(JobCancelledError, match="test"):
        operation(opened(bloated))
    assert seen.content(bloated) == before


@EVERY
def test_operations_fail_for_now_while_somebody_else_holds_the_lock(
    bloated: Path, opened: Open, raw: Any, seen: Any, monkeypatch: pytest.MonkeyPatch, operation: Any
) -> None:
    """A lock that outlasts the wait makes the job try again later, and names the file."""
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.05)
    before = seen.content(bloated)
    raw(bloated).execute("BEGIN EXCLUSIVE")
    with pytest.raises(TransientError, match=r"app\.db was locked by another connection for 0\.\d+ s"):
        operation(opened(bloated))
    assert seen.content(bloated) == before


def test_operations_that_wait_for_a_lock_stop_when_told(
    bloated: Path, opened: Open, raw: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told to stop while waiting is cancelled at once, not tried again; so is what has no time left."""
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 600.0)
    raw(bloated).execute("BEGIN EXCLUSIVE")
    db = opened(bloated)
    context.at_check = lambda count: context.cancel() if count == 5 else None
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        db.execute("SELECT count(*) FROM t")
    db.context = type(context)()
    db.limits = Limits(until=time.time() + 0.05)
    with pytest.raises(TimeLimitReachedError):
        db.execute("SELECT count(*) FROM t")


def test_waiting_for_somebody_elses_lock_is_no_stall_of_ours(bloated: Path, opened: Open, raw: Any) -> None:
    """The clock stands still meanwhile, so that neither a stall nor a time that is learned from contains it."""
    holder = raw(bloated)
    holder.execute("BEGIN EXCLUSIVE")
    db = opened(bloated)
    timer = threading.Timer(0.4, holder.execute, ["ROLLBACK"])
    timer.start()
    began, clock = time.monotonic(), db.clock()
    with db.blocking(readers=True):
        db.execute("SELECT count(*) FROM t")
    passed, took = db.clock() - clock, time.monotonic() - began
    timer.join()
    assert took > 0.35
    assert (waited := db.waited) > 0.3
    # on a busy machine the rest may be long, but what was waited is no part of it
    assert passed <= took - waited + 0.01
    assert db.stalls.writers <= took - waited + 0.01
    holder.execute("BEGIN EXCLUSIVE")
    with db.no_lock_wait(), pytest.raises(TransientError):
        db.execute("SELECT count(*) FROM t")
    assert db.waited == waited, "who is impatient waits for nothing"


def test_a_second_connection_waits_within_the_same_time(bloated: Path, opened: Open) -> None:
    """What the first has waited is gone, and what the second waits too."""
    db = opened(bloated)
    db.limits, db.waited = Limits(lock_wait=5.0), 4.0
    with db.second("rw") as second:
        assert second.patience == 1.0
        second.waited = 0.5
    assert db.patience == 0.5


@EVERY
def test_operations_report_no_stall_for_the_lock_that_they_waited_for(
    bloated: Path, opened: Open, raw: Any, operation: Any
) -> None:
    """Somebody else made others wait for most of a second; the operation itself takes some milliseconds."""
    holder = raw(bloated)
    db = opened(bloated)
    db.execute("PRAGMA schema_version")
    holder.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.8, holder.execute, ["ROLLBACK"])
    timer.start()
    result = operation(db)
    timer.join()
    assert result.data["waited"] > 0.5
    assert result.data["writer_stall"] < 0.5


def test_lock_that_is_released_in_time_is_waited_for(bloated: Path, opened: Open, raw: Any, context: Any) -> None:
    """A short lock of the application does no harm."""
    holder = raw(bloated)
    holder.execute("BEGIN EXCLUSIVE")
    db = opened(bloated)
    begun = threading.Event()

    def release() -> None:
        begun.wait()
        holder.execute("ROLLBACK")

    thread = threading.Thread(target=release)
    thread.start()
    begun.set()
    assert db.execute("SELECT count(*) FROM t") == [(6000,)]
    thread.join()


def test_full_disk_is_named_with_what_is_free(
    small_disk: Path, make: Any, opened: Open, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuild that runs out of room says where and leaves the database as it was; the other indexes are not tried."""
    path = small_disk / "app.db"
    source = make(
        "CREATE TABLE t (v)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)"
        " INSERT INTO t SELECT hex(randomblob(30)) FROM n",
        "CREATE INDEX a ON t (v)",
        "CREATE INDEX b ON t (v DESC)",
    )
    path.write_bytes(source.read_bytes())
    (small_disk / "filler").write_bytes(b"x" * (4_190_000 - path.stat().st_size - 60_000))
    before = seen.content(path)
    with pytest.raises(SQLiteFailure, match=r"no space left while working on .*: .* free in .*disk") as caught:
        reindex(opened(path))
    assert caught.value.code == sqlite3.SQLITE_FULL
    assert seen.integrity(path) == ["ok"]
    assert seen.content(path) == before


def test_vacuum_refuses_a_small_disk_before_it_begins(small_disk: Path, bloated: Path, opened: Open, seen: Any) -> None:
    """Both figures are named, and nothing was touched."""
    path = small_disk / "app.db"
    path.write_bytes(bloated.read_bytes())
    (small_disk / "filler").write_bytes(b"x" * (4_190_000 - path.stat().st_size - 500_000))
    before = seen.content(path)
    with pytest.raises(OperationError, match=r"needs up to .* MB in .*disk, where .* kB are free.*nothing was touched"):
        vacuum(opened(path))
    assert seen.content(path) == before


@EVERY
def test_operations_say_how_to_go_on_with_a_damaged_file(bloated: Path, opened: Open, operation: Any) -> None:
    """A file that broke off after it was checked is an error with the next step."""
    bloated.write_bytes(bloated.read_bytes()[:50_000])
    with pytest.raises(OperationError, match=r"app\.db is damaged.*integrity_check.*\.recover"):
        operation(opened(bloated))


def test_failure_in_a_read_only_database_names_the_rights(bloated: Path, opened: Open) -> None:
    """A database that became read-only is an error of its own."""
    db = opened(bloated)
    db.allow_writing()
    db.execute("PRAGMA query_only = 1")
    with pytest.raises(SQLiteFailure, match=r"cannot be written.*rights"):
        db.execute("DELETE FROM t")


def test_failure_survives_pickling() -> None:
    """Errors go from one process to another with all their fields."""
    failure = MissingFeature(reason="gone", code=1, kind="collation", name="x")
    assert pickle.loads(pickle.dumps(failure)) == failure


def test_temporary_folder_follows_sqlites_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of SQLite's places that is a folder and may be written."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert temporary_folder() == str(tmp_path)
    monkeypatch.setenv("SQLITE_TMPDIR", "/dev/shm")
    assert temporary_folder() == "/dev/shm"
    monkeypatch.delenv("SQLITE_TMPDIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    assert temporary_folder() in ("/var/tmp", "/usr/tmp", "/tmp")


def test_database_refuses_to_end_with_a_transaction_open(make, context):
    """What was done in it is lost, and a job that says that it was done would be a lie."""
    path = make("CREATE TABLE t (x)")

    def leave_open():
        with SQLiteDatabase.connect(str(path), context) as db:
            db.execute("BEGIN")
            db.execute("INSERT INTO t VALUES (1)")

    with pytest.raises(OperationError, match="left a transaction open, and what it did there was undone; end it"):
        leave_open()
    with SQLiteDatabase.connect(str(path), context) as db:
        assert db.execute("SELECT count(*) FROM t") == [(0,)]


def test_execute_refuses_half_of_a_character_in_words(make, opened):
    """Also as a parameter, where nothing quotes it."""
    db = opened(make("CREATE TABLE t (x)"))
    with pytest.raises(OperationError, match="holds half of a character"):
        db.execute("SELECT ?", ("\ud800",))
