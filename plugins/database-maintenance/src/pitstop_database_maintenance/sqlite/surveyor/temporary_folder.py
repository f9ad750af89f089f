"""Where SQLite puts its temporary files, a rule of its own, and what our private folders are called there."""

from __future__ import annotations

import os
import stat


def own_name(stem: str, purpose: str) -> str:
    """Return a new name for a file of this process's own, by which `leftovers` knows it.

    Args:
        stem: what it begins with.
        purpose: a word in small letters.
    """
    return f"{stem}.pitstop-{purpose}-{os.getpid()}-{os.urandom(4).hex()}"


def private_folder_name() -> str:
    """Return a name for a folder of this user's own among temporary files.

    Files in it are called and locked as `leftovers` says, which removes what a kill left.
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
