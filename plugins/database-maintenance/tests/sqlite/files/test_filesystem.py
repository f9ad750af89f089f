"""What a folder is on: told from the mounts, with those named on which locks do not hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pitstop_database_maintenance.sqlite.files import filesystem
from pitstop_database_maintenance.sqlite.files.filesystem import describe_folder, find_hazard

MOUNTS = """\
21 1 252:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 21 0:30 / {folder} rw shared:5 - nfs4 server:/export rw,vers=4.2
31 30 0:31 / {folder}/in\\040side rw - fuse.sshfs host: rw
32 30 0:32 / {folder}/over rw master:3 propagate_from:2 - overlay overlay rw
33 30 0:33 / {folder}/over rw - tmpfs tmpfs rw
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of mounts: a network folder, within it one of FUSE with a blank in its name, and one mounted over."""
    folder = tmp_path / "net"
    for name in ("in side", "over", "inside", "deeper"):
        (folder / name).mkdir(parents=True)
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS.format(folder=folder))
    monkeypatch.setattr(filesystem, "_MOUNTS", str(table))
    return folder


def test_folder_of_is_the_file_s_folder(tmp_path: Path) -> None:
    """A file need not be there; a folder stands for itself; device and room are the system's."""
    found = describe_folder(str(tmp_path / "new.db"))
    assert found.path == describe_folder(str(tmp_path)).path == str(tmp_path)
    assert found.device == tmp_path.stat().st_dev
    room = os.statvfs(tmp_path)
    assert abs(found.free - room.f_bavail * room.f_frsize) < 1 << 30


@pytest.mark.parametrize(
    ("name", "kind", "hazard"),
    [
        ("", "nfs4", "network file system nfs4"),
        ("deeper", "nfs4", "network file system nfs4"),
        ("in side", "fuse.sshfs", "FUSE file system fuse.sshfs"),
        ("inside", "nfs4", "network file system nfs4"),
        ("over", "tmpfs", ""),
    ],
)
def test_folder_of_takes_the_innermost_mount(name: str, kind: str, hazard: str, mounts: Path) -> None:
    """The longest place that a folder lies under counts, whole names only, and of two at one place the later."""
    found = describe_folder(str(mounts / name / "app.db"))
    assert (found.kind, found.hazard) == (kind, hazard)


def test_folder_of_follows_links(mounts: Path, tmp_path: Path) -> None:
    """A link on a good disk to a file on the network is on the network."""
    (tmp_path / "link.db").symlink_to(mounts / "app.db")
    assert describe_folder(str(tmp_path / "link.db")).kind == "nfs4"


def test_folder_of_knows_nothing_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no table of mounts, the kind is unknown and nothing is warned of."""
    monkeypatch.setattr(filesystem, "_MOUNTS", str(tmp_path / "missing"))
    found = describe_folder(str(tmp_path))
    assert (found.kind, found.hazard) == ("", "")
    assert found.free > 0


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuseblk.x", "vboxsf", "drvfs", "ceph"])
def test_hazard_of_names_what_is_not_local(kind: str) -> None:
    """Network and virtual file systems are named."""
    assert bool(find_hazard(kind)) is (kind != "fuseblk.x")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "apfs", ""])
def test_hazard_of_finds_nothing_against_local_ones(kind: str) -> None:
    """Ordinary disks are fine, overlay included; fuseblk is a local disk by way of FUSE, such as NTFS."""
    assert find_hazard(kind) == ""
