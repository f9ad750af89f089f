"""`backup`: a copy that was read back, under a name that was free, and older ones that go only when it is complete."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InvalidValueError, JobCancelledError, OperationError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.sqlite.connection import connection
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import durable_files
from pitstop_database_maintenance.sqlite.operations import backup as module
from pitstop_database_maintenance.sqlite.operations.backup import backup
from pitstop_database_maintenance.sqlite.operations.backup_names import Template

Open = Callable[..., SQLiteDatabase]


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A folder for copies."""
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder


def set_mode(path: Path, mode: str) -> None:
    """Put a database into a journal mode."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()


def written_apart(path: Path, sql: str) -> None:
    """Execute a statement in another process, which then ends."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
    subprocess.run([sys.executable, "-c", code, str(path), sql], check=True)


# -- the copy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_backup_to_a_file_holds_the_same(bloated: Path, opened: Open, copies: Path, seen: Any, mode: str) -> None:
    """All rows, sound, with the database's mode, and nothing beside it; the database is as it was."""
    set_mode(bloated, mode)
    bloated.chmod(0o640)
    before, copy = seen.content(bloated), copies / "copy.db"
    result = backup(opened(bloated), to=str(copy))
    assert result.outcome is Outcome.CHANGED
    assert result.data["to"] == str(copy)
    assert result.data["backup_bytes"] == copy.stat().st_size == bloated.stat().st_size
    assert result.data["removed"] == []
    assert os.listdir(copies) == ["copy.db"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    assert seen.content(bloated) == before
    assert seen.rows(copy) == seen.rows(bloated)
    assert seen.integrity(copy) == ["ok"]
    assert seen.query(copy, "PRAGMA journal_mode") == [(mode,)]


def test_backup_to_a_folder_has_a_name_of_its_own(bloated: Path, opened: Open, copies: Path) -> None:
    """With the database's name, its place and the time, so that a second one does not meet the first."""
    for _ in range(2):
        backup(opened(bloated), to=f"{copies}{os.sep}")
    names = os.listdir(copies)
    assert len(names) == 2
    assert all(re.fullmatch(r"app-[0-9a-f]{8}-\d{8}T\d{6}\.\d{3}Z\.db", name) for name in names)


def test_backup_holds_what_is_in_the_log_only(bloated: Path, opened: Open, copies: Path, raw: Any, seen: Any) -> None:
    """Another connection keeps it from being moved into the file."""
    writer = raw(bloated)
    writer.execute("PRAGMA journal_mode = wal").fetchall()
    writer.execute("INSERT INTO t (k) VALUES ('in the log')")
    backup(opened(bloated), to=str(copies / "copy.db"))
    assert seen.query(copies / "copy.db", "SELECT count(*) FROM t WHERE k = 'in the log'") == [(1,)]


def test_backup_is_of_one_moment_while_somebody_writes(
    bloated: Path, opened: Open, copies: Path, seen: Any, monkeypatch: pytest.MonkeyPatch, context: Any
) -> None:
    """Each write of another process would have SQLite's backup begin again; in one transaction it goes on, and misses
    them all."""
    set_mode(bloated, "wal")
    monkeypatch.setattr(connection, "_PAGES", 100)
    steps: list[float] = []

    def writing(done: float) -> None:
        steps.append(done)
        if len(steps) < 4:
            written_apart(bloated, f"INSERT INTO t (k, v) VALUES ('while {len(steps)}', hex(zeroblob(9000)))")

    context.at_progress = writing
    pages = bloated.stat().st_size // 4096
    backup(opened(bloated), to=str(copies / "copy.db"))
    assert len(steps) <= pages // 100 + 3
    assert seen.query(copies / "copy.db", "SELECT count(*), max(id) FROM t") == [(6000, 6000)]
    assert seen.query(bloated, "SELECT count(*) FROM t") == [(6003,)]


def test_backup_needs_nothing_that_only_the_application_has(make: Any, opened: Open, copies: Path) -> None:
    """Pages are copied; no collation or function is asked."""
    path = make(
        "CREATE TABLE t (x TEXT COLLATE german PRIMARY KEY) WITHOUT ROWID",
        "INSERT INTO t VALUES ('a'), ('b')",
        "CREATE INDEX i ON t (fold(x))",
        setup=lambda connection: (
            connection.create_collation("german", lambda one, other: (one > other) - (one < other)),
            connection.create_function("fold", 1, str.lower, deterministic=True),
        ),
    )
    assert backup(opened(path), to=str(copies / "copy.db")).outcome is Outcome.CHANGED
    assert (copies / "copy.db").read_bytes()[100:] == path.read_bytes()[100:]


def test_backup_keeps_the_numbers_of_rows(make: Any, opened: Open, copies: Path, seen: Any) -> None:
    """An FTS index over a table without a declared key goes on finding what it found."""
    path = make(
        "CREATE TABLE doc (title, body)",
        "INSERT INTO doc VALUES ('one', 'alpha'), ('two', 'beta'), ('three', 'gamma'), ('four', 'delta')",
        "DELETE FROM doc WHERE rowid = 1",
        "CREATE VIRTUAL TABLE search USING fts5(title, body, content='doc')",
        "INSERT INTO search (search) VALUES ('rebuild')",
    )
    backup(opened(path), to=str(copies / "copy.db"))
    assert seen.query(copies / "copy.db", "SELECT title FROM search WHERE search MATCH 'gamma'") == [("three",)]


# -- what is believed --------------------------------------------------------------------------------------------------


def test_backup_is_read_from_the_disk(
    bloated: Path, opened: Open, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is synced, dropped from memory, and only then looked at; and named after that."""
    steps: list[str] = []

    def noted(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def call(*given: Any, **named: Any) -> Any:
            steps.append(name)
            return original(*given, **named)

        monkeypatch.setattr(owner, name, call)

    monkeypatch.setattr(module, "require_sound", lambda db: steps.append("looked"))
    for owner, name in ((os, "fsync"), (os, "posix_fadvise"), (module, "give_name"), (durable_files, "sync_folder")):
        noted(owner, name)
    backup(opened(bloated), to=str(copies / "copy.db"))
    wanted = ["fsync", "posix_fadvise", "looked", "fsync", "give_name", "sync_folder"]
    left = iter(steps)
    assert all(step in left for step in wanted), steps


@pytest.mark.parametrize("damage", ["DELETE FROM t WHERE id = 17", "PRAGMA user_version = 9", "DROP INDEX by_w"])
def test_backup_that_does_not_hold_the_same_is_refused(
    bloated: Path, opened: Open, copies: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """It never gets its name, and is gone; older ones stay."""
    kept = [backup(opened(bloated), to=str(copies)).data["to"] for _ in range(2)]
    original = module._read_back

    def read_back(db: SQLiteDatabase, copy: Any, *given: Any, **named: Any) -> str:
        with closing(sqlite3.connect(copy.path)) as connection:
            connection.execute(damage)
            connection.commit()
        return original(db, copy, *given, **named)

    monkeypatch.setattr(module, "_read_back", read_back)
    with pytest.raises(OperationError, match="does not hold what the database holds"):
        backup(opened(bloated), to=str(copies), keep=1)
    assert sorted(str(copies / name) for name in os.listdir(copies)) == sorted(kept)


def test_backup_of_a_damaged_database_is_refused(bloated: Path, opened: Open, copies: Path, seen: Any) -> None:
    """A copy of it would pass for a backup until the day when it is needed."""
    data = bytearray(bloated.read_bytes())
    [(root,)] = seen.query(bloated, "SELECT rootpage FROM sqlite_master WHERE name = 'by_v'")
    data[(root - 1) * 4096 : root * 4096] = bytes(4096)
    bloated.write_bytes(data)
    with pytest.raises(OperationError, match="is damaged"):
        backup(opened(bloated), to=str(copies))
    assert os.listdir(copies) == []
    assert bloated.read_bytes() == data


@pytest.mark.parametrize("at", [1, 2, 4])
def test_backup_that_is_stopped_leaves_no_copy(
    bloated: Path, opened: Open, copies: Path, context: Any, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Told while it copies or reads back; what is kept is kept."""
    backup(opened(bloated), to=str(copies))
    monkeypatch.setattr(connection, "_PAGES", 200)
    seen_reports: list[float] = []
    context.at_progress = lambda done: seen_reports.append(done) or (len(seen_reports) == at and context.cancel())
    with pytest.raises(JobCancelledError, match="test"):
        backup(opened(bloated), to=str(copies), keep=1)
    assert len(os.listdir(copies)) == 1


# -- where it goes -----------------------------------------------------------------------------------------------------


def test_backup_never_replaces_a_file_unasked(bloated: Path, opened: Open, copies: Path) -> None:
    """Asked, it does so in one step."""
    copy = copies / "copy.db"
    copy.write_text("what was there")
    with pytest.raises(OperationError, match=r"copy\.db is there already; choose another name, or set overwrite"):
        backup(opened(bloated), to=str(copy))
    assert copy.read_text() == "what was there"
    backup(opened(bloated), to=str(copy), overwrite=True)
    assert copy.read_bytes()[100:] == bloated.read_bytes()[100:]


def test_backup_does_not_replace_a_file_that_came_meanwhile(
    bloated: Path, opened: Open, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even in the last moment."""
    original = module._read_back

    def read_back(*given: Any, **named: Any) -> str:
        said = original(*given, **named)
        (copies / "copy.db").write_text("just came")
        return said

    monkeypatch.setattr(module, "_read_back", read_back)
    with pytest.raises(OperationError, match=r"cannot be named .*: File exists"):
        backup(opened(bloated), to=str(copies / "copy.db"))
    assert (copies / "copy.db").read_text() == "just came"
    assert os.listdir(copies) == ["copy.db"]


@pytest.mark.parametrize("link", ["", "hard", "symbolic"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_backup_never_replaces_the_database_itself(
    bloated: Path, opened: Open, copies: Path, seen: Any, link: str, overwrite: bool
) -> None:
    """By whatever name."""
    before, path = seen.content(bloated), bloated
    if link:
        path = copies / "link.db"
        (path.hardlink_to if link == "hard" else path.symlink_to)(bloated)
    with pytest.raises(OperationError, match="is the database itself"):
        backup(opened(bloated), to=str(path), overwrite=overwrite)
    assert seen.content(bloated) == before


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_backup_refuses_a_name_beside_which_a_log_lies(bloated: Path, opened: Open, copies: Path, suffix: str) -> None:
    """It would be taken for the copy's own, and change it."""
    (copies / f"copy.db{suffix}").write_bytes(b"whose?")
    with pytest.raises(OperationError, match=rf"copy\.db{suffix} lies where the copy is to go"):
        backup(opened(bloated), to=str(copies / "copy.db"), overwrite=True)


def test_backup_refuses_to_replace_a_file_that_is_in_use(bloated: Path, opened: Open, copies: Path, raw: Any) -> None:
    """Whoever has it open would go on with the old one."""
    backup(opened(bloated), to=str(copies / "copy.db"))
    raw(copies / "copy.db").execute("SELECT * FROM t").fetchone()
    with pytest.raises(OperationError, match=r"this process has .*copy\.db open"):
        backup(opened(bloated), to=str(copies / "copy.db"), overwrite=True)


def test_backup_refuses_what_is_no_place_for_it(bloated: Path, opened: Open, copies: Path) -> None:
    """A missing folder, a link to nothing, a pipe, nothing at all."""
    db = opened(bloated)
    with pytest.raises(OperationError, match=r"the folder .*missing is not there; make it first"):
        backup(db, to=str(copies / "missing" / "copy.db"))
    with pytest.raises(OperationError, match=r"the folder .*missing is not there"):
        backup(db, to=f"{copies / 'missing'}{os.sep}")
    (copies / "link").symlink_to(copies / "nothing")
    with pytest.raises(OperationError, match="is a link to nothing"):
        backup(db, to=str(copies / "link"), overwrite=True)
    os.mkfifo(copies / "pipe")
    with pytest.raises(OperationError, match="is no regular file"):
        backup(db, to=str(copies / "pipe"), overwrite=True)
    with pytest.raises(InvalidValueError, match="expected a file or a folder"):
        backup(db, to="")
    assert sorted(os.listdir(copies)) == ["link", "pipe"]


def test_backup_needs_room_for_the_whole_file(
    bloated: Path, opened: Open, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free pages are copied too; one byte less is refused."""
    free = {"bytes": bloated.stat().st_size - 1}
    monkeypatch.setattr(durable_files.os, "statvfs", lambda folder: SimpleNamespace(f_bavail=free["bytes"], f_frsize=1))
    with pytest.raises(OperationError, match=rf"backup of .* needs .* in {copies}"):
        backup(opened(bloated), to=str(copies))
    free["bytes"] += 1
    assert backup(opened(bloated), to=str(copies)).outcome is Outcome.CHANGED


def test_backup_works_where_files_have_one_name_only(
    bloated: Path, opened: Open, copies: Path, monkeypatch: pytest.MonkeyPatch, seen: Any
) -> None:
    """As on FAT, which many a backup disk has."""

    def fails(*given: object, **named: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", fails)
    backup(opened(bloated), to=str(copies / "copy.db"))
    with pytest.raises(OperationError, match="is there already"):
        backup(opened(bloated), to=str(copies / "copy.db"))
    assert seen.integrity(copies / "copy.db") == ["ok"]
    assert os.listdir(copies) == ["copy.db"]


def test_backup_sweeps_the_folder_of_copies(bloated: Path, opened: Open, copies: Path) -> None:
    """What a killed run left there is its own, and large."""
    left = copies / f"app.db.pitstop-backup-{os.getpid()}-0a1b2c3d"
    left.touch()
    backup(opened(bloated), to=str(copies / "copy.db"))
    assert os.listdir(copies) == ["copy.db"]


# -- how long others wait ----------------------------------------------------------------------------------------------


def test_backup_keeps_to_the_longest_stall(bloated: Path, opened: Open, copies: Path) -> None:
    """Without a log, writers wait for all of it: refused if that is too long. With one, they do not wait."""
    db = opened(bloated)
    db.limits = Limits(max_stall=0.000001)
    with pytest.raises(
        OperationError, match=r"a copy of .* would keep writers waiting for about .* more than the 1e-06 s"
    ):
        backup(db, to=str(copies))
    db.disconnect()
    set_mode(bloated, "wal")
    db.reconnect()
    result = backup(db, to=str(copies))
    assert result.data["writer_stall"] == 0.0


# -- older copies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"keep": 0}, "expected 1 or more, got 0"),
        ({"template": "copy.db"}, "must occur once"),
        ({"template": "{time}{time}"}, "must occur once"),
        ({"template": "{time}-{host}"}, r"there is no field \{host\}"),
        ({"template": "../{time}"}, "expected the name of a file"),
        ({"template": ".{time}"}, "not hidden"),
    ],
)
def test_backup_refuses_parameters_that_cannot_be(
    bloated: Path, opened: Open, copies: Path, parameters: Any, problem: str
) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidValueError, match=problem):
        backup(opened(bloated), to=str(copies), **parameters)
    assert os.listdir(copies) == []


def test_backup_to_a_file_keeps_no_older_ones(bloated: Path, opened: Open, copies: Path) -> None:
    """Which would they be?"""
    with pytest.raises(InvalidValueError, match="is a file; older ones are in a folder"):
        backup(opened(bloated), to=str(copies / "copy.db"), keep=2)


@given(
    name=st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20),
    other=st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20),
    folder=st.sampled_from(["/a", "/b"]),
    at=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1)),
)
def test_template_knows_its_own_names_only(name: str, other: str, folder: str, at: datetime) -> None:
    """A name that it made for one database is never taken for another's of another name or place."""
    template, when = Template.parse(Template.DEFAULT), at.replace(tzinfo=UTC)
    made = template.name(f"/a/{name}", when)
    found = template.pattern(f"/a/{name}").fullmatch(made)
    assert found is not None
    assert found["time"] == f"{when:%Y%m%dT%H%M%S}.{when.microsecond // 1000:03}Z"
    stem = os.path.splitext
    if (folder, stem(other)[0]) != ("/a", stem(name)[0]):
        assert template.pattern(f"{folder}/{other}").fullmatch(made) is None
