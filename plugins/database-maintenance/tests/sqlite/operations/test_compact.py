"""`compact`: the new file holds what the old one held, and nothing changes whenever somebody else could notice."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pitstop.errors import JobCancelledError, OperationError
from pitstop.files import open_folder
from pitstop.jobs import Outcome, Result
from pitstop.text import resize_text
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.sqlite.connection import durable_files, file_holders
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations import compact as module
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop_database_maintenance.sqlite.rewriting import replace_file, vacuum_into

Open = Callable[..., SQLiteDatabase]
Ran = Callable[..., Result]
Apart = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def all_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process can be looked into, also where the tests run as an ordinary user or in a container."""
    monkeypatch.setattr(file_holders, "_unseen", lambda hidden: "")


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


@pytest.fixture(params=["delete", "wal"])
def either(bloated: Path, request: pytest.FixtureRequest) -> Path:
    """The bloated database in each of the two kinds of journal mode."""
    if request.param == "wal":
        with_log(bloated)
    return bloated


@pytest.fixture
def ran(context: Any) -> Callable[..., Result]:
    """Compact a database as a job does: on a connection that is closed afterwards."""

    def run(path: Path, **parameters: Any) -> Result:
        with SQLiteDatabase.connect(str(path), context) as db:
            return compact(db, **parameters)

    return run


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


# -- what it does ------------------------------------------------------------------------------------------------------


def test_compact_gives_all_waste_back(either: Path, seen: Any, context: Any) -> None:
    """The file is smaller, holds the same rows, and nothing is left beside it; the connection is to the new file."""
    rows, size = seen.rows(either), either.stat().st_size
    mode = seen.query(either, "PRAGMA journal_mode")
    with SQLiteDatabase.connect(str(either), context) as db:
        result = compact(db, offline=True)
        assert db.measure().file_bytes == either.stat().st_size
        db.execute("INSERT INTO t (k) VALUES ('afterwards')")
    assert seen.query(either, "SELECT id FROM t WHERE k = 'afterwards'") == [(6001,)]
    assert seen.query(either, "PRAGMA journal_mode") == mode
    assert result.outcome is Outcome.CHANGED
    assert result.warnings == ()
    assert result.data["bytes_before"] == size > result.data["bytes_after"] == result.data["file_bytes_after"]
    assert result.data["free_pages_before"] > 0 == result.data["free_pages_after"]
    assert result.summary == resize_text(size, result.data["bytes_after"])
    assert len(seen.rows(either)["t"]) == len(rows["t"]) + 1
    assert seen.integrity(either) == ["ok"]
    assert beside(either) == [either.name]


def test_compact_moves_the_log_into_the_new_file(bloated: Path, ran: Ran, raw: Any, seen: Any) -> None:
    """Rows that are in the write-ahead log only are in the new file."""
    writer = raw(bloated)
    writer.execute("PRAGMA journal_mode = wal").fetchall()
    writer.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    writer.execute("UPDATE t SET v = 'changed' WHERE id <= 3000")
    kept = {name: Path(f"{bloated}{name}").read_bytes() for name in ("", "-wal")}
    writer.close()
    for name, content in kept.items():
        Path(f"{bloated}{name}").write_bytes(content)  # as a crash would have left them
    assert ran(bloated).outcome is Outcome.CHANGED
    assert seen.query(bloated, "SELECT count(*) FROM t WHERE v = 'changed'") == [(3000,)]
    assert seen.integrity(bloated) == ["ok"]


def test_compact_tells_when_there_was_nothing_to_give_back(either: Path, ran: Ran) -> None:
    """A second time the file is not even replaced."""
    ran(either, offline=True)
    inode = either.stat().st_ino
    result = ran(either, offline=True)
    assert result.outcome is Outcome.UNCHANGED
    assert "nothing to give back" in result.summary
    assert either.stat().st_ino == inode


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize(
    "setting",
    [
        "page_size = 1024",
        "page_size = 65536",
        "auto_vacuum = 1",
        "auto_vacuum = 2",
        "encoding = 'UTF-16be'",
        "user_version = -7",
        "application_id = 252006673",
        "default_cache_size = 555",
    ],
)
def test_compact_keeps_settings(make: Any, ran: Ran, seen: Any, setting: str, mode: str) -> None:
    """What the header says is in the new file too, the journal mode among it."""
    path = make(
        f"PRAGMA {setting}",
        f"PRAGMA journal_mode = {mode}",
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
        " INSERT INTO t (x) SELECT hex(randomblob(200)) FROM n",
        "ANALYZE",
        "DELETE FROM t WHERE id > 600",
        # full auto_vacuum leaves no free page; half-empty ones it leaves
        "DELETE FROM t WHERE id % 2",
    )
    name = setting.split(" = ")[0]
    before = seen.query(path, f"PRAGMA {name}"), seen.query(path, "SELECT * FROM sqlite_stat1")
    assert ran(path, offline=True).outcome is Outcome.CHANGED
    assert (seen.query(path, f"PRAGMA {name}"), seen.query(path, "SELECT * FROM sqlite_stat1")) == before
    assert seen.query(path, "PRAGMA journal_mode") == [(mode,)]
    assert seen.query(path, "SELECT seq FROM sqlite_sequence") == [(900,)]


def test_compact_keeps_what_the_file_looks_like(either: Path, ran: Ran) -> None:
    """Mode, owner and extended attributes, an access control list among them, are those of the old file."""
    either.chmod(0o660)
    attributes = {"user.origin": b"payroll"}
    try:
        os.setxattr(either, "user.origin", attributes["user.origin"])
    except OSError:  # a file system without extended attributes
        attributes = {}
    if os.geteuid() == 0:
        os.chown(either, 1234, 2345)
    before = either.stat()
    assert ran(either, offline=True).outcome is Outcome.CHANGED
    after = either.stat()
    assert after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert {name: os.getxattr(either, name) for name in attributes} == attributes


def test_compact_keeps_its_file_from_others_until_it_is_complete(
    bloated: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is written, only its owner may read it, and its name says whose it is."""
    modes: list[int] = []
    original = module.rewrite

    def looked(db: SQLiteDatabase, copy: Any, **given: Any) -> Any:
        found = original(db, copy, **given)
        modes.append(stat.S_IMODE(os.stat(copy.path).st_mode))
        assert Path(copy.path).name.startswith(f"app.db.pitstop-compact-{os.getpid()}-")
        return found

    monkeypatch.setattr(module, "rewrite", looked)
    bloated.chmod(0o644)
    ran(bloated, offline=True)
    assert modes == [0o600]
    assert stat.S_IMODE(bloated.stat().st_mode) == 0o644


def test_compact_of_a_link_replaces_the_file_that_it_leads_to(bloated: Path, ran: Ran, tmp_path: Path) -> None:
    """The link is still one."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link = folder / "link.db"
    link.symlink_to(bloated)
    size = bloated.stat().st_size
    assert ran(link, offline=True).outcome is Outcome.CHANGED
    assert link.is_symlink()
    assert bloated.stat().st_size < size
    assert beside(link) == ["link.db"]


def test_compact_of_a_file_with_two_names_is_refused(bloated: Path, ran: Ran, seen: Any, tmp_path: Path) -> None:
    """The other name would keep the old file."""
    (tmp_path / "other.db").hardlink_to(bloated)
    before = seen.content(bloated)
    with pytest.raises(OperationError, match=r"has 2 names \(hard links\)"):
        ran(bloated, offline=True)
    assert seen.content(bloated) == before


def test_compact_of_a_file_that_is_mounted_is_refused(bloated: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a container was given by itself cannot be renamed over."""
    monkeypatch.setattr(replace_file, "_is_mounted", lambda path: path == str(bloated))
    with pytest.raises(OperationError, match="is mounted by itself"):
        ran(bloated, offline=True)
    assert not replace_file.__dict__["_is_mounted"]("/nowhere")


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
    monkeypatch.setattr(replace_file, "holders", lambda found: nobody)
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
    monkeypatch.setattr(replace_file, "holders", lambda found: file_holders.Holders(others=(), own=1, unseen=""))
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
    original = durable_files.exchange
    late: list[subprocess.Popen[str]] = []

    def exchange(one: str, other: str, **given: Any) -> bool:
        if not late:
            late.append(apart(either))
        return original(one, other, **given)

    with open_folder(str(either.parent)) as folder:
        if not original(*swap_pair(either), folders=(folder, folder)):
            pytest.skip("this file system cannot swap two names")
    monkeypatch.setattr(durable_files, "exchange", exchange)
    with pytest.raises(OperationError, match=r"process \d+ \(python.*\) has .* open"):
        ran(either, offline=True)
    assert either.stat().st_ino == inode
    assert ask(late[0], "INSERT INTO t (k) VALUES ('late') RETURNING id") == "[(6001,)]"
    assert len(seen.rows(either)["t"]) == len(rows["t"]) + 1
    assert seen.query(either, "PRAGMA journal_mode") == mode
    assert [name for name in beside(either) if "pitstop" in name] == []


def swap_pair(path: Path) -> tuple[str, str]:
    """Make two files in the database's folder, and return their names."""
    for name in ("one", "other"):
        (path.parent / name).write_text(name)
    return "one", "other"


def test_compact_keeps_a_late_opener_out_until_the_file_is_replaced(
    either: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before the swap, whoever reads finds the file locked, and not what will be old in a moment."""
    said: list[str] = []
    original = durable_files.exchange

    def exchange(one: str, other: str, **given: Any) -> bool:
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM t').fetchone()"
        ended = subprocess.run([sys.executable, "-c", code, other], capture_output=True, text=True, check=False)
        said.append(ended.stderr)
        return original(one, other, **given)

    monkeypatch.setattr(durable_files, "exchange", exchange)
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
    monkeypatch.setattr(durable_files, "exchange", lambda one, other, **given: False)
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

    def with_log(*given: Any) -> None:
        Path(f"{either}-wal").write_bytes(b"not this file's")
        try:
            original(*given)
        finally:
            Path(f"{either}-wal").unlink()

    monkeypatch.setattr(replace_file, "_remove_leftovers", with_log)
    inode = either.stat().st_ino
    with pytest.raises(OperationError, match=r"-wal \(15 bytes\) is there, nobody has it open"):
        ran(either, offline=True)
    assert either.stat().st_ino == inode


# -- when it must not, or must stop ------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_compact_that_is_stopped_leaves_the_file_as_it_was(
    either: Path, ran: Ran, context: Any, seen: Any, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """Told at any time, it ends, not one byte is different, and nothing lies beside the file."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 1000)
    before = seen.content(either)
    checks: list[int] = []
    context.at_check = checks.append
    with monkeypatch.context() as patched:
        patched.setattr(module, "_prepare", lambda *given: context.cancel())
        with pytest.raises(JobCancelledError, match="test"):
            ran(either, offline=True)  # the last check of all, and how many there are
    context._stop = None
    context.checks = 0
    last = len(checks)
    context.at_check = lambda count: context.cancel() if count == int(last * share) + 1 else None
    with pytest.raises(JobCancelledError, match="test"):
        ran(either, offline=True)
    assert [name for name in beside(either) if "pitstop" in name] == []
    assert seen.content(either) == before


def test_compact_refuses_a_damaged_file(either: Path, ran: Ran, seen: Any) -> None:
    """It is looked at while it is copied; what is found ends the copy, and the file is as it was."""
    data = bytearray(either.read_bytes())
    [(root,)] = seen.query(either, "SELECT rootpage FROM sqlite_master WHERE name = 'by_v'")
    data[(root - 1) * 4096 : root * 4096] = bytes(4096)
    either.write_bytes(data)
    with pytest.raises(OperationError, match=r"app\.db is damaged"):
        ran(either, offline=True)
    assert either.read_bytes() == data
    assert [name for name in beside(either) if "pitstop" in name] == []


def test_compact_refuses_a_copy_that_lacks_a_row(
    either: Path, ran: Ran, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of both are counted."""
    before = seen.content(either)
    original = vacuum_into._compare

    def compare(db: SQLiteDatabase, target: Any, *given: Any) -> None:
        with db.second("rw", path=target.path) as copy:
            copy.execute("DELETE FROM t WHERE id = 17")
        original(db, target, *given)

    monkeypatch.setattr(vacuum_into, "_compare", compare)
    with pytest.raises(OperationError, match="is not like the original: table 't' has 5,999 rows and had 6,000 rows"):
        ran(either, offline=True)
    assert seen.content(either) == before


def test_compact_refuses_an_open_transaction(bloated: Path, opened: Open) -> None:
    """It is said what to do."""
    db = opened(bloated)
    db.execute("BEGIN")
    with pytest.raises(OperationError, match=r"a transaction is open.*commit it"):
        compact(db, offline=True)


def test_compact_needs_room_for_its_result(bloated: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte short of the pages in use is refused; exactly that much will do."""
    db = opened(bloated)
    found = db.measure()
    needed = found.bytes - found.free_bytes
    free = {"bytes": needed - 1}
    monkeypatch.setattr(durable_files.os, "statvfs", lambda folder: SimpleNamespace(f_bavail=free["bytes"], f_frsize=1))
    with pytest.raises(OperationError, match=rf"compact of .* needs .* in {bloated.parent}, where .* are free"):
        compact(db, offline=True)
    free["bytes"] = needed
    assert compact(db, offline=True).outcome is Outcome.CHANGED


def test_compact_refuses_an_owner_that_it_cannot_keep(bloated: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application could not open the new file any more."""

    def fails(*given: object) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(durable_files, "own_alike", fails)
    with pytest.raises(OperationError, match="belongs to another user or group"):
        ran(bloated, offline=True)
    assert beside(bloated) == ["app.db"]


# -- rows that something refers to by number ---------------------------------------------------------------------------

SEARCHED = (
    "CREATE TABLE doc (title, body)",
    "INSERT INTO doc VALUES ('one', 'alpha'), ('two', 'beta'), ('three', 'gamma'), ('four', 'delta')",
    "CREATE VIRTUAL TABLE search USING fts5(title, body, content='doc')",
    "INSERT INTO search (search) VALUES ('rebuild')",
    "INSERT INTO search (search, rowid, title, body) VALUES ('delete', 1, 'one', 'alpha')",
    "DELETE FROM doc WHERE rowid = 1",
    "CREATE TABLE filling AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
    " SELECT i, hex(randomblob(100)) FROM n",
    "DELETE FROM filling",
)
FINDS = "SELECT title FROM search WHERE search MATCH 'gamma'"


@pytest.mark.parametrize(("encoding", "done"), [("UTF-8", True), ("UTF-16le", False)])
def test_compact_of_a_file_whose_name_is_no_utf_8(
    make: Any, opened: Open, seen: Any, encoding: str, *, done: bool
) -> None:
    """It is done; or, where SQLite cannot be told the path, refused in words."""
    path = make(f"PRAGMA encoding = '{encoding}'", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1), (2)")
    odd = path.rename(path.with_name(os.fsdecode(b"n\xff.db")))
    before = seen.content(odd)
    if done:
        compact(opened(odd), offline=True)
    else:
        with pytest.raises(OperationError, match="its path is no UTF-8"):
            compact(opened(odd), offline=True)
    assert seen.content(odd) == before
    assert [os.fsencode(file.name) for file in path.parent.iterdir()] == [b"n\xff.db"]


def test_vacuum_that_renumbers_rows_corrupts_a_search_silently(make: Any, opened: Open, seen: Any) -> None:
    """This is what is refused unless asked for: the search finds another row, and SQLite's check says "ok"."""
    path = make(*SEARCHED)
    assert seen.query(path, FINDS) == [("three",)]
    with pytest.raises(OperationError, match=r"FTS5 table 'search' refers to the rows of 'doc' by numbers"):
        vacuum(opened(path))
    assert seen.query(path, FINDS) == [("three",)]
    assert vacuum(opened(path), allow_renumbering=True).outcome is Outcome.CHANGED
    assert seen.integrity(path) == ["ok"]
    assert seen.query(path, FINDS) == [("four",)]


def test_compact_keeps_the_numbers_of_rows(make: Any, ran: Ran, seen: Any) -> None:
    """What VACUUM must not do to such a database, compact can."""
    path = make(*SEARCHED)
    assert ran(path, offline=True).outcome is Outcome.CHANGED
    assert seen.query(path, FINDS) == [("three",)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO search (search, rank) VALUES ('integrity-check', 1)")


def test_compact_refuses_a_copy_with_other_numbers(make: Any, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """No document promises that VACUUM INTO keeps them, so that they are compared."""
    path = make(*SEARCHED)
    original = vacuum_into._compare

    def compare(db: SQLiteDatabase, target: Any, *given: Any) -> None:
        with db.second("rw", path=target.path) as copy:
            copy.execute("UPDATE doc SET rowid = rowid + 10 WHERE title = 'four'")
        original(db, target, *given)

    monkeypatch.setattr(vacuum_into, "_compare", compare)
    with pytest.raises(OperationError, match="the rows of table 'doc' have other numbers"):
        ran(path, offline=True)
    assert ran(path, offline=True, allow_renumbering=True).outcome is Outcome.CHANGED


def test_compact_of_a_file_that_sqlite_only_reads_leaves_its_log_alone(
    make: Any, ran: Ran, raw: Any, tmp_path: Path
) -> None:
    """Its header names a write version of the future: found out before the log is moved into the file."""
    written = make("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES (1, 'before')")
    writer = raw(written)
    writer.execute("PRAGMA journal_mode = wal").fetchall()
    writer.execute("UPDATE t SET v = 'behind'")  # of the same length, so that the log has no header of its own
    content = {suffix: bytearray(Path(f"{written}{suffix}").read_bytes()) for suffix in ("", "-wal")}
    folder = tmp_path / "later"
    folder.mkdir()
    content[""][18] = 3
    frame = bytes(content["-wal"])
    path = folder / "app.db"
    path.write_bytes(content[""])
    Path(f"{path}-wal").write_bytes(frame)
    with pytest.raises(OperationError, match="cannot be written"):
        ran(path, offline=True)
    assert path.read_bytes() == content[""]
    assert Path(f"{path}-wal").read_bytes() == frame


def test_compact_does_not_swap_when_somebody_has_come_meanwhile(
    either: Path, ran: Ran, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He has it open and has not read yet, so that no lock tells of him: the last look before the swap does."""
    original = module._prepare

    def late(*given: Any) -> None:
        original(*given)
        apart(either)

    monkeypatch.setattr(module, "_prepare", late)
    monkeypatch.setattr(durable_files, "exchange", lambda one, other: pytest.fail("it was swapped"))
    with pytest.raises(OperationError, match=r"process \d+ \(python.*\) has .* open"):
        ran(either, offline=True)


def test_compact_refuses_damage_that_a_copy_would_hide(either: Path, ran: Ran) -> None:
    """Pages that nothing leads to may have held rows; VACUUM INTO succeeds, and they are gone."""
    data = bytearray(either.read_bytes())
    assert int.from_bytes(data[36:40]) > 0, "there must be free pages"
    data[32:40] = bytes(8)
    either.write_bytes(data)
    with pytest.raises(OperationError, match=r"app\.db is damaged .*never used"):
        ran(either, offline=True)
    assert either.read_bytes() == data
