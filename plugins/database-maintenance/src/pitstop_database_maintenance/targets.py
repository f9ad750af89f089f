"""Which databases the words of a command line mean. Owns globs; opens no database.

A word that names a file, or a URL, stays as it is. Any other word with `*`, `?` or `[` is a pattern, in which `**` goes
through folders. What a pattern finds is left out if it is no SQLite database: a folder, another kind of file, or what
SQLite and Pitstop put beside a database.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final

from pitstop.errors import InvalidJobError

_MAGIC: Final = frozenset("*?[")
_BESIDE: Final = ("-wal", "-shm", "-journal")
#: Names what an operation writes beside a database until it is done.
_OWN: Final = ".pitstop-"
#: Every SQLite database begins so (sqlite.org/fileformat2.html#the_database_header).
_BEGINNING: Final = b"SQLite format 3\0"


def expand(words: Iterable[str]) -> list[str]:
    """Return the databases, in the order of the words, and within a pattern in the order of their names.

    A file that a pattern finds again, or through a link, is returned once.

    Raises:
        InvalidJobError: a pattern matches no database.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    for word in words:
        if not _is_pattern(word):
            found.append(_literal(word) if os.path.lexists(word) else word)
            seen |= {_identity(word)} - {(0, 0)}
            continue
        matches = list(_databases(word))
        if not matches:
            raise InvalidJobError(
                reason=f"{word!r} matches no SQLite database", hint="check the folder, and use ** for folders within"
            )
        for path, identity in matches:
            if identity not in seen:
                seen.add(identity)
                found.append(_literal(path))
    return found


def _literal(path: str) -> str:
    """Return the path of a file that is there, so that nothing in its name is taken for the name of a variable."""
    return path.replace("${", "$${")


def _is_pattern(word: str) -> bool:
    return not _MAGIC.isdisjoint(word) and "://" not in word and "${" not in word and not os.path.exists(word)


def _databases(pattern: str) -> Iterator[tuple[str, tuple[int, int]]]:
    import glob

    # a file that this process has open may be held by SQLite here, whose locks would go when our handle is closed
    held = _open_here()
    for path in sorted(glob.iglob(os.path.expanduser(pattern), recursive=True)):
        name = os.path.basename(path)
        if name.endswith(_BESIDE) or _OWN in name:
            continue
        try:
            entry = os.stat(path)
            identity = (entry.st_dev, entry.st_ino)
            if stat.S_ISREG(entry.st_mode) and entry.st_size and (identity in held or _begins_as_one(path)):
                yield path, identity
        except OSError:
            # it went away meanwhile, or may not be read: whoever looks at it says so
            if os.path.lexists(path):
                yield path, _identity(path)


def _begins_as_one(path: str) -> bool:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.pread(handle, len(_BEGINNING), 0) == _BEGINNING
    finally:
        os.close(handle)


def _open_here() -> set[tuple[int, int]]:
    """Return which files this process has open."""
    found = set()
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            numbers = os.listdir(folder)
        except OSError:
            continue
        for number in numbers:
            try:
                entry = os.fstat(int(number))
            except (OSError, ValueError):
                continue  # the one that listed the folder
            found.add((entry.st_dev, entry.st_ino))
        break
    return found


def _identity(path: str) -> tuple[int, int]:
    try:
        entry = os.stat(path)
    except (OSError, ValueError):
        return (0, 0)
    return entry.st_dev, entry.st_ino
