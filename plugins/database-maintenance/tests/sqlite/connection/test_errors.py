"""What an error of SQLite's means: a full disk is told as one however SQLite says it, and nothing else is."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import InvalidJobError, OperationError
from pitstop_database_maintenance.databases.errors import LockedError
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.sqlite.connection import errors
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure, explain_error, is_out_of_room
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files.temporary_files import temporary
from pitstop_database_maintenance.sqlite.guards.admission import check_file


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of one megabyte and of a few files."""
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=16", "tmpfs", folder], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("a file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> None:
    """Leave no room on a file system."""
    with suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def crowd(folder: Path) -> None:
    """Leave no file to be made on a file system, and many bytes free."""
    with suppress(OSError):
        for number in range(100):
            (folder / str(number)).touch()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_full_disk_is_told_as_one(small: Path, context: Any, mode: str) -> None:
    """In WAL mode SQLite fails to make its shared memory longer, which it tells as an error of input and output."""
    path = small / "app.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE t (x)")
    fill(small)
    with (
        pytest.raises(
            SQLiteFailure, match=r"no space left while working on .*app\.db: 0 bytes free in .*make room"
        ) as failed,
        SQLiteDatabase.connect(str(path), context) as db,
    ):
        db.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert failed.value.code == sqlite3.SQLITE_FULL
    assert failed.value.hopeless
    (small / "filler").unlink()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


@pytest.mark.parametrize("code", ["SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_LOCKED", "SQLITE_PROTOCOL"])
def test_each_lock_is_one_error_whatever_sqlite_says_of_it(tmp_path: Path, code: str) -> None:
    """The code tells, and no word of the text."""
    error = sqlite3.OperationalError("something else")
    error.sqlite_errorcode = {"SQLITE_BUSY_SNAPSHOT": 517}.get(code) or getattr(sqlite3, code)
    error.sqlite_errorname = code
    told = explain_error(error, path=str(tmp_path / "app.db"), waited=0.0)
    assert type(told) is LockedError
    other = sqlite3.OperationalError("database is locked")
    other.sqlite_errorcode, other.sqlite_errorname = sqlite3.SQLITE_ERROR, "SQLITE_ERROR"
    assert not isinstance(explain_error(other, path=str(tmp_path / "app.db"), waited=0.0), LockedError)


def test_a_lock_is_the_same_error_when_there_is_no_time_to_wait(make: Any, opened: Any, raw: Any) -> None:
    """Whether there is says the worker, not the statement: what catches a lock must catch each."""
    path = make("CREATE TABLE t (x)")
    db = opened(path)
    raw(path).execute("BEGIN EXCLUSIVE")
    for left in (0.02, 0.0):
        db.limits = Limits(lock_wait=db.waited + left)
        with pytest.raises(LockedError, match="locked by another connection"):
            db.execute("SELECT * FROM t")


@pytest.mark.parametrize(
    ("use_up", "told"),
    [(fill, "0 bytes free in .*small"), (crowd, "no inode is left for another file in .*small")],
)
def test_full_disk_on_which_nothing_can_be_read_is_told_as_one(
    small: Path, use_up: Callable[[Path], None], told: str
) -> None:
    """To look at a database in WAL mode, SQLite makes files beside it; if it cannot, the rights are not wrong."""
    path = small / "app.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE t (x)")
    use_up(small)
    with pytest.raises(InvalidJobError, match=f"no space left while working on .*{told}.*make room") as refused:
        check_file(str(path))
    assert "rights" not in str(refused.value)


def test_disk_without_inodes_is_told_as_that(small: Path, context: Any) -> None:
    """There are bytes enough: who reads how many would look in the wrong place."""
    path = small / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    crowd(small)
    with (
        pytest.raises(SQLiteFailure, match="no inode is left for another file in") as failed,
        SQLiteDatabase.connect(str(path), context) as db,
    ):
        db.execute("INSERT INTO t VALUES (1)")
    assert failed.value.code == sqlite3.SQLITE_FULL
    with pytest.raises(OperationError, match=r"no file can be made in .*; make room"), temporary(str(path), "copy"):
        pass


def test_limit_of_the_file_is_not_told_as_a_full_disk(make: Any, opened: Any) -> None:
    """SQLite has one code for both."""
    db = opened(make("CREATE TABLE t (x)"))
    db.execute("PRAGMA max_page_count = 3")
    with pytest.raises(
        SQLiteFailure, match=r"found no room .*, and there is some now: .*PRAGMA max_page_count"
    ) as failed:
        db.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert "no space left" not in str(failed.value)


def test_largest_row_number_is_not_told_as_a_full_disk(make: Any, opened: Any) -> None:
    """There is no number left to give."""
    db = opened(make("CREATE TABLE t (i INTEGER PRIMARY KEY AUTOINCREMENT)", f"INSERT INTO t VALUES ({2**63 - 1})"))
    with pytest.raises(SQLiteFailure, match=r"there is some now: .*the largest row number") as failed:
        db.execute("INSERT INTO t VALUES (NULL)")
    assert "no space left" not in str(failed.value)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("SQLITE_FULL", True),
        ("SQLITE_IOERR_WRITE", True),
        ("SQLITE_IOERR_FSYNC", True),
        ("SQLITE_CANTOPEN_FULLPATH", True),
        ("SQLITE_CORRUPT", False),
        ("SQLITE_NOTADB", False),
        ("SQLITE_READONLY_DBMOVED", False),
    ],
)
def test_damage_is_never_told_as_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, full: bool
) -> None:
    """However full the disk is: damage does not go away with room."""
    monkeypatch.setattr(errors, "is_full", lambda folder: True)
    assert is_out_of_room(name, str(tmp_path / "app.db")) is full


def test_error_of_a_device_with_room_is_not_told_as_a_full_disk(tmp_path: Path) -> None:
    """Only the shared memory of a log needs nothing but room."""
    path = str(tmp_path / "app.db")
    assert not is_out_of_room("SQLITE_IOERR_WRITE", path)
    assert is_out_of_room("SQLITE_IOERR_SHMSIZE", path)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE"
    told = explain_error(error, path=path, waited=0)
    assert "failed (SQLITE_IOERR_WRITE)" in str(told)
    assert "free" not in str(told)
