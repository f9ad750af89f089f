"""The one history that a process keeps open for its jobs. Owns when it is opened, and how a process does without."""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from pitstop.logs import warn
from pitstop.text.escaping import one_line
from pitstop_database_maintenance.history.file import history_path
from pitstop_database_maintenance.history.store import History

#: For how long, in seconds, a process believes that the file which it has open is still the one at its path.
_BELIEVED: Final = 0.25


class _Shared(NamedTuple):
    history: History
    process: int
    checked: float


_sharing = threading.Lock()
_shared: dict[Path, _Shared] = {}
#: What was told already of a history that cannot be opened.
_told: set[tuple[Path, str]] = set()


def shared_history() -> History:
    """Return the history that this process keeps open, so that a small job does not pay for opening it.

    Raises:
        OSError, sqlite3.Error: it cannot be opened or made.
    """
    path = history_path()
    now = time.monotonic()
    with _sharing:
        held = _shared.get(path)
        # a process that was forked must not use its parent's connection
        if held is None or held.process != os.getpid():
            held = _Shared(History(path), os.getpid(), now)
        elif now >= held.checked + _BELIEVED:
            held.history.refresh()
            held = held._replace(checked=now)
        _shared[path] = held
        return held.history


def usable_history(open_history: Callable[[], History], tell: Callable[[str], object] = warn) -> History | None:
    """Return a history, or None if it cannot be opened, which is no reason not to do the work.

    Args:
        open_history: `History`, or `shared_history`.
        tell: is called with why it cannot be, once in this process.
    """
    try:
        return open_history()
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
        path, why = history_path(), str(getattr(error, "strerror", None) or error)
        if (path, why) not in _told:
            _told.add((path, why))
            tell(f"the history of past runs ({one_line(str(path))}) cannot be opened: {why}")
        return None


@atexit.register
def _close_shared() -> None:
    """Close what this process has kept open to its end; what it was forked with is its parent's."""
    with _sharing:
        for held in _shared.values():
            if held.process == os.getpid():
                held.history.close()
        _shared.clear()
