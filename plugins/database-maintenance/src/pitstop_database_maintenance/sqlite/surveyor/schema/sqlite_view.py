"""SQLite's own view of a file, without a lock where that is safe. Owns how the file is opened and when it is believed.

A database that nobody writes is opened as immutable: SQLite then takes no lock and makes no file. What it says counts
only if the file is the same before and after. Where the newest pages are in a log, an ordinary reader is needed; in WAL
mode readers keep nobody waiting. Where nobody has taken the log over, `extract` puts together what is to be read.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
import time
from contextlib import closing

from pitstop_database_maintenance.sqlite.surveyor.format.header import LENGTH
from pitstop_database_maintenance.sqlite.surveyor.schema.missing_features import FAILURES, apply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypeVar

    from pitstop_database_maintenance.sqlite.surveyor.format.wal import Log

    T = TypeVar("T")

#: How often an immutable look is tried on a file that is being written to.
ATTEMPTS = 3
#: Seconds after which a statement on a schema is given up, and how often, in instructions of SQLite, that is asked.
LIMIT, _STEPS = 10.0, 100_000
#: Seconds for which an ordinary reader waits for a writer in rollback mode.
_BUSY = 1.0
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-~")


def read_with_sqlite(
    path: str,
    log: Log,
    notes: list[str],
    look: Callable[[sqlite3.Connection], T],
    register: Callable[..., Any] | None = None,
    *,
    extract: str | None = None,
    limit: float | None = LIMIT,
) -> T:
    """Return what a look through SQLite finds.

    Args:
        path: the database.
        log: its write-ahead log as it was found.
        notes: gets what the look had to fall back to.
        look: takes an open connection, and may be called again.
        register: the application's `on_connect`, or None.
        extract: a file of our own to be read instead.
        limit: seconds after which a statement is given up; None for never.

    Raises:
        Exception: one of `FAILURES`; the file or its schema cannot be read.
    """
    if extract is not None:
        return _once(extract, look, register, limit, immutable=True)
    if log.ahead:
        # somebody has the database open, so that nothing is made or taken over by one more reader
        return _once(path, look, register, limit, immutable=False)
    for _ in range(ATTEMPTS):
        before = _stamp(path)
        try:
            found = _once(path, look, register, limit, immutable=True)
        except FAILURES:
            if _stamp(path) == before:
                raise
            continue
        if _stamp(path) == before:
            return found
    if not os.path.exists(f"{path}-wal") or os.path.exists(f"{path}-shm"):
        notes.append("the file is being written to: its schema was read with an ordinary short lock for reading")
        return _once(path, look, register, limit, immutable=False)
    notes.append("the file is being written to: its schema may not be the newest")
    return _once(path, look, register, limit, immutable=True)


def is_readable(path: str) -> bool:
    """Return whether the schema of a file can be read at this instant; if not, look again with `read_with_sqlite`.

    For a file without a log that is ahead of it. Cheap: thousands are asked.
    """
    try:
        with closing(sqlite3.connect(connection_uri(path, immutable=True), uri=True)) as db:
            db.execute("SELECT 1 FROM main.sqlite_master LIMIT 1").fetchone()
    except FAILURES:
        return False
    return True


def _once(
    path: str,
    look: Callable[[sqlite3.Connection], T],
    register: Callable[..., Any] | None,
    limit: float | None,
    *,
    immutable: bool,
) -> T:
    uri = connection_uri(path, immutable=immutable)
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY)) as db:
        db.text_factory = _text
        if limit is not None:
            until = time.monotonic() + limit
            db.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        apply(register, db)
        return look(db)


def _text(content: bytes) -> str:
    # what the schema calls a name need not be UTF-8
    return content.decode("utf-8", "replace")


def connection_uri(path: str, *, mode: Literal["ro", "rw"] = "ro", immutable: bool = False) -> str:
    """Return the `file:` URI of an absolute path. Neither mode ever creates a file.

    The authority is written, though empty: without it, a path that begins with two slashes would name a host.

    Args:
        path: absolute.
        mode: "ro" or "rw".
        immutable: whether to read the file without what lies beside it, and without a lock (sqlite.org/uri.html). It is
            then as it was at the last checkpoint, and may be half of a newer state: for a question about the file
            itself only, never for one about the database.
    """
    raw = os.fsencode(path)
    quoted = path if _SAFE.issuperset(raw) else "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in raw)
    return f"file://{quoted}?mode={mode}{'&immutable=1' if immutable else ''}"


def _stamp(path: str) -> tuple[object, ...]:
    """Return what changes with each write: read while SQLite has the file not open, because this closes it."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.fstat(file)
        log = os.stat(f"{path}-wal").st_mtime_ns if os.path.exists(f"{path}-wal") else 0
        return found.st_ino, found.st_size, found.st_mtime_ns, os.pread(file, LENGTH, 0), log
    finally:
        os.close(file)


def import_register(spec: str, path_list: list[str]) -> Callable[..., Any] | None:
    """Return the application's function, imported with the caller's search path.

    Raises:
        Exception: whatever importing it raises.
    """
    if not spec:
        return None
    sys.path.extend(entry for entry in path_list if entry not in sys.path)
    module, _, names = spec.partition(":")
    found: Any = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    register: Callable[..., Any] = found
    return register
