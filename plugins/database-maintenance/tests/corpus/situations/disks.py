"""Disks that are full, or that nobody may write to: small file systems in memory, mounted for one situation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from corpus.commands import MAIN
from corpus.place import Place
from corpus.situation import EITHER, situation

_ALL = (
    "analyze",
    "backup",
    "checkpoint",
    "compact",
    "convert_auto_vacuum",
    "foreign_key_check",
    "incremental_vacuum",
    "integrity_check",
    "optimize",
    "quick_check",
    "reindex",
    "vacuum",
    "maintain",
)
_ANY_EXIT = dict.fromkeys(
    MAIN,
    EITHER,
)


def _mount(place: Place, options: str) -> None:
    folder = place.folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    place.undo.append(lambda: subprocess.run(["umount", "-l", str(folder)], check=True))
    place.path = folder / "app.db"


def _fill(folder: Path, *, leave: int) -> None:
    free = os.statvfs(folder)
    count = free.f_bavail * free.f_frsize - leave
    with (folder / "filling").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(count, 1))


@situation("a full disk", live=True, needs=("mount",), wherever=_ALL, exits=_ANY_EXIT, target="{path}")
def full(place: Place) -> None:
    _mount(place, "size=2m")
    place.shop()
    _fill(place.path.parent, leave=0)


@situation("a full disk, in WAL mode", live=True, needs=("mount",), wherever=_ALL, exits=_ANY_EXIT)
def full_wal(place: Place) -> None:
    _mount(place, "size=2m")
    place.shop("PRAGMA journal_mode = WAL")
    _fill(place.path.parent, leave=0)


@situation("a disk with room for a few pages only", live=True, needs=("mount",), wherever=_ALL, exits=_ANY_EXIT)
def nearly_full(place: Place) -> None:
    _mount(place, "size=2m")
    place.shop()
    _fill(place.path.parent, leave=40_000)


@situation(
    "a disk with room for a few pages only, in WAL mode", live=True, needs=("mount",), wherever=_ALL, exits=_ANY_EXIT
)
def nearly_full_wal(place: Place) -> None:
    _mount(place, "size=2m")
    place.shop("PRAGMA journal_mode = WAL")
    _fill(place.path.parent, leave=60_000)


@situation("a disk that is mounted read-only", live=True, needs=("mount",), frozen=True, wherever=_ALL, exits=_ANY_EXIT)
def read_only(place: Place) -> None:
    _mount(place, "size=2m")
    place.shop()
    subprocess.run(["mount", "-o", "remount,ro", str(place.path.parent)], check=True)


@situation(
    "a disk that is mounted read-only, in WAL mode with a log",
    live=True,
    needs=("mount",),
    frozen=True,
    wherever=_ALL,
    exits=_ANY_EXIT,
)
def read_only_wal(place: Place) -> None:
    _mount(place, "size=2m")
    place.shop("PRAGMA journal_mode = WAL")
    connection = place.connect()
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("UPDATE bill SET total = 5 WHERE rowid = 4")
    files = place.files()
    connection.close()
    place.lay({"": files[""], "-wal": files["-wal"]})
    subprocess.run(["mount", "-o", "remount,ro", str(place.path.parent)], check=True)
