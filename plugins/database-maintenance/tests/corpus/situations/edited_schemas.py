"""Schemas that somebody edited as text, with `PRAGMA writable_schema`: right ones, odd ones, and broken ones."""

from __future__ import annotations

from corpus.place import ROWS, Place
from corpus.situation import Truth, situation

#: What rebuilds the file from its schema.
REBUILDS = ("vacuum", "compact", "convert_auto_vacuum")


@situation("create in lower case", refuses=REBUILDS)
def lower_case(place: Place) -> None:
    place.shop()
    place.edit(
        "UPDATE sqlite_master SET sql = 'create table' || substr(sql, 13) WHERE name = 'bill'",
        "UPDATE sqlite_master SET sql = 'create unique index' || substr(sql, 20) WHERE name = 'bill_no'",
    )


# VACUUM copies these as they are
@situation("create in lower case, of a view and a trigger")
def lower_case_view(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET sql = 'create ' || substr(sql, 8) WHERE type IN ('view', 'trigger')")


@situation("a space before CREATE", truth=Truth.UNREADABLE)
def space_before(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET sql = '  ' || sql WHERE name = 'bill'")


@situation("a comment before CREATE", truth=Truth.UNREADABLE)
def comment_before(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET sql = '/* by hand */ ' || sql WHERE name IN ('customer', 'bill_customer')")


@situation("Create with one capital, of an index only", refuses=REBUILDS)
def one_capital(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET sql = 'Create INDEX' || substr(sql, 13) WHERE name = 'bill_customer'")


@situation("an entry of the schema twice", truth=Truth.UNREADABLE)
def twice(place: Place) -> None:
    place.shop()
    place.edit("INSERT INTO sqlite_master SELECT * FROM sqlite_master WHERE name = 'bill_customer'")


@situation("a table without SQL", truth=Truth.UNREADABLE)
def without_sql(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET sql = NULL WHERE name = 'bill'")


@situation("an index without its table", truth=Truth.UNREADABLE)
def orphan_index(place: Place) -> None:
    place.shop()
    place.edit("DELETE FROM sqlite_master WHERE name = 'bill'")


@situation("a word of the schema that is none", truth=Truth.UNREADABLE)
def no_word(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET sql = replace(sql, 'CREATE TABLE bill', 'CREXTE TABLE bill')")


@situation("a text of the schema that ends too early", truth=Truth.UNREADABLE)
def ends_early(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET sql = 'CREATE TABLE bill (' WHERE name = 'bill'")


@situation("a root page beyond the end", truth=Truth.UNREADABLE)
def root_beyond(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET rootpage = 99999 WHERE name = 'bill'")


@situation("two tables on one root page", truth=Truth.DAMAGED)
def shared_root(place: Place) -> None:
    place.make("CREATE TABLE a (x)", "CREATE TABLE b (x)", "CREATE TABLE c (x)")
    place.make(f"{ROWS.format(count=500)} INSERT INTO a SELECT hex(randomblob(20)) FROM n")
    place.edit(
        "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'a') WHERE name = 'b'"
    )


@situation("a table that was taken out of the schema, its pages left", truth=Truth.DAMAGED)
def taken_out(place: Place) -> None:
    place.make("CREATE TABLE a (x)", "CREATE TABLE b (x)")
    place.make(f"{ROWS.format(count=500)} INSERT INTO a SELECT hex(randomblob(20)) FROM n", "INSERT INTO b VALUES (1)")
    place.edit("DELETE FROM sqlite_master WHERE name = 'a'")


@situation("a view and a trigger that were edited to name what is gone")
def broken_view(place: Place) -> None:
    place.shop()
    place.edit(
        "UPDATE sqlite_master SET sql = replace(sql, 'FROM bill', 'FROM nowhere') WHERE name IN ('large', 'bill_gone')",
    )


@situation("a table whose entry says that it is a view", truth=Truth.SOUND, refuses=REBUILDS)
def other_type(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET type = 'View' WHERE name = 'large'")


@situation("NOT NULL added by hand, and a row that has none", truth=Truth.INCONSISTENT)
def not_null(place: Place) -> None:
    place.shop()
    place.make("UPDATE bill SET note = NULL WHERE rowid = 5")
    place.edit("UPDATE sqlite_master SET sql = replace(sql, 'note TEXT', 'note TEXT NOT NULL') WHERE name = 'bill'")


@situation("a CHECK added by hand, and rows that break it", truth=Truth.INCONSISTENT)
def check_broken(place: Place) -> None:
    place.shop()
    place.edit(
        "UPDATE sqlite_master SET sql = replace(sql, 'total REAL', 'total REAL CHECK (total > 100)')"
        " WHERE name = 'bill'"
    )


@situation("a CHECK that looks at the clock", refuses=(), wherever=(*REBUILDS, "integrity_check", "quick_check"))
def check_of_today(place: Place) -> None:
    place.shop()
    place.edit(
        "UPDATE sqlite_master SET sql = replace(sql, 'note TEXT', 'note TEXT CHECK (note IS NULL OR note <> date(0))')"
        " WHERE name = 'bill'"
    )


@situation("UNIQUE taken out by hand, its index left", truth=Truth.UNREADABLE)
def unique_gone(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET sql = replace(sql, 'mail TEXT UNIQUE', 'mail TEXT') WHERE name = 'customer'")


@situation("a column's type changed by hand")
def type_changed(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET sql = replace(sql, 'total REAL', 'total NUMERIC') WHERE name = 'bill'")


@situation("an index whose order was changed by hand", truth=Truth.INCONSISTENT, cures=("reindex",), refuses=())
def order_changed(place: Place) -> None:
    place.shop()
    place.edit(
        "UPDATE sqlite_master SET sql = replace(sql, '(customer, total)', '(customer DESC, total)')"
        " WHERE name = 'bill_customer'"
    )


@situation(
    "an index that became UNIQUE by hand over rows that are not",
    truth=Truth.INCONSISTENT,
    wherever=("reindex", *REBUILDS),
)
def unique_by_hand(place: Place) -> None:
    place.shop()
    place.edit(
        "UPDATE sqlite_master SET sql = 'CREATE UNIQUE INDEX bill_customer ON bill (customer)'"
        " WHERE name = 'bill_customer'"
    )
    place.make("SELECT 1")


@situation("tbl_name in another case")
def other_case(place: Place) -> None:
    place.shop()
    place.edit("UPDATE sqlite_master SET tbl_name = upper(tbl_name) WHERE name = 'bill_customer'")


@situation("two views whose names differ in nothing but case", truth=Truth.UNREADABLE)
def case_twins(place: Place) -> None:
    place.shop()
    place.edit("INSERT INTO sqlite_master VALUES ('view', 'Large', 'Large', 0, 'CREATE VIEW Large AS SELECT 1')")


@situation("a table whose name begins with sqlite_", wherever=REBUILDS)
def reserved_name(place: Place) -> None:
    place.make(
        "CREATE TABLE xqlite_notes (a, b)", f"{ROWS.format(count=300)} INSERT INTO xqlite_notes SELECT i, i FROM n"
    )
    place.edit(
        "UPDATE sqlite_master SET name = 'sqlite_notes', tbl_name = 'sqlite_notes',"
        " sql = 'CREATE TABLE sqlite_notes (a, b)'"
    )


@situation("statistics made by hand")
def handmade_statistics(place: Place) -> None:
    place.shop()
    place.make(
        "ANALYZE sqlite_master",
        "INSERT INTO sqlite_stat1 VALUES ('bill', 'bill_no', '1000000 1'), ('bill', 'of no index', '7 7')",
        "INSERT INTO sqlite_stat1 VALUES ('gone', NULL, '5'), ('customer', NULL, 'not a number')",
    )


@situation("a column added to sqlite_stat1, as if by an old version", wherever=("analyze", "optimize", "maintain"))
def odd_statistics(place: Place) -> None:
    place.shop()
    place.make("ANALYZE", "DELETE FROM sqlite_stat1")
