"""What crashes, full disks and copies leave of a store's file and its log, and what is said of it when it is opened."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pitstop.errors import StoreError
from pitstop.stores.sqlite import errors
from pitstop.stores.sqlite.store import SQLiteStore


def frames(log: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of a write-ahead log, each with its number."""
    data = log.read_bytes()
    size = struct.unpack(">I", data[8:12])[0]
    for at in range(32, len(data), 24 + size):
        yield struct.unpack(">I", data[at : at + 4])[0], data[at + 24 : at + 24 + size]


def fill(ballast: Path) -> None:
    """Take all room that a disk has."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    assert shutil.disk_usage(ballast.parent).free == 0


def leave(path: Path, into: Path, make: object) -> Path:
    """Fill a store, and copy its file and its log as they are while it is open. Returns the copy's path."""
    into.mkdir()
    copy = into / path.name
    with closing(SQLiteStore(path)) as store:
        for number in range(30):
            store.create([make.leaf(f"j{number:04}", config={"x": "y" * 3000})])  # type: ignore[attr-defined]
        for name in (path.name, f"{path.name}-wal"):
            shutil.copyfile(path.parent / name, into / name)
    return copy


@pytest.fixture
def torn(tmp_path: Path, make: object) -> Path:
    """A store as a kill in a checkpoint leaves it: some pages of the log are in the file, which is too short."""
    copy = leave(tmp_path / "jobs.db", tmp_path / "torn", make)
    first = [page for number, page in frames(Path(f"{copy}-wal")) if number == 1][-1]
    with copy.open("r+b") as file:
        file.write(first)
    past_the_log = sqlite3.connect(f"{copy.as_uri()}?immutable=1", uri=True)
    with closing(past_the_log), pytest.raises(sqlite3.DatabaseError, match="malformed"):
        past_the_log.execute("SELECT count(*) FROM job").fetchall()
    return copy


def test_store_that_a_kill_in_a_checkpoint_left_is_opened(torn: Path, make):
    """What the file lacks stands in the log, so that nothing is lost and nothing is called damaged."""
    with closing(SQLiteStore(torn)) as store:
        assert len(store.ids("j", limit=100)) == 30
        store.create([make.leaf("next")])
    with closing(sqlite3.connect(torn)) as stranger:
        assert stranger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_store_whose_first_page_was_torn_is_opened_by_its_log(torn: Path):
    """Also the page that says whose the file is may be half written; the log has it."""
    with torn.open("r+b") as file:
        file.write(b"\x00" * 2048)
    with closing(SQLiteStore(torn)) as store:
        assert len(store.ids("j", limit=100)) == 30


def test_copy_without_its_log_is_told_to_lack_it(torn: Path):
    """Who copied the file alone learns what is missing, and the copy stays as it is."""
    Path(f"{torn}-wal").unlink()
    before = torn.read_bytes()
    with pytest.raises(StoreError, match=r"it is damaged .*the -wal file of the original belongs to it") as raised:
        SQLiteStore(torn)
    assert not raised.value.passing
    assert torn.read_bytes() == before
    assert [path.name for path in torn.parent.iterdir()] == [torn.name]


def test_foreign_database_with_a_log_is_left_as_it_is(tmp_path: Path):
    """Nothing of another application's log goes into its file, and nothing is removed beside it."""
    origin, path = tmp_path / "origin.db", tmp_path / "app.db"
    with closing(sqlite3.connect(origin, isolation_level=None)) as app:
        app.execute("PRAGMA journal_mode = WAL")
        app.execute("CREATE TABLE t (x)")
        for name in ("", "-wal"):
            shutil.copyfile(f"{origin}{name}", f"{path}{name}")
    before = {name: Path(f"{path}{name}").read_bytes() for name in ("", "-wal")}
    with pytest.raises(StoreError, match="it is an SQLite database of another application"):
        SQLiteStore(path)
    assert {name: Path(f"{path}{name}").read_bytes() for name in ("", "-wal")} == before


def test_store_works_again_when_a_full_disk_has_room(small_disk: Path, make):
    """A checkpoint that found no room leaves a file that needs its log, also for the next process."""
    path = small_disk / "jobs.db"
    with closing(SQLiteStore(path)) as store:
        for number in range(12):
            store.create([make.leaf(f"j{number:04}", config={"x": "y" * 3000})])
        ballast = small_disk / "ballast"
        fill(ballast)
        # what a program does that ends now: it would bring the log into the file
        with closing(sqlite3.connect(path)) as stranger, pytest.raises(sqlite3.OperationalError, match="full"):
            stranger.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        left = small_disk.parent / "left"
        left.mkdir()
        for name in ("jobs.db", "jobs.db-wal"):
            shutil.copyfile(small_disk / name, left / name)
        ballast.unlink()
    for each in (left / "jobs.db", path):
        with closing(SQLiteStore(each)) as store:
            assert len(store.ids("j", limit=100)) == 12
            store.create([make.leaf("next")])


def test_disk_without_room_for_the_log_is_told_to_be_full(small_disk: Path, make):
    """Whatever SQLite calls it: the shared memory, the log or the file could not be made, and it passes with room."""
    path = small_disk / "jobs.db"
    with closing(SQLiteStore(path)) as store:
        store.create([make.leaf("first")])
    ballast = small_disk / "ballast"
    fill(ballast)

    def use() -> None:
        with closing(SQLiteStore(path)) as store:
            store.create([make.leaf("next")])

    refused = []
    for _ in range(7):  # one page of room more each time, and less than the shared memory alone takes
        with pytest.raises(StoreError, match=r"the disk is full \(SQLITE_") as raised:
            use()
        os.truncate(ballast, ballast.stat().st_size - 4096)
        refused.append(raised.value.passing)
    assert all(refused)
    ballast.unlink()
    use()


@pytest.mark.parametrize(
    ("code", "room", "full"),
    [
        ("SQLITE_FULL", 0, True),
        ("SQLITE_FULL", 10**9, False),
        ("SQLITE_IOERR_SHMSIZE", 10**9, True),
        ("SQLITE_IOERR_WRITE", 0, True),
        ("SQLITE_IOERR_READ", 10**9, False),
        ("SQLITE_CANTOPEN", 0, True),
        ("SQLITE_CORRUPT", 0, False),
        ("SQLITE_CORRUPT_VTAB", 0, False),
        ("SQLITE_NOTADB", 0, False),
    ],
)
def test_damage_is_never_told_as_a_full_disk(monkeypatch, tmp_path, code, room, full):
    """What SQLite found and the room that there is decide together; damage stays damage on a full disk."""
    monkeypatch.setattr(errors, "is_full", lambda _: room == 0)
    error = sqlite3.OperationalError("some words")
    error.sqlite_errorname = code
    told = errors.store_error(f"sqlite:///{tmp_path}/jobs.db", error)
    assert ("the disk is full" in str(told)) is full
    assert told.passing is full


def test_folder_that_cannot_be_made_is_told_with_another_way(tmp_path: Path):
    """No state folder: where the file was to be, why not, and how to go on."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match=r"Not a directory.*--store none") as raised:
        SQLiteStore(tmp_path / "file" / "state" / "jobs.db")
    assert not raised.value.passing
