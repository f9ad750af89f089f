"""By which URI SQLite opens a file, and where it puts what belongs to it. Owns both rules."""

from __future__ import annotations

import os
from typing import Literal
from urllib.parse import quote

from pitstop.files import real_path


def connection_uri(path: str, *, mode: Literal["ro", "rw"], alone: bool = False) -> str:
    """Return the `file:` URI of an absolute path. Neither mode ever creates a file.

    Args:
        path: absolute.
        mode: "ro" or "rw".
        alone: whether to read the file without what lies beside it, and without a lock (sqlite.org/uri.html,
            "immutable"). It is then as it was at the last checkpoint, and may be half of a newer state: for a question
            about the file itself only, never for one about the database.

    The authority is written, though empty: without it, a path that begins with two slashes would name a host.
    """
    return f"file://{quote(os.fsencode(path))}?mode={mode}{'&immutable=1' if alone else ''}"


def beside(path: str, suffix: Literal["-wal", "-shm", "-journal"]) -> str:
    """Return the path of a database's log, index or journal: beside the file itself, and not beside a link to it."""
    return f"{behind_link(path)}{suffix}"


def behind_link(path: str) -> str:
    """Return a path of which the last part is no link, so that it names the file itself; for many it is the same path.

    Links to folders on the way are left: what lies beside the file lies there by either path. To resolve those too
    takes a look at each folder, ten times as long, and it is asked a dozen times for each database.
    """
    return real_path(path) if os.path.islink(path) else path
