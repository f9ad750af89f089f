"""Values that are legal and awkward: huge ones, texts with NUL or that are no UTF-8, every type in every column."""

from __future__ import annotations

from corpus.place import ROWS, Place
from corpus.situation import Truth, situation


@situation("rows of megabytes")
def huge(place: Place) -> None:
    place.make(
        "CREATE TABLE t (i INTEGER PRIMARY KEY, b BLOB, c TEXT)",
        "INSERT INTO t VALUES (1, zeroblob(3000000), NULL), (2, NULL, printf('%.*c', 1500000, 'x')), (3, x'00', '')",
        "INSERT INTO t SELECT i + 10, b, c FROM t",
        "DELETE FROM t WHERE i = 11",
    )


@situation("texts with NUL, and that are no UTF-8")
def odd_texts(place: Place) -> None:
    place.make(
        "CREATE TABLE t (i INTEGER PRIMARY KEY, b TEXT)",
        "CREATE INDEX t_b ON t (b)",
        "INSERT INTO t VALUES (1, CAST(x'610062' AS TEXT)), (2, CAST(x'ff80c0' AS TEXT)), (3, CAST(x'eda080' AS TEXT))",
        "INSERT INTO t VALUES (4, char(0)), (5, ''), (6, CAST(x'f48fbfbf00' AS TEXT)), (7, x'610062')",
        f"{ROWS.format(count=600)} INSERT INTO t SELECT i + 10, CAST(x'c3' || i AS TEXT) FROM n",
        "DELETE FROM t WHERE i % 3 = 0",
    )


@situation("every type in every column, as if there were none")
def any_type(place: Place) -> None:
    place.make(
        "CREATE TABLE t (i INT PRIMARY KEY, n NUMERIC, r REAL, x TEXT, b BLOB)",
        "CREATE INDEX t_n ON t (n, r)",
        "INSERT INTO t VALUES ('key', 'not a number', 'nor this', x'00', 'text')",
        "INSERT INTO t VALUES (NULL, 1e308 * 10, -1e308 * 10, 1.5, 7), (NULL, -0.0, 0.1 + 0.2, 9007199254740993, NULL)",
        "INSERT INTO t VALUES (9223372036854775807, 5e-324, 1.7976931348623157e308, '', x'')",
        f"{ROWS.format(count=600)} INSERT INTO t SELECT i, i / 7.0, i, i, randomblob(i % 50) FROM n",
        "DELETE FROM t WHERE n > 50",
    )


@situation("dates of all kinds, booleans, numbers as texts")
def dates(place: Place) -> None:
    place.make(
        "CREATE TABLE t (at DATETIME DEFAULT CURRENT_TIMESTAMP, on_day DATE, live BOOLEAN, price DECIMAL(10, 2))",
        f"{ROWS.format(count=600)} INSERT INTO t SELECT julianday('2026-01-01') + i, date('2026-01-01', i || ' days'),"
        " i % 2, printf('%d.50', i) FROM n",
        "INSERT INTO t (on_day, live) VALUES ('yesterday', 'yes')",
    )


@situation("keys of a kilobyte in every index")
def long_keys(place: Place) -> None:
    place.make(
        "CREATE TABLE t (a TEXT PRIMARY KEY, b TEXT UNIQUE)",
        "CREATE INDEX t_ab ON t (b, a)",
        f"{ROWS.format(count=120)} INSERT INTO t SELECT printf('%.*c%d', 2000, 'k', i),"
        " printf('%.*c%d', 5000, 'b', i) FROM n",
        "DELETE FROM t WHERE rowid % 2",
    )


@situation(
    "a name in the schema that is no UTF-8",
    wherever=(
        "analyze",
        "optimize",
        "reindex",
        "vacuum",
        "compact",
        "convert_auto_vacuum",
        "integrity_check",
        "quick_check",
        "foreign_key_check",
        "backup",
        "maintain",
    ),
)
def odd_name(place: Place) -> None:
    place.make(
        "CREATE TABLE t (a, b)",
        "CREATE TABLE plain (xxxx)",
        f"{ROWS.format(count=300)} INSERT INTO plain SELECT i FROM n",
    )
    image = place.image()
    for text in (b"CREATE TABLE plain (xxxx)",):
        at = bytes(image.main).index(text)
        image.put(at + text.index(b"xxxx"), b"x\xff\xfex")
    place.put(image)


@situation("negative zero, infinity and integers kept as reals in an index")
def reals(place: Place) -> None:
    place.make(
        "CREATE TABLE t (r REAL, i INTEGER)",
        "CREATE INDEX t_r ON t (r)",
        "CREATE UNIQUE INDEX t_i ON t (i)",
        "INSERT INTO t VALUES (-0.0, 0), (1e999, 1), (-1e999, 2), (9007199254740992.0, 9007199254740993), (3.0, 3)",
        f"{ROWS.format(count=600)} INSERT INTO t SELECT i * 1.0, i + 10 FROM n",
        "DELETE FROM t WHERE i % 4 = 1",
    )


@situation("a NULL in a column that must have a value, from before it had to", truth=Truth.INCONSISTENT)
def null_in_key(place: Place) -> None:
    place.make(
        "CREATE TABLE t (a, b)",
        f"{ROWS.format(count=300)} INSERT INTO t SELECT i, i FROM n",
        "INSERT INTO t VALUES (NULL, NULL)",
    )
    place.edit("UPDATE sqlite_master SET sql = 'CREATE TABLE t (a NOT NULL, b)' WHERE name = 't'")


@situation("a text in a column of a STRICT table that takes numbers", truth=Truth.INCONSISTENT)
def strict_broken(place: Place) -> None:
    place.make(
        "CREATE TABLE t (a INTEGER, b TEXT)",
        f"{ROWS.format(count=300)} INSERT INTO t SELECT i, i FROM n",
        "INSERT INTO t VALUES ('text', 1)",
    )
    place.edit("UPDATE sqlite_master SET sql = sql || ' STRICT' WHERE name = 't'")
