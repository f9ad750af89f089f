"""Which files are refused before anything has changed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

NOBODY = 65534
Make = Callable[..., Path]
Raw = Callable[..., Any]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Act as a user without rights; a test that is not run as root has none to give up."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared(bloated: Path) -> Iterator[Path]:
    """A database in a folder that everybody may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "app.db"
    shutil.copy(bloated, path)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.chown(path, NOBODY, NOBODY)
    yield path
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_check_accepts_a_sound_database(bloated: Path, seen: Any) -> None:
    """Nothing is raised, and nothing beside the file or in it has changed."""
    before = seen.content(bloated), sorted(os.listdir(bloated.parent))
    SQLiteDatabase.check(str(bloated))
    assert (seen.content(bloated), sorted(os.listdir(bloated.parent))) == before


@pytest.mark.parametrize("name", ["a b.db", "what?.db", "a#b.db", "100%.db", "a%20b.db", "ä'\".db", "x;y&mode=ro.db"])
def test_check_and_connect_open_a_file_of_any_name(
    make: Make, opened: Callable[..., SQLiteDatabase], name: str
) -> None:
    """What is special in a URI is not special in a path."""
    path = make("CREATE TABLE t (x)", name=name)
    SQLiteDatabase.check(str(path))
    assert opened(path).execute("SELECT name FROM sqlite_master") == [("t",)]


def test_check_opens_a_path_with_two_slashes(make: Make) -> None:
    """`//data/app.db` is a path on this host, not a host called data."""
    SQLiteDatabase.check(f"/{make('CREATE TABLE t (x)')}")


def test_check_refuses_a_missing_file(make: Make) -> None:
    """The nearest name in the folder is suggested, and nothing is created."""
    path = make("CREATE TABLE t (x)", name="customers.db")
    with pytest.raises(InvalidJobError, match=r"not found; .*never creates.*did you mean '.*customers\.db'"):
        SQLiteDatabase.check(str(path.parent / "custmers.db"))
    assert os.listdir(path.parent) == ["customers.db"]


def test_check_refuses_a_missing_folder(tmp_path: Path) -> None:
    """It is the folder that is named then."""
    with pytest.raises(InvalidJobError, match=r"the folder .*nowhere is not there"):
        SQLiteDatabase.check(str(tmp_path / "nowhere" / "app.db"))


def test_check_refuses_a_path_through_a_file(bloated: Path) -> None:
    """A file is no folder."""
    with pytest.raises(InvalidJobError, match="was not found"):
        SQLiteDatabase.check(f"{bloated}/app.db")


def test_check_refuses_a_dangling_link(tmp_path: Path) -> None:
    """A link that leads nowhere is not called missing: its target is."""
    (tmp_path / "link.db").symlink_to("gone.db")
    with pytest.raises(InvalidJobError, match=r"is a link to .*gone\.db"):
        SQLiteDatabase.check(str(tmp_path / "link.db"))


def test_check_refuses_a_link_to_itself(tmp_path: Path) -> None:
    """What the system refuses to look at is refused with the system's words."""
    (tmp_path / "loop.db").symlink_to("loop.db")
    with pytest.raises(InvalidJobError, match="cannot be looked at: Too many levels"):
        SQLiteDatabase.check(str(tmp_path / "loop.db"))


def test_check_refuses_a_folder(tmp_path: Path) -> None:
    """A folder is no database."""
    with pytest.raises(InvalidJobError, match="is a folder"):
        SQLiteDatabase.check(str(tmp_path))


def test_check_refuses_a_pipe_and_a_device(tmp_path: Path) -> None:
    """Opening a pipe would wait for ever, and reading a device may never end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InvalidJobError, match="no regular file"):
            SQLiteDatabase.check(str(path))


def test_check_refuses_an_empty_file(tmp_path: Path) -> None:
    """SQLite would take it for a new database."""
    (tmp_path / "empty.db").touch()
    with pytest.raises(InvalidJobError, match="is empty"):
        SQLiteDatabase.check(str(tmp_path / "empty.db"))


@pytest.mark.parametrize("content", [b"hello", b"a,b,c\n1,2,3\n" * 999, bytes(range(256)) * 64])
def test_check_refuses_what_is_no_database(tmp_path: Path, content: bytes) -> None:
    """A text file, a short one, and what an encrypted database looks like."""
    (tmp_path / "other.db").write_bytes(content)
    with pytest.raises(InvalidJobError, match=r"not a SQLite database.*encrypted"):
        SQLiteDatabase.check(str(tmp_path / "other.db"))


@pytest.mark.parametrize("part", [300, 5000, 100_000])
def test_check_refuses_a_truncated_database(bloated: Path, part: int) -> None:
    """A copy that broke off is found by its size."""
    bloated.write_bytes(bloated.read_bytes()[:part])
    with pytest.raises(InvalidJobError, match=r"truncated or damaged.*\.recover"):
        SQLiteDatabase.check(str(bloated))


def test_check_refuses_a_file_that_may_not_be_read(shared: Path) -> None:
    """Rights are those of the effective user."""
    shared.chmod(0o000)
    with as_nobody(), pytest.raises(InvalidJobError, match="may not be read"):
        SQLiteDatabase.check(str(shared))


def test_check_refuses_a_read_only_file(shared: Path) -> None:
    """What cannot be written cannot be maintained."""
    shared.chmod(0o444)
    with as_nobody(), pytest.raises(InvalidJobError, match="is read-only"):
        SQLiteDatabase.check(str(shared))


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_check_refuses_a_read_only_folder(shared: Path, raw: Raw, mode: str) -> None:
    """The journal is created beside the file, in either journal mode."""
    connection = raw(shared)
    connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
    connection.close()
    shared.parent.chmod(0o555)
    with as_nobody(), pytest.raises(InvalidJobError, match=r"the folder .* is read-only.*journal"):
        SQLiteDatabase.check(str(shared))


def test_check_accepts_the_owner(shared: Path) -> None:
    """The same user without those obstacles is let through."""
    with as_nobody():
        SQLiteDatabase.check(str(shared))


def test_check_does_not_mind_a_lock(bloated: Path, raw: Raw) -> None:
    """A lock of now says nothing about later, when the job runs."""
    raw(bloated).execute("BEGIN EXCLUSIVE")
    SQLiteDatabase.check(str(bloated))


def test_check_leaves_nothing_beside_a_wal_database(bloated: Path, raw: Raw) -> None:
    """Reading in WAL mode creates two files, and they are removed again."""
    connection = raw(bloated)
    connection.execute("PRAGMA journal_mode = wal").fetchall()
    connection.close()
    SQLiteDatabase.check(str(bloated))
    assert os.listdir(bloated.parent) == ["app.db"]


def test_check_leaves_the_log_of_others_alone(bloated: Path, raw: Raw, seen: Any) -> None:
    """A write-ahead log that somebody else has is neither moved into the file nor removed."""
    connection = raw(bloated)
    connection.execute("PRAGMA journal_mode = wal").fetchall()
    connection.execute("INSERT INTO t (k) VALUES ('new')")
    before = seen.content(bloated), seen.content(Path(f"{bloated}-wal"))
    SQLiteDatabase.check(str(bloated))
    assert (seen.content(bloated), seen.content(Path(f"{bloated}-wal"))) == before


def test_check_accepts_what_a_crash_left(
    bloated: Path, raw: Raw, opened: Callable[..., SQLiteDatabase], seen: Any
) -> None:
    """A hot journal is for the operation to roll back, and it does."""
    rows = seen.rows(bloated)
    connection = raw(bloated)
    for statement in ("PRAGMA cache_size = 1", "BEGIN IMMEDIATE", "UPDATE t SET v = 'lost'"):
        connection.execute(statement).fetchall()
    crashed = bloated.with_name("crashed.db")
    shutil.copy(bloated, crashed)
    shutil.copy(f"{bloated}-journal", f"{crashed}-journal")
    SQLiteDatabase.check(str(crashed))
    assert opened(crashed).execute("SELECT count(*) FROM t WHERE v = 'lost'") == [(0,)]
    assert seen.rows(crashed) == rows


def test_check_refuses_another_scheme() -> None:
    """The class serves SQLite only."""
    with pytest.raises(InvalidJobError, match="is not a SQLite database"):
        SQLiteDatabase.check("mysql://h/d")
