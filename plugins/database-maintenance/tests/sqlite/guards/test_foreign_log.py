"""A log that lies beside a file it does not belong to: told, and never moved into the file. Its own log is."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.describe import description
from pitstop_database_maintenance.sqlite.guards.own_files import UnsoundLog
from pitstop_database_maintenance.sqlite.inspection.records import Inspection
from pitstop_database_maintenance.sqlite.inspection.survey import survey
from pitstop_database_maintenance.sqlite.operations.analyze import analyze
from pitstop_database_maintenance.sqlite.operations.checkpoint import checkpoint
from pitstop_database_maintenance.sqlite.operations.quick_check import quick_check

#: An application that keeps a copy of its database, goes on, and is killed with everything since in its log.
APPLICATION = """
import os, shutil, sqlite3, sys
path = sys.argv[1]
c = sqlite3.connect(path, isolation_level=None)
c.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (i INTEGER PRIMARY KEY, b); CREATE INDEX tb ON t (b);"
                "CREATE TABLE u (i INTEGER PRIMARY KEY, b)")
def fill(table, rows):
    c.execute("BEGIN")
    c.executemany(f"INSERT INTO {table} (b) VALUES (?)", [(f"{i}" + "y" * 300,) for i in range(rows)])
    c.execute("COMMIT")
fill("t", 3000); c.execute("ANALYZE"); c.execute("PRAGMA wal_checkpoint(TRUNCATE)"); shutil.copy(path, path + ".backup")
c.execute("DELETE FROM t WHERE i BETWEEN 300 AND 1400"); fill("u", 1000); c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
c.execute("PRAGMA wal_autocheckpoint = 0")
c.execute("UPDATE u SET b = 'z' || substr(b, 2)"); c.execute("UPDATE t SET b = 'q' || substr(b, 2) WHERE i > 1400")
os._exit(0)
"""

Connect = Callable[..., Any]


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A database as its application left it when it was killed: most of it in the file, the newest in the log."""
    path = tmp_path / "app.db"
    subprocess.run([sys.executable, "-c", APPLICATION, str(path)], check=True)
    return path


@pytest.fixture
def restored(crashed: Path) -> Path:
    """The same after somebody has put the backup back, and left the log beside it."""
    shutil.copy(f"{crashed}.backup", crashed)
    Path(f"{crashed}-shm").unlink()
    return crashed


@pytest.fixture
def restored_beside(crashed: Path, tmp_path: Path) -> Path:
    """A second database, on which the same has happened as to `restored`."""
    path = tmp_path / "second.db"
    shutil.copy(f"{crashed}.backup", path)
    shutil.copy(f"{crashed}-wal", f"{path}-wal")
    return path


def one(path: Path) -> Inspection:
    [found] = survey([str(path)])
    return found


def findings(found: Inspection) -> tuple[str, ...]:
    return tuple(map(str, description(found).findings))


def digest(path: Path) -> tuple[str, str]:
    return tuple(hashlib.sha256(Path(f"{path}{suffix}").read_bytes()).hexdigest() for suffix in ("", "-wal"))  # type: ignore[return-value]


def alone(path: Path) -> list[Any]:
    """Return what SQLite finds in the file without its log."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall()


def test_a_foreign_log_is_told_before_anything_is_opened(restored: Path, context: Any) -> None:
    """By the inspection, which plans nothing, and by whatever opens the database; the text says how to look."""
    before = digest(restored)
    found = one(restored)
    assert found.log.doubt == "structure"
    assert any("may be another file's" in finding and "immutable=1" in finding for finding in findings(found))
    with (
        pytest.raises(
            OperationError, match=r"was not opened: the write-ahead log beside it .*another file's"
        ) as raised,
        SQLiteDatabase.connect(str(restored), context),
    ):
        pass
    assert "restore a backup" not in raised.value.text()
    assert digest(restored) == before
    assert sorted(os.listdir(restored.parent)) == ["app.db", "app.db-wal", "app.db.backup"]


@pytest.mark.parametrize("operation", [checkpoint, analyze])
def test_a_foreign_log_that_is_opened_by_force_is_not_moved(
    restored: Path, context: Any, operation: Callable[[SQLiteDatabase], object]
) -> None:
    """What could not be told beforehand is found by the look before the first write: the log is still beside it."""
    before = digest(restored)
    with (
        pytest.raises(UnsoundLog, match=r"sound by itself, and not with the write-ahead log.*immutable=1") as raised,
        SQLiteDatabase.connect(str(restored), context, force=True) as db,
    ):
        operation(db)
    assert raised.value.damaged
    assert "restore a backup" not in raised.value.text()
    assert digest(restored) == before
    assert alone(restored) == [("ok",)]


def test_closing_after_a_look_moves_no_foreign_log(restored: Path, context: Any) -> None:
    """The last connection to close would move it, even of an operation that only reads."""
    before = digest(restored)
    with (
        SQLiteDatabase.connect(str(restored), context, force=True) as db,
        pytest.raises(OperationError, match="quick_check found"),
    ):
        quick_check(db)
    assert digest(restored) == before


def test_an_operation_that_does_not_look_moves_no_log(crashed: Path, context: Any) -> None:
    """Of its own log, too, nothing is moved before somebody has looked: what that is to come of is not known."""
    before = digest(crashed)
    with SQLiteDatabase.connect(str(crashed), context) as db:
        assert db.execute("SELECT count(*) FROM u") == [(1000,)]
        assert db.execute("PRAGMA wal_autocheckpoint") == [(0,)]
        with pytest.raises(OperationError, match="nobody has looked yet whether the database is sound with it"):
            db.move_log("PASSIVE")
        with pytest.raises(OperationError, match="nobody has looked yet"):
            db.release_log()
    assert digest(crashed) == before


def test_a_write_of_anybody_s_moves_the_log_after_a_look_only(
    crashed: Path, restored_beside: Path, context: Any
) -> None:
    """An operation that knows nothing of logs: its own log is moved as usual, another file's keeps it from writing."""
    with SQLiteDatabase.connect(str(crashed), context) as db:
        db.execute("UPDATE t SET b = b || 'x'")
        assert db.execute("PRAGMA wal_autocheckpoint") == [(1000,)]
    assert not Path(f"{crashed}-wal").exists()
    before = digest(restored_beside)
    with (
        pytest.raises(UnsoundLog, match="sound by itself"),
        SQLiteDatabase.connect(str(restored_beside), context, force=True) as db,
    ):
        db.execute("UPDATE t SET b = b || 'x'")
    assert digest(restored_beside) == before


@pytest.mark.parametrize("operation", [checkpoint, analyze])
def test_its_own_log_is_moved(
    crashed: Path, context: Any, seen: Any, operation: Callable[[SQLiteDatabase], object]
) -> None:
    """What a crash left is sound with the file: the log comes in, and with the last connection it is gone."""
    with SQLiteDatabase.connect(str(crashed), context) as db:
        operation(db)
    assert not Path(f"{crashed}-wal").exists()
    assert seen.integrity(crashed) == ["ok"]
    assert seen.query(crashed, "SELECT count(*) FROM u WHERE b LIKE 'z%'") == [(1000,)]
    assert seen.query(crashed, "SELECT count(*) FROM t WHERE b LIKE 'q%'") == [(1600,)]


def test_damage_of_the_file_itself_is_not_blamed_on_its_log(crashed: Path, context: Any) -> None:
    """A file that is damaged without its log too is damaged."""
    pages = crashed.stat().st_size // 4096
    with crashed.open("rb+") as file:
        for number in range(6, pages):
            file.seek(4096 * (number - 1))
            file.write(b"\xff" * 4096)
    with (
        pytest.raises(OperationError, match="is damaged") as raised,
        SQLiteDatabase.connect(str(crashed), context) as db,
    ):
        checkpoint(db)
    assert not isinstance(raised.value, UnsoundLog)


def pages_in_log(path: Path) -> dict[int, bytes]:
    """Return the newest committed version of each page in a log of pages of 4096 bytes, in the order of pages."""
    content, found, pending = Path(f"{path}-wal").read_bytes(), {}, {}
    for at in range(32, len(content) - 4119, 4120):
        number, commit = struct.unpack_from(">II", content, at)
        if content[at + 8 : at + 16] != content[16:24]:
            break
        pending[number] = content[at + 24 : at + 4120]
        if commit:
            found.update(pending)
            pending = {}
    return dict(sorted(found.items()))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("index", ["kept", "gone"])
def test_a_database_after_a_kill_in_a_checkpoint_is_what_its_log_says(
    crashed: Path, seen: Any, share: float, index: str
) -> None:
    """However far it came: a header that counts more pages than the file has is never read past the log."""
    grow = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "c.execute('CREATE TABLE newest (x)'); c.execute('INSERT INTO newest SELECT zeroblob(3000) FROM t')\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", grow, str(crashed)], check=True)
    written = pages_in_log(crashed)
    with crashed.open("rb+") as file:
        for number in list(written)[: round(share * len(written))]:
            file.seek(4096 * (number - 1))
            file.write(written[number])
    if index == "gone":
        Path(f"{crashed}-shm").unlink()
    before, there = digest(crashed), sorted(os.listdir(crashed.parent))
    found = one(crashed)
    assert (digest(crashed), sorted(os.listdir(crashed.parent))) == (before, there)
    assert (found.refused, found.schema_error, found.damaged_pages, found.log.doubt) == ("", "", 0, "")
    assert found.schema is not None
    assert [table.name for table in found.schema.tables] == ["t", "u", "newest"]
    assert found.schema.statistics_kind.startswith("stat1")
    assert (found.pages, found.free_pages) == tuple(
        seen.query(crashed, f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count")
    )


def test_a_first_page_that_is_torn_is_read_from_the_log(crashed: Path) -> None:
    """As SQLite reads it: what the power took of the file is whole in the log."""
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "c.execute('CREATE TABLE newest (x)'); os._exit(0)",
            str(crashed),
        ],
        check=True,
    )
    with crashed.open("rb+") as file:
        file.write(b"\0" * 512)
    found = one(crashed)
    assert found.refused == ""
    assert found.schema is not None
    assert [table.name for table in found.schema.tables] == ["t", "u", "newest"]


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        pytest.param(lambda path: go_on(path), "older", id="the file was written to meanwhile"),
        pytest.param(lambda path: os.truncate(path, path.stat().st_size // 2), "pages", id="a file that is shorter"),
        pytest.param(lambda path: smaller_pages(path), "page_size", id="a file with pages of another size"),
        pytest.param(lambda path: small(path), "pages", id="another database"),
    ],
)
def test_a_log_beside_another_file_is_doubted(crashed: Path, change: Callable[[Path], object], doubt: str) -> None:
    """Each sign by itself, and the text of it."""
    grow = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('CREATE TABLE newest (x)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", grow, str(crashed)], check=True)
    log = Path(f"{crashed}-wal").read_bytes()
    change(crashed)
    for suffix in ("-wal", "-shm"):
        Path(f"{crashed}{suffix}").unlink(missing_ok=True)
    Path(f"{crashed}-wal").write_bytes(log)
    found = one(crashed)
    assert found.log.doubt == doubt or (found.refused and "may be another file's" in found.refused)
    assert any("may be another file's" in finding for finding in findings(found))


def go_on(path: Path) -> None:
    for number in range(3):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {number + 1}")


def smaller_pages(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA page_size = 1024")
        connection.execute("CREATE TABLE t (x)")


def small(path: Path) -> None:
    path.unlink()
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")


def test_committed_pages_behind_a_damaged_one_are_counted_and_not_dropped(crashed: Path, context: Any) -> None:
    """SQLite drops them without a word; a broken end of the log, as a crash leaves it, is nothing to tell of."""
    content = bytearray(Path(f"{crashed}-wal").read_bytes())
    frames = (len(content) - 32) // 4120
    content[32 + 4120 * 5 + 1000] ^= 0xFF
    Path(f"{crashed}-wal").write_bytes(content)
    Path(f"{crashed}-shm").unlink()
    found = one(crashed)
    assert found.log.dropped == frames - (found.log.frames or 0) > 100
    assert any("lie behind a damaged one" in finding for finding in findings(found))
    before = digest(crashed)
    with (
        pytest.raises(OperationError, match=r"was not opened: .* behind a damaged one.*the option 'force' opens it"),
        SQLiteDatabase.connect(str(crashed), context),
    ):
        pytest.fail("it was opened")
    assert digest(crashed) == before
    damaged = bytes(content)
    content[32 + 4120 * 5 + 1000] ^= 0xFF
    content[-1] ^= 0xFF
    Path(f"{crashed}-wal").write_bytes(content)
    assert one(crashed).log.dropped == 0
    Path(f"{crashed}-wal").write_bytes(damaged)
    with SQLiteDatabase.connect(str(crashed), context, force=True) as db:
        assert db.execute("SELECT count(*) > 0 FROM t") == [(1,)]


def test_the_log_of_a_database_by_another_name_is_beside_the_file_itself(
    restored: Path, context: Any, tmp_path: Path
) -> None:
    """A link to a file has no log of its own; the one that there is is asked for, and kept, as by its first name."""
    before = digest(restored)
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "app.db"
    link.symlink_to(restored)
    with (
        pytest.raises(OperationError, match="may be another file's"),
        SQLiteDatabase.connect(str(link), context),
    ):
        pass
    with (
        pytest.raises(UnsoundLog, match="sound by itself"),
        SQLiteDatabase.connect(str(link), context, force=True) as db,
    ):
        checkpoint(db)
    assert digest(restored) == before
