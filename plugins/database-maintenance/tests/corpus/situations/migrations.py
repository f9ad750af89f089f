"""What chains of migrations leave in a schema: renamed tables, views and triggers that follow or do not, odd names."""

from __future__ import annotations

from corpus.place import ROWS, Place
from corpus.situation import EITHER, situation


@situation("columns added, renamed and dropped")
def altered(place: Place) -> None:
    place.shop()
    place.make(
        "ALTER TABLE customer ADD COLUMN born TEXT",
        "ALTER TABLE customer ADD COLUMN level INTEGER NOT NULL DEFAULT 3",
        "ALTER TABLE bill RENAME COLUMN note TO remark",
        "ALTER TABLE customer RENAME COLUMN mail TO address",
        "ALTER TABLE bill ADD COLUMN seen",
        "ALTER TABLE bill DROP COLUMN remark",
    )


@situation("a table renamed under a view and a trigger")
def renamed(place: Place) -> None:
    place.shop()
    place.make("ALTER TABLE bill RENAME TO invoice", "ALTER TABLE customer RENAME TO 'old customer'")


@situation("a table renamed the old way, which leaves view and trigger behind")
def renamed_legacy(place: Place) -> None:
    place.shop()
    place.make("PRAGMA legacy_alter_table = ON", "ALTER TABLE bill RENAME TO invoice")


@situation("the twelve steps of a table made anew")
def made_anew(place: Place) -> None:
    place.shop()
    place.make(
        "CREATE TABLE new_bill (no TEXT PRIMARY KEY, customer INTEGER REFERENCES customer(id), total REAL)"
        " WITHOUT ROWID",
        "INSERT INTO new_bill SELECT no, customer, total FROM bill",
        "DROP VIEW large",
        "DROP TRIGGER bill_gone",
        "DROP TABLE bill",
        "ALTER TABLE new_bill RENAME TO bill",
        "CREATE INDEX bill_customer ON bill (customer)",
        "CREATE VIEW large AS SELECT no FROM bill WHERE total > 400",
    )


@situation("IF NOT EXISTS in the schema")
def if_not_exists(place: Place) -> None:
    place.shop()
    place.edit(
        "UPDATE sqlite_master SET sql = replace(sql, 'CREATE TABLE bill', 'CREATE TABLE IF NOT EXISTS bill')",
        "UPDATE sqlite_master SET sql = replace(sql, 'CREATE INDEX', 'CREATE INDEX IF NOT EXISTS')",
    )


@situation("comments everywhere in the schema")
def comments(place: Place) -> None:
    place.make(
        "CREATE TABLE t ( -- the table; of it all\n  a INTEGER PRIMARY KEY, /* the ' key */\n  b TEXT -- \"last\n)",
        "CREATE INDEX /* by b */ t_b ON t (b) -- done",
        "CREATE VIEW v /* CREATE TABLE x */ AS SELECT b -- CREATE\nFROM t",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN\n  -- END;\n  UPDATE t SET b = b || '/* not one */'"
        " WHERE a = new.a;\nEND",
        f"{ROWS.format(count=500)} INSERT INTO t SELECT i, 'b' || i FROM n",
        "DELETE FROM t WHERE a % 2",
    )


@situation("names that need quotes")
def quoted(place: Place) -> None:
    place.make(
        'CREATE TABLE "a b" ("c d" TEXT, "select" INTEGER, [e"f] REAL, `g``h` BLOB, "i""j" UNIQUE)',
        'CREATE INDEX "x;y" ON "a b" ("c d", [e"f])',
        "CREATE TABLE 'quoted ''once''' (a)",
        'CREATE TABLE "" (a PRIMARY KEY, b)',
        'CREATE INDEX "idx ?1 :a @b $c" ON "" (b)',
        f"{ROWS.format(count=300)} INSERT INTO \"a b\" SELECT 'c' || i, i, i / 3.0, zeroblob(i % 9), i FROM n",
        f'{ROWS.format(count=300)} INSERT INTO "" SELECT i, i % 5 FROM n',
        'DELETE FROM "a b" WHERE "select" % 3 = 0',
    )


@situation("names in other scripts, with emoji and line ends")
def scripts(place: Place) -> None:
    place.make(
        'CREATE TABLE "größe" ("値" TEXT, "Ω" INTEGER)',
        'CREATE TABLE "GRÖSSE" (a)',
        'CREATE TABLE "🗃️\n\t" ("👩‍👩‍👧" PRIMARY KEY, "\u202eleft" TEXT)',
        'CREATE INDEX "по имени" ON "größe" ("値" COLLATE NOCASE)',
        f"{ROWS.format(count=300)} INSERT INTO \"größe\" SELECT 'ß' || i, i FROM n",
        f"{ROWS.format(count=200)} INSERT INTO \"🗃️\n\t\" SELECT i, 'x' FROM n",
        'DELETE FROM "größe" WHERE "Ω" % 2',
    )


@situation("tables that are called like SQLite's words and schemas")
def reserved(place: Place) -> None:
    place.make(
        'CREATE TABLE "main" (a, b)',
        'CREATE TABLE "temp" (a)',
        'CREATE TABLE "table" ("order" INTEGER PRIMARY KEY, "group" TEXT)',
        'CREATE INDEX "primary" ON "table" ("group")',
        "CREATE TABLE pragma_table_info (a, b)",
        "CREATE TABLE dbstat (name, pageno)",
        f"{ROWS.format(count=300)} INSERT INTO \"table\" SELECT i, 'g' || i % 7 FROM n",
        f'{ROWS.format(count=300)} INSERT INTO "main" SELECT i, -i FROM n',
    )


@situation("AUTOINCREMENT, of which the only table was dropped")
def dropped_autoincrement(place: Place) -> None:
    place.make(
        "CREATE TABLE old (i INTEGER PRIMARY KEY AUTOINCREMENT)",
        f"{ROWS.format(count=800)} INSERT INTO old SELECT i FROM n",
        "CREATE TABLE t (i INTEGER PRIMARY KEY, b)",
        f"{ROWS.format(count=800)} INSERT INTO t SELECT i, 'b' || i FROM n",
        "DROP TABLE old",
    )


@situation(
    "AUTOINCREMENT with a counter ahead of the rows", probes=("SELECT name, seq FROM sqlite_sequence ORDER BY 1",)
)
def counted(place: Place) -> None:
    place.make(
        "CREATE TABLE t (i INTEGER PRIMARY KEY AUTOINCREMENT, b)",
        f"{ROWS.format(count=800)} INSERT INTO t SELECT i, 'b' || i FROM n",
        "DELETE FROM t WHERE i > 300",
        "UPDATE sqlite_sequence SET seq = 5000",
        "INSERT INTO sqlite_sequence VALUES ('of a table that is no more', 7)",
    )


@situation("foreign keys that nobody enforced")
def orphans(place: Place) -> None:
    place.shop()
    place.make("DELETE FROM customer WHERE id BETWEEN 20 AND 25", "UPDATE bill SET customer = 9999 WHERE customer = 30")


@situation("foreign keys to tables that are gone", exits={"foreign_key_check": EITHER}, wherever={"foreign_key_check"})
def fatherless(place: Place) -> None:
    place.shop()
    place.make("DROP VIEW large", "DROP TABLE customer")


@situation("two tables that refer to each other, and one to itself")
def mutual(place: Place) -> None:
    place.make(
        "CREATE TABLE a (i INTEGER PRIMARY KEY, b REFERENCES b DEFERRABLE INITIALLY DEFERRED, up REFERENCES a)",
        "CREATE TABLE b (i INTEGER PRIMARY KEY, a REFERENCES a ON DELETE CASCADE)",
        f"{ROWS.format(count=500)} INSERT INTO a SELECT i, i, nullif(i / 2, 0) FROM n",
        f"{ROWS.format(count=500)} INSERT INTO b SELECT i, i FROM n",
    )


@situation("a view of a view of what is gone")
def views(place: Place) -> None:
    place.shop()
    place.make(
        "CREATE VIEW second AS SELECT * FROM large",
        "CREATE VIEW broken AS SELECT gone FROM nowhere",
        "CREATE VIEW third AS SELECT * FROM broken",
        "CREATE VIEW named (one, two) AS SELECT 1, 2",
    )


@situation("triggers of all kinds, one of them on what is gone")
def triggers(place: Place) -> None:
    place.shop()
    place.make(
        "CREATE TABLE audit (what, at DEFAULT CURRENT_TIMESTAMP)",
        "CREATE TRIGGER large_new INSTEAD OF INSERT ON large BEGIN INSERT INTO bill (no) VALUES (new.no); END",
        "CREATE TRIGGER bill_seen AFTER UPDATE OF total ON bill WHEN new.total <> old.total"
        " BEGIN INSERT INTO audit (what) VALUES (new.no); END",
        "CREATE TRIGGER broken AFTER INSERT ON bill BEGIN INSERT INTO nowhere VALUES (1); END",
        "CREATE TRIGGER no_more BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'kept for ever'); END",
        "INSERT INTO audit (what) VALUES ('begun')",
    )


@situation("a thousand tables")
def thousand(place: Place) -> None:
    def make(connection: object) -> None:
        connection.execute("BEGIN")  # type: ignore[attr-defined]
        for number in range(1000):
            connection.execute(f"CREATE TABLE t{number} (a INTEGER PRIMARY KEY, b UNIQUE)")  # type: ignore[attr-defined]
        connection.execute("COMMIT")  # type: ignore[attr-defined]

    place.make("INSERT INTO t7 VALUES (1, 'seven')", setup=make)
