"""Where SQLite puts its temporary files. Owns that rule, which is SQLite's own."""

from __future__ import annotations

import os
import stat


def temporary_folder() -> str:
    """Return the folder that SQLite uses for temporary files.

    Its order (`unixTempFileDir` in os_unix.c): SQLITE_TMPDIR, TMPDIR, /var/tmp, /usr/tmp, /tmp and the current folder;
    the first one that is a folder and may be written. SQLite reads the two variables once per process, when it is first
    used; whoever changes them later is not followed.
    """
    given = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"))
    for folder in (*given, "/var/tmp", "/usr/tmp", "/tmp"):  # noqa: S108 - SQLite's places, not ours
        if folder and _usable(folder):
            return folder
    return os.curdir


def _usable(folder: str) -> bool:
    try:
        is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
    except OSError:
        return False  # not there, or not ours to see: SQLite goes on to the next one, and so does this
    return is_folder and os.access(folder, os.W_OK | os.X_OK)
