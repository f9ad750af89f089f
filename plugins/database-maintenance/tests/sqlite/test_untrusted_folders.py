"""Folders in which others may move files, by rule: where files are made, which rights they get, what is refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pitstop.errors import InvalidJobError, InvalidValueError, OperationError
from pitstop.files import open_folder, write_whole
from pitstop.jobs import Outcome, Result
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.files import durable_files, temporary_files
from pitstop_database_maintenance.sqlite.files.identity import find_file, open_same
from pitstop_database_maintenance.sqlite.files.temporary_files import sweep, temporary
from pitstop_database_maintenance.sqlite.inspection.survey import survey
from pitstop_database_maintenance.sqlite.operations.backup import backup
from pitstop_database_maintenance.sqlite.operations.backup_names import Template
from pitstop_database_maintenance.sqlite.operations.compact import compact
from pitstop_database_maintenance.sqlite.operations.vacuum import vacuum
from pitstop_database_maintenance.sqlite.surveyor.temporary_folder import select_own_names, temporary_folders

Open = Callable[..., SQLiteDatabase]
OTHER = 12345
ACL = "system.posix_acl_access"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user can be had by root only")


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(folder))
    return folder


@pytest.fixture
def ran(context: Any) -> Callable[..., Result]:
    """Run an operation on a connection of its own, as the worker does."""

    def run(operation: Any, path: Path, **parameters: Any) -> Result:
        with SQLiteDatabase.connect(str(path), context) as db:
            result: Result = operation(db, **parameters)
        return result

    return run


@pytest.fixture
def shared(bloated: Path) -> Path:
    """A database in a folder that everybody may write to."""
    bloated.parent.chmod(0o777)
    return bloated


def test_a_temporary_file_is_beside_the_database_only_if_nobody_else_moves_it(bloated: Path, private: Path) -> None:
    """Else it is in a private folder, which goes with it."""
    with temporary(str(bloated), "test") as made:
        assert os.path.dirname(made.path) == str(bloated.parent)
    bloated.parent.chmod(0o777)
    private.chmod(0o700)
    # the folder for temporary files is in the one for everybody here, and so is none
    with temporary(str(bloated), "test") as made:
        folder = os.path.dirname(made.path)
        assert os.path.dirname(folder) in temporary_folders()
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert not os.path.exists(folder)


def test_without_a_safe_place_it_is_refused(shared: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says who could interfere, and what to do; too little room is none either."""
    db = opened(shared)
    monkeypatch.setattr(temporary_files, "temporary_folders", lambda: [str(shared.parent)])
    with pytest.raises(OperationError, match=r"everybody may write to .*no folder for temporary.*SQLITE_TMPDIR"):
        compact(db, offline=True)
    with pytest.raises(OperationError, match="could put another file in the place"):
        backup(db, to=str(shared.parent / "copy.db"))
    monkeypatch.undo()
    with (
        pytest.raises(OperationError, match=r"has less than .* free"),
        temporary(str(shared), "test", needed=2**62),
    ):
        pass
    assert os.listdir(shared.parent) == [shared.name]


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """Mount a small file system in memory."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_it_comes_from_another_file_system_as_well(
    shared: Path, ran: Callable[..., Result], seen: Any, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Byte by byte then, through handles, and is read back."""
    with closing(sqlite3.connect(shared)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
    shared.chmod(0o640)
    rows, size = seen.rows(shared), shared.stat().st_size
    with mounted(Path("/run") / f"pitstop-test-{os.getpid()}") as other:
        monkeypatch.setattr(temporary_files, "temporary_folders", lambda: [str(other)])
        assert ran(backup, shared, to=str(shared.parent / "copy.db")).outcome is Outcome.CHANGED
        assert ran(compact, shared, offline=True).outcome is Outcome.CHANGED
        assert os.listdir(other) == []
    other.rmdir()
    assert shared.stat().st_size < size
    assert stat.S_IMODE(shared.stat().st_mode) == 0o640
    assert seen.rows(shared) == rows
    assert seen.rows(shared.parent / "copy.db") == rows
    assert sorted(each for each in os.listdir(shared.parent) if "pitstop" in each) == []


def test_what_a_kill_left_in_a_private_folder_goes_with_the_next_run(bloated: Path, private: Path) -> None:
    """Of whichever database; a folder that is another's, or open to others, is not touched."""
    dead = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    left = private / f"pitstop-private-{dead}-0123456789abcdef"
    left.mkdir(mode=0o700)
    (left / f"other.db.pitstop-compact-{dead}-0a1b2c3d").write_text("large")
    (left / f"other.db.pitstop-compact-{dead}-0a1b2c3d-journal").touch()
    strange = private / f"pitstop-private-{dead}-fedcba9876543210"
    strange.mkdir(mode=0o755)
    strange.chmod(0o755)
    with temporary(str(bloated), "test") as own:
        assert sweep(str(bloated)) == [str(left / f"other.db.pitstop-compact-{dead}-0a1b2c3d")]
        assert os.path.exists(own.path)
    assert os.listdir(private) == [strange.name]


# -- rights ------------------------------------------------------------------------------------------------------------


def acl(*entries: tuple[int, int, int]) -> bytes:
    """Return an access control list as the system keeps it (linux/posix_acl_xattr.h)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def give_list(path: Path, name: str, value: bytes) -> None:
    """Set an access control list, if the file system has such things."""
    try:
        os.setxattr(path, name, value)
    except OSError:
        pytest.skip("this file system has no access control lists")


NOBODY = 2**32 - 1
#: The owner and user 12345 may read and write, the group nothing, others nothing.
LISTED = acl((1, 6, NOBODY), (2, 6, OTHER), (4, 0, NOBODY), (16, 6, NOBODY), (32, 0, NOBODY))


@needs_root
@pytest.mark.parametrize(
    ("mode", "user", "group", "expected"),
    [
        (0o644, 0, 0, 0o644),
        (0o640, 0, 0, 0o640),
        (0o640, OTHER, OTHER, 0o600),
        (0o644, OTHER, OTHER, 0o644),
        (0o660, 0, OTHER, 0o600),
        (0o664, OTHER, OTHER, 0o644),
        (0o604, OTHER, OTHER, 0o600),
        (0o044, OTHER, 0, 0o000),
    ],
)
def test_a_copy_is_never_for_more_people_than_its_original(
    bloated: Path, opened: Open, tmp_path: Path, mode: int, user: int, group: int, expected: int
) -> None:
    """What belongs to a group is not given to another one, of which others are members."""
    os.chown(bloated, user, group)
    bloated.chmod(mode)
    backup(opened(bloated), to=str(tmp_path / "copy.db"))
    found = (tmp_path / "copy.db").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, 0, expected)


@pytest.mark.parametrize("owner", ["the same", pytest.param("another", marks=needs_root)])
def test_a_list_of_the_original_is_kept_or_its_rights_are_given_to_nobody(
    bloated: Path, opened: Open, tmp_path: Path, owner: str
) -> None:
    """The group's bits of its mode are the most that anybody in the list has; the group itself may have nothing."""
    give_list(bloated, ACL, LISTED)
    assert stat.S_IMODE(bloated.stat().st_mode) == 0o660
    if owner == "another":
        os.chown(bloated, OTHER, OTHER)
    backup(opened(bloated), to=str(tmp_path / "copy.db"))
    copy = tmp_path / "copy.db"
    if owner == "the same":
        assert os.getxattr(copy, ACL) == LISTED
    else:
        assert ACL not in os.listxattr(copy)
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600


@pytest.mark.parametrize("operation", ["backup", "compact"])
def test_a_list_of_the_folder_gives_nobody_a_copy(bloated: Path, opened: Open, tmp_path: Path, operation: str) -> None:
    """A new file has it from its folder, and the mode would bring it to life."""
    bloated.chmod(0o640)
    give_list(bloated.parent, "system.posix_acl_default", LISTED)
    if operation == "backup":
        backup(opened(bloated), to=str(tmp_path / "copy.db"))
    else:
        compact(opened(bloated), offline=True)
    made = tmp_path / "copy.db" if operation == "backup" else bloated
    assert ACL not in os.listxattr(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o640


def test_rights_are_not_read_from_another_file(bloated: Path, tmp_path: Path) -> None:
    """One that has got the name meanwhile is refused."""
    found = bloated.stat()
    bloated.rename(tmp_path / "away.db")
    shutil.copy(tmp_path / "away.db", bloated)
    with pytest.raises(OperationError, match="somebody has put another file in its place"):
        durable_files.read_attributes(str(bloated), found)


# -- which file --------------------------------------------------------------------------------------------------------


@needs_root
def test_a_link_of_somebody_else_is_not_followed(bloated: Path, tmp_path: Path, opened: Open) -> None:
    """Unless it leads to a file of his own; one of root's, or of this user's, is."""
    link = tmp_path / "link.db"
    link.symlink_to(bloated)
    assert vacuum(opened(link)).outcome is Outcome.CHANGED
    os.chown(link, OTHER, -1, follow_symlinks=False)
    refused = (
        rf"leads over the link {link} of user {OTHER} to what belongs to user 0 .*; give the path of the file itself"
    )
    with pytest.raises(InvalidJobError, match=refused):
        SQLiteDatabase.check(str(link))
    with pytest.raises(InvalidJobError, match=refused):
        opened(link)
    [told, plain] = SQLiteDatabase.inspect([str(link), str(bloated)])
    assert f"of user {OTHER} to what belongs to user 0" in told.refused
    assert (told.schema, plain.refused) == (None, "")
    os.chown(bloated, OTHER, -1)
    assert opened(link).real == str(bloated)


@needs_root
def test_a_copy_or_a_report_goes_over_no_link_of_somebody_else(
    bloated: Path, ran: Callable[..., Result], tmp_path: Path
) -> None:
    """To a folder of root's that he has chosen; to one of his own it does."""
    (tmp_path / "roots").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "roots")
    os.chown(tmp_path / "link", OTHER, -1, follow_symlinks=False)
    for to in (tmp_path / "link", tmp_path / "link" / "copy.db"):
        with pytest.raises(OperationError, match=rf"the link .*link of user {OTHER} to what belongs to user 0"):
            ran(backup, bloated, to=str(to))
    with pytest.raises(OSError, match=rf"the link .*link of user {OTHER}"):
        write_whole(str(tmp_path / "link" / "report.html"), b"text", replace=True)
    assert os.listdir(tmp_path / "roots") == []
    os.chown(tmp_path / "roots", OTHER, -1)
    ran(backup, bloated, to=str(tmp_path / "link" / "copy.db"))
    assert os.listdir(tmp_path / "roots") == ["copy.db"]


def test_a_path_is_walked_as_the_system_does(tmp_path: Path) -> None:
    """Links to folders, relative ones, through "..", and those that lead in a ring."""
    (tmp_path / "one" / "two").mkdir(parents=True)
    file = tmp_path / "one" / "app.db"
    file.write_text("x")
    (tmp_path / "folder").symlink_to("one/two")
    (tmp_path / "one" / "two" / "up.db").symlink_to("../app.db")
    (tmp_path / "ring").symlink_to("ring")
    for path in ("one/app.db", "folder/../app.db", "folder/up.db", "one/./two//up.db", "one/two/../../one/app.db"):
        found = find_file(f"{tmp_path}/{path}")
        assert found.path == os.path.realpath(f"{tmp_path}/{path}") == str(file)
        assert os.path.samestat(found.stat, file.stat())
    wrong = (("ring", "symbolic links"), ("none/app.db", "No such file"), ("one/app.db/x", "Not a directory"))
    for missing, problem in wrong:
        with pytest.raises(OSError, match=problem):
            find_file(f"{tmp_path}/{missing}")


def test_another_file_that_was_opened_instead_is_refused(shared: Path, make: Any, tmp_path: Path) -> None:
    """Somebody had it bear the name for a moment; nothing was read from it."""
    other = tmp_path / "other" / "victim.db"
    other.parent.mkdir()
    shutil.copy(shared, other)
    with pytest.raises(OperationError, match="became another file while it was opened"):
        open_same(lambda: sqlite3.connect(other), str(shared), shared.stat())
    open_same(lambda: sqlite3.connect(shared), str(shared), shared.stat()).close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_compact_tells_when_somebody_changes_a_name_while_it_swaps(
    shared: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, seen: Any, when: str
) -> None:
    """The database keeps its name, or what has it now is told; another's file is neither changed nor removed."""
    rows = seen.rows(shared)
    original = durable_files.swap_names
    theirs = shared.parent / "theirs"
    theirs.write_text("theirs")

    def swap(one: str, other: str, **given: Any) -> bool:
        monkeypatch.setattr(durable_files, "swap_names", original)
        if when == "before":
            os.rename(one, f"{one}.moved")
            os.rename(theirs, one)
        swapped = original(one, other, **given)
        if when == "after":
            os.rename(other, f"{other}.moved")
            os.rename(theirs, other)
        return swapped

    monkeypatch.setattr(durable_files, "swap_names", swap)
    with pytest.raises(OperationError, match=r"somebody put another file in the place of .* or of its copy"):
        compact(opened(shared), offline=True)
    texts = [each for each in shared.parent.iterdir() if each.is_file() and each.read_bytes() == b"theirs"]
    assert len(texts) == 1
    if when == "before":
        assert seen.rows(shared) == rows
    else:
        sound = [each for each in shared.parent.iterdir() if each.is_file() and each not in texts]
        assert any(seen.rows(each) == rows for each in sound if each.read_bytes()[:6] == b"SQLite")


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["n" * 244 + ".db", "ä" * 121 + ".db"])
def test_a_long_name_has_copies_and_temporary_files(
    make: Any, ran: Callable[..., Result], tmp_path: Path, name: str
) -> None:
    """Theirs are shortened, and still told apart from those of another name that begins alike."""
    path = make("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)", name=name[-247:])
    other = str(path)[:-4] + "x.db"
    (tmp_path / "copies").mkdir()
    result = ran(backup, path, to=str(tmp_path / "copies"))
    assert len(os.fsencode(os.path.basename(result.data["to"]))) <= 247
    assert "~" in os.path.basename(result.data["to"])
    assert ran(compact, path, offline=True).outcome is Outcome.UNCHANGED
    with temporary(str(path), "test") as made:
        assert len(os.fsencode(made.name)) <= 247
        there = os.listdir(path.parent)
        assert select_own_names(path.name, there) == [made.name]
        assert select_own_names(os.path.basename(other), there) == []
        left = made.path.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")
        Path(left).touch()
        [found] = survey([str(path)], facts=False)
        assert found.leftovers == (left,), "what a process that is gone has left, and what a living one has not"
        Path(left).unlink()
    template = Template.parse(Template.DEFAULT)
    assert template.pattern(str(path)).fullmatch(os.path.basename(result.data["to"]))
    assert template.pattern(other).fullmatch(os.path.basename(result.data["to"])) is None


def test_a_template_of_which_no_name_fits_is_refused() -> None:
    """Before anything is written."""
    with pytest.raises(InvalidValueError, match="no name that is made of it fits into the 247 bytes"):
        Template.parse("x" * 240 + "{time}").name("/app.db", datetime.now(UTC))


@pytest.mark.parametrize("name", ["other.db-wal", "other.db-journal", "app.db.pitstop-backup-1-ab", "jobs.db-runners"])
def test_backup_refuses_a_name_that_means_something(bloated: Path, opened: Open, tmp_path: Path, name: str) -> None:
    """It would be rolled back into the database beside it, or be removed as a leftover."""
    with pytest.raises(InvalidValueError, match=r"will not do: .*name another file"):
        backup(opened(bloated), to=str(tmp_path / name), overwrite=True)
    assert os.listdir(tmp_path) == [bloated.name]


def test_a_handle_on_a_folder_outlives_its_name(tmp_path: Path) -> None:
    """What is named through it is in that very folder."""
    (tmp_path / "one").mkdir()
    with open_folder(str(tmp_path / "one")) as folder:
        (tmp_path / "one").rename(tmp_path / "two")
        (tmp_path / "one").mkdir()
        os.close(os.open("made", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=folder))
    assert os.listdir(tmp_path / "two") == ["made"]
