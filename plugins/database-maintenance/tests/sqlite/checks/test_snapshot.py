"""`snapshot`: a copy of one moment, which keeps others waiting no longer than allowed and leaves nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pitstop.errors import JobCancelledError, OperationError
from pitstop_database_maintenance.sqlite.checks import snapshot as module
from pitstop_database_maintenance.sqlite.checks.snapshot import snapshot
from pitstop_database_maintenance.sqlite.connection import connection
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files.temporary_files import sweep

Open = Callable[..., SQLiteDatabase]


def wal(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal").fetchall()
    return path


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_snapshot_is_a_whole_copy_and_goes(bloated: Path, opened: Open, seen: Any, mode: str) -> None:
    """Same rows, sound, for its user only, and nothing of it stays."""
    if mode == "wal":
        wal(bloated)
    rows, before = seen.rows(bloated), seen.content(bloated)
    db = opened(bloated)
    with snapshot(db, max_stall=None) as copy:
        assert copy.path != db.path
        assert os.path.dirname(copy.path) == str(bloated.parent)
        assert os.stat(copy.path).st_mode & 0o777 == 0o600
        assert copy.execute("PRAGMA integrity_check") == [("ok",)]
        assert copy.execute("SELECT count(*), sum(w) FROM t") == db.execute("SELECT count(*), sum(w) FROM t")
    assert (seen.content(bloated), seen.rows(bloated)) == (before, rows)
    assert [name for name in os.listdir(bloated.parent) if ".pitstop-" in name] == []
    assert bool(db.stalls.count) is (mode == "delete")


def test_snapshot_of_a_log_is_of_one_moment_and_blocks_no_writer(
    bloated: Path, opened: Open, raw: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits that come while it is taken succeed at once, do not begin it anew, and are not in it."""
    monkeypatch.setattr(connection, "_PAGES", 20)
    writer = raw(wal(bloated), timeout=0.0)
    commits: list[float] = []

    def commit(done: float) -> None:
        writer.execute("INSERT INTO t (k, w) VALUES (?, 0)", (f"new {done}",))
        commits.append(done)

    context.at_progress = commit
    with snapshot(opened(bloated), max_stall=0.001) as copy:
        context.at_progress = lambda done: None
        assert copy.execute("SELECT count(*) FROM t") == [(6000,)]
        assert copy.execute("PRAGMA integrity_check") == [("ok",)]
    assert len(commits) > 5
    assert commits == sorted(set(commits))


def test_snapshot_holds_no_lock_while_it_is_used(bloated: Path, opened: Open, raw: Any) -> None:
    """In rollback mode writers wait for the copying, which is counted, and no longer."""
    db = opened(bloated)
    with snapshot(db, max_stall=None):
        raw(bloated, timeout=0.0).execute("DELETE FROM t WHERE id = 1")
    assert db.stalls.writer_stall > 0
    assert db.stalls.reader_stall > 0


def test_snapshot_is_refused_where_it_would_keep_writers_waiting(
    bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system that cannot clone; the text says what would help."""
    monkeypatch.setattr(module, "COPY_RATE", 1e3)
    monkeypatch.setattr(module, "_CHILD", module._CHILD.replace("0x40049409", "0"))
    with (
        pytest.raises(OperationError, match=r"keep writers waiting for about .* more than 0\.5 s.*cannot clone.*WAL"),
        snapshot(opened(bloated), max_stall=0.5),
    ):
        pass
    assert os.listdir(bloated.parent) == ["app.db"]


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_snapshot_is_refused_without_room(
    bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Before anything is copied."""
    if mode == "wal":
        wal(bloated)
    monkeypatch.setattr(module, "_CHILD", module._CHILD.replace("0x40049409", "0"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with (
        pytest.raises(OperationError, match=r"a copy of .* needs .* where 1\.0 kB are free"),
        snapshot(opened(bloated), max_stall=None),
    ):
        pass


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_snapshot_that_is_stopped_leaves_nothing(
    bloated: Path, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Told while it copies."""
    if mode == "wal":
        wal(bloated)
    monkeypatch.setattr(connection, "_PAGES", 20)
    monkeypatch.setattr(module, "_CHILD", "import time; time.sleep(60)" if mode == "delete" else module._CHILD)
    db = opened(bloated)
    context.cancel()
    with pytest.raises(JobCancelledError, match="test"), snapshot(db, max_stall=None):
        pass
    assert [name for name in os.listdir(bloated.parent) if ".pitstop-" in name] == []


def test_snapshot_tells_why_it_could_not_copy(bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's last words are the reason."""
    monkeypatch.setattr(module, "_CHILD", "raise OSError('the disk is on fire')")
    with (
        pytest.raises(OperationError, match=r"app\.db could not be copied: OSError: the disk is on fire"),
        snapshot(opened(bloated), max_stall=None),
    ):
        pass


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_snapshot_in_use_is_not_swept(bloated: Path, opened: Open, mode: str) -> None:
    """Its lock is held by another process, so that this one can use SQLite on it."""
    if mode == "wal":
        wal(bloated)
    with snapshot(opened(bloated), max_stall=None) as copy:
        from pitstop_database_maintenance.sqlite.files import temporary_files

        own = set(temporary_files._own)
        temporary_files._own.clear()  # as in a process that did not make it
        try:
            assert sweep(str(bloated)) == []
        finally:
            temporary_files._own.update(own)
        assert os.path.exists(copy.path)
