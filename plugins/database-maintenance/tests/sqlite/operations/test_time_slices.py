"""Slices: how large the next one is, how they are begun and committed beside others, and the pauses between them."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import JobCancelledError, TransientError
from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.sqlite.connection.lock_waits import (
    DEFAULT_STALL,
    aim,
    current_sleep,
    expected_stall,
    worst_wait,
)
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations._time_slices import Pace, Slices

Open = Callable[..., SQLiteDatabase]
SETTINGS = ("busy_timeout", "wal_autocheckpoint", "cache_size")


@pytest.fixture
def db(make: Any, opened: Open) -> SQLiteDatabase:
    """A small database that was looked at, as slices have it."""
    database: SQLiteDatabase = opened(make("CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"))
    database.allow_writing()
    return database


@given(st.floats(0.002, 60))
def test_aim_leaves_room_within_the_stall(stall: float) -> None:
    """A lock twice as long as aimed at still keeps nobody waiting for longer than allowed."""
    assert 0 < aim(stall) < stall
    assert worst_wait(2 * aim(stall)) <= stall


def test_expected_stall_is_what_the_default_gives() -> None:
    """Of 50 ms allowed, a writer beside slices as long as aimed at waits for 19 ms."""
    assert expected_stall() == expected_stall(DEFAULT_STALL) == pytest.approx(0.0186, abs=0.0005)


@given(st.floats(1e-6, 5e-3), st.floats(0, 8e-3), st.integers(0, 2**32))
def test_pace_finds_the_size_that_takes_the_time_aimed_at(each: float, fixed: float, seed: int) -> None:
    """Whatever a step and a commit take, and with syncs that vary, slices come to take about what they should."""
    chance, pace, took = random.Random(seed), Pace(aim(DEFAULT_STALL)), []
    for _ in range(60):
        took.append(fixed * chance.uniform(0.7, 1.4) + pace.size * each)
        pace.learn(pace.size, took[-1])
    late = sorted(took[40:])
    assert late[len(late) // 2] <= max(1.3 * pace.aim, 1.4 * fixed + each)
    assert late[len(late) // 2] >= 0.6 * min(pace.aim, 1e9 * each)


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 100)), max_size=30))
def test_pace_never_stops_and_never_leaps(slices: list[tuple[int, float]]) -> None:
    """There is always at least one step, and never more than twice as many as the slice before had."""
    pace = Pace(0.01)
    for steps, seconds in slices:
        pace.learn(steps, seconds)
        assert 1 <= pace.size <= max(2 * steps, steps + 1)


def test_pace_keeps_to_the_least_where_a_commit_alone_takes_too_long() -> None:
    """On a slow disk it does not fall to slices of one step, which would take as long each."""
    pace = Pace(0.01, least=64)
    for _ in range(20):
        pace.learn(pace.size, 0.5)
    assert pace.size == 64


def test_slices_stop_at_their_size_and_are_measured(db: SQLiteDatabase) -> None:
    """No step beyond the size is done, and the lock is counted as a stall."""
    slices, done = Slices(db, max_stall=1.0), []
    slices.pace.size = 3
    with slices.prepare():
        ended = slices.run(lambda n: done.append(n) is None)
    assert (done, ended, slices.count) == ([0, 1, 2], 3, 1)
    assert db.stalls.count == 1
    assert slices.held > 0


def test_slices_stop_when_the_time_is_over(db: SQLiteDatabase) -> None:
    """A slow step ends the slice, however many it might have had."""
    slices = Slices(db, max_stall=0.05)
    slices.pace.size = 10**6

    def slow(_: int) -> bool:
        time.sleep(slices.pace.aim / 2)  # a page that has to come from a slow disk
        return True

    with slices.prepare():
        assert slices.run(slow) <= 2


@pytest.mark.parametrize("where", ["step", "check"])
def test_slices_undo_what_fails(db: SQLiteDatabase, seen: Any, where: str) -> None:
    """An error in a step, or in the check before the commit, takes the whole slice back."""
    slices = Slices(db, max_stall=1.0)

    def step(done: int) -> bool:
        db.execute("INSERT INTO t VALUES (2)")
        if where == "step" and done == 2:
            raise KeyError("failed")
        return True

    def check(_: int) -> None:
        raise KeyError("failed")

    with slices.prepare(), pytest.raises(KeyError, match="failed"):
        slices.run(step, check if where == "check" else None)
    assert not db.in_transaction
    assert seen.query(Path(db.path), "SELECT count(*) FROM t") == [(1,)]


def test_slices_leave_the_connection_as_it_was(db: SQLiteDatabase) -> None:
    """Within, SQLite neither waits by itself nor runs a checkpoint by itself; after it, and after an error, it does."""
    before = [db.execute(f"PRAGMA {name}") for name in SETTINGS]
    with suppress(KeyError), Slices(db, max_stall=1.0).prepare():
        assert [db.execute(f"PRAGMA {name}")[0][0] for name in SETTINGS[:2]] == [0, 0]
        raise KeyError
    assert [db.execute(f"PRAGMA {name}") for name in SETTINGS] == before


def test_slices_give_up_while_a_reader_is_in_the_way(
    db: SQLiteDatabase, raw: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a log a reader keeps it from committing: it lets go soon, for everybody waits for both of them."""
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.4)
    reader = raw(db.path)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    slices = Slices(db, max_stall=0.05)
    begun: list[int] = []

    def step(done: int) -> bool:
        begun.append(done)
        return done == 0 and db.execute("INSERT INTO t VALUES (2)") == []

    with slices.prepare(), pytest.raises(LockedError, match=r"readers of .* left no moment to commit in"):
        slices.run(step)
    assert slices.count > 1, "it has tried once only"
    assert begun.count(0) == slices.count, "what was undone is done again from the beginning"
    assert db.waited >= 0.4
    assert not db.in_transaction
    reader.execute("COMMIT")
    assert seen.query(Path(db.path), "SELECT count(*) FROM t") == [(1,)]
    with slices.prepare():
        assert slices.run(step) == 1
    assert seen.query(Path(db.path), "SELECT count(*) FROM t") == [(2,)]


def test_slices_say_that_somebody_holds_the_lock(db: SQLiteDatabase, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the usual time of waiting they end with an error that may be gone the next time."""
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.05)
    writer = raw(db.path)
    writer.execute("BEGIN IMMEDIATE")
    slices = Slices(db, max_stall=0.05)
    with slices.prepare(), pytest.raises(TransientError, match="locked by another connection"):
        slices.run(lambda n: True)
    assert db.stalls.count == 0  # it had no lock, and kept nobody out
    assert db.waited >= 0.05, "what was waited in vain counts"


def test_slices_try_once_when_the_run_has_waited_enough(db: SQLiteDatabase, raw: Any) -> None:
    """The lock is the same error then, so that who catches it catches it."""
    db.limits = Limits(lock_wait=0.0)
    raw(db.path).execute("BEGIN IMMEDIATE")
    slices = Slices(db, max_stall=0.05)
    with slices.prepare(), pytest.raises(LockedError, match="is locked by another connection"):
        slices.begin()


@pytest.mark.parametrize("held", [0.0, 0.01, 0.03, 0.5])
@pytest.mark.parametrize("wal", [True, False])
@pytest.mark.parametrize("others", [True, False])
def test_pauses_are_longer_than_who_waits_may_sleep(db: SQLiteDatabase, held: float, wal: bool, others: bool) -> None:
    """Who waited for the slice tries at least once in the pause; where others write, long waiters do too."""
    slices = Slices(db, max_stall=0.05)
    slices.wal, slices._last = wal, held
    gap = slices.gap(others=others)
    assert gap > current_sleep(held)
    assert gap >= held
    assert wal or not others or gap > 0.1


def test_pauses_are_short_while_nobody_else_writes(db: SQLiteDatabase, raw: Any) -> None:
    """Whether somebody does is told by what others committed since the last pause, and by their locks."""
    slices, writer = Slices(db, max_stall=0.05), raw(db.path)
    assert slices._others_write()  # nothing is known yet
    slices.run(lambda n: n == 0 and db.execute("INSERT INTO t VALUES (2)") == [])
    assert not slices._others_write()
    writer.execute("INSERT INTO t VALUES (3)")
    assert slices._others_write()
    assert not slices._others_write()
    writer.execute("BEGIN EXCLUSIVE")
    with slices.prepare():
        assert slices._others_write()


def test_pause_ends_when_the_job_is_told_to_stop(db: SQLiteDatabase, context: Any) -> None:
    """It does not wait until the pause is over."""
    slices = Slices(db, max_stall=0.05)
    slices._last = 3600.0
    context.at_check = lambda count: context.cancel()
    with pytest.raises(JobCancelledError, match="test"):
        slices.pause()


def test_slices_get_their_turn_beside_a_busy_writer(db: SQLiteDatabase, raw: Any) -> None:
    """The lock is tried for often, so that a short moment in which it is free is enough."""
    writer: sqlite3.Connection = raw(db.path)
    writer.execute("BEGIN IMMEDIATE")
    tries: list[float] = []
    execute = db.execute

    def counted(sql: str, parameters: Any = ()) -> Any:
        if sql == "BEGIN IMMEDIATE":
            tries.append(time.monotonic())
            if len(tries) == 20:
                writer.execute("COMMIT")
        return execute(sql, parameters)

    db.execute = counted  # type: ignore[method-assign]
    slices = Slices(db, max_stall=0.05)
    with slices.prepare():
        assert slices.run(lambda n: n == 0) == 1
    assert len(tries) == 20
    assert tries[-1] - tries[0] < 1.0  # SQLite's own waiting would have taken 1.1 s
