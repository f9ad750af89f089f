"""What a folder is on: its file system, the room on it, and whether SQLite's locks hold there. Opens no database."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final

from attrs import frozen

from pitstop.files import real_path

#: File systems on which the locks of SQLite cannot be relied on, or not between machines (sqlite.org/howtocorrupt.html,
#: 2.1, and sqlite.org/useovernet.html; "all processes using a database must be on the same host" for WAL mode,
#: sqlite.org/wal.html). How each is called is the system's: filesystems(5) and the sources of mount programs.
NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "ncpfs", "ceph", "glusterfs", "lustre", "gpfs",
     "beegfs", "ocfs2", "gfs2", "orangefs", "pvfs2", "9p", "virtiofs", "vboxsf", "prl_fs", "drvfs", "davfs", "sshfs"}
)  # fmt: skip
_MOUNTS: Final = "/proc/self/mountinfo"


@frozen(kw_only=True)
class Folder:
    """A folder and the file system that it is on.

    Args:
        path: the folder.
        device: the number of the file system, so that two folders on one can be told.
        free: what an ordinary user may still write there.
        kind: the file system's type as the system names it, such as "ext4"; "" if unknown.
        hazard: why SQLite's locks cannot be relied on there ("network file system nfs4"); "" if nothing is known.
    """

    path: str
    device: int = 0
    free: int = 0
    kind: str = ""
    hazard: str = ""


def describe_folder(path: str) -> Folder:
    """Return what the folder of a file is on.

    Args:
        path: a file, which need not be there, or a folder, which stands for itself; links are resolved.

    Returns:
        The folder. What the system does not tell is left out: without /proc no kind and no hazard.
    """
    real = real_path(path)
    folder = real if os.path.isdir(real) else os.path.dirname(real)
    try:
        room = os.statvfs(folder)
        free, device = room.f_bavail * room.f_frsize, os.stat(folder).st_dev
    except OSError:
        free = device = 0
    kind = _kind(folder, device)
    return Folder(path=folder, device=device, free=free, kind=kind, hazard=find_hazard(kind))


def find_hazard(kind: str) -> str:
    """Return why SQLite's locks cannot be relied on on a file system of this type; "" if nothing is known."""
    name = kind.lower()
    if name in NETWORK:
        return f"network file system {kind}"
    if name == "fuse" or name.startswith("fuse."):
        # whether such a program passes locks on is up to it, and it may well not
        return f"FUSE file system {kind}"
    return ""


@lru_cache(maxsize=256)  # of thousands of files many are in one folder
def _kind(folder: str, device: int) -> str:  # noqa: ARG001 - another file system mounted there is another device
    """Return the type of the mount that holds a folder: of those whose place it lies under, the longest, the last."""
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.readlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        mount, _, system = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) < 5 or not system:
            continue
        point = _unescape(fields[4])
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, system.split(" ")[0]
    return kind


def _unescape(text: str) -> str:
    """Return a mount's place as it is: blanks, tabs, line ends and backslashes are octal numbers there (proc(5))."""
    for escaped, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escaped, plain)
    return text
