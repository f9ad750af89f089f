"""What a disk, other processes and other users do to a store while it is in use. With the real thing each time."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.contracts import JobQuery
from pitstop.errors import StoreError
from pitstop.jobs import JobStatus
from pitstop.stores.sqlite import errors
from pitstop.stores.sqlite.store import SQLiteStore

from ..conftest import mount


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be."""
    return tmp_path / "jobs.db"


def ask(path: Path, sql: str) -> list[Any]:
    """Read from a file as a stranger would."""
    with closing(sqlite3.connect(path)) as stranger:
        return stranger.execute(sql).fetchall()


def side_by_side(*works: Any) -> list[BaseException | None]:
    """Run calls in threads at the same time. Returns what each raised."""
    raised: list[BaseException | None] = [None] * len(works)

    def run(number: int) -> None:
        try:
            works[number]()
        except BaseException as error:
            raised[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a caller hangs"
    return raised


# -- a full or read-only disk --------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["full", "process"])
def test_full_disk_loses_nothing_and_is_survived(small_disk, make, durability):
    """What does not fit is refused, for every thread that shares the commit; what fitted is there; and it goes on."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    store = SQLiteStore(small_disk / "jobs.db", durability=durability)
    try:
        store.create([make.leaf("first")])
        stored: list[str] = []

        def fill(thread: int) -> None:
            for step in range(10_000):
                batch = [make.leaf(f"j{thread}-{step}-{part}", config={"x": "y" * 2000}) for part in range(5)]
                store.create(batch)
                stored.extend(record.id for record in batch)

        raised = side_by_side(*(lambda thread=thread: fill(thread) for thread in range(4)))
        assert all(re.search("the disk is full .SQLITE_FULL", str(error)) for error in raised), raised
        assert store.ids("j", limit=100_000) == sorted(stored)
        ballast.unlink()
        assert make.run(store, "first").record.status is JobStatus.COMPLETED
        store.create([make.leaf("last")])
    finally:
        store.close()
    assert ask(small_disk / "jobs.db", "PRAGMA integrity_check") == [("ok",)]
    assert ask(small_disk / "jobs.db", "SELECT count(*) FROM job") == [(len(stored) + 2,)]


def test_read_only_file_system_is_said_to_be_read_only(small_disk, tmp_path, make):
    """A disk that nothing can be written to is refused at once and in words, also by root."""
    with closing(SQLiteStore(small_disk / "jobs.db")) as store:
        store.create([make.leaf("a")])
    view = tmp_path / "view"
    view.mkdir()
    mount("--bind", small_disk, view)
    try:
        mount("-o", "remount,bind,ro", view)
        with pytest.raises(StoreError, match=r"view/jobs\.db: it (is read-only|cannot be opened) .*; check"):
            SQLiteStore(view / "jobs.db")
        with pytest.raises(StoreError, match=r"Read-only file system"):
            SQLiteStore(view / "new.db")
    finally:
        subprocess.run(["umount", view], check=True)
    with closing(SQLiteStore(small_disk / "jobs.db")) as store:
        assert store.ids("") == ["a"]


def test_place_without_shared_memory_is_said_to_be_unusable(path, make):
    """Where the write-ahead log cannot be shared there is no store, and nothing is written without it."""
    Path(f"{path}-shm").symlink_to(path.parent / "nowhere" / "else")
    with pytest.raises(StoreError, match=r"jobs\.db: (it cannot be opened|its file system gives no shared memory)"):
        SQLiteStore(path)


# -- a store that somebody else has locked -------------------------------------------------------------------------

LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


@pytest.fixture
def locked(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A store that another process has locked until it is given a line."""
    SQLiteStore(path).close()
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "locked\n"
        yield holder
        holder.kill()


def test_locked_store_is_waited_for(path, locked, make):
    """Callers who come while another process writes wait for it, and all of them are served."""
    with closing(SQLiteStore(path, durability="process")) as store:
        threading.Timer(0.7, lambda: (locked.stdin.write("go\n"), locked.stdin.flush())).start()
        began = time.monotonic()
        works = [lambda n=n: store.create([make.leaf(f"j{n}")], then=make.claim(f"j{n}")) for n in range(6)]
        assert side_by_side(*works) == [None] * 6
        assert time.monotonic() - began > 0.5
        assert len(store.select(JobQuery(statuses=(JobStatus.RUNNING,)))) == 6


def test_locked_store_says_so_and_works_again(path, locked, make, monkeypatch):
    """A lock that is not given back is an error for all who wait, in the time of one; reading goes on meanwhile."""
    monkeypatch.setattr(errors, "BUSY_TIMEOUT", 0.3)
    with closing(SQLiteStore(path)) as store:
        began = time.monotonic()
        works = [lambda n=n: store.create(make.family(f"j{n}") if n % 2 else [make.leaf(f"j{n}")]) for n in range(8)]
        raised = side_by_side(*works, lambda: store.get("nobody") if store.ids("") else None)
        assert time.monotonic() - began < 5
        assert all("another process has locked it for 10 s (SQLITE_BUSY" in str(error) for error in raised[:8]), raised
        assert raised[8] is None
        assert store.ids("") == []
        locked.stdin.write("go\n")
        locked.stdin.flush()
        locked.wait(10)
        store.create([make.leaf("a")])
        assert store.ids("") == ["a"]


# -- a store that is taken away ------------------------------------------------------------------------------------


def remove(path: Path) -> None:
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        file.unlink(missing_ok=True)


def test_deleted_store_is_noticed_before_anything_is_lost_silently(path, make):
    """What is written into a file that has no name any more is gone with the process, so that nobody is told it is."""
    store = SQLiteStore(path)
    store.create([make.leaf("a")])
    time.sleep(0.06)
    remove(path)
    with pytest.raises(StoreError, match=r"jobs\.db: its file was deleted or moved away while it was open"):
        store.create([make.leaf("b")])
    with pytest.raises(StoreError, match="its file was deleted"):
        store.create(make.family("c"))
    with pytest.raises(StoreError, match="its file was deleted"):
        store.version()
    store.close()
    assert list(path.parent.iterdir()) == []


REPLACED = """
import os, sys, time
from pitstop.errors import StoreError
from pitstop.jobs import Job, JobRecord
from pitstop.stores.sqlite.store import SQLiteStore
path = sys.argv[1]
old = SQLiteStore(path)
old.create([JobRecord(job=Job(type="t", id="old"))])
os.rename(path, path + ".old")
os.rename(path + "-wal", path + ".old-wal")
os.rename(path + "-shm", path + ".old-shm")
new = SQLiteStore(path)
new.create([JobRecord(job=Job(type="t", id="new"))])
time.sleep(0.06)
try:
    old.create([JobRecord(job=Job(type="t", id="lost"))])
except StoreError as error:
    print(error)
old.close()
new.create([JobRecord(job=Job(type="t", id="newer"))])
print("\\n".join(sorted(os.listdir(os.path.dirname(path)))), flush=True)
del old
if sys.argv[2] == "kill":
    os._exit(0)
"""


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_replaced_store_is_noticed_and_its_successor_left_alone(path, end):
    """Neither going on nor closing the old one takes anything away from the new one in its place."""
    said = subprocess.run([sys.executable, "-c", REPLACED, path, end], capture_output=True, text=True, timeout=60)
    assert "jobs.db: its file was replaced by another while it was open" in said.stdout, said
    assert "jobs.db-wal" in said.stdout.splitlines(), "closing the old store removed the new one's log"
    with closing(SQLiteStore(path)) as store:
        assert store.ids("") == ["new", "newer"]


# -- a store that is damaged ---------------------------------------------------------------------------------------


def damage_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"not a database at all" * 4)


def damage_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def damage_end(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096 + 100)


@pytest.mark.parametrize("damage", [damage_header, damage_middle, damage_end])
def test_damaged_store_says_so_and_how_to_go_on(path, make, damage):
    """Which file it is, that it is damaged, and that one can do without; no traceback of SQLite."""
    with closing(SQLiteStore(path)) as store:
        store.create([make.leaf(f"j{number:04}", config={"x": "y" * 100}) for number in range(1000)])
    damage(path)

    def use() -> None:
        with closing(SQLiteStore(path)) as store:
            store.select(JobQuery(limit=None))
            store.create([make.leaf("new")], then=make.claim("new"))
            for number in range(1000):
                make.run(store, f"j{number:04}")

    with pytest.raises(
        StoreError, match=r"jobs\.db: it is (damaged|not a database) .*; to go on without .*--store none"
    ):
        use()


def test_store_damaged_under_way_fails_every_caller_in_words(path, make):
    """Threads that share a commit all hear of it, and none hangs."""
    with closing(SQLiteStore(path)) as store:
        store.create([make.leaf(f"j{number:04}", config={"x": "y" * 400}) for number in range(2000)])
    store = SQLiteStore(path)
    store.get("j0000")
    damage_middle(path)
    raised = side_by_side(*(lambda n=n: [make.run(store, f"j{k:04}") for k in range(n, 2000, 4)] for n in range(4)))
    store.close()
    assert all(isinstance(error, StoreError) and "jobs.db" in str(error) for error in raised), raised
