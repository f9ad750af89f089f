"""A SQLite store's way to its file: one connection that writes, for all threads, and one that only reads.

Owns when each is used, that the file is still the one that was opened, and that errors are translated. How threads
share the one that writes is in `group_commit`, opening in `opening`, the words in `errors`. Knows no table.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from pitstop.stores.sqlite import errors, opening
from pitstop.stores.sqlite.errors import ErrorTranslator
from pitstop.stores.sqlite.group_commit import GroupCommitter, Transaction

T = TypeVar("T")
Row = tuple[Any, ...]
#: How SQLite calls the two promises.
SYNCHRONOUS = {"full": "FULL", "process": "NORMAL"}


class Connection:
    """A file that many threads may use.

    Args:
        path: the file; it and its folders are made if they do not exist.
        url: how errors call it.
        durability: "full" or "process".

    Raises:
        StoreError: the file cannot be used.
    """

    def __init__(self, path: Path, *, url: str, durability: str) -> None:
        self._path = path
        self._url = url
        self._errors = ErrorTranslator(url)
        self._reading = Lock()
        self._reader: sqlite3.Connection | None = None
        self._closed = False
        with self._errors:
            self._raw = opening.open_file(path, url)
            self._inode = _inode(path)
            # GroupCommitter waits for other processes itself
            self._raw.execute("PRAGMA busy_timeout = 0")
        self._writer = GroupCommitter(self._raw, strict=SYNCHRONOUS[durability], check=self._check_file)

    def write(self, work: Callable[[Transaction], T], *, alone: bool = False, relaxed: bool = False) -> T:
        """Carry out what `work` does in one transaction, whole or not at all. It may be called more than once.

        Args:
            work: what is done.
            alone: whether it is one statement, which is a transaction of its own if nobody shares it.
            relaxed: whether it may be lost with the power; the next write that is not makes it durable too.
        """
        with self._errors:
            self._check_open()
            return self._writer.write(work, alone=alone, relaxed=relaxed)

    def change(self, sql: str, values: Sequence[object], *, relaxed: bool = False) -> list[Row]:
        """Run one statement that writes as a transaction of its own, and return its rows. See `write`."""
        return self.write(lambda transaction: transaction.run(sql, values), alone=True, relaxed=relaxed)

    def look_up(self, sql: str, values: Sequence[object]) -> list[Row]:
        """Return the rows of a statement that reads little: with the writer's warm cache unless it is writing now."""
        with self._errors:
            self._check_open()
            found = self._writer.read(sql, values)
        return self.read(sql, values) if found is None else found

    def read(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a statement that may read much, while others write."""
        with self._errors, self._reading:
            self._check_open()
            if self._reader is None:
                self._check_file()
                self._reader = opening.open_for_reading(self._path)
            return self._reader.execute(sql, values).fetchall()

    def version(self) -> int:
        """Return a number that changes when another process has written.

        Raises:
            StoreError: the file is no longer there.
        """
        # on the connection that writes, to which the own changes are no news
        number: int = self.change("PRAGMA data_version", (), relaxed=True)[0][0]
        return number

    def close(self) -> None:
        """Close the file; does nothing the second time."""
        with self._errors, self._reading:
            if self._closed:
                return
            self._closed = True
            if self._reader is not None:
                self._reader.close()
            # SQLite leaves the log alone that lies beside another file which has taken the place of this one
            self._writer.close()

    def _check_open(self) -> None:
        if self._closed:
            raise errors.closed_error(self._url)

    def _check_file(self) -> None:
        """Refuse to go on with a file that no path leads to: all that is written there goes with this process.

        Raises:
            StoreError: it was deleted, moved away or replaced.
        """
        # after each commit, although it costs a fiftieth of one: what goes into such a file must not be acknowledged
        try:
            replaced = _inode(self._path) != self._inode
        except FileNotFoundError:
            raise errors.missing_file_error(self._url, replaced=False) from None
        if replaced:
            raise errors.missing_file_error(self._url, replaced=True)


def _inode(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
