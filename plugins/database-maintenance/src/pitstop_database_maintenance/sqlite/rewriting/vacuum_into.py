"""A rewritten copy of a database in a file beside it, looked at before anybody relies on it. Changes no database.

`VACUUM INTO` writes every page once, in order; VACUUM writes it three times. What that costs, and the checks: see
docs/decisions/compact.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Self, TypeVar

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.temporary_files import Temporary
from pitstop_database_maintenance.sqlite.guards.contents import Contents, contents, differences, name_some
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.rewriting.progress import telling

T = TypeVar("T")


def rewrite(db: SQLiteConnection, target: Temporary, *, predicted: int, numbered: frozenset[str]) -> Contents:
    """Rewrite a database into an empty file, and look at the original and at the copy; that is not synced yet.

    Args:
        db: the database.
        target: the file.
        predicted: how many bytes the copy will have, for the progress.
        numbered: the tables of which the numbers of the rows must stay the same.

    Returns:
        What both hold.

    Raises:
        SQLiteFailure: the original is damaged, or it could not be written.
        OperationError: the copy is not like the original.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop.
        TransientError: somebody else held a lock for too long.
    """
    look = _Look(db, numbered)
    # SQLite takes VACUUM INTO for what writes; nothing but the copy is written to before the look is over
    db.allow_writing()

    def count_written() -> int | None:
        try:
            return os.stat(target.path).st_size
        except OSError:
            return None

    with telling(db, count_written, total=predicted, message="rewriting"), look, _without_syncs(db):
        db.execute(*_vacuum_into(db, target.path))
    found = look.result()
    db.context.progress(predicted, predicted, "bytes", "checking the copy")
    _compare(db, target, found, numbered)
    return found


def _vacuum_into(db: SQLiteConnection, path: str) -> tuple[str, tuple[str | bytes]]:
    """Return the statement and its value; a path may be made of any bytes, also of some that are no UTF-8.

    Raises:
        OperationError: such a path cannot be said to a database in UTF-16.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        if db.execute("PRAGMA main.encoding") != [("UTF-8",)]:
            raise OperationError(
                reason=f"{db.path} cannot be rewritten: its path is no UTF-8, and it is in UTF-16 itself",
                hint="give its folder and file another name, or run vacuum; nothing was touched",
            ) from None
        return "VACUUM INTO CAST(? AS TEXT)", (os.fsencode(path),)
    return "VACUUM INTO ?", (path,)


def _compare(db: SQLiteConnection, target: Temporary, original: Contents, numbered: frozenset[str]) -> None:
    # to write out what is in memory, and to read what is there, takes no longer than the longer of the two
    with _Aside(lambda: os.fsync(target.handle)) as syncing, db.second("ro", path=target.path) as copy:
        require_sound(copy, rows=False)
        found = contents(copy, numbered=numbered)
    syncing.result()
    wrong = differences(original, found)
    if wrong:
        raise OperationError(
            reason=f"the copy of {db.path} is not like the original: {name_some(wrong)}",
            hint="nothing was touched; see what PRAGMA integrity_check says of the database",
        )


@contextmanager
def _without_syncs(db: SQLiteConnection) -> Iterator[None]:
    """Have SQLite leave it to its caller to sync what it writes; that is done once, and while the copy is looked at."""
    level = db.pragma("synchronous")
    db.execute("PRAGMA main.synchronous = OFF")
    try:
        yield
    finally:
        db.execute(f"PRAGMA main.synchronous = {level}")


class _Aside(Generic[T]):
    """Something that another thread does while the block runs. Leaving the block waits for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        while self._thread.is_alive():
            if error is not None:
                self.stop()
            self._thread.join(0.05 if error is not None else None)

    def stop(self) -> None:
        """Ask it to end; by default it just ends when it is done."""

    def result(self) -> T:
        """Return what came of it, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._value[0]

    def _run(self) -> None:
        try:
            self._value.append(self._work())
        except BaseException as error:
            self._error = error
            self.failed()

    def failed(self) -> None:
        """Tell the others that it failed; by default they see when they ask for the result."""


class _Look(_Aside[Contents]):
    """The look at the original, while it is copied: on two processors it costs next to nothing.

    If it finds something, the copy is of no use, and is interrupted.
    """

    def __init__(self, db: SQLiteConnection, numbered: frozenset[str]) -> None:
        super().__init__(self._look)
        self._db = db
        self._numbered = numbered
        self._told = False

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        super().__exit__(kind, error, trace)
        if error is not None and self._error is not None and not self._told:
            self.result()  # it is the reason why the copy was interrupted

    def stop(self) -> None:
        self._told = True
        self._db.interrupt()

    def failed(self) -> None:
        if not self._told:
            self._db.interrupt()

    def _look(self) -> Contents:
        with self._db.second("ro") as reader:
            reader.known_sound = self._db.known_sound
            require_sound(reader)
            return contents(reader, numbered=self._numbered)
