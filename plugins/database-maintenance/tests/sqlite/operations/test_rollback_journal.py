"""A journal that a crash left: seen through, rolled back and told; one of another file is not opened."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import OperationError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.assessment import Look, Worth
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.assessments import space
from pitstop_database_maintenance.sqlite.assessments.rollback_journal import rollback_journal as assess
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.describe import description
from pitstop_database_maintenance.sqlite.inspection.records import Inspection
from pitstop_database_maintenance.sqlite.inspection.survey import survey
from pitstop_database_maintenance.sqlite.operations.rollback_journal import rollback_journal

#: Is killed within a transaction of which half is in the file by then.
APPLICATION = """
import os, signal, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA cache_size = 5")
for statement in sys.argv[2:]:
    c.execute(statement)
os.kill(os.getpid(), signal.SIGKILL)
"""
GROW = ("BEGIN", "UPDATE t SET b = 'lost' || b", "INSERT INTO t (b) SELECT b FROM t", "CREATE TABLE lost (x)")


def kill(path: Path, *statements: str) -> None:
    ended = subprocess.run([sys.executable, "-c", APPLICATION, str(path), *statements], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert journal(path).stat().st_size > 512


def journal(path: Path) -> Path:
    return Path(f"{path}-journal")


def one(path: Path) -> Inspection:
    [found] = survey([str(path)])
    return found


@pytest.fixture
def path(make: Callable[..., Path]) -> Path:
    return make(
        "CREATE TABLE t (i INTEGER PRIMARY KEY, b)",
        "CREATE INDEX tb ON t (b)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
        " INSERT INTO t SELECT i, hex(randomblob(100)) FROM n",
        "ANALYZE",
    )


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST"])
def test_an_interrupted_transaction_is_seen_through_and_rolled_back(
    path: Path, context: Any, seen: Any, mode: str
) -> None:
    """The figures are those after it, the look changes nothing, and the operation tells what it has done."""
    truth, rows = one(path), seen.rows(path)
    kill(path, f"PRAGMA journal_mode = {mode}", *GROW)
    before = path.read_bytes(), journal(path).read_bytes()
    found = one(path)
    assert (path.read_bytes(), journal(path).read_bytes()) == before
    assert (found.hot_journal, found.journal_doubt, found.refused) == (True, "", "")
    assert found.journal_bytes == journal(path).stat().st_size
    assert (found.pages, found.free_pages, found.schema) == (truth.pages, truth.free_pages, truth.schema)
    assert found.waste is not None
    assert truth.waste is not None
    assert found.waste.share == truth.waste.share
    with SQLiteDatabase.connect(str(path), context) as db:
        result = rollback_journal(db)
    assert result.outcome is Outcome.CHANGED
    assert result.data["journal_bytes"] == found.journal_bytes
    assert "that a crash had left was rolled back" in result.summary
    assert seen.rows(path) == rows
    assert not one(path).hot_journal
    assert any("that a crash had left was rolled back" in line for line in context.logger.of("warning"))


def test_without_a_journal_there_is_nothing_to_roll_back(path: Path, context: Any) -> None:
    """Which is said, and is no success that did something."""
    with SQLiteDatabase.connect(str(path), context) as db:
        assert rollback_journal(db).outcome is Outcome.UNCHANGED


def test_it_is_due_and_in_nobody_s_way(path: Path) -> None:
    """It pays whatever it gives back, and the other operations are assessed as the file will be."""
    with History(None) as history:
        whole = Look(database=str(path), inspection=one(path), history=history.of(str(path)))
        kill(path, *GROW)
        look = Look(database=str(path), inspection=one(path), history=history.of(str(path)))
        assert (assess(whole).worth, assess(look).worth) == (Worth.NO, Worth.YES)
        assert space.vacuum(look) == space.vacuum(whole)
        assert "a crash left a journal of" in "".join(map(str, description(one(path)).findings))


@pytest.mark.parametrize(
    ("statements", "doubt"),
    [
        pytest.param(GROW, "newer", id="of a later state"),
        pytest.param(("BEGIN", "UPDATE t SET b = b WHERE i % 7"), "newer or pages", id="of a longer file"),
        pytest.param(("PRAGMA user_version = 1", "VACUUM", *GROW), "newer", id="of a rebuilt file"),
    ],
)
def test_a_journal_beside_a_restored_backup_is_not_played(
    path: Path, context: Any, statements: tuple[str, ...], doubt: str
) -> None:
    """Told, by inspect and by whatever opens the database, with how to look without it; both stay as they are."""
    backup = path.with_name("backup.db")
    shutil.copy(path, backup)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO t (b) SELECT b FROM t WHERE i < 500")
        connection.commit()
    kill(path, *statements)
    shutil.copy(backup, path)
    before = journal(path).read_bytes()
    found = one(path)
    assert found.hot_journal
    assert found.journal_doubt in doubt.split(" or ")
    said = map(str, description(found).findings)
    assert any("may be another file's" in finding and "immutable=1" in finding for finding in said)
    with History(None) as history:
        look = Look(database=str(path), inspection=found, history=history.of(str(path)))
        assert assess(look).worth is Worth.IMPOSSIBLE
        assert space.vacuum(look).worth is Worth.IMPOSSIBLE
    with (
        pytest.raises(OperationError, match=r"was not opened: the journal beside it .* may be another file's"),
        SQLiteDatabase.connect(str(path), context),
    ):
        pass
    assert (path.read_bytes(), journal(path).read_bytes()) == (backup.read_bytes(), before)


@pytest.mark.parametrize("kept", [True, False])
def test_a_journal_of_several_databases_counts_while_their_own_is_there(path: Path, kept: bool) -> None:
    """Without the super-journal the transaction was committed, and the journal is only left over."""
    kill(path, *GROW)
    name = os.fsencode(path.with_name("app.db-mj123"))
    content = journal(path).read_bytes()
    content += b"\0" * (-len(content) % 512)
    page = (0x40000000 // 4096 + 1).to_bytes(4, "big")
    tail = name + len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big") + b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
    journal(path).write_bytes(content + page + tail)
    if kept:
        path.with_name("app.db-mj123").write_bytes(os.fsencode(journal(path)) + b"\0")
    assert one(path).hot_journal is kept
