"""The stall meter: what a lock of some length looks like to who waits for it, and what a real writer saw."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop_database_maintenance.sqlite.connection.lock_waits import (
    Stalls,
    current_sleep,
    longest_wait,
    wake_times,
    worst_wait,
)

HELD = st.floats(0, 20)
#: A writer in a process of its own; tells how long each of its waits was.
WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("SELECT * FROM sqlite_master").fetchall()
print("there", flush=True)
for _ in sys.stdin:
    began = time.monotonic()
    print("waits", flush=True)
    connection.execute("BEGIN IMMEDIATE")
    waited = time.monotonic() - began
    connection.execute("COMMIT")
    print(waited, flush=True)
"""


@given(HELD)
def test_worst_wait_is_the_first_wake_after_the_lock(held: float) -> None:
    """A waiting connection notices at the next of its tries, never before, and 100 ms later at most."""
    waited = worst_wait(held)
    assert held <= waited <= held + 0.101
    assert any(abs(waited - wake) < 1e-9 for wake in islice(wake_times(), 400))


def test_wakes_are_those_of_sqlite() -> None:
    """1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50 and then always 100 ms of sleep, each a little longer than asked."""
    sums = [1, 3, 8, 18, 33, 53, 78, 103, 128, 178, 228, 328, 428, 528]
    assert [round(1000 * wake - 0.15 * (n + 1)) for n, wake in enumerate(islice(wake_times(), len(sums)))] == sums


@pytest.mark.parametrize(("waited", "sleep"), [(0, 0.001), (0.002, 0.002), (0.010, 0.010), (0.2, 0.05), (9, 0.1)])
def test_sleeping_is_the_sleep_that_a_waiter_is_in(waited: float, sleep: float) -> None:
    """The longer it has waited, the longer it sleeps between two tries."""
    assert current_sleep(waited) == sleep


@given(st.lists(HELD, min_size=1, max_size=8))
def test_longest_wait_is_that_of_the_longest_lock_or_just_less(held: list[float]) -> None:
    """Never more than at worst, and less by no more than the time after which a busy writer comes for the lock."""
    found = longest_wait(held)
    assert found <= worst_wait(max(held))
    assert found >= max(held) - 0.0025


def test_longest_wait_of_many_is_longer_than_of_one() -> None:
    """A lock that ends just after a writer wakes is mostly seen as the shorter wait; of a hundred, one is not."""
    just_after = next(wake for wake in wake_times() if wake > 0.018) + 0.0005
    assert longest_wait([just_after]) < just_after < longest_wait([just_after] * 100)


def test_stalls_tell_nothing_of_nothing() -> None:
    """Nothing held is no stall, whatever a commit takes."""
    stalls = Stalls()
    stalls.after = 0.01
    assert (stalls.writer_stall, stalls.reader_stall, stalls.count) == (0, 0, 0)


def test_stalls_keep_the_longest_for_writers_and_readers() -> None:
    """Readers wait only for what is said to keep them out."""
    stalls = Stalls()
    stalls.add(0.2)
    stalls.add(0.004, readers=True)
    stalls.add_for_readers(0.01)
    assert (stalls.writers, stalls.readers, stalls.count) == (0.2, 0.01, 2)
    assert stalls.writer_stall == pytest.approx(longest_wait([0.2, 0.004]))
    assert stalls.reader_stall == pytest.approx(longest_wait([0.01]))


def test_stalls_remember_the_longest_of_thousands() -> None:
    """What is forgotten is short."""
    stalls = Stalls()
    stalls.add(0.5)
    for _ in range(1000):
        stalls.add(0.001)
    assert stalls.writer_stall >= 0.5 - 0.0025


def test_stalls_count_a_lock_that_ends_with_an_error() -> None:
    """It was held all the same."""
    stalls = Stalls()
    with pytest.raises(KeyError, match="gone"), stalls.measure():
        raise KeyError("gone")
    assert stalls.count == 1


@pytest.mark.parametrize("seconds", [0.004, 0.04, 0.15])
def test_stalls_agree_with_a_real_writer(tmp_path: Path, seconds: float) -> None:
    """A writer in another process waited for as long as the meter says, give or take what a busy machine adds."""
    path = tmp_path / "app.db"
    stalls = Stalls()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (x)")
        waits = [_beside(path, connection, stalls, seconds) for _ in range(3)]
    assert min(waits) <= stalls.writer_stall * 1.1 + 0.005
    assert max(waits) >= stalls.writers / 2


def _beside(path: Path, connection: Any, stalls: Stalls, seconds: float) -> float:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdin
        assert writer.stdout
        writer.stdout.readline()
        connection.execute("BEGIN IMMEDIATE")
        writer.stdin.write("now\n")
        writer.stdin.flush()
        writer.stdout.readline()
        with stalls.measure():
            time.sleep(seconds)  # the lock that is measured
            connection.execute("COMMIT")
        waited = float(writer.stdout.readline())
        writer.stdin.close()
    return waited
