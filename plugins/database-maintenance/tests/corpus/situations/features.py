"""What newer versions can do, and what only the application has: generated columns, STRICT, its own collations."""

from __future__ import annotations

from corpus import outside
from corpus.place import ROWS, Place
from corpus.situation import situation

REBUILDS = ("vacuum", "compact", "convert_auto_vacuum")
_CHECKS = ("integrity_check", "quick_check")
_STATISTICS = ("analyze", "optimize")
_T = f"{ROWS.format(count=600)} INSERT INTO t (a, b) SELECT i, 'Key ' || (i * 7919 % 1009) FROM n"
_GAPS = "DELETE FROM t WHERE a % 3 = 0"


@situation("generated columns, stored and not, with indexes")
def generated(place: Place) -> None:
    place.make(
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c AS (a + 1), d TEXT AS (upper(b)) STORED, e AS (length(d)))",
        "CREATE UNIQUE INDEX t_c ON t (c, d)",
        "CREATE INDEX t_e ON t (e) WHERE c > 10",
        _T,
        _GAPS,
    )


@situation("STRICT tables of all types")
def strict(place: Place) -> None:
    place.make(
        "CREATE TABLE t (a INTEGER, b TEXT, c REAL, d BLOB, e ANY, f INT) STRICT",
        "CREATE TABLE u (a INTEGER PRIMARY KEY, b TEXT NOT NULL UNIQUE) STRICT, WITHOUT ROWID",
        f"{ROWS.format(count=600)} INSERT INTO t SELECT i, 'b', i, zeroblob(4), iif(i % 2, i, 'e'), i FROM n",
        f"{ROWS.format(count=600)} INSERT INTO u SELECT i, 'b' || i FROM n",
        _GAPS,
    )


@situation("WITHOUT ROWID, keys of many columns in other orders")
def without_rowid(place: Place) -> None:
    place.make(
        "CREATE TABLE t (a, b COLLATE NOCASE, c, PRIMARY KEY (c DESC, b, a)) WITHOUT ROWID",
        "CREATE INDEX t_b ON t (b)",
        f"{ROWS.format(count=600)} INSERT INTO t SELECT i, 'B' || i, i % 9 FROM n",
        _GAPS,
    )


@situation("indexes on expressions, partial ones, with collations")
def expressions(place: Place) -> None:
    place.make(
        "CREATE TABLE t (a, b)",
        "CREATE INDEX i1 ON t (lower(b), abs(a) DESC)",
        "CREATE UNIQUE INDEX i2 ON t (a) WHERE b IS NOT NULL AND a % 2",
        "CREATE INDEX i3 ON t (b COLLATE NOCASE DESC, substr(b, 2) COLLATE RTRIM)",
        "CREATE INDEX i4 ON t (json_extract('[' || a || ']', '$[0]'))",
        _T,
        _GAPS,
        "UPDATE t SET b = NULL WHERE a % 7 = 0",
    )


@situation("a thousand columns, and an index of sixty")
def wide(place: Place) -> None:
    columns = [f"c{number}" for number in range(1000)]
    place.make(
        f"CREATE TABLE t ({', '.join(columns)})",
        f"CREATE INDEX t_wide ON t ({', '.join(columns[:60])})",
        f"{ROWS.format(count=60)} INSERT INTO t (c0, c59, c999) SELECT i, -i, zeroblob(50) FROM n",
        "DELETE FROM t WHERE c0 % 2",
    )


@situation("rowids at both ends of what there is")
def rowid_ends(place: Place) -> None:
    place.make(
        "CREATE TABLE t (i INTEGER PRIMARY KEY, b)",
        "CREATE TABLE hidden (b)",
        "INSERT INTO t VALUES (9223372036854775807, 'last'), (-9223372036854775808, 'first'), (0, 'nought')",
        "INSERT INTO hidden (rowid, b) VALUES (9223372036854775807, 'last'), (-5, 'minus'), (7, 'seven')",
        f"{ROWS.format(count=600)} INSERT INTO t SELECT i, hex(randomblob(40)) FROM n",
        "DELETE FROM t WHERE i BETWEEN 100 AND 400",
    )


@situation(
    "a collation of the application in a column", application=True, refuses=REBUILDS, wherever=(*_CHECKS, *_STATISTICS)
)
def collation_column(place: Place) -> None:
    place.make("CREATE TABLE t (a, b COLLATE german)", _T, _GAPS, setup=outside.register)


@situation(
    "a collation of the application in an index",
    application=True,
    refuses=(*REBUILDS, "reindex"),
    wherever=(*_CHECKS, *_STATISTICS),
)
def collation_index(place: Place) -> None:
    place.make("CREATE TABLE t (a, b)", "CREATE INDEX t_b ON t (b COLLATE german)", _T, _GAPS, setup=outside.register)


@situation(
    "a collation of the application in a primary key",
    application=True,
    refuses=REBUILDS,
    wherever=("reindex", *_CHECKS, *_STATISTICS),
)
def collation_key(place: Place) -> None:
    place.make(
        "CREATE TABLE t (a, b COLLATE german, PRIMARY KEY (b, a)) WITHOUT ROWID", _T, _GAPS, setup=outside.register
    )


@situation(
    "a function of the application in an index",
    application=True,
    refuses=(*REBUILDS, "reindex"),
    wherever=(*_CHECKS, *_STATISTICS),
)
def function_index(place: Place) -> None:
    place.make("CREATE TABLE t (a, b)", "CREATE INDEX t_b ON t (fold(b))", _T, _GAPS, setup=outside.register)


@situation(
    "a function of the application in a generated column",
    application=True,
    refuses=REBUILDS,
    wherever=("reindex", *_CHECKS, *_STATISTICS),
)
def function_generated(place: Place) -> None:
    place.make("CREATE TABLE t (a, b, c AS (slug(b)), d AS (fold(b)) STORED)", _T, _GAPS, setup=outside.register)


@situation(
    "a function of the application in a CHECK", application=True, refuses=REBUILDS, wherever=(*_CHECKS, *_STATISTICS)
)
def function_check(place: Place) -> None:
    place.make("CREATE TABLE t (a, b CHECK (fold(b) <> ''))", _T, _GAPS, setup=outside.register)


@situation("functions of the application in a view, a trigger and a default", application=True)
def function_elsewhere(place: Place) -> None:
    place.make(
        "CREATE TABLE t (a, b, c DEFAULT (fold('X')))",
        "CREATE VIEW v AS SELECT fold(b) FROM t",
        "CREATE TRIGGER g AFTER DELETE ON t BEGIN SELECT slug(old.b); END",
        _T,
        _GAPS,
        setup=outside.register,
    )


@situation("statistics with samples, of a library that keeps them")
def samples(place: Place) -> None:
    place.shop()
    place.make("ANALYZE", "CREATE TABLE spare (tbl, idx, neq, nlt, ndlt, sample)")
    place.make("INSERT INTO spare VALUES ('bill', 'bill_no', '1 1', '5 5', '5 5', x'0301')")
    place.edit(
        "UPDATE sqlite_master SET name = 'sqlite_stat4', tbl_name = 'sqlite_stat4',"
        " sql = 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)' WHERE name = 'spare'"
    )
