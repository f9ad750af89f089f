"""Where SQLite puts its temporary files, a rule of its own, and what our own files and private folders are called.

A file that an operation on a database needs for a while is called `<database>.pitstop-<purpose>-<process>-<id>`.
"""

from __future__ import annotations

import os
import re
import stat

#: What comes behind the database's name.
_OWN = ".pitstop-"
#: Such a name, and what SQLite may put beside the file.
OWN_NAME = re.compile(
    r"(?P<file>.+\.pitstop-(?P<purpose>[a-z]+)-(?P<pid>\d+)-\w+?)(?P<companion>-journal|-wal|-shm)?", re.DOTALL
)
#: How many bytes of a database's name are in that of its temporary files: with all that comes after it, and after
#: that what SQLite puts beside it, no name has more than the 255 bytes that file systems take.
_LONGEST = 180


def make_own_name(database: str, purpose: str) -> str:
    """Return a new name for a file of this process's own, by which `select_own_names` knows it.

    Args:
        database: the name of what it is made for, without its folder.
        purpose: a word in small letters.
    """
    return f"{_stem(database)}{_OWN}{purpose}-{os.getpid()}-{os.urandom(4).hex()}"


def select_own_names(database: str, names: list[str]) -> list[str]:
    """Return those of these names that are a database's temporary files, each before what SQLite put beside it."""
    prefix = f"{_stem(database)}{_OWN}"
    own = (name for name in names if name.startswith(prefix) and OWN_NAME.fullmatch(name))
    # by full match, or the leftovers of "app.db.pitstop-x" would be taken for those of "app.db"
    return sorted(name for name in own if name.count(_OWN) == prefix.count(_OWN))


def _stem(name: str) -> str:
    """Return what begins the names of a database's temporary files: its own name, unless that is too long."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return name
    import hashlib

    # at the end of a character: SQLite takes no path in which there is half of one
    begin = encoded[: _LONGEST - 9].decode(errors="ignore")
    return f"{begin}~{hashlib.sha256(encoded).hexdigest()[:8]}"


def make_private_folder_name() -> str:
    """Return a name for a folder of this user's own among temporary files.

    Files in it are called and locked as `files.temporary_files` says, which removes what a kill left.
    """
    return f"pitstop-private-{os.getpid()}-{os.urandom(8).hex()}"


def temporary_folder() -> str:
    """Return the folder that SQLite uses for temporary files: the first of `temporary_folders`."""
    return next(iter(temporary_folders()), os.curdir)


def temporary_folders() -> list[str]:
    """Return the folders for temporary files that there are, in the order in which SQLite looks for one.

    Its order (`unixTempFileDir` in os_unix.c): SQLITE_TMPDIR, TMPDIR, /var/tmp, /usr/tmp, /tmp and the current folder;
    the first one that is a folder and may be written. SQLite reads the two variables once per process, when it is first
    used; whoever changes them later is not followed.
    """
    given = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"))
    folders = (*given, "/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108 - SQLite's places, not ours
    return [folder for folder in dict.fromkeys(folders) if folder and _usable(folder)]


def _usable(folder: str) -> bool:
    try:
        is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
    except OSError:
        return False  # not there, or not ours to see: SQLite goes on to the next one, and so does this
    return is_folder and os.access(folder, os.W_OK | os.X_OK)
