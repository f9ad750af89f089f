"""Databases that an application has open: readers, writers, holders of locks, and logs taken from under them."""

from __future__ import annotations

import os
from collections.abc import Callable

from corpus.commands import MAIN
from corpus.place import ROWS, SHOP, Place
from corpus.situation import EITHER, Truth, situation

_WAL = ("PRAGMA journal_mode = WAL", *SHOP)
_ALL = (
    "analyze",
    "backup",
    "checkpoint",
    "compact",
    "convert_auto_vacuum",
    "foreign_key_check",
    "incremental_vacuum",
    "integrity_check",
    "optimize",
    "quick_check",
    "reindex",
    "vacuum",
    "maintain",
)
_ANY_EXIT = dict.fromkeys(
    MAIN,
    EITHER,
)
#: A lock that is held for ever need not be waited for long.
_SHORT = "sqlite://{path}?timeout=0.2"


@situation("an application that has it open and does nothing", live=True, wherever=("compact", "maintain"))
def idle(place: Place) -> Callable[[], object]:
    place.shop()
    application = place.application("SELECT count(*) FROM bill")
    return lambda: application("UPDATE customer SET name = 'afterwards' WHERE id = 3")


@situation(
    "an application that has it open in WAL mode, its changes in the log", live=True, wherever=("compact", "maintain")
)
def idle_wal(place: Place) -> Callable[[], object]:
    place.make(*_WAL)
    application = place.application(
        "PRAGMA wal_autocheckpoint = 0", "UPDATE customer SET name = 'in the log' WHERE id % 2"
    )
    return lambda: application("UPDATE customer SET name = 'afterwards' WHERE id = 3")


@situation(
    "a reader in WAL mode that never ends",
    live=True,
    wherever=("compact", "checkpoint", "vacuum", "convert_auto_vacuum", "maintain"),
)
def reader_wal(place: Place) -> Callable[[], object]:
    place.make(*_WAL)
    reader = place.application("BEGIN", "SELECT count(*) FROM bill")
    writer = place.application("PRAGMA wal_autocheckpoint = 0", "UPDATE bill SET total = total + 1")

    def finish() -> None:
        assert reader("SELECT count(*) FROM customer") == [(400,)]
        reader("COMMIT")
        writer("UPDATE customer SET name = 'afterwards' WHERE id = 3")

    return finish


@situation("a reader in rollback mode that never ends", live=True, wherever=_ALL, exits=_ANY_EXIT, target=_SHORT)
def reader_rollback(place: Place) -> Callable[[], object]:
    place.shop()
    reader = place.application("BEGIN", "SELECT count(*) FROM bill")
    return lambda: reader("COMMIT")


@situation(
    "a writer in the middle of its transaction, in WAL mode", live=True, wherever=_ALL, exits=_ANY_EXIT, target=_SHORT
)
def writer_wal(place: Place) -> Callable[[], object]:
    place.make(*_WAL)
    writer = place.application("BEGIN IMMEDIATE", "UPDATE customer SET name = 'not yet committed' WHERE id = 3")
    return lambda: writer("COMMIT")


@situation(
    "a writer in the middle of its transaction, in rollback mode",
    live=True,
    wherever=_ALL,
    exits=_ANY_EXIT,
    target=_SHORT,
)
def writer_rollback(place: Place) -> Callable[[], object]:
    place.shop()
    writer = place.application("BEGIN IMMEDIATE", "UPDATE customer SET name = 'not yet committed' WHERE id = 3")
    return lambda: writer("COMMIT")


@situation(
    "a writer whose transaction has spilled into the file", live=True, wherever=_ALL, exits=_ANY_EXIT, target=_SHORT
)
def writer_spilled(place: Place) -> Callable[[], object]:
    place.shop()
    writer = place.application(
        "PRAGMA cache_size = 1", "BEGIN", "UPDATE customer SET name = 'not yet committed ' || id"
    )
    return lambda: writer("COMMIT")


@situation("an application with an EXCLUSIVE lock", live=True, wherever=_ALL, exits=_ANY_EXIT, target=_SHORT)
def exclusive(place: Place) -> Callable[[], object]:
    place.shop()
    writer = place.application("BEGIN EXCLUSIVE", "UPDATE bill SET total = 1 WHERE rowid = 4")
    return lambda: writer("COMMIT")


@situation(
    "an application in WAL mode that keeps it to itself", live=True, wherever=_ALL, exits=_ANY_EXIT, target=_SHORT
)
def exclusive_wal(place: Place) -> Callable[[], object]:
    place.make(*_WAL)
    holder = place.application(
        "PRAGMA locking_mode = EXCLUSIVE", "UPDATE customer SET name = 'in the log' WHERE id = 5"
    )
    return lambda: holder("UPDATE customer SET name = 'afterwards' WHERE id = 3")


@situation(
    "an application in rollback mode that keeps it to itself", live=True, wherever=_ALL, exits=_ANY_EXIT, target=_SHORT
)
def exclusive_rollback(place: Place) -> Callable[[], object]:
    place.shop()
    holder = place.application("PRAGMA locking_mode = EXCLUSIVE", "UPDATE customer SET name = 'kept' WHERE id = 5")
    return lambda: holder("UPDATE customer SET name = 'afterwards' WHERE id = 3")


@situation("an application that was killed in a transaction, in WAL mode", live=True)
def killed_wal(place: Place) -> None:
    place.make(*_WAL)
    writer = place.application(
        "PRAGMA wal_autocheckpoint = 0",
        "UPDATE bill SET total = 7 WHERE rowid = 4",
        "BEGIN IMMEDIATE",
        "DELETE FROM bill",
    )
    writer.kill()


@situation(
    "an application that was killed in a transaction, in rollback mode", live=True, wherever=_ALL, exits=_ANY_EXIT
)
def killed_rollback(place: Place) -> None:
    place.shop()
    writer = place.application("PRAGMA cache_size = 1", "BEGIN", "UPDATE customer SET name = 'never committed ' || id")
    writer.kill()


@situation(
    "the log and its index removed under an application",
    live=True,
    frozen=True,
    refuses=tuple(set(_ALL) - {"maintain", "backup", "foreign_key_check", "integrity_check", "quick_check"}),
    wherever=_ALL,
    exits=_ANY_EXIT,
)
def log_removed(place: Place) -> Callable[[], object]:
    place.make(*_WAL)
    application = place.application(
        "PRAGMA wal_autocheckpoint = 0", "INSERT INTO customer VALUES (7001, 'only in the removed log', NULL)"
    )
    place.beside("-wal").unlink()
    place.beside("-shm").unlink()

    def finish() -> None:
        application("INSERT INTO customer VALUES (7002, 'later', NULL)")
        application("PRAGMA wal_checkpoint(TRUNCATE)")

    return finish


@situation(
    "only the log's index removed under an application",
    live=True,
    frozen=True,
    refuses=("vacuum", "compact", "analyze", "reindex", "checkpoint"),
    wherever=_ALL,
    exits=_ANY_EXIT,
)
def index_removed(place: Place) -> Callable[[], object]:
    place.make(*_WAL)
    application = place.application(
        "PRAGMA wal_autocheckpoint = 0", "INSERT INTO customer VALUES (7001, 'in the log', NULL)"
    )
    place.beside("-shm").unlink()

    def finish() -> None:
        application("INSERT INTO customer VALUES (7002, 'later', NULL)")
        application("PRAGMA wal_checkpoint(TRUNCATE)")

    return finish


@situation("the file replaced by another under an application", live=True, frozen=True, wherever=_ALL, exits=_ANY_EXIT)
def file_replaced(place: Place) -> Callable[[], object]:
    place.make(*_WAL)
    other = place.folder / "restored.tmp"
    place.make("PRAGMA journal_mode = WAL", *SHOP, "DELETE FROM bill", path=other)
    application = place.application(
        "PRAGMA wal_autocheckpoint = 0", "UPDATE customer SET name = 'in the old one' WHERE id = 9"
    )
    os.replace(other, place.path)
    return lambda: application.attempt("SELECT count(*) FROM customer")


@situation("the journal removed under a writer", live=True, wherever=_ALL, exits=_ANY_EXIT, target=_SHORT)
def journal_removed(place: Place) -> Callable[[], object]:
    place.shop()
    writer = place.application("BEGIN IMMEDIATE", "UPDATE customer SET name = 'not yet committed' WHERE id = 3")
    place.beside("-journal").unlink()
    return lambda: writer.attempt("COMMIT")


@situation("an application that opened it by another name", live=True, wherever=("compact", "maintain"))
def other_name(place: Place) -> Callable[[], object]:
    place.shop()
    link = place.folder / "link.sqlite"
    link.symlink_to("app.db")
    application = place.application("SELECT count(*) FROM bill", path=link)
    return lambda: application("UPDATE customer SET name = 'afterwards' WHERE id = 3")


@situation(
    "an application with a prepared statement over a schema that grows", live=True, wherever=("compact", "maintain")
)
def prepared(place: Place) -> Callable[[], object]:
    place.make(*_WAL, f"{ROWS.format(count=50)} INSERT INTO customer SELECT i + 5000, 'p', 'p' || i FROM n")
    application = place.application("SELECT * FROM customer", "PRAGMA cache_size = 2000", "CREATE TABLE later (a)")
    return lambda: application("INSERT INTO later SELECT id FROM customer WHERE id > 5000")


def damaged_and_held(place: Place) -> Callable[[], object]:
    """An application has a damaged file open, and goes on."""
    place.shop()
    image = place.image()
    page = image.trees(0x0D)[-1]
    image.put((page - 1) * image.size, b"\xee" * 200)
    place.put(image)
    application = place.application("SELECT count(*) FROM sqlite_master")
    return lambda: application("SELECT 1")


situation("a damaged file that an application has open", live=True, truth=Truth.DAMAGED)(damaged_and_held)
