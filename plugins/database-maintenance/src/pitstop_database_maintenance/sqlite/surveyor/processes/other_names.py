"""Whether a database is used, or has a log or a journal, under another of its names than the one it is asked for by.

A file has several names by hard links, or because it is mounted by itself elsewhere, as into a container. SQLite keeps
a log, its index and a journal beside the name by which it opens the file, and finds them by no other: two names have
two logs, of which each overwrites what the other knows nothing of (sqlite.org/howtocorrupt.html, 2.5). So such a file
is worked on only under the name under which it is used. Linux tells who has it open; the names in its own folder are
read.
"""

from __future__ import annotations

import os

from pitstop_database_maintenance.sqlite.surveyor.processes.displaced_files import find_displaced_files
from pitstop_database_maintenance.sqlite.surveyor.processes.proc import process_text, stat_if_there

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pitstop_database_maintenance.sqlite.surveyor.processes.displaced_files import DisplacedFile, Listed, OpenFiles
    from pitstop_database_maintenance.sqlite.surveyor.processes.proc import OpenFile

#: What the content of a database may depend on.
_BESIDE = {"-wal": "a write-ahead log", "-journal": "a journal"}


class OtherName:
    """Another name of a database that matters; as a text, what speaks against working on it under this one."""

    __slots__ = ("_text",)

    advice = (
        "SQLite finds a log or a journal only by the name under which the file was opened: maintain it under that name"
    )

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def find_interferences(path: str, files: OpenFiles) -> list[DisplacedFile | OtherName]:
    """Return who works on a database with files that were taken away, and its `find_other_names`.

    Args:
        path: the database, links resolved.
        files: the open files.
    """
    return [*find_displaced_files(path, files), *find_other_names(path, files)]


def find_other_names(path: str, files: OpenFiles) -> list[OtherName]:
    """Return other names of a database under which it is used, or has a log or a journal, as far as can be seen.

    Args:
        path: the database, links resolved.
        files: the open files.
    """
    folder, name = os.path.split(path)
    found, place = stat_if_there(path), stat_if_there(folder)
    if found is None or place is None:
        return []
    users = _find_users_elsewhere(name, found, place, files.read())
    if users:
        # a list that was kept may tell of a file that was closed since, and whose inode is another one's by now
        users = _find_users_elsewhere(name, found, place, files.read_again())
    return [*users, *(_find_contents(folder, name, found) if found.st_nlink > 1 else ())]


def _find_users_elsewhere(name: str, found: os.stat_result, place: os.stat_result, files: Listed) -> list[OtherName]:
    lists = files.values() if found.st_nlink > 1 else [files.get(name, ())]
    named = {
        (file.pid, file.name): f"{process_text(file.pid)} has the file open under another of its names, {file.name}"
        for opened in lists
        for file in opened
        if file.is_same(found) and file.writable and _is_elsewhere(file, name, place)
    }
    return list(map(OtherName, named.values()))


def _is_elsewhere(file: OpenFile, name: str, place: os.stat_result) -> bool:
    """Return whether a file was opened by another name: in another folder, whatever that is called for its process."""
    folder, own = os.path.split(file.name)
    seen = [
        found for found in (stat_if_there(folder), stat_if_there(f"/proc/{file.pid}/root{folder}")) if found is not None
    ]
    return bool(seen) and (own != name or not any(os.path.samestat(found, place) for found in seen))


def _find_contents(folder: str, name: str, found: os.stat_result) -> Iterator[OtherName]:
    """Yield the other names in the same folder that have a log or a journal with anything in it."""
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if entry.inode() == found.st_ino)
    except OSError:
        return
    for other in entries:
        other_path = os.path.join(folder, other)
        same = stat_if_there(other_path)
        if other == name or same is None or not os.path.samestat(same, found):
            continue
        for suffix, what in _BESIDE.items():
            beside = stat_if_there(other_path + suffix)
            if beside is not None and beside.st_size:
                yield OtherName(f"{what} lies beside another name of the file, {other_path}")
