"""A folder as it is on disk: bytes, owners, rights, attributes, links. Copies one, and says what is there."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One file, folder or link.

    Attributes:
        kind: "file", "folder", "link" or "other".
        mode, owner: its rights, and user and group.
        links: how many names a file has.
        attributes: extended attributes, access lists among them.
        content: the hash of a file's bytes, or where a link points to.
        size: in bytes.
    """

    kind: str
    mode: int
    owner: tuple[int, int]
    links: int
    attributes: tuple[tuple[str, bytes], ...]
    content: str
    size: int


def list_entries(folder: Path) -> dict[str, Entry]:
    """Return everything in a folder and below, by its path within it."""
    found: dict[str, Entry] = {}
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            found[str(path.relative_to(folder))] = _entry(path)
    return found


def _entry(path: Path) -> Entry:
    about = path.lstat()
    if stat.S_ISLNK(about.st_mode):
        kind, content = "link", os.readlink(path)
    elif stat.S_ISREG(about.st_mode):
        kind, content = "file", hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        kind, content = "folder" if stat.S_ISDIR(about.st_mode) else "other", ""
    return Entry(
        kind=kind,
        mode=stat.S_IMODE(about.st_mode),
        owner=(about.st_uid, about.st_gid),
        links=about.st_nlink if kind == "file" else 1,
        attributes=_attributes(path) if kind == "file" else (),
        content=content,
        size=about.st_size,
    )


def _attributes(path: Path) -> tuple[tuple[str, bytes], ...]:
    try:
        return tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
    except OSError:
        return ()  # a file system without them


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder with its links, rights, owners and attributes; names of one file are names of one copy."""
    copies: dict[tuple[int, int], str] = {}

    def copy(one: str, other: str) -> str:
        about = os.lstat(one)
        first = copies.setdefault((about.st_dev, about.st_ino), other)
        if first != other:
            os.link(first, other)
            return other
        shutil.copy2(one, other, follow_symlinks=False)
        os.chown(other, about.st_uid, about.st_gid, follow_symlinks=False)
        return other

    shutil.copytree(source, target, symlinks=True, copy_function=copy)
    for parent, folders, _ in os.walk(source):
        for name in ("", *folders):
            path = Path(parent, name)
            if not path.is_symlink():
                about = path.stat()
                os.chown(target / path.relative_to(source), about.st_uid, about.st_gid)
