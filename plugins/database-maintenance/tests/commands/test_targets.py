"""Which databases the words of a command line mean."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import pitstop
from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.commands.targets import expand
from pitstop_database_maintenance.history.copy_records import Copy
from pitstop_database_maintenance.planning.planner import expand_env


def expand_words(words: Iterable[str], **options: Any) -> list[str]:
    """Return the databases that words mean, by the kinds that are installed."""
    return expand(words, lookup=pitstop.Registry(), **options)


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
    words = ["a.db", "text.db", "empty.db", "sqlite:///a.db", "mysql://h/d?a=[1]", "${DB}*"]
    assert expand_words(words) == words


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("missing.db", "was not found"),
        ("txt.db", r"did you mean '.*/text.db'"),
        ("sqlite:///missing.db", "was not found"),
        ("nowhere/a.db", "the folder .*/nowhere is not there"),
        ("a.db/b.db", "was not found"),
        ("folder.db", "is a folder"),
        ("/dev/null", "is no regular file"),
    ],
)
def test_expand_refuses_words_that_name_no_file(folder: Path, word: str, said: str) -> None:
    """That is a mistake in the words, told before anything is done; a link that leads nowhere costs only itself."""
    with pytest.raises(InvalidJobError, match=said):
        expand_words(["a.db", word])
    (folder / "dangling.db").symlink_to("gone.db")
    assert expand_words(["dangling.db", "dang*.db"]) == ["dangling.db", "dangling.db"]


def test_expand_finds_databases_and_nothing_else(folder: Path) -> None:
    """Logs, journals, leftovers, folders, empty files and other kinds of file are left out; the order is by name."""
    assert expand_words(["*"]) == ["a.db", "b.db"]
    assert expand_words(["*.db*"]) == ["a.db", "b.db"]
    assert expand_words(["**/*.db"]) == ["a.db", "b.db", "deep/er/c.db"]
    assert expand_words([f"{folder}/deep/**"]) == [f"{folder}/deep/er/c.db"]


def test_expand_takes_no_name_of_a_file_for_a_variables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is meant, and not another file whose name stands in a variable; `$$` is how that is written."""
    monkeypatch.setenv("X", "a")
    (folder / "${X}.db").write_bytes((folder / "a.db").read_bytes())
    assert expand_words(["$*"]) == expand_words(["${X}.db"]) == ["$${X}.db"]
    assert expand_env("$${X}.db") == "${X}.db"
    assert expand_words(["${X}"]) == ["${X}"]


def test_expand_returns_a_file_once(folder: Path) -> None:
    """Patterns that overlap, a name before a pattern, and links to a file found already count once."""
    os.symlink("a.db", "z.db")
    os.link("b.db", "y.db")
    assert expand_words(["a.db", "*.db", "b*"]) == ["a.db", "b.db"]


def test_expand_refuses_a_pattern_that_matches_nothing(folder: Path) -> None:
    """A typing error in a nightly job must not look like a fleet that is well."""
    with pytest.raises(InvalidJobError, match=r"'data/\*\.db' matches no SQLite database"):
        expand_words(["a.db", "data/*.db"])
    with pytest.raises(InvalidJobError, match="matches no SQLite database"):
        expand_words(["text*"])


def test_expand_takes_an_existing_file_with_such_a_name_literally(folder: Path) -> None:
    """A file whose name has brackets is that file."""
    (folder / "a.db").rename("[a].db")
    assert expand_words(["[a].db"]) == ["[a].db"]


def test_expand_keeps_the_locks_of_this_process(folder: Path, raw: Callable[..., sqlite3.Connection]) -> None:
    """A file that SQLite has open here is not opened a second time: closing that would let others write meanwhile."""
    connection = raw(folder / "b.db")
    connection.execute("BEGIN EXCLUSIVE")
    assert expand_words(["*.db"]) == ["a.db", "b.db"]
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('CREATE TABLE intruder (a)')"
    intruder = subprocess.run([sys.executable, "-c", code, str(folder / "b.db")], capture_output=True, text=True)
    assert "database is locked" in intruder.stderr
    connection.execute("ROLLBACK")


def test_expand_names_what_may_not_be_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is passed on, so that the inspection says so; one that went away is not."""
    real = os.open

    def refusing(path: str, *arguments: int, **named: int | None) -> int:
        if path == "a.db":
            raise PermissionError(13, "denied", path)
        if path == "b.db":
            Path(path).unlink()
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refusing)
    assert expand_words(["*.db"]) == ["a.db"]


@pytest.mark.parametrize("damage", ["magic", "header", "page", "beginning"])
@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_expand_leaves_out_no_database_whose_beginning_is_damaged(folder: Path, damage: str, page_size: int) -> None:
    """It is found by what else it has of a database, so that its damage is told; other kinds of files are left out."""
    path = folder / "a.db"
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("CREATE TABLE t (a)")
        connection.execute("CREATE INDEX i ON t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [(f"{number:0200}",) for number in range(2000)])
        connection.commit()
    content = bytearray(path.read_bytes())
    length = {"magic": 16, "header": 100, "page": page_size, "beginning": 7}[damage]
    content[:length] = b"\xff" * length if damage == "beginning" else bytes(length)
    path.write_bytes(content)
    for name, other in {
        "random.db": os.urandom(40_960),
        "zeros.db": bytes(40_960),
        "text.db": b"certainly text\n" * 4096,
        "berkeley.db": (bytes(12) + b"\x62\x31\x05\x00" + bytes(4080)) * 10,
        "thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + os.urandom(40_952),
    }.items():
        (folder / name).write_bytes(other)
    assert expand_words(["*.db"]) == ["a.db", "b.db"]


def test_expand_finds_each_link_that_leads_nowhere(folder: Path) -> None:
    """None stands for another: each is told."""
    for name in ("x.db", "y.db"):
        (folder / name).symlink_to("gone.db")
    assert expand_words(["*.db"]) == ["a.db", "b.db", "x.db", "y.db"]


def database(path: Path) -> Path:
    """Make a small one, with its folders."""
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    return path


def record(path: Path) -> Copy:
    """Return what is noted of a copy."""
    found = path.stat()
    return Copy(
        path=str(path), file=f"{found.st_ino}:0", size=0, modified=0, template="{time}", database="/app.db", of="1:0"
    )


def test_expand_leaves_out_copies_that_a_pattern_finds(tmp_path: Path) -> None:
    """By their usual name, or because it was noted that they are copies; one that is named itself is worked on."""
    app = database(tmp_path / "app.db")
    usual = database(tmp_path / "copies" / "app-0a1b2c3d-20261130T022013.299Z.db")
    noted = database(tmp_path / "copies" / "20261130T022013.299Z")
    other = database(tmp_path / "copies" / "theirs.db")
    said: list[str] = []
    known = [record(noted), evolve(record(other), file="1:0")]
    pattern = f"{tmp_path}/**/*"
    assert expand_words([pattern], copies=lambda: known, warn=said.append) == [str(app), str(other)]
    assert said == [
        "note: 2 copies that 'backup' has made were left out of what the pattern matches; name one itself to have it "
        "worked on"
    ]
    assert expand_words([str(usual), pattern]) == [str(usual), str(app), str(noted), str(other)]
    with pytest.raises(InvalidJobError, match=r"matches only copies that 'backup' has made \(2\); name one itself"):
        expand_words([f"{tmp_path}/copies/*Z*"], copies=lambda: known)


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*-test.db", ["app.db", "old/a.db"]),
        ("old", ["app.db", "app-test.db"]),
        ("{}/old/**", ["app.db", "app-test.db"]),
        ("{}/old", ["app.db", "app-test.db"]),
        ("{}/*.db", ["old/a.db"]),
    ],
)
def test_expand_leaves_out_what_is_excluded(tmp_path: Path, pattern: str, left: list[str]) -> None:
    """By name wherever it is, by path, and with all that a folder holds; also of what the shell has expanded."""
    paths = [database(tmp_path / name) for name in ("app.db", "app-test.db", "old/a.db")]
    wanted = sorted(str(tmp_path / name) for name in left)
    exclude = [pattern.format(tmp_path)]
    assert sorted(expand_words([f"{tmp_path}/**/*.db"], exclude=exclude)) == wanted
    assert sorted(expand_words(map(str, paths), exclude=exclude)) == wanted


def test_expand_tells_what_excludes_nothing(tmp_path: Path) -> None:
    """A slip of the pen is not passed over; and that nothing is left is an error."""
    path, said = database(tmp_path / "app.db"), list[str]()
    assert expand_words([str(path)], exclude=["*.bd"], warn=said.append) == [str(path)]
    assert said == ["warning: --exclude '*.bd' leaves nothing out"]
    with pytest.raises(InvalidJobError, match="all that was found is left out by --exclude"):
        expand_words([str(path), f"{tmp_path}/*"], exclude=["*.db"])
