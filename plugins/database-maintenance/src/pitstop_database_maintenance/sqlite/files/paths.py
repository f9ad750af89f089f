"""Paths of a database's file and of those that SQLite keeps beside it."""

from __future__ import annotations

import os
from typing import Literal

from pitstop.files import real_path


def companion_path(path: str, suffix: Literal["-wal", "-shm", "-journal"]) -> str:
    """Return the path of a database's log, index or journal: beside the file itself, and not beside a link to it."""
    return f"{resolve_link(path)}{suffix}"


def resolve_link(path: str) -> str:
    """Return a path of which the last part is no link, so that it names the file itself; for many it is the same path.

    Links to folders on the way are left: what lies beside the file lies there by either path. To resolve those too
    takes a look at each folder, ten times as long, and it is asked a dozen times for each database.
    """
    return real_path(path) if os.path.islink(path) else path
