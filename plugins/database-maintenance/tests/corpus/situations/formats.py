"""Files as old and new SQLite versions lay them out: page sizes, encodings, schema formats, what the header says."""

from __future__ import annotations

import struct

from corpus.place import ROWS, Place
from corpus.situation import situation


def _page_size(size: int) -> None:
    @situation(f"pages of {size} bytes")
    def make(place: Place) -> None:
        place.shop(f"PRAGMA page_size = {size}")


for _size in (512, 1024, 2048, 8192, 16384, 32768, 65536):
    _page_size(_size)


@situation("pages of 512 bytes, WAL, auto_vacuum")
def small_wal(place: Place) -> None:
    place.shop("PRAGMA page_size = 512", "PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA journal_mode = WAL")


@situation("UTF-16, little end first")
def utf16le(place: Place) -> None:
    place.shop("PRAGMA encoding = 'UTF-16le'")
    place.make("UPDATE customer SET name = '値段 😀 ' || id WHERE id % 2")


@situation("UTF-16, big end first, in WAL mode")
def utf16be(place: Place) -> None:
    place.shop("PRAGMA encoding = 'UTF-16be'", "PRAGMA journal_mode = WAL")
    place.make("UPDATE customer SET name = '値段 😀 ' || id WHERE id % 2")


@situation("auto_vacuum full")
def full(place: Place) -> None:
    place.shop("PRAGMA auto_vacuum = FULL")


@situation("auto_vacuum, and a pointer map of many pages")
def many_maps(place: Place) -> None:
    place.make(
        "PRAGMA page_size = 512",
        "PRAGMA auto_vacuum = INCREMENTAL",
        "CREATE TABLE t (i INTEGER PRIMARY KEY, b)",
        f"{ROWS.format(count=1500)} INSERT INTO t SELECT i, zeroblob(i % 1400) FROM n",
        "DELETE FROM t WHERE i % 3",
    )


def _set_schema_format(place: Place, number: int) -> None:
    image = place.image()
    image.put32(44, number)
    place.put(image)


def _schema_format(number: int) -> None:
    @situation(f"schema format {number}")
    def make(place: Place) -> None:
        # a table whose values no newer format writes otherwise: no 0 and 1 without a byte, nothing descending
        place.make(
            "CREATE TABLE t (i INTEGER PRIMARY KEY, b TEXT)",
            "CREATE INDEX t_b ON t (b)",
            f"{ROWS.format(count=700)} INSERT INTO t SELECT i, 'b' || i FROM n",
            "DELETE FROM t WHERE i % 2",
        )
        _set_schema_format(place, number)


for _number in (1, 2, 3):
    _schema_format(_number)


@situation("descending and mixed indexes")
def descending(place: Place) -> None:
    place.shop()
    place.make(
        "CREATE INDEX d1 ON bill (total DESC)",
        "CREATE INDEX d2 ON bill (customer DESC, no ASC, total DESC)",
        "CREATE TABLE d3 (a, b, PRIMARY KEY (a DESC, b)) WITHOUT ROWID",
        f"{ROWS.format(count=500)} INSERT INTO d3 SELECT i % 20, i FROM n",
    )


@situation("default_cache_size as SQLite 2 and old 3 had it")
def cache_size(place: Place) -> None:
    place.shop("PRAGMA default_cache_size = 777")


@situation("application_id, user_version and a large schema cookie")
def numbers(place: Place) -> None:
    place.shop("PRAGMA application_id = 0x0f055112", "PRAGMA user_version = -3", "PRAGMA schema_version = 2147483000")


@situation("a header whose counters are at their end")
def counters_at_end(place: Place) -> None:
    place.shop()
    image = place.image()
    image.put32(24, 0xFFFFFFFE)
    image.put32(92, 0xFFFFFFFE)
    place.put(image)


@situation("written last by a version that did not note the number of pages")
def no_page_count(place: Place) -> None:
    place.shop()
    image = place.image()
    image.put32(28, 0)
    image.put32(92, 0)
    image.put32(96, 0)
    place.put(image)


@situation("written last by a version that noted a stale number of pages")
def stale_page_count(place: Place) -> None:
    place.shop()
    image = place.image()
    image.put32(28, 3)
    image.put32(92, 1)
    place.put(image)


@situation("a file that grows in chunks: nothing but noughts at its end")
def chunks(place: Place) -> None:
    place.shop()
    with place.path.open("ab") as file:
        file.truncate(1 << 20)


@situation("half a page of noughts at the end")
def half_page(place: Place) -> None:
    place.shop()
    with place.path.open("ab") as file:
        file.write(b"\0" * 1000)


@situation("a tail that is no part of the database")
def tail(place: Place) -> None:
    place.shop()
    with place.path.open("ab") as file:
        file.write(b"written by something else" * 500)


def _reserved(count: int) -> None:
    @situation(f"{count} bytes reserved in each page")
    def make(place: Place) -> None:
        place.path.write_bytes(reserve(count))
        place.make(
            "CREATE TABLE t (i INTEGER PRIMARY KEY, b)",
            "CREATE INDEX t_b ON t (b)",
            f"{ROWS.format(count=700)} INSERT INTO t SELECT i, 'b' || i FROM n",
            "DELETE FROM t WHERE i % 2",
        )


def reserve(count: int, size: int = 4096) -> bytes:
    """Return a database without tables whose pages keep bytes for a checksum or a key, as an extension makes it."""
    page = bytearray(size)
    page[0:16] = b"SQLite format 3\0"
    page[16:18] = struct.pack(">H", size)
    page[18:24] = bytes((1, 1, count, 64, 32, 32))
    page[24:28] = page[28:32] = page[92:96] = struct.pack(">I", 1)
    page[44:48] = struct.pack(">I", 4)
    page[56:60] = struct.pack(">I", 1)
    page[96:100] = struct.pack(">I", 3_040_001)
    page[100] = 0x0D
    page[105:107] = struct.pack(">H", size - count)
    return bytes(page)


for _count in (8, 32, 48):
    _reserved(_count)


@situation("a page size that was set, and waits for a rebuild")
def page_size_waits(place: Place) -> None:
    place.shop("PRAGMA page_size = 1024")
    place.make("PRAGMA page_size = 8192")


@situation("a free list longer than one page of it")
def long_free_list(place: Place) -> None:
    place.make(
        "PRAGMA page_size = 512",
        "CREATE TABLE t (i INTEGER PRIMARY KEY, b)",
        "CREATE TABLE kept (a)",
        f"{ROWS.format(count=900)} INSERT INTO t SELECT i, zeroblob(400) FROM n",
        f"{ROWS.format(count=90)} INSERT INTO kept SELECT i FROM n",
        "DROP TABLE t",
    )


@situation("nothing in it but free pages")
def only_free(place: Place) -> None:
    place.make(
        "CREATE TABLE t (b)", f"{ROWS.format(count=900)} INSERT INTO t SELECT zeroblob(3000) FROM n", "DROP TABLE t"
    )


@situation("one page, and no table")
def one_page(place: Place) -> None:
    place.make("CREATE TABLE t (a)", "DROP TABLE t", "VACUUM")
