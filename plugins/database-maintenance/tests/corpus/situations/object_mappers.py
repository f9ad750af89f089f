"""What object mappers and frameworks write: Django, Rails, SQLAlchemy, Room, Core Data and the like."""

from __future__ import annotations

from corpus.place import ROWS, Place
from corpus.situation import situation


@situation("Django: JSON and its checks, names in quotes, a session table")
def django(place: Place) -> None:
    place.make(
        'CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app" varchar(255) NOT'
        ' NULL, "applied" datetime NOT NULL)',
        'CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL,'
        ' "expire_date" datetime NOT NULL)',
        'CREATE TABLE "shop_item" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "data" text NOT NULL'
        ' CHECK ((JSON_VALID("data") OR "data" IS NULL)), "count" integer unsigned NOT NULL CHECK ("count" >= 0),'
        ' "price" decimal NOT NULL, "live" bool NOT NULL)',
        'CREATE INDEX "django_session_expire_date_a5c62663" ON "django_session" ("expire_date")',
        'CREATE UNIQUE INDEX "shop_item_unique" ON "shop_item" ("price", "count") WHERE "live"',
        f"{ROWS.format(count=600)} INSERT INTO \"shop_item\" SELECT i, json_object('k', i), i, i / 100.0, i % 2 FROM n",
        f"{ROWS.format(count=900)} INSERT INTO \"django_session\" SELECT hex(i * 7919), printf('%.*c', 200, 'e'),"
        " '2026-01-01 00:00:00' FROM n",
        'DELETE FROM "django_session" WHERE rowid % 4',
        "INSERT INTO \"django_migrations\" VALUES (1, 'shop', '2026-01-01 00:00:00.000000')",
    )


@situation("Rails: schema_migrations, timestamps to the microsecond, booleans")
def rails(place: Place) -> None:
    place.make(
        'CREATE TABLE "schema_migrations" ("version" varchar NOT NULL PRIMARY KEY)',
        'CREATE TABLE "ar_internal_metadata" ("key" varchar NOT NULL PRIMARY KEY, "value" varchar,'
        ' "created_at" datetime(6) NOT NULL)',
        'CREATE TABLE "posts" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "title" varchar DEFAULT \'\' NOT NULL,'
        ' "live" boolean DEFAULT TRUE, "user_id" integer NOT NULL, CONSTRAINT "fk_rails_5b5ddfd518" FOREIGN KEY'
        ' ("user_id") REFERENCES "users" ("id"))',
        'CREATE TABLE "users" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "mail" varchar)',
        'CREATE UNIQUE INDEX "index_users_on_mail" ON "users" ("mail" COLLATE NOCASE) /*application=\'Shop\'*/',
        f"{ROWS.format(count=300)} INSERT INTO users SELECT i, 'u' || i || '@example.org' FROM n",
        f"{ROWS.format(count=900)} INSERT INTO posts SELECT i, 'post ' || i, i % 2, i % 300 + 1 FROM n",
        "DELETE FROM posts WHERE id % 3 = 0",
        "INSERT INTO schema_migrations VALUES ('20260101000000'), ('20260102000000')",
    )


@situation("SQLAlchemy: enumerations, composite keys, named constraints")
def sqlalchemy(place: Place) -> None:
    place.make(
        "CREATE TABLE alembic_version (\n\tversion_num VARCHAR(32) NOT NULL, \n"
        "\tCONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)\n)",
        "CREATE TABLE node (\n\tid INTEGER NOT NULL, \n\tkind VARCHAR(6), \n\tparent INTEGER, \n\tPRIMARY KEY (id), \n"
        "\tCONSTRAINT kinds CHECK (kind IN ('folder', 'file')), \n\tFOREIGN KEY(parent) REFERENCES node (id)\n)",
        "CREATE TABLE tag (\n\tnode INTEGER NOT NULL, \n\tname VARCHAR NOT NULL, \n\tPRIMARY KEY (node, name)\n)",
        "CREATE INDEX ix_node_parent ON node (parent)",
        f"{ROWS.format(count=900)} INSERT INTO node SELECT i, iif(i % 2, 'file', 'folder'), nullif(i / 2, 0) FROM n",
        f"{ROWS.format(count=900)} INSERT INTO tag SELECT i, 'tag ' || i % 40 FROM n",
        "DELETE FROM tag WHERE node % 2",
        "INSERT INTO alembic_version VALUES ('1975ea83b712')",
    )


@situation("Room: a table of its identity, triggers for invalidation, user_version")
def room(place: Place) -> None:
    place.make(
        "PRAGMA user_version = 12",
        "CREATE TABLE android_metadata (locale TEXT)",
        "CREATE TABLE room_master_table (id INTEGER PRIMARY KEY, identity_hash TEXT)",
        "CREATE TABLE IF NOT EXISTS `note` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `text` TEXT,"
        " `at` INTEGER)",
        "CREATE INDEX IF NOT EXISTS `index_note_at` ON `note` (`at`)",
        f"{ROWS.format(count=900)} INSERT INTO note SELECT i, 'text ' || i, i % 50 FROM n",
        "DELETE FROM note WHERE id > 500",
        "INSERT INTO android_metadata VALUES ('en_US')",
        "INSERT INTO room_master_table VALUES (42, 'c5b5ab45e1ad7d1b3f2ae6a9a8f4d9f3')",
    )


@situation("Core Data: names in capitals, blobs, a counter of its own, auto_vacuum")
def core_data(place: Place) -> None:
    place.make(
        "PRAGMA auto_vacuum = INCREMENTAL",
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE ZNOTE ( Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZAT TIMESTAMP, ZTEXT VARCHAR,"
        " ZDATA BLOB )",
        "CREATE TABLE Z_PRIMARYKEY (Z_ENT INTEGER PRIMARY KEY, Z_NAME VARCHAR, Z_SUPER INTEGER, Z_MAX INTEGER)",
        "CREATE TABLE Z_METADATA (Z_VERSION INTEGER PRIMARY KEY, Z_UUID VARCHAR(255), Z_PLIST BLOB)",
        "CREATE INDEX Z_NOTE_byAt ON ZNOTE (ZAT COLLATE BINARY ASC)",
        f"{ROWS.format(count=600)} INSERT INTO ZNOTE SELECT i, 1, i % 4, i * 1.5, 'text', randomblob(300) FROM n",
        "INSERT INTO Z_PRIMARYKEY VALUES (1, 'Note', 0, 600)",
        "DELETE FROM ZNOTE WHERE Z_PK % 2",
    )


@situation("Entity Framework: TEXT keys, GLOB checks, a history of migrations")
def entity_framework(place: Place) -> None:
    place.make(
        'CREATE TABLE "__EFMigrationsHistory" ("MigrationId" TEXT NOT NULL CONSTRAINT "PK___EFMigrationsHistory"'
        ' PRIMARY KEY, "ProductVersion" TEXT NOT NULL)',
        'CREATE TABLE "Blogs" ("BlogId" TEXT NOT NULL CONSTRAINT "PK_Blogs" PRIMARY KEY, "Url" TEXT NULL'
        " CHECK (\"Url\" GLOB 'http*'), \"Rank\" TEXT NOT NULL DEFAULT '0.0')",
        'CREATE UNIQUE INDEX "IX_Blogs_Url" ON "Blogs" ("Url") WHERE "Url" IS NOT NULL',
        f"{ROWS.format(count=700)} INSERT INTO \"Blogs\" SELECT hex(i * 104729), 'http://example.org/' || i, '1.0'"
        " FROM n",
        'DELETE FROM "Blogs" WHERE rowid % 3 = 0',
    )


@situation("a key-value store with blobs of all sizes")
def key_value(place: Place) -> None:
    place.make(
        "CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB, expires INTEGER) WITHOUT ROWID",
        "CREATE INDEX kv_expires ON kv (expires) WHERE expires IS NOT NULL",
        f"{ROWS.format(count=500)} INSERT INTO kv SELECT randomblob(16), zeroblob(i * 17 % 9000), iif(i % 3, i, NULL)"
        " FROM n",
        "DELETE FROM kv WHERE expires < 200",
    )


@situation("a queue: inserts at one end, deletes at the other")
def queue(place: Place) -> None:
    place.make(
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE job (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, state TEXT, body TEXT)",
        "CREATE INDEX job_state ON job (state, at)",
        f"{ROWS.format(count=3000)} INSERT INTO job (at, state, body) SELECT i, 'done', printf('%.*c', 90, 'b') FROM n",
        "DELETE FROM job WHERE id < 2900",
    )


@situation("events kept for a while, auto_vacuum full")
def events(place: Place) -> None:
    place.make(
        "PRAGMA auto_vacuum = FULL",
        "CREATE TABLE event (at INTEGER, kind TEXT, body TEXT)",
        "CREATE INDEX event_at ON event (at DESC)",
        f"{ROWS.format(count=2000)} INSERT INTO event SELECT i, 'k' || i % 5, hex(randomblob(50)) FROM n",
        "DELETE FROM event WHERE at % 5",
    )
