"""Which databases the words of a command line mean."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.planning import filled_in
from pitstop_database_maintenance.targets import expand


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with databases on two levels, and what else lies beside databases."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.db", "a.db", "deep/er/c.db"):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.execute("CREATE TABLE t (a)")
    for name in ("a.db-wal", "a.db-shm", "a.db-journal", "a.db.pitstop-compact-1-x.db"):
        (tmp_path / name).write_bytes((tmp_path / "a.db").read_bytes())
    (tmp_path / "text.db").write_text("not a database at all")
    (tmp_path / "empty.db").touch()
    (tmp_path / "folder.db").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_expand_leaves_names_and_urls_as_they_are(folder: Path) -> None:
    """What is no pattern is for whoever opens it to judge."""
    words = ["a.db", "missing.db", "text.db", "sqlite:///x*.db", "mysql://h/d?a=[1]", "${DB}*"]
    assert expand(words) == words


def test_expand_finds_databases_and_nothing_else(folder: Path) -> None:
    """Logs, journals, leftovers, folders, empty files and other kinds of file are left out; the order is by name."""
    assert expand(["*"]) == ["a.db", "b.db"]
    assert expand(["*.db*"]) == ["a.db", "b.db"]
    assert expand(["**/*.db"]) == ["a.db", "b.db", "deep/er/c.db"]
    assert expand([f"{folder}/deep/**"]) == [f"{folder}/deep/er/c.db"]


def test_expand_takes_no_name_of_a_file_for_a_variables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is meant, and not another file whose name stands in a variable; `$$` is how that is written."""
    monkeypatch.setenv("X", "a")
    (folder / "${X}.db").write_bytes((folder / "a.db").read_bytes())
    assert expand(["$*"]) == expand(["${X}.db"]) == ["$${X}.db"]
    assert filled_in("$${X}.db") == "${X}.db"
    assert expand(["${X}"]) == ["${X}"]


def test_expand_returns_a_file_once(folder: Path) -> None:
    """Patterns that overlap, a name before a pattern, and links to a file found already count once."""
    os.symlink("a.db", "z.db")
    os.link("b.db", "y.db")
    assert expand(["a.db", "*.db", "b*"]) == ["a.db", "b.db"]


def test_expand_refuses_a_pattern_that_matches_nothing(folder: Path) -> None:
    """A typing error in a nightly job must not look like a fleet that is well."""
    with pytest.raises(InvalidJobError, match=r"'data/\*\.db' matches no SQLite database"):
        expand(["a.db", "data/*.db"])
    with pytest.raises(InvalidJobError, match="matches no SQLite database"):
        expand(["text*"])


def test_expand_takes_an_existing_file_with_such_a_name_literally(folder: Path) -> None:
    """A file whose name has brackets is that file."""
    (folder / "a.db").rename("[a].db")
    assert expand(["[a].db"]) == ["[a].db"]


def test_expand_keeps_the_locks_of_this_process(folder: Path, raw: Callable[..., sqlite3.Connection]) -> None:
    """A file that SQLite has open here is not opened a second time: closing that would let others write meanwhile."""
    connection = raw(folder / "b.db")
    connection.execute("BEGIN EXCLUSIVE")
    assert expand(["*.db"]) == ["a.db", "b.db"]
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('CREATE TABLE intruder (a)')"
    intruder = subprocess.run([sys.executable, "-c", code, str(folder / "b.db")], capture_output=True, text=True)
    assert "database is locked" in intruder.stderr
    connection.execute("ROLLBACK")


def test_expand_names_what_may_not_be_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is passed on, so that the inspection says so; one that went away is not."""
    real = os.open

    def refusing(path: str, *arguments: int) -> int:
        if path == "a.db":
            raise PermissionError(13, "denied", path)
        if path == "b.db":
            Path(path).unlink()
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", refusing)
    assert expand(["*.db"]) == ["a.db"]
