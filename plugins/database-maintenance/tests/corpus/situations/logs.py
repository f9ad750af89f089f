"""Logs that are not what they should be: missing, foreign, older, newer, cut off, damaged, empty."""

from __future__ import annotations

import os

from corpus.place import ROWS, SHOP, Place
from corpus.situation import EITHER, Truth, situation
from corpus.situations.crashes import states

#: Everything that writes must leave such a pair alone.
WRITERS = ("analyze", "checkpoint", "compact", "convert_auto_vacuum", "optimize", "reindex", "vacuum")
READERS = ("backup", "foreign_key_check", "integrity_check", "quick_check")


def _generations(place: Place) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the files of a database at two times of its life, each with a log."""
    place.make("PRAGMA journal_mode = WAL", *SHOP)
    found = []
    for number in range(2):
        connection = place.connect()
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(
            f"{ROWS.format(count=400)} INSERT INTO bill SELECT 'G{number}-' || i, i, i, hex(randomblob(40)) FROM n"
        )
        connection.execute(f"UPDATE customer SET name = 'generation {number}' WHERE id % 3 = {number}")
        found.append(place.files())
        connection.close()
        place.make("DELETE FROM bill WHERE total > 300", "VACUUM")
    return found[0], found[1]


@situation("a backup that was put back, a newer log left beside it", truth=Truth.DAMAGED)
def newer_log(place: Place) -> None:
    old, new = _generations(place)
    place.lay({"": old[""], "-wal": new["-wal"]})


@situation("a file copied without its log, an older log beside it", truth=Truth.DAMAGED)
def older_log(place: Place) -> None:
    old, new = _generations(place)
    place.lay({"": new[""], "-wal": old["-wal"]})


# nothing in a log says whose it is: where its pages make a sound database, it is taken for this one's
@situation("the log of another database of the same schema, which fits")
def foreign_log(place: Place) -> None:
    place.make("PRAGMA journal_mode = WAL", *SHOP)
    main = place.files()[""]
    other = place.folder / "other.sqlite"
    place.make("PRAGMA journal_mode = WAL", *SHOP, path=other)
    connection = place.connect(other)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("DELETE FROM bill WHERE rowid % 2")
    connection.execute(f"{ROWS.format(count=900)} INSERT INTO customer SELECT i + 9000, 'o' || i, 'o' || i FROM n")
    log = other.with_name("other.sqlite-wal").read_bytes()
    connection.close()
    other.unlink()
    place.lay({"": main, "-wal": log})


@situation("the log of a database with pages of another size", truth=Truth.DAMAGED)
def other_page_size(place: Place) -> None:
    before, _ = states(place)
    place.lay({})
    place.shop("PRAGMA page_size = 1024", "PRAGMA journal_mode = WAL")
    place.lay({"": place.files()[""], "-wal": before["-wal"]})


@situation("a log of SQLite beside a database in rollback mode", wherever=(*WRITERS, *READERS, "maintain"))
def log_of_rollback(place: Place) -> None:
    before, _ = states(place)
    place.lay({})
    place.shop()
    place.lay({"": place.files()[""], "-wal": before["-wal"]})


@situation("a log cut off in its header", wherever=("checkpoint",))
def cut_header(place: Place) -> None:
    before, _ = states(place)
    place.lay({"": before[""], "-wal": before["-wal"][:20]})


@situation("a log cut off in its middle", wherever=("checkpoint",))
def cut_off(place: Place) -> None:
    before, _ = states(place)
    place.lay({"": before[""], "-wal": before["-wal"][: len(before["-wal"]) // 2 + 77]})


# SQLite would drop the transactions behind it without a word: nothing opens the file before somebody has decided
@situation("a log with a bad checksum in its middle", frozen=True, wherever=(*WRITERS, *READERS, "maintain"))
def bad_checksum(place: Place) -> None:
    before, _ = states(place)
    log = bytearray(before["-wal"])
    frame = 4096 + 24
    at = 32 + (len(log) // frame // 2) * frame + 100
    log[at] ^= 0xFF
    place.lay({"": before[""], "-wal": bytes(log)})


@situation(
    "a log whose header is damaged",
    wherever=(*WRITERS, "maintain", *READERS),
    exits={"maintain --all": EITHER},
)
def bad_header(place: Place) -> None:
    before, _ = states(place)
    log = bytearray(before["-wal"])
    log[8] ^= 0xFF
    place.lay({"": before[""], "-wal": bytes(log)})


@situation(
    "a log of noughts, as a file system leaves it after a crash",
    wherever=(*WRITERS, "maintain", *READERS),
)
def log_of_noughts(place: Place) -> None:
    before, _ = states(place)
    place.lay({"": before[""], "-wal": bytes(len(before["-wal"]))})


@situation("an empty log")
def empty_log(place: Place) -> None:
    place.shop("PRAGMA journal_mode = WAL")
    place.lay({"": place.files()[""], "-wal": b""})


@situation("a log with nothing but a header")
def only_header(place: Place) -> None:
    before, _ = states(place)
    place.lay({"": before[""], "-wal": before["-wal"][:32]})


@situation("copied without its log, of which nothing was in the file yet", truth=Truth.SOUND)
def without_log(place: Place) -> None:
    before, _ = states(place)
    place.lay({"": before[""]})


@situation("copied without its log in the middle of a checkpoint", truth=Truth.DAMAGED)
def without_log_in_checkpoint(place: Place) -> None:
    from corpus.situations.crashes import partly

    before, after = states(place)
    pages = len(after[""]) // 4096
    place.lay({"": partly(before[""], after[""], range(1, pages, 2))})


@situation("the index of another log")
def foreign_index(place: Place) -> None:
    before, _ = states(place)
    index = bytearray(before["-shm"])
    index[16:24] = bytes(8)
    place.lay({"": before[""], "-wal": before["-wal"], "-shm": bytes(index)})


@situation("an index of noise")
def noise_index(place: Place) -> None:
    before, _ = states(place)
    place.lay({"": before[""], "-wal": before["-wal"], "-shm": os.urandom(32768)})


@situation("an index and no log")
def only_index(place: Place) -> None:
    before, after = states(place)
    place.lay({"": after[""], "-shm": before["-shm"]})


@situation("a folder where the log should be", truth=Truth.UNREADABLE)
def folder_for_log(place: Place) -> None:
    place.shop("PRAGMA journal_mode = WAL")
    place.beside("-wal").mkdir()
