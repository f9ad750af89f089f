"""How much room there is in a folder: bytes and inodes both end."""

from __future__ import annotations

import errno
import os

import pytest

from pitstop.files.disk_space import is_full, suggest_room, takes_no_more_files


def stated(*, blocks: int = 1000, files: int = 100, unused: int = 50) -> os.statvfs_result:
    """Return what a file system with blocks of 4096 bytes tells."""
    return os.statvfs_result((4096, 4096, 10_000, blocks, blocks, files, unused, unused, 0, 255))


@pytest.mark.parametrize(
    ("found", "full", "no_more_files"),
    [
        (stated(), False, False),
        (stated(blocks=0), True, False),
        (stated(blocks=15), True, False),
        (stated(blocks=16), False, False),
        (stated(unused=0), True, True),
        (stated(files=0, unused=0), False, False),
    ],
    ids=["room", "no block", "less than SQLite needs", "as much", "no inode", "inodes without a limit"],
)
def test_room(monkeypatch: pytest.MonkeyPatch, found: os.statvfs_result, full: bool, no_more_files: bool) -> None:
    """Btrfs makes inodes as it needs them, and tells of none at all."""
    monkeypatch.setattr(os, "statvfs", lambda folder: found)
    assert is_full("/srv") is full
    assert takes_no_more_files("/srv") is no_more_files


def test_folder_that_cannot_be_asked_is_not_full(tmp_path: os.PathLike[str]) -> None:
    """What went wrong there has another reason."""
    gone = os.path.join(tmp_path, "gone")
    assert not is_full(gone)
    assert not takes_no_more_files(gone)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_room_is_suggested_only_where_there_is_none(number):
    assert suggest_room(OSError(number, "no"), "choose another name").startswith("make room")
    assert suggest_room(OSError(errno.EACCES, "no"), "choose another name") == "choose another name"
