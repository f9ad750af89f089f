"""A rewritten copy of a database in a file beside it, looked at before anybody relies on it. Changes no database.

`VACUUM INTO` writes every page once, in order; VACUUM writes it three times. What that costs, and the checks: see
docs/decisions/compact.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

from pitstop.errors import OperationError
from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.errors import SQLiteFailure
from pitstop_database_maintenance.sqlite.files.temporary_files import Temporary
from pitstop_database_maintenance.sqlite.guards.contents import Contents, compare_contents, name_some, read_contents
from pitstop_database_maintenance.sqlite.guards.soundness import require_sound
from pitstop_database_maintenance.sqlite.rewriting.progress import report_bytes


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
    # SQLite takes VACUUM INTO for what writes; nothing but the copy is written to before the look is over
    db.allow_writing()

    def count_written() -> int | None:
        try:
            return os.stat(target.path).st_size
        except OSError:
            return None

    with (
        report_bytes(db, count_written, total=predicted, message="rewriting"),
        _examine_meanwhile(db, numbered) as examined,
        _disable_syncs(db),
    ):
        db.execute(*_make_statement(db, target.path))
    found = examined.result()
    db.context.progress(predicted, predicted, "bytes", "checking the copy")
    _compare(db, target, found, numbered)
    return found


def _make_statement(db: SQLiteConnection, path: str) -> tuple[str, tuple[str | bytes]]:
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
    with ThreadPoolExecutor(1) as pool, db.second("ro", path=target.path) as copy:
        syncing = pool.submit(os.fsync, target.handle)
        require_sound(copy, rows=False)
        found = read_contents(copy, numbered=numbered)
    syncing.result()
    wrong = compare_contents(original, found)
    if wrong:
        raise OperationError(
            reason=f"the copy of {db.path} is not like the original: {name_some(wrong)}",
            hint="nothing was touched; see what PRAGMA integrity_check says of the database",
        )


@contextmanager
def _disable_syncs(db: SQLiteConnection) -> Iterator[None]:
    """Have SQLite leave it to its caller to sync what it writes; that is done once, and while the copy is looked at."""
    level = db.pragma("synchronous")
    db.execute("PRAGMA main.synchronous = OFF")
    try:
        yield
    finally:
        db.execute(f"PRAGMA main.synchronous = {level}")


@contextmanager
def _examine_meanwhile(db: SQLiteConnection, numbered: frozenset[str]) -> Iterator[Future[Contents]]:
    """Look at the original in another thread while it is copied: on two processors that costs next to nothing.

    If something is found, the copy is of no use, and is interrupted; if the copy fails, the look is, unless the copy
    met damage, of which the look says more.
    """
    stopped, failures = False, list[BaseException]()

    def examine() -> Contents:
        try:
            with db.second("ro") as reader:
                reader.known_sound = db.known_sound
                require_sound(reader)
                return read_contents(reader, numbered=numbered)
        except BaseException as failure:
            if not stopped:
                failures.append(failure)
                db.interrupt()
            raise

    with ThreadPoolExecutor(1) as pool:
        examined = pool.submit(examine)
        try:
            yield examined
        except BaseException as error:
            stopped = not (isinstance(error, SQLiteFailure) and error.damaged)
            while not examined.done():
                if stopped:
                    db.interrupt()
                wait([examined], timeout=0.05)
            if failures:
                raise failures[
                    0
                ] from None  # it is the reason why the copy was interrupted, or says where the damage is
            raise
