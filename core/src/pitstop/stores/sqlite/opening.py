"""Opening a SQLite store's file safely: the file itself, whose it is, and its write-ahead log. Knows no table.

A database file is never opened with a plain `open()` once a connection of this process may hold it: closing any handle
on a file drops all POSIX locks that the process has on it. So a new file is made with O_EXCL, which succeeds only while
nobody can hold it, and what is inside a file is read through SQLite.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from threading import Lock

from pitstop.errors import StoreError
from pitstop.files import find_intruders
from pitstop.stores.sqlite import columns, errors, schema

#: Pages, of 4 kB each, after which the log goes into the file. Each time costs two or three syncs, so that every
#: hundredth job would pay for one at SQLite's 1000; the log that a crash leaves must be read at the next start, though.
CHECKPOINT_PAGES = 4000
#: What stays of a log on the disk, in bytes, after something large was written.
LOG_LIMIT = 32 * 1024 * 1024
#: The cache, in kB. A million jobs have an index of 40 MB over their ids, of which every job touches another page.
CACHE_KB = 16_000
#: Texts of statements that a connection keeps prepared; there are about fifty, and the listings' depend on the query.
STATEMENTS = 200

# From the creation of a file to the first connection on it, no other thread may connect: see above.
_opening = Lock()


def open_file(path: Path, url: str) -> sqlite3.Connection:
    """Return a connection that may write, to a file with all tables; the file and its folders are made if need be.

    Raises:
        StoreError: the file belongs to another application or a newer Pitstop, or cannot have a write-ahead log.
        sqlite3.Error, OSError: it cannot be used.
    """
    schema.check_library(url)
    with _opening:
        _require_own_place(path, url)
        _make_file(path)
        _check_header(path, url)
        raw = _connect(path)
        try:
            schema.prepare(raw, url)
            _use_wal(raw, url)
            # only a look into the file opens the log and what processes share of it, and shows whether that can be
            raw.execute("PRAGMA schema_version").fetchall()
            raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            raw.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
            raw.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        except BaseException:
            raw.close()
            raise
        return raw


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return another connection to a file that is open already, which cannot change it.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    raw = _connect(path)
    raw.execute("PRAGMA query_only = 1")
    return raw


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        # without mode=rw SQLite would make a file that is missing, readable by everybody
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=errors.BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
    )
    connection.text_factory = columns.decode
    return connection


def _check_header(path: Path, url: str) -> None:
    """Refuse a foreign file before anything could change it: no journal is rolled back, no log goes into the file."""
    if path.is_dir():
        raise StoreError(url=url, problem="it is a folder", hint="name a file in it; --store names another")
    if not path.stat().st_size:
        return
    try:
        application = _application_id(path)
    except sqlite3.DatabaseError:
        # Perhaps another process is writing the tables at this moment, or died at it: then there is a journal,
        # and the lock decides. If there is none, that process has finished, or this is no database.
        if path.with_name(f"{path.name}-journal").exists():
            return
        # The content of a database in WAL mode is in the file and its log together: after a full disk, or a kill
        # in a checkpoint, the file alone is no database.
        application = _application_id(path, with_log=errors.has_log(path))
    if application != schema.APPLICATION_ID:
        raise schema.foreign(url)


def _use_wal(raw: sqlite3.Connection, url: str) -> None:
    mode = raw.execute("PRAGMA journal_mode").fetchone()[0]
    # Another process that switches at this moment makes this fail at once, without waiting, so wait for it by a
    # lock; after that the file is in WAL mode, or free.
    for _ in range(10):
        if mode == "wal":
            return
        try:
            mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if errors.error_name(error) != "SQLITE_BUSY":
                raise
            raw.execute("BEGIN EXCLUSIVE")
            raw.execute("COMMIT")
    if mode != "wal":
        raise StoreError(
            url=url,
            problem=f"its file system gives no shared memory for a write-ahead log (journal mode {mode})",
            hint="keep the job store on a local disk",
        )


def _application_id(path: Path, *, with_log: bool = False) -> int:
    # Past the log only for what is never in the log alone (see `schema`): then SQLite takes no lock, reads no journal,
    # and changes nothing beside somebody else's file.
    past = "" if with_log else "&immutable=1"
    header = sqlite3.connect(f"{path.as_uri()}?mode=ro{past}", uri=True, timeout=errors.BUSY_TIMEOUT)
    try:
        application: int = header.execute("PRAGMA application_id").fetchone()[0]
        return application
    finally:
        header.close()


def _require_own_place(path: Path, url: str) -> None:
    """Refuse a place where somebody else could put a store, or a log beside it, whose jobs would then be run."""
    others = find_intruders(str(path))
    if others:
        raise StoreError(
            url=url,
            problem=f"somebody else could put other files in its place: {others}",
            hint="keep it in a folder of your own; to share it, give a group both the file and its folder",
        )


def _make_file(path: Path) -> None:
    """Make the file and its folders, for the owner alone, if it does not exist."""
    if path.exists():
        return
    _make_folder(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return  # another process was quicker, or it is a link to nowhere, which SQLite will say


def _make_folder(folder: Path) -> None:
    # makedirs would give its mode to the last folder only
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
