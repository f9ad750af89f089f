"""`compact`: the file without its waste, whole or not at all."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pitstop.errors import JobCancelledError, OperationError
from pitstop.jobs import Outcome, Result
from pitstop.text import resize_text
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import durable_files
from pitstop_database_maintenance.sqlite.operations import compact as module
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop_database_maintenance.sqlite.rewriting import replace_file, vacuum_into

pytestmark = pytest.mark.usefixtures("all_seen")
Open = Callable[..., SQLiteDatabase]
Ran = Callable[..., Result]


def beside(path: Path) -> list[str]:
    """Return what lies in the database's folder."""
    return sorted(os.listdir(path.parent))


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


def test_compact_keeps_rights_that_were_set_since_it_connected(bloated: Path, context: Any) -> None:
    """The steps before it may have taken an hour; what somebody forbade meanwhile stays forbidden."""
    bloated.chmod(0o644)
    with SQLiteDatabase.connect(str(bloated), context) as db:
        bloated.chmod(0o600)
        assert compact(db, offline=True).outcome is Outcome.CHANGED
    assert stat.S_IMODE(bloated.stat().st_mode) == 0o600


def test_compact_takes_no_rights_back_that_were_set_while_it_copied(
    bloated: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody forbade in those minutes would be allowed again with the new file."""
    bloated.chmod(0o644)
    content, prepare = bloated.read_bytes(), module._prepare
    monkeypatch.setattr(module, "_prepare", lambda *given: (bloated.chmod(0o600), prepare(*given)))
    with pytest.raises(OperationError, match="while it was copied: its mode is 0600 and was 0644; run it again"):
        ran(bloated, offline=True)
    assert (stat.S_IMODE(bloated.stat().st_mode), bloated.read_bytes()) == (0o600, content)
    assert beside(bloated) == [bloated.name]


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


def test_compact_names_the_damage_though_the_copy_meets_it_first(
    either: Path, ran: Ran, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says of the copy no more than that the file is malformed; the look says where, and is waited for."""
    data = bytearray(either.read_bytes())
    [(root,)] = seen.query(either, "SELECT rootpage FROM sqlite_master WHERE name = 't'")
    data[(root - 1) * 4096 : root * 4096] = bytes(4096)
    either.write_bytes(data)
    failed, look, wait = threading.Event(), vacuum_into.require_sound, vacuum_into.wait
    monkeypatch.setattr(vacuum_into, "require_sound", lambda reader: (failed.wait(20), look(reader)))
    monkeypatch.setattr(vacuum_into, "wait", lambda futures, timeout: (failed.set(), wait(futures, timeout=timeout)))
    with pytest.raises(OperationError, match=rf"app\.db is damaged .*(?i:page) {root}\b.*nothing was written"):
        ran(either, offline=True)
    assert failed.is_set()
    assert either.read_bytes() == data


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

    monkeypatch.setattr(durable_files, "copy_owner", fails)
    with pytest.raises(OperationError, match="belongs to another user or group"):
        ran(bloated, offline=True)
    assert beside(bloated) == ["app.db"]


# -- rows that something refers to by number ---------------------------------------------------------------------------


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


def test_compact_refuses_damage_that_a_copy_would_hide(either: Path, ran: Ran) -> None:
    """Pages that nothing leads to may have held rows; VACUUM INTO succeeds, and they are gone."""
    data = bytearray(either.read_bytes())
    assert int.from_bytes(data[36:40]) > 0, "there must be free pages"
    data[32:40] = bytes(8)
    either.write_bytes(data)
    with pytest.raises(OperationError, match=r"app\.db is damaged .*never used"):
        ran(either, offline=True)
    assert either.read_bytes() == data
