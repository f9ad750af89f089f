"""Who else may write to a folder; and files that are made there through handles."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pitstop import files
from pitstop.files import (
    ReplacedError,
    copy_bytes,
    find_intruders,
    find_strangers,
    find_writers,
    give_name,
    make_file,
    open_folder,
    remove_file,
    write_whole,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a folder can be given to another user by root only")
OTHER = 12345


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in a folder, both of this user alone."""
    folder = tmp_path / "above" / "place"
    folder.mkdir(parents=True)
    return folder


def test_a_folder_of_ones_own_has_no_strangers(place: Path) -> None:
    """Nor has one that others may read, nor one in which nobody moves what is another's."""
    for mode in (0o700, 0o755, 0o1777, 0o1775):
        place.chmod(mode)
        assert find_strangers(str(place)) == ""
        place.parent.chmod(mode)
        assert find_strangers(str(place)) == ""


@pytest.mark.parametrize("where", ["place", "above"])
@pytest.mark.parametrize(("mode", "who"), [(0o777, "everybody"), (0o702, "everybody")])
def test_who_may_write_to_it_or_to_a_folder_above_is_told(place: Path, where: str, mode: int, who: str) -> None:
    """He could put another folder in the place of the one below."""
    folder = place if where == "place" else place.parent
    folder.chmod(mode)
    assert find_strangers(str(place)) == f"{who} may write to {folder}"


@needs_root
@pytest.mark.parametrize("where", ["place", "above"])
def test_its_owner_and_its_group_are_told(place: Path, where: str) -> None:
    """Unless they may write to the file anyway that it is about."""
    folder = place if where == "place" else place.parent
    os.chown(folder, OTHER, -1)
    assert find_strangers(str(place)) == f"{folder} belongs to user {OTHER}"
    theirs = place / "theirs"
    theirs.touch()
    os.chown(theirs, OTHER, -1)
    assert find_strangers(str(place), file=theirs.stat()) == ""
    os.chown(folder, 0, OTHER)
    folder.chmod(0o770)
    assert find_strangers(str(place)) == f"group {OTHER} may write to {folder}"
    os.chown(theirs, 0, OTHER)
    theirs.chmod(0o640)
    assert find_strangers(str(place), file=theirs.stat()) != ""
    theirs.chmod(0o660)
    assert find_strangers(str(place), file=theirs.stat()) == ""


def test_a_group_of_this_user_alone_is_nobody_else(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many systems give one to each user, and let him make all files for it."""
    place.chmod(0o775)
    monkeypatch.setattr(files, "_is_private", lambda gid, uid: (gid, uid) == (place.stat().st_gid, os.geteuid()))
    assert find_strangers(str(place)) == ""
    monkeypatch.setattr(files, "_is_private", lambda *_: False)
    assert find_strangers(str(place)) == f"group {place.stat().st_gid} may write to {place}"


def test_a_group_with_other_members_is_not_private() -> None:
    """By the members that it lists, and by those whose first group it is; one that is unknown may have any."""
    assert not files._is_private(2**31 - 7, os.geteuid())
    everybody = {}
    import pwd

    for each in pwd.getpwall():
        everybody.setdefault(each.pw_gid, set()).add(each.pw_uid)
    for gid, members in everybody.items():
        if members - {0, os.geteuid()}:
            assert not files._is_private(gid, os.geteuid())


@needs_root
def test_a_link_on_the_way_is_told(tmp_path: Path, place: Path) -> None:
    """In a folder for everybody anybody may have made it."""
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o1777)
    (public / "link").symlink_to(place)
    assert find_strangers(str(public / "link")) == ""
    os.chown(public / "link", OTHER, -1, follow_symlinks=False)
    assert find_strangers(str(public / "link")) == f"{public}/link is a link of user {OTHER}"
    public.chmod(0o777)
    assert find_strangers(str(public / "link")) == f"everybody may write to {public}"


def test_links_in_a_ring_are_told(place: Path) -> None:
    """As the system does."""
    (place / "one").symlink_to("two")
    (place / "two").symlink_to("one")
    for ask in (find_strangers, find_intruders):
        with pytest.raises(OSError, match="symbolic links"):
            ask(str(place / "one"))


def test_writers_of_a_file(place: Path) -> None:
    """By its mode and its owner."""
    file = place / "file"
    file.touch(0o644)
    assert find_writers(file.stat()) == ""
    file.chmod(0o646)
    assert find_writers(file.stat()) == "everybody may write to it"


def test_write_whole_writes_all_or_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rights that are left by the umask; a disk that is full leaves what was there."""
    path, before = place / "file", os.umask(0o027)
    try:
        write_whole(str(path), b"one", replace=False)
    finally:
        os.umask(before)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"one", 0o640)
    with pytest.raises(FileExistsError):
        write_whole(str(path), b"two", replace=False)
    write_whole(str(path), b"three", replace=True)
    monkeypatch.setattr(files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        write_whole(str(path), b"four", replace=True)
    assert path.read_bytes() == b"three"
    assert os.listdir(place) == ["file"]


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_write_whole_replaces_plain_files_only(place: Path, kind: str) -> None:
    """What a link leads to is left alone, and so is the link."""
    path, target = place / "file", place / "target"
    target.write_text("precious")
    {"link": lambda: path.symlink_to(target), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[kind]()
    with pytest.raises(FileExistsError, match="no plain file"):
        write_whole(str(path), b"new", replace=True)
    assert target.read_text() == "precious"
    assert sorted(os.listdir(place)) == ["file", "target"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_was_taken_away_is_not_said_to_be_named(place: Path, replace: bool) -> None:
    """Somebody puts another one under its name, which then gets the name that it was to have."""
    with open_folder(str(place)) as folder:
        handle = make_file(folder, "made")
        os.rename(place / "made", place / "away")
        (place / "made").write_text("theirs")
        with pytest.raises(ReplacedError, match="somebody has put another file in its place"):
            give_name(os.fstat(handle), "made", "new", folder=folder, replace=replace)
        assert (place / "new").read_text() == "theirs"
        (place / "made").write_text("theirs too")
        remove_file(handle, folder, "made")
        assert (place / "made").exists()
        remove_file(handle, folder, "away")
        assert not (place / "away").exists()
        os.close(handle)


def test_a_copy_is_read_back(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that gives something else than it was given is not believed."""
    (place / "source").write_bytes(os.urandom(10_000_000))
    with open_folder(str(place)) as folder, open(place / "source", "rb") as source:
        target = make_file(folder, "target")
        copy_bytes(source.fileno(), target)
        assert (place / "target").read_bytes() == (place / "source").read_bytes()
        original = os.pread
        monkeypatch.setattr(
            files.os, "pread", lambda handle, *given: original(handle, *given)[:-1] + b"?" * (handle == target)
        )
        with pytest.raises(OSError, match="is not what is read from it"):
            copy_bytes(source.fileno(), target)
        os.close(target)
