"""Journals beside a database: of its own crash, of another's, cut off, empty, kept on purpose, of several databases."""

from __future__ import annotations

import struct

from corpus.commands import MAIN
from corpus.place import SHOP, Place
from corpus.situation import EITHER, NOT_DONE, Truth, situation

_MAGIC = bytes((0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7))
_CHANGES = ("UPDATE customer SET name = 'never committed ' || id", "DELETE FROM bill WHERE rowid % 2")
_ANY = (
    "analyze",
    "backup",
    "compact",
    "convert_auto_vacuum",
    "foreign_key_check",
    "integrity_check",
    "optimize",
    "quick_check",
    "reindex",
    "rollback_journal",
    "vacuum",
    "maintain",
)
_EXITS = dict.fromkeys(("maintain", "maintain --all", "maintain --checks", "maintain --offline"), EITHER)


def hot(place: Place, *before: str) -> dict[str, bytes]:
    """Return the files in the middle of a transaction whose pages have partly been written to the file."""
    place.make(*before, *SHOP)
    connection = place.connect()
    for statement in ("PRAGMA cache_size = 1", "BEGIN", *_CHANGES):
        connection.execute(statement)
    files = place.files()
    connection.execute("ROLLBACK")
    connection.close()
    assert files["-journal"][:8] == _MAGIC, "nothing has been written to the file yet"
    return files


@situation("a crash in a transaction: a journal to roll back", wherever=_ANY, exits=_EXITS)
def own(place: Place) -> None:
    place.lay(hot(place))


@situation("a crash in a transaction on pages of 1024 bytes with auto_vacuum", wherever=_ANY, exits=_EXITS)
def own_small(place: Place) -> None:
    place.lay(hot(place, "PRAGMA page_size = 1024", "PRAGMA auto_vacuum = FULL"))


@situation("a crash in a VACUUM", wherever=_ANY, exits=_EXITS)
def in_vacuum(place: Place) -> None:
    place.shop()
    before = place.path.read_bytes()
    place.make("PRAGMA cache_size = 1", "VACUUM")
    after = place.path.read_bytes()
    # what VACUUM writes down before it copies its result over the file: every page as it was
    journal = journal_of(before)
    half = len(after) // 4096 // 2 * 4096
    place.lay({"": after[:half] + before[half:], "-journal": journal})


def journal_of(main: bytes, size: int = 4096, *, name: bytes = b"") -> bytes:
    """Return a journal with every page of a database, as SQLite writes it (sqlite.org/fileformat2.html, 3).

    Args:
        main: the database as it was.
        size: of its pages.
        name: of a super-journal.
    """
    nonce, count = 12345, len(main) // size
    records = bytearray(_MAGIC + struct.pack(">IIIII", count, nonce, count, 512, size)).ljust(512, b"\0")
    for number in range(count):
        page = main[number * size : (number + 1) * size]
        checksum = (nonce + sum(page[at] for at in range(size - 200, 0, -200))) & 0xFFFFFFFF
        records += struct.pack(">I", number + 1) + page + struct.pack(">I", checksum)
    if name:
        records += struct.pack(">I", 0x40000000 // size + 1) + name
        records += struct.pack(">II", len(name), sum(name) & 0xFFFFFFFF) + _MAGIC
    return bytes(records)


@situation("a journal cut off in a page", wherever=_ANY, exits=_EXITS)
def cut_off(place: Place) -> None:
    # as a crash leaves it while the journal is written: nothing has been written to the file by then
    place.shop()
    main = place.path.read_bytes()
    place.lay({"": main, "-journal": journal_of(main)[:-2000]})


@situation("a journal whose header is noughts: kept on purpose, nothing to roll back")
def persisted(place: Place) -> None:
    place.shop()
    place.make("PRAGMA journal_mode = PERSIST", "UPDATE bill SET total = total + 1")
    assert place.beside("-journal").exists()


@situation("an empty journal: truncated on purpose")
def truncated(place: Place) -> None:
    place.shop()
    place.lay({"": place.path.read_bytes(), "-journal": b""})


@situation("a journal of noise")
def noise(place: Place) -> None:
    place.shop()
    place.lay({"": place.path.read_bytes(), "-journal": bytes(range(256)) * 30})


@situation(
    "the journal of another database, which would overwrite this one",
    truth=Truth.INCONSISTENT,
    wherever=_ANY,
    exits=_EXITS,
)
def foreign(place: Place) -> None:
    # a copy that was restored over a file whose journal stayed: SQLite rolls it back, and that is the truth of it
    files = hot(place)
    place.lay({})
    place.make(*SHOP, "INSERT INTO customer VALUES (5000, 'of the restored one', NULL)")
    place.lay({"": place.path.read_bytes(), "-journal": files["-journal"]})


@situation(
    "the journal of an older copy of another size", truth=Truth.DAMAGED, frozen=False, wherever=_ANY, exits=_EXITS
)
def foreign_older(place: Place) -> None:
    files = hot(place)
    place.lay({})
    place.make(
        *SHOP,
        "DROP VIEW large",
        "DROP TABLE bill",
        "VACUUM",
        "CREATE TABLE other (a)",
        "INSERT INTO other VALUES (zeroblob(90000))",
    )
    place.lay({"": place.path.read_bytes(), "-journal": files["-journal"]})


@situation("a journal of a transaction on two databases, whose super-journal is gone: it was committed")
def super_gone(place: Place) -> None:
    place.shop()
    main = place.path.read_bytes()
    place.make("UPDATE customer SET name = 'committed'")
    gone = str(place.folder / "app.db-mj12345678").encode()
    place.lay({"": place.path.read_bytes(), "-journal": journal_of(main, name=gone)})


@situation(
    "a journal of a transaction on two databases, whose super-journal is there: roll back",
    live=True,
    wherever=_ANY,
    exits=_EXITS,
)
def super_there(place: Place) -> None:
    place.shop()
    main = place.path.read_bytes()
    name = place.folder / "app.db-mj12345678"
    place.make("UPDATE customer SET name = 'never committed'")
    place.lay({"": place.path.read_bytes(), "-journal": journal_of(main, name=str(name).encode())})
    name.write_bytes(str(place.beside("-journal")).encode() + b"\0")


@situation("a journal beside a database in WAL mode", wherever=_ANY, exits=_EXITS)
def beside_wal(place: Place) -> None:
    place.shop()
    main = place.path.read_bytes()
    place.make("PRAGMA journal_mode = WAL", "UPDATE customer SET name = 'after the change of mode'")
    place.lay({"": place.path.read_bytes(), "-journal": journal_of(main)})


@situation("a journal whose database is shorter than it was", wherever=_ANY, exits=_EXITS)
def database_shorter(place: Place) -> None:
    place.shop()
    main = place.path.read_bytes()
    place.lay({"": main[: len(main) // 2], "-journal": journal_of(main)})


@situation(
    "a journal and an empty database",
    truth=Truth.SOUND,
    wherever=_ANY,
    exits=dict.fromkeys(MAIN, NOT_DONE),
)
def empty_database(place: Place) -> None:
    place.shop()
    main = place.path.read_bytes()
    place.lay({"": b"", "-journal": journal_of(main)})
