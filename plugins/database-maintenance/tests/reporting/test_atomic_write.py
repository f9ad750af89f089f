"""A report is written whole or not at all, and never over what must not be lost."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from pitstop.errors import InvalidValueError
from pitstop_database_maintenance.reporting import atomic_write
from pitstop_database_maintenance.reporting.atomic_write import check_target, write_report
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase


def check(path, *, force=False, databases=()):
    check_target(str(path), kind=SQLiteDatabase, databases=[str(name) for name in databases], force=force)


def test_write_makes_a_file_as_the_user_makes_files(tmp_path):
    """The file holds the text, has the rights that the umask leaves, and nothing is beside it."""
    target = tmp_path / "report.html"
    previous = os.umask(0o027)
    try:
        write_report(str(target), "größe", force=False)
    finally:
        os.umask(previous)
    assert target.read_text(encoding="utf-8") == "größe"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["report.html"]


def test_write_refuses_a_file_that_has_come_meanwhile(tmp_path):
    """Without force a file that is there stays as it is, and nothing is left beside it."""
    target = tmp_path / "report.html"
    target.write_text("mine")
    with pytest.raises(InvalidValueError, match="is there already; name a new file, or add --force"):
        write_report(str(target), "new", force=False)
    assert target.read_text() == "mine"
    assert os.listdir(tmp_path) == ["report.html"]


def test_write_replaces_a_file_if_it_may(tmp_path):
    """With force the new text takes the old one's place."""
    target = tmp_path / "report.html"
    target.write_text("old, and longer than the new one")
    write_report(str(target), "new", force=True)
    assert target.read_text() == "new"


@pytest.mark.parametrize("force", [False, True])
def test_write_never_follows_a_link(tmp_path, force):
    """Whoever may write to the folder could have put it there: what it leads to stays, and the report is refused."""
    target, link = tmp_path / "real.html", tmp_path / "link.html"
    target.write_text("old")
    link.symlink_to(target)
    with pytest.raises(
        InvalidValueError, match=r"is a link to '.*real\.html'; name the file itself, or remove the link"
    ):
        check(link, force=force)
    with pytest.raises(InvalidValueError, match="is there already"):
        write_report(str(link), "new", force=force)
    assert link.is_symlink()
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    "name",
    [
        "other.db-journal",
        "other.db-wal",
        "other.db-shm",
        "other.db-mj0A1B2C3D4",
        "x.pitstop-backup-1-ab",
        "j.db-runners",
    ],
)
def test_check_target_refuses_a_name_that_means_something(tmp_path, name):
    """SQLite would roll such a file back into the database beside it, or Pitstop take it for its own."""
    with pytest.raises(InvalidValueError, match=r"will not do: .* name another file"):
        check(tmp_path / name, force=True)
    check(tmp_path / "app.db-journal.html")


def test_check_target_refuses_another_database(tmp_path):
    """Such as a backup, or that of an application; not even with force, and whatever it is called."""
    other = tmp_path / "other.html"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(InvalidValueError, match="is a SQLite database, which no report replaces"):
        check(other, force=True)


@pytest.mark.parametrize("there", [False, True])
def test_write_does_without_hard_links(tmp_path, monkeypatch, there):
    """On a file system without hard links a file that is there stays as well, and a new one is whole."""
    target = tmp_path / "report.html"

    def refuse(*_, **__):
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(atomic_write.os, "link", refuse)
    if there:
        target.write_text("mine")
        with pytest.raises(InvalidValueError, match="is there already"):
            write_report(str(target), "new", force=False)
    else:
        write_report(str(target), "new", force=False)
    assert target.read_text() == ("mine" if there else "new")
    assert os.listdir(tmp_path) == ["report.html"]


def test_write_leaves_the_old_one_when_it_fails(tmp_path, monkeypatch):
    """A disk that is full in the middle costs neither the old report nor leaves half of a new one."""
    target = tmp_path / "report.html"
    target.write_text("old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_write.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(str(target), "new", force=True)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_check_target_refuses_a_folder_that_is_not_there(tmp_path):
    """A missing folder is named, not made."""
    with pytest.raises(InvalidValueError, match=r"there is no folder .*/none'; make it, or name another"):
        check(tmp_path / "none" / "report.html")
    assert os.listdir(tmp_path) == []


def test_check_target_refuses_a_folder_that_is_closed(tmp_path, monkeypatch):
    """A folder in which this user can make no file is named before the database is looked at."""
    monkeypatch.setattr(atomic_write.os, "access", lambda path, _: path != str(tmp_path))
    with pytest.raises(InvalidValueError, match="no file can be made in"):
        check(tmp_path / "report.html")


def test_check_target_refuses_what_is_no_file(tmp_path):
    """A folder, a device and a link to nowhere are no places for a report, with force or without."""
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    for path, words in ((tmp_path, "no ordinary file"), ("/dev/null", "no ordinary file"), (tmp_path / "lost", "link")):
        with pytest.raises(InvalidValueError, match=words):
            check(path, force=True)
    with pytest.raises(InvalidValueError, match="names no file"):
        check(f"{tmp_path}/", force=True)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_check_target_refuses_the_database_itself(tmp_path, suffix):
    """Not even with force is a report written over the database or what SQLite keeps beside it, be it there or not."""
    database = tmp_path / "app.db"
    database.write_bytes(b"precious")
    with pytest.raises(InvalidValueError, match=r"belongs to the database|will not do: a SQLite database beside it"):
        check(f"{database}{suffix}", force=True, databases=[database])


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_check_target_knows_the_database_under_another_name(tmp_path, make):
    """A link to the database is the database."""
    database, other = tmp_path / "app.db", tmp_path / "report.html"
    database.write_bytes(b"precious")
    make(other, database)
    with pytest.raises(InvalidValueError, match="belongs to the database"):
        check(other, force=True, databases=[database])


def test_check_target_refuses_a_file_that_is_there(tmp_path):
    """Only with force may a file be replaced; a new name is always free."""
    target = tmp_path / "report.html"
    check(target)
    target.write_text("mine")
    check(target, force=True)
    with pytest.raises(InvalidValueError, match="is there already"):
        check(target)
