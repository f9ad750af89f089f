"""Whether what lies beside a database under the names of its log, index and journal are files. Opens none of them.

A pipe there would keep whoever opens it waiting for ever, and SQLite follows no link to a log or a journal. Whoever
may write to the folder can put either there.
"""

from __future__ import annotations

import os
import stat

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISDIR, "a folder"),
)


def no_file_beside(path: str) -> str:
    """Return what lies beside a database in the place of a log, index or journal and is no file; "" if nothing does.

    Args:
        path: the database, links resolved.
    """
    for suffix in ("-wal", "-shm", "-journal"):
        try:
            mode = os.lstat(path + suffix).st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):
            kind = next((name for is_one, name in _KINDS if is_one(mode)), "a device or socket")
            return f"{path}{suffix} is {kind}, where SQLite would look for a file of its own; move it away"
    return ""
