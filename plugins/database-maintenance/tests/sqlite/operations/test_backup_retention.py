"""Which older copies go: those that were made of this very database, are as they were, and have a sound successor."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import OperationError
from pitstop.jobs import Result
from pitstop_database_maintenance.commands.past_runs import list_copies
from pitstop_database_maintenance.history import VARIABLE, History
from pitstop_database_maintenance.history.copy_records import COPY
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import temporary_files as module
from pitstop_database_maintenance.sqlite.operations.backup import backup
from pitstop_database_maintenance.sqlite.operations.backup_retention import REPLACED
from pitstop_database_maintenance.sqlite.operations.compact import compact

Open = Callable[..., SQLiteDatabase]
Backup = Callable[..., Result]


@pytest.fixture
def history() -> Iterator[History]:
    """What is known of past runs."""
    with History(":memory:") as history:
        yield history


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A folder for copies."""
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder


@pytest.fixture
def saved(context: Any, history: History, copies: Path) -> Backup:
    """Make a copy as a job does."""

    def save(path: Path, **parameters: Any) -> Result:
        return worked(backup, context, history, path, **{"to": str(copies), "keep": 1, **parameters})

    return save


def worked(operation: Any, context: Any, history: History, path: Path, **parameters: Any) -> Result:
    """Run an operation on a connection of its own."""
    with SQLiteDatabase.connect(str(path), context) as db:
        db.history = history.of(SQLiteDatabase.resource(str(path)))
        result: Result = operation(db, **parameters)
    return result


def make(path: Path, text: str) -> Path:
    """Make a small database."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a UNIQUE)")
        connection.execute("INSERT INTO t VALUES (?), ('more')", (text,))
        connection.commit()
    return path


def told(result: Result) -> str:
    """Return its warnings."""
    return "; ".join(result.warnings)


def test_backup_keeps_as_many_as_it_was_told(tmp_path: Path, saved: Backup, copies: Path) -> None:
    """The newest ones, this one among them; other files stay, whatever they are called."""
    path = make(tmp_path / "app.db", "a")
    made = [saved(path, keep=3).data["to"] for _ in range(3)]
    (copies / "notes.txt").touch()
    last = saved(path, keep=2)
    assert last.data["removed"] == made[1::-1]
    assert last.summary.endswith("2 older ones removed")
    assert last.warnings == ()
    assert sorted(os.listdir(copies)) == sorted([*map(os.path.basename, (made[2], last.data["to"])), "notes.txt"])


@pytest.mark.parametrize("template", ["{name}-{place}-{time}.db", "{name}-{time}.db", "{time}"])
def test_backup_never_removes_a_copy_of_another_database(
    tmp_path: Path, saved: Backup, copies: Path, template: str
) -> None:
    """Of one stem, of one name in another folder, and with a template that tells neither apart."""
    (tmp_path / "other").mkdir()
    names = ("app.db", "app.sqlite", "app.db3", "other/app.db")
    paths = [make(tmp_path / name, name) for name in names]
    for _ in range(2):
        for path in paths:
            saved(path, template=template)
    found = []
    for name in os.listdir(copies):
        with closing(sqlite3.connect(copies / name)) as copy:
            found += [text for (text,) in copy.execute("SELECT a FROM t WHERE a <> 'more'")]
    assert sorted(found) == sorted(names)


def test_backup_keeps_the_copies_of_each_template_apart(tmp_path: Path, saved: Backup, copies: Path) -> None:
    """One a day and one a week may be in one folder."""
    path = make(tmp_path / "app.db", "a")
    weekly = saved(path, template="week-{time}").data["to"]
    for _ in range(2):
        saved(path, template="day-{time}")
    assert os.path.exists(weekly)
    assert len(os.listdir(copies)) == 2


@pytest.mark.parametrize("how", ["renamed", "removed", "copied"])
def test_backup_keeps_the_copies_of_a_file_that_was_there_before(
    tmp_path: Path, saved: Backup, copies: Path, how: str
) -> None:
    """Another database has its path now: they may be the last that there is of the first one."""
    path = make(tmp_path / "app.db", "first")
    first = saved(path).data["to"]
    if how == "removed":
        path.unlink()  # its number may be given to the next file
    else:
        path.rename(tmp_path / "old.db")
    if how == "copied":
        shutil.copy(tmp_path / "old.db", path)
    else:
        make(path, "second")
    result = saved(path)
    assert result.data["removed"] == []
    assert f"{first} was kept: it is a copy of another file, which was {path} then" in told(result)
    assert saved(path).data["removed"] == [result.data["to"]]
    assert os.path.exists(first)


def test_backup_knows_a_file_that_compact_has_put_in_its_place(
    bloated: Path, saved: Backup, context: Any, history: History
) -> None:
    """It is another file, and the same database."""
    first, inode = saved(bloated).data["to"], bloated.stat().st_ino
    worked(compact, context, history, bloated, offline=True)
    assert bloated.stat().st_ino != inode
    second = saved(bloated)
    assert (second.data["removed"], second.warnings) == ([first], ())


@pytest.mark.parametrize("how", ["replaced", "written", "link", "folder", "log"])
def test_backup_keeps_what_is_not_as_it_was_made(tmp_path: Path, saved: Backup, how: str) -> None:
    """Somebody has put a file of his own there, works with the copy, or has left something beside it."""
    path = make(tmp_path / "app.db", "a")
    first = Path(saved(path).data["to"])
    if how == "written":
        with closing(sqlite3.connect(first)) as connection:
            connection.execute("INSERT INTO t VALUES ('theirs')")
            connection.commit()
    elif how == "log":
        Path(f"{first}-wal").touch()
    else:
        kept = first.rename(tmp_path / "kept")
        if how == "replaced":
            shutil.copy2(kept, first)
        elif how == "link":
            first.symlink_to(kept)
        else:
            first.mkdir()
    result = saved(path)
    assert result.data["removed"] == []
    assert f"{first} was kept: somebody" in told(result)
    assert os.path.lexists(first)


@pytest.mark.parametrize("forged", ["nothing", "other", "nonsense"])
def test_backup_removes_nothing_of_which_nothing_is_known(
    tmp_path: Path, saved: Backup, history: History, forged: str
) -> None:
    """The history was lost, or says something else: told, and counted."""
    path = make(tmp_path / "app.db", "a")
    made = [saved(path, keep=9).data["to"] for _ in range(2)]
    of_it = history.of(SQLiteDatabase.resource(str(path)))
    rows = [kept.data for kept in of_it.snapshots(COPY)]
    history._file.write(("DELETE FROM kept WHERE kind <> ?", [("none",)]))
    for data in rows:
        if forged == "other":
            of_it.add_snapshot(COPY, {**data, "of": "1:2"})
        elif forged == "nonsense":
            of_it.add_snapshot(COPY, {"path": 7})
            of_it.add_snapshot(REPLACED, ["new"])
    result = saved(path)
    assert result.data["removed"] == []
    assert all(map(os.path.exists, made))
    wanted = "is a copy of another file" if forged == "other" else "2 files in .* stayed, because it is not known"
    assert re.search(wanted, told(result))


def test_backup_without_a_history_removes_nothing(tmp_path: Path, opened: Open, copies: Path) -> None:
    """It is not known then what was made of which database; the first copy has nothing to tell."""
    path = make(tmp_path / "app.db", "a")
    assert backup(opened(path), to=str(copies), keep=1).warnings == ()
    result = backup(opened(path), to=str(copies), keep=1)
    assert result.warnings == (
        "no older copy was removed: it is not known which are of this database: there is no history",
    )
    assert len(os.listdir(copies)) == 2


def misled(path: Path, how: str) -> None:
    """Do damage to a database that a look at its pages alone does not find."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if how == "check":
            connection.execute("PRAGMA writable_schema = ON")
            sql = "CREATE TABLE t (a UNIQUE, CHECK (a <> 'more'))"
            connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 't'", (sql,))
        elif how == "null":
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("INSERT INTO t VALUES (NULL)")
            connection.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE t (a UNIQUE NOT NULL)' WHERE name = 't'")
        else:
            connection.execute("CREATE INDEX partial ON t (a) WHERE a > 'n'")
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(
                "UPDATE sqlite_master SET sql = 'CREATE INDEX partial ON t (a) WHERE a > ''a''' WHERE name = 'partial'"
            )


@pytest.mark.parametrize("how", ["check", "null", "partial"])
def test_backup_keeps_older_copies_until_integrity_check_says_ok(
    tmp_path: Path, saved: Backup, copies: Path, how: str
) -> None:
    """Its strictness: rows that contradict the schema, and indexes that lack them."""
    path = make(tmp_path / "app.db", "a")
    first = saved(path).data["to"]
    misled(path, how)
    result = saved(path)
    assert result.data["removed"] == []
    assert "no older copy was removed: of the new one, integrity_check says" in told(result)
    assert os.path.exists(first)
    file = copies / "named.db"
    saved(make(tmp_path / "good.db", "good"), to=str(file), keep=None)
    before = file.read_bytes()
    with pytest.raises(
        OperationError, match=r"stays as it is: of the copy of .* that was to replace it, integrity_check says"
    ):
        saved(path, to=str(file), keep=None, overwrite=True)
    assert file.read_bytes() == before


def test_backup_keeps_older_copies_when_a_record_cannot_be_read(tmp_path: Path, saved: Backup) -> None:
    """Of which SQLite says "database disk image is malformed", and no more. Such a copy is none."""
    path = make(tmp_path / "app.db", "text")
    first = saved(path).data["to"]
    data = bytearray(path.read_bytes())
    at = data.index(b"more", 4096) - 2
    assert data[at] == 2  # the record's header has two bytes
    data[at] = 0x7F
    path.write_bytes(data)
    with pytest.raises(OperationError, match=r"malformed|damaged"):
        saved(path)
    assert os.listdir(os.path.dirname(first)) == [os.path.basename(first)]


def test_backup_keeps_older_copies_when_the_new_one_cannot_be_examined(make: Any, saved: Backup) -> None:
    """Its index needs what only the application has."""
    path = make(
        "CREATE TABLE t (x TEXT COLLATE german PRIMARY KEY)",
        "INSERT INTO t VALUES ('a'), ('b')",
        setup=lambda connection: connection.create_collation(
            "german", lambda one, other: (one > other) - (one < other)
        ),
    )
    first = saved(path).data["to"]
    result = saved(path)
    assert os.path.exists(first)
    assert "no older copy was removed: of the new one, integrity_check could not be run: " in told(result)


def test_any_later_operation_removes_what_a_killed_backup_left(
    bloated: Path, context: Any, history: History, copies: Path
) -> None:
    """In the folder for which it was made, which that operation would not look into by itself."""
    worked(backup, context, history, bloated, to=str(copies / "copy.db"))
    left = copies / f"app.db.pitstop-backup-{os.getpid()}-0a1b2c3d"
    left.touch()
    module._listed.clear()  # as in a later process
    worked(compact, context, history, bloated, offline=True)
    assert os.listdir(copies) == ["copy.db"]


def test_what_backup_made_is_known_to_every_command(
    tmp_path: Path, context: Any, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whichever database, from the user's history; without one there is nothing known, and none is made."""
    file = tmp_path / "history.db"
    monkeypatch.setenv(VARIABLE, str(file))
    assert list_copies() == []
    assert not file.exists()
    with History() as history:
        made = [
            worked(backup, context, history, make(tmp_path / name, name), to=str(copies / f"{name}.copy")).data["to"]
            for name in ("one.db", "two.db")
        ]
    assert sorted(copy.path for copy in list_copies()) == made
