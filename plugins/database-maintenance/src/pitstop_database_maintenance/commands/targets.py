"""Which databases the words of a command line mean. Owns globs; opens no database.

A word that names a file, or a URL, stays as it is. Any other word with `*`, `?` or `[` is a pattern, in which `**` goes
through folders. Of what a pattern finds, only databases count: no folders, other files, companion files of a database,
or copies that `backup` made. A database whose beginning is damaged counts: its inspection says so.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Final

from pitstop.contracts import Lookup
from pitstop.errors import InvalidJobError
from pitstop.files import OWN
from pitstop_database_maintenance.databases.database import Database, file_kind
from pitstop_database_maintenance.databases.paths import require_file
from pitstop_database_maintenance.databases.target_names import is_database, open_here
from pitstop_database_maintenance.databases.urls import absolute_path, parse
from pitstop_database_maintenance.history.copy_records import USUAL_NAME, Copy

_MAGIC: Final = frozenset("*?[")
#: The identity of what cannot be examined, such as a link that leads nowhere: each is another one.
_UNKNOWN: Final = (0, 0)


def expand(
    words: Iterable[str],
    *,
    lookup: Lookup,
    exclude: Iterable[str] = (),
    copies: Callable[[], Iterable[Copy]] = tuple,
    warn: Callable[[str], object] = str,
) -> list[str]:
    """Return the databases, in the order of the words, and within a pattern in the order of their names.

    A file that a pattern finds again, or through a link, is returned once. A copy that `backup` made is returned only
    if it is named itself.

    Args:
        words: paths, patterns and URLs.
        lookup: the registry's answers; asked for the kind of database that a path means only if there is a pattern.
        exclude: patterns of files that are left out, also of those that are named themselves. One without a "/" is for
            the name of a file or folder, wherever that is; one with a "/" is for paths, as it would be among the words.
        copies: returns what is known of copies; asked only if there is a pattern.
        warn: is called with what was left out.

    Raises:
        InvalidJobError: a pattern matches no database, or a word names nothing that could be one. What is there and
            cannot be worked on, such as a link that leads nowhere, costs only itself: see `Database.failure`.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    words, excluded = list(words), [_Exclusion(pattern) for pattern in exclude]
    made = {copy.path: copy for copy in copies()} if any(map(_is_pattern, words)) else {}
    left_out = 0
    for word in words:
        if not _is_pattern(word):
            if any(each.matches(word) for each in excluded):
                continue
            _require_something(word)
            found.append(_escape_variables(word) if os.path.lexists(word) else word)
            seen |= {_find_identity(word)} - {_UNKNOWN}
            continue
        kind = file_kind(lookup)
        matches = list(_match_pattern(word, kind))
        ours = {path for path, identity in matches if _is_copy(path, identity, made)}
        if not matches or len(ours) == len(matches):
            raise _no_match(word, len(ours), kind)
        for path, identity in matches:
            if identity in seen or any(each.matches(path) for each in excluded):
                continue
            seen |= {identity} - {_UNKNOWN}
            if path in ours:
                left_out += 1
            else:
                found.append(_escape_variables(path))
    _report_left_out(left_out, excluded, warn)
    if not found and words:
        raise InvalidJobError(reason="all that was found is left out by --exclude", hint="name something else")
    return found


def _no_match(word: str, copies: int, kind: type[Database]) -> InvalidJobError:
    if copies:
        return InvalidJobError(
            reason=f"{word!r} matches only copies that 'backup' has made ({copies})",
            hint="name one itself to have it worked on",
        )
    return InvalidJobError(
        reason=f"{word!r} matches no {kind.noun}", hint="check the folder, and use ** for folders within"
    )


def _report_left_out(copies: int, excluded: Iterable[_Exclusion], warn: Callable[[str], object]) -> None:
    if copies:
        what = "1 copy that 'backup' has made was" if copies == 1 else f"{copies} copies that 'backup' has made were"
        warn(f"note: {what} left out of what the pattern matches; name one itself to have it worked on")
    for each in excluded:
        if not each.count:
            warn(f"warning: --exclude {each.pattern!r} leaves nothing out")


def _is_copy(path: str, identity: tuple[int, int], made: Mapping[str, Copy]) -> bool:
    """Return whether a file is a copy that `backup` has made: by its usual name, or because that was noted."""
    if USUAL_NAME.fullmatch(os.path.basename(path)):
        return True
    copy = made.get(os.path.abspath(path)) or made.get(os.path.realpath(path)) if made else None
    return copy is not None and copy.file.partition(":")[0] == str(identity[1])


class _Exclusion:
    """A pattern of what is left out; counts how often it matched."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.count = 0

    def matches(self, path: str) -> bool:
        """Return whether a file, or a folder that it is in, is to be left out; never a URL."""
        if "://" in path:
            return False
        if os.sep not in self.pattern:
            found = any(fnmatchcase(part, self.pattern) for part in path.split(os.sep))
        else:
            whole = os.path.abspath(path)
            found = not self._paths.isdisjoint([whole, *map(str, Path(whole).parents)])
        self.count += found
        return found

    @cached_property
    def _paths(self) -> set[str]:
        import glob

        return {os.path.abspath(path) for path in glob.iglob(os.path.expanduser(self.pattern), recursive=True)}


def _require_something(word: str) -> None:
    """Refuse a path at which nothing is, or a folder: that is a mistake in the words, and no fault of a database."""
    path: str | None = word
    if not os.path.lexists(word):
        url = parse(word)
        path = None if url.has_variables else url.path
    if path is None:
        return
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            return  # it leads nowhere, which costs only itself
    except (OSError, ValueError):
        return  # its inspection says what is wrong
    require_file(absolute_path(path))


def _escape_variables(path: str) -> str:
    """Return the path of a file that is there, so that nothing in its name is taken for the name of a variable."""
    return path.replace("${", "$${")


def _is_pattern(word: str) -> bool:
    return not _MAGIC.isdisjoint(word) and "://" not in word and "${" not in word and not os.path.exists(word)


def _match_pattern(pattern: str, kind: type[Database]) -> Iterator[tuple[str, tuple[int, int]]]:
    import glob

    # locks that this process has on a file would go when our handle is closed
    held = open_here()
    for path in sorted(glob.iglob(os.path.expanduser(pattern), recursive=True)):
        name = os.path.basename(path)
        if kind.claims(name) or OWN in name:
            continue
        try:
            entry = os.stat(path)
            identity = entry.st_dev, entry.st_ino
            if stat.S_ISREG(entry.st_mode) and entry.st_size and (identity in held or is_database(path, kind)):
                yield path, identity
        except OSError:
            # it went away meanwhile, or may not be read: its inspection says so
            if os.path.lexists(path):
                yield path, _find_identity(path)


def _find_identity(path: str) -> tuple[int, int]:
    try:
        entry = os.stat(path)
    except (OSError, ValueError):
        return _UNKNOWN
    return entry.st_dev, entry.st_ino
