"""`compact` while somebody else has the file open, or comes when it is replaced: it refuses, or gives the file back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import OperationError
from pitstop.files import open_folder
from pitstop.jobs import Outcome, Result
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import durable_files, file_holders
from pitstop_database_maintenance.sqlite.operations import compact as module
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.rewriting import replace_file

pytestmark = pytest.mark.usefixtures("all_seen")
Open = Callable[..., SQLiteDatabase]
Ran = Callable[..., Result]
Apart = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def apart() -> Iterator[Apart]:
    """Run statements on a database in another process, which then keeps its connection open until it is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(path: Path, *statements: str) -> subprocess.Popen[str]:
        code = """
            import sqlite3, sys
            connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
            for statement in sys.argv[2:]:
                connection.execute(statement).fetchall()
            print("ready", flush=True)
            for line in sys.stdin:
                print(connection.execute(line).fetchall(), flush=True)
        """
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(path), *statements],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.communicate()


def with_log(path: Path) -> None:
    """Put a database into WAL mode, and leave no log."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal").fetchall()


def beside(path: Path) -> list[str]:
    """Return what lies in the database's folder."""
    return sorted(os.listdir(path.parent))


def ask(process: subprocess.Popen[str], sql: str) -> str:
    """Have another process execute a statement, and return its rows."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{sql}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def written_apart(path: Path, sql: str) -> None:
    """Execute a statement in another process, which then ends."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
    subprocess.run([sys.executable, "-c", code, str(path), sql], check=True)


def swap_pair(path: Path) -> tuple[str, str]:
    """Make two files in the database's folder, and return their names."""
    for name in ("one", "other"):
        (path.parent / name).write_text(name)
    return "one", "other"


# -- who else has it open ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["INSERT INTO t (k) VALUES ('theirs')", "SELECT count(*) FROM t", ""])
def test_compact_refuses_a_database_that_somebody_has_open(
    either: Path, ran: Ran, apart: Apart, statement: str
) -> None:
    """Idle or not, whether it holds a lock or not: it is named, declared offline or not, and goes on undisturbed."""
    other = apart(either, *[statement][: bool(statement)])
    inode = either.stat().st_ino
    with pytest.raises(OperationError, match=rf"process {other.pid} \(python.*\) has .*app\.db open"):
        ran(either, offline=True)
    assert either.stat().st_ino == inode
    assert ask(other, "INSERT INTO t (k) VALUES ('more') RETURNING id").startswith("[(600")
    assert ask(other, "PRAGMA integrity_check") == "[('ok',)]"


def test_compact_refuses_a_log_that_somebody_reads_even_unseen(
    bloated: Path, ran: Ran, apart: Apart, monkeypatch: pytest.MonkeyPatch, seen: Any
) -> None:
    """In WAL mode the lock alone proves it: the same with nobody to be seen. The mode is as it was."""
    with_log(bloated)
    other = apart(bloated, "SELECT count(*) FROM t")
    nobody = file_holders.Holders(others=(), own=1, unseen="")
    monkeypatch.setattr(replace_file, "find_holders", lambda found: nobody)
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.0)
    with pytest.raises(OperationError, match=r"somebody else has .* open"):
        ran(bloated, offline=True)
    assert ask(other, "PRAGMA journal_mode") == "[('wal',)]"
    assert ask(other, "INSERT INTO t (k) VALUES ('more') RETURNING id") == "[(6001,)]"


def test_compact_says_who_is_in_the_way_when_the_run_has_waited_enough(
    bloated: Path, opened: Any, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is not waited for any more is a lock all the same, and comes of somebody who has it open."""
    with_log(bloated)
    apart(bloated, "SELECT count(*) FROM t")
    monkeypatch.setattr(replace_file, "find_holders", lambda found: file_holders.Holders(others=(), own=1, unseen=""))
    db = opened(bloated)
    db.limits = Limits(lock_wait=0.0)
    with pytest.raises(OperationError, match=r"somebody else has .* open"):
        compact(db, offline=True)


def test_compact_refuses_a_second_connection_of_its_own_process(either: Path, ran: Ran, raw: Any) -> None:
    """An application that embeds Pitstop would go on with the old file."""
    own = raw(either)
    own.execute("SELECT count(*) FROM t").fetchall()
    with pytest.raises(OperationError, match=rf"this process \({os.getpid()}\) has .* open elsewhere too"):
        ran(either, offline=True)


def test_compact_in_rollback_mode_has_to_be_declared(bloated: Path, ran: Ran, seen: Any) -> None:
    """There an idle connection holds no lock, so that nothing proves that nobody will come."""
    before = seen.content(bloated)
    with pytest.raises(OperationError, match=r"not proven that nobody else uses .*: without a write-ahead log"):
        ran(bloated)
    assert seen.content(bloated) == before
    assert beside(bloated) == ["app.db"]


def test_compact_has_to_be_declared_where_others_are_not_seen(
    either: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was believed and not proven is in the warnings."""
    monkeypatch.setattr(file_holders, "_unseen", lambda hidden: "the walls are high")
    with pytest.raises(OperationError, match="the walls are high"):
        ran(either)
    result = ran(either, offline=True)
    assert result.outcome is Outcome.CHANGED
    assert "believed, not proven: the walls are high" in result.warnings[0]


def test_compact_refuses_when_somebody_wrote_meanwhile(
    either: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch, seen: Any
) -> None:
    """Even if he is gone already; what he wrote is there, and so is the journal mode."""
    mode = seen.query(either, "PRAGMA journal_mode")
    original = module._prepare

    def late(*given: Any) -> None:
        original(*given)
        written_apart(either, "INSERT INTO t (k) VALUES ('theirs')")

    monkeypatch.setattr(module, "_prepare", late)
    with pytest.raises(OperationError, match=r"somebody wrote to .* while it was rewritten"):
        ran(either, offline=True)
    assert seen.query(either, "SELECT id FROM t WHERE k = 'theirs'") == [(6001,)]
    assert seen.query(either, "PRAGMA journal_mode") == mode
    assert [name for name in beside(either) if "pitstop" in name] == []


def test_compact_refuses_what_was_written_while_it_waited_for_the_lock(
    bloated: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch, seen: Any
) -> None:
    """In WAL mode that is after `data_version` was asked: then the log's time tells."""
    with_log(bloated)
    original = replace_file._lock

    def late(*given: Any) -> None:
        written_apart(bloated, "INSERT INTO t (k) VALUES ('theirs')")
        original(*given)

    monkeypatch.setattr(replace_file, "_lock", late)
    with pytest.raises(OperationError, match=r"somebody wrote to .* while it was rewritten"):
        ran(bloated, offline=True)
    assert seen.query(bloated, "SELECT id FROM t WHERE k = 'theirs'") == [(6001,)]


def test_compact_swaps_back_when_somebody_opened_the_old_file_in_the_last_moment(
    either: Path, ran: Ran, apart: Apart, monkeypatch: pytest.MonkeyPatch, seen: Any
) -> None:
    """The last look at all processes was before he came; he keeps his file, under its name."""
    inode, rows, mode = either.stat().st_ino, seen.rows(either), seen.query(either, "PRAGMA journal_mode")
    original = durable_files.swap_names
    late: list[subprocess.Popen[str]] = []

    def swap(one: str, other: str, **given: Any) -> bool:
        if not late:
            late.append(apart(either))
        return original(one, other, **given)

    with open_folder(str(either.parent)) as folder:
        if not original(*swap_pair(either), folders=(folder, folder)):
            pytest.skip("this file system cannot swap two names")
    monkeypatch.setattr(durable_files, "swap_names", swap)
    with pytest.raises(OperationError, match=r"process \d+ \(python.*\) has .* open"):
        ran(either, offline=True)
    assert either.stat().st_ino == inode
    assert ask(late[0], "INSERT INTO t (k) VALUES ('late') RETURNING id") == "[(6001,)]"
    assert len(seen.rows(either)["t"]) == len(rows["t"]) + 1
    assert seen.query(either, "PRAGMA journal_mode") == mode
    assert [name for name in beside(either) if "pitstop" in name] == []


def test_compact_keeps_a_late_opener_out_until_the_file_is_replaced(
    either: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before the swap, whoever reads finds the file locked, and not what will be old in a moment."""
    said: list[str] = []
    original = durable_files.swap_names

    def swap(one: str, other: str, **given: Any) -> bool:
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM t').fetchone()"
        ended = subprocess.run([sys.executable, "-c", code, other], capture_output=True, text=True, check=False)
        said.append(ended.stderr)
        return original(one, other, **given)

    monkeypatch.setattr(durable_files, "swap_names", swap)
    assert ran(either, offline=True).outcome is Outcome.CHANGED
    assert "database is locked" in said[0]


def test_compact_leaves_a_journal_of_the_new_file_alone(
    either: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing the old connection, after the swap, deletes nothing by a name that is now the new file's."""
    original = replace_file._look_back
    journals = [Path(f"{either}{suffix}") for suffix in ("-journal", "-wal")]
    found: list[bool] = []

    def disconnect(closed: SQLiteDatabase) -> None:
        for journal in journals if closed is db else ():
            assert not journal.exists()
            journal.write_bytes(b"")
        really(closed)

    def look_back(*given: Any, **named: Any) -> Any:
        found.extend(journal.exists() for journal in journals)
        for journal in journals:
            journal.unlink()
        monkeypatch.setattr(SQLiteDatabase, "disconnect", really)
        return original(*given, **named)

    really = SQLiteDatabase.disconnect
    db = opened(either)
    monkeypatch.setattr(SQLiteDatabase, "disconnect", disconnect)
    monkeypatch.setattr(replace_file, "_look_back", look_back)
    assert compact(db, offline=True).outcome is Outcome.CHANGED
    assert found == [True, True]


def test_compact_works_where_names_cannot_be_swapped(
    either: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch, seen: Any
) -> None:
    """A plain renaming does it as well, without the way back."""
    rows = seen.rows(either)
    monkeypatch.setattr(durable_files, "swap_names", lambda one, other, **given: False)
    assert ran(either, offline=True).outcome is Outcome.CHANGED
    assert seen.rows(either) == rows
    assert [name for name in beside(either) if "pitstop" in name] == []


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_compact_goes_on_beside_an_empty_log_of_nobody(bloated: Path, ran: Ran, seen: Any, mode: str) -> None:
    """It carries nothing; beside the new file nothing lies."""
    with closing(sqlite3.connect(bloated)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    rows = seen.rows(bloated)
    for suffix in ("-wal", "-shm"):
        Path(f"{bloated}{suffix}").unlink(missing_ok=True)
    Path(f"{bloated}-wal").touch()
    assert ran(bloated, offline=True).outcome is Outcome.CHANGED
    assert not os.path.exists(f"{bloated}-wal")
    assert seen.rows(bloated) == rows


def test_compact_refuses_an_empty_log_that_somebody_has_open(bloated: Path, ran: Ran) -> None:
    """He may write to it in the next moment, and it would be taken for the new file's; he is named."""
    inode = bloated.stat().st_ino
    with (
        open(f"{bloated}-wal", "ab"),
        pytest.raises(OperationError, match=rf"this process \({os.getpid()}\) has .*-wal open"),
    ):
        ran(bloated, offline=True)
    assert bloated.stat().st_ino == inode


def test_compact_refuses_a_log_that_stays(either: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log beside the new file would be taken for its own."""
    original = replace_file._remove_leftovers

    def leave_log(*given: Any) -> None:
        Path(f"{either}-wal").write_bytes(b"not this file's")
        try:
            original(*given)
        finally:
            Path(f"{either}-wal").unlink()

    monkeypatch.setattr(replace_file, "_remove_leftovers", leave_log)
    inode = either.stat().st_ino
    with pytest.raises(OperationError, match=r"-wal \(15 bytes\) is there, nobody has it open"):
        ran(either, offline=True)
    assert either.stat().st_ino == inode


# -- rows that something refers to by number ---------------------------------------------------------------------------


def test_compact_does_not_swap_when_somebody_has_come_meanwhile(
    either: Path, ran: Ran, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He has it open and has not read yet, so that no lock tells of him: the last look before the swap does."""
    original = module._prepare

    def late(*given: Any) -> None:
        original(*given)
        apart(either)

    monkeypatch.setattr(module, "_prepare", late)
    monkeypatch.setattr(durable_files, "swap_names", lambda one, other: pytest.fail("it was swapped"))
    with pytest.raises(OperationError, match=r"process \d+ \(python.*\) has .* open"):
        ran(either, offline=True)
