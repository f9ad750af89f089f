"""What a crash leaves at each moment of a commit and of a checkpoint: with a log, with a journal, before and after.

The states are composed of bytes that were really there. A checkpoint writes pages in the order of their numbers, so
that a crash leaves any number of them written; the log is whole until the next writer begins it anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from corpus.place import ROWS, SHOP, Place
from corpus.situation import situation

_CHANGES = (
    "UPDATE customer SET name = 'changed ' || id WHERE id % 2",
    "DELETE FROM bill WHERE total > 500",
    f"{ROWS.format(count=300)} INSERT INTO customer SELECT i + 1000, 'new ' || i, 'n' || i || '@example.org' FROM n",
)


def states(place: Place) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the files before a checkpoint, everything in the log, and after it; the log is still there then."""
    place.make("PRAGMA journal_mode = WAL", *SHOP)
    connection = place.connect()
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    for statement in _CHANGES:
        connection.execute(statement)
    before = place.files()
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    after = place.files()
    connection.close()
    return before, after


def partly(before: bytes, after: bytes, pages: Iterable[int], size: int = 4096) -> bytes:
    """Return a file of which some pages, counted from nought, have been written."""
    mixed = bytearray(before)
    for page in pages:
        content = after[page * size : (page + 1) * size]
        if len(mixed) < (page + 1) * size:
            mixed.extend(bytes((page + 1) * size - len(mixed)))
        mixed[page * size : (page + 1) * size] = content
    return bytes(mixed)


def _changed(before: bytes, after: bytes, size: int = 4096) -> list[int]:
    count = len(after) // size
    return [page for page in range(count) if before[page * size :][:size] != after[page * size :][:size]]


def _checkpoint(share: float, *, index: bool) -> None:
    told = "with" if index else "without"

    @situation(f"a crash in a checkpoint at {share:.0%} of its pages, {told} the log's index")
    def make(place: Place) -> None:
        before, after = states(place)
        changed = _changed(before[""], after[""])
        main = partly(before[""], after[""], changed[: int(len(changed) * share)])
        place.lay({"": main, "-wal": before["-wal"], **({"-shm": before["-shm"]} if index else {})})


for _share in (0.0, 0.3, 0.7, 1.0):
    _checkpoint(_share, index=True)
    _checkpoint(_share, index=False)


@situation("a crash after a checkpoint, its last pages on the disk and the first not")
def backwards(place: Place) -> None:
    before, after = states(place)
    changed = _changed(before[""], after[""])
    place.lay({"": partly(before[""], after[""], changed[len(changed) // 2 :]), "-wal": before["-wal"]})


@situation("a crash after a checkpoint, before the next writer begins the log anew")
def checkpointed(place: Place) -> None:
    _, after = states(place)
    place.lay(after)


@situation("a crash in a commit: the last frames are half written")
def half_commit(place: Place) -> None:
    before, _ = states(place)
    place.lay({"": before[""], "-wal": before["-wal"][: -4096 - 24 - 1000]})


@situation("a crash in a transaction that was never committed, its frames in the log")
def uncommitted(place: Place) -> None:
    place.make("PRAGMA journal_mode = WAL", *SHOP)
    connection = place.connect()
    for statement in ("PRAGMA cache_size = 1", "PRAGMA wal_autocheckpoint = 0", "BEGIN", *_CHANGES):
        connection.execute(statement)
    files = place.files()
    connection.execute("ROLLBACK")
    connection.close()
    place.lay(files)


@situation("a new log that was begun over an old one, which is longer")
def begun_anew(place: Place) -> None:
    place.make("PRAGMA journal_mode = WAL", *SHOP)
    connection = place.connect()
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    for statement in _CHANGES:
        connection.execute(statement)
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    connection.execute("UPDATE customer SET name = 'in the new log' WHERE id = 7")
    files = place.files()
    connection.close()
    place.lay({"": files[""], "-wal": files["-wal"]})


@situation("everything in the log, next to nothing in the file")
def all_in_the_log(place: Place) -> None:
    connection = place.connect()
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0", *SHOP):
        connection.execute(statement).fetchall()
    files = place.files()
    connection.close()
    place.lay({"": files[""], "-wal": files["-wal"]})


@situation("a log that makes the database shorter")
def shorter(place: Place) -> None:
    place.make("PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA journal_mode = WAL", *SHOP)
    connection = place.connect()
    for statement in ("PRAGMA wal_autocheckpoint = 0", "DELETE FROM bill", "DELETE FROM customer WHERE id > 20"):
        connection.execute(statement)
    connection.executescript("PRAGMA incremental_vacuum;")
    files = place.files()
    connection.close()
    place.lay({"": files[""], "-wal": files["-wal"]})


@situation("a log whose only commit makes a schema")
def schema_in_the_log(place: Place) -> None:
    place.shop("PRAGMA journal_mode = WAL")
    connection = place.connect()
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE newest (a INTEGER PRIMARY KEY, b UNIQUE)")
    connection.execute("INSERT INTO newest VALUES (1, 'only in the log')")
    connection.execute("PRAGMA user_version = 99")
    files = place.files()
    connection.close()
    place.lay({"": files[""], "-wal": files["-wal"]})
