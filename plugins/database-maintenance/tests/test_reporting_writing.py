"""A report is written whole or not at all, and never over what must not be lost."""

import os
import stat
from pathlib import Path

import pytest

from pitstop.errors import InvalidValueError
from pitstop_database_maintenance.reporting import writing
from pitstop_database_maintenance.reporting.writing import check_target, write


def check(path, *, force=False, databases=()):
    check_target(str(path), databases=[str(name) for name in databases], force=force)


def test_write_makes_a_file_as_the_user_makes_files(tmp_path):
    """The file holds the text, has the rights that the umask leaves, and nothing is beside it."""
    target = tmp_path / "report.html"
    previous = os.umask(0o027)
    try:
        write(str(target), "größe", force=False)
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
        write(str(target), "new", force=False)
    assert target.read_text() == "mine"
    assert os.listdir(tmp_path) == ["report.html"]


def test_write_replaces_a_file_if_it_may(tmp_path):
    """With force the new text takes the old one's place."""
    target = tmp_path / "report.html"
    target.write_text("old, and longer than the new one")
    write(str(target), "new", force=True)
    assert target.read_text() == "new"


def test_write_follows_a_link(tmp_path):
    """A link to a report stays a link: what it leads to is replaced."""
    target, link = tmp_path / "real.html", tmp_path / "link.html"
    target.write_text("old")
    link.symlink_to(target)
    write(str(link), "new", force=True)
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize("there", [False, True])
def test_write_does_without_hard_links(tmp_path, monkeypatch, there):
    """On a file system without hard links a file that is there stays as well, and a new one is whole."""
    target = tmp_path / "report.html"

    def refuse(*_):
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(writing.os, "link", refuse)
    if there:
        target.write_text("mine")
        with pytest.raises(InvalidValueError, match="is there already"):
            write(str(target), "new", force=False)
    else:
        write(str(target), "new", force=False)
    assert target.read_text() == ("mine" if there else "new")
    assert os.listdir(tmp_path) == ["report.html"]


def test_write_leaves_the_old_one_when_it_fails(tmp_path, monkeypatch):
    """A disk that is full in the middle costs neither the old report nor leaves half of a new one."""
    target = tmp_path / "report.html"
    target.write_text("old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(str(target), "new", force=True)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_check_target_refuses_a_folder_that_is_not_there(tmp_path):
    """A missing folder is named, not made."""
    with pytest.raises(InvalidValueError, match=r"there is no folder .*/none'; make it, or name another"):
        check(tmp_path / "none" / "report.html")
    assert os.listdir(tmp_path) == []


def test_check_target_refuses_a_folder_that_is_closed(tmp_path, monkeypatch):
    """A folder in which this user can make no file is named before the database is looked at."""
    monkeypatch.setattr(writing.os, "access", lambda path, _: path != str(tmp_path))
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
    with pytest.raises(InvalidValueError, match="belongs to the database"):
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
