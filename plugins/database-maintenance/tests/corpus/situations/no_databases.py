"""Files that are no databases, or that nobody can read without a key: what lies about under such a name."""

from __future__ import annotations

import gzip
import random

from corpus.place import Place
from corpus.situation import Truth, situation
from corpus.situations.formats import reserve


def _noise(count: int) -> bytes:
    return random.Random(7).randbytes(count)


@situation("an empty file", truth=Truth.ABSENT)
def empty(place: Place) -> None:
    place.path.write_bytes(b"")


@situation("a text", truth=Truth.UNREADABLE)
def text(place: Place) -> None:
    place.path.write_text("this is no database\n" * 200)


@situation("a text of a few bytes", truth=Truth.UNREADABLE)
def short_text(place: Place) -> None:
    place.path.write_text("hello")


@situation("bytes that are as good as random, as SQLCipher writes them", truth=Truth.UNREADABLE)
def encrypted(place: Place) -> None:
    place.path.write_bytes(_noise(16 * 4096))


@situation("encrypted but for its header", truth=Truth.UNREADABLE)
def plain_header(place: Place) -> None:
    place.path.write_bytes(reserve(48)[:100] + _noise(16 * 4096 - 100))


@situation("encrypted but for the first 32 bytes", truth=Truth.UNREADABLE)
def plain_beginning(place: Place) -> None:
    place.path.write_bytes(reserve(48)[:32] + _noise(16 * 4096 - 32))


@situation("the first sixteen bytes overwritten", truth=Truth.UNREADABLE)
def no_magic(place: Place) -> None:
    place.shop()
    place.path.write_bytes(bytes(16) + place.path.read_bytes()[16:])


@situation("noughts only", truth=Truth.UNREADABLE)
def noughts(place: Place) -> None:
    place.path.write_bytes(bytes(20_480))


@situation("packed with gzip", truth=Truth.UNREADABLE)
def packed(place: Place) -> None:
    place.shop()
    place.path.write_bytes(gzip.compress(place.path.read_bytes()))


@situation("a database of SQLite 2", truth=Truth.UNREADABLE)
def version_2(place: Place) -> None:
    place.path.write_bytes(b"** This file contains an SQLite 2.1 database **\0".ljust(4096, b"\0"))


@situation("nothing but the sixteen bytes with which one begins", truth=Truth.UNREADABLE)
def only_magic(place: Place) -> None:
    place.path.write_bytes(b"SQLite format 3\0")


@situation("a header and nothing after it", truth=Truth.UNREADABLE)
def only_header(place: Place) -> None:
    place.path.write_bytes(reserve(0)[:100])
