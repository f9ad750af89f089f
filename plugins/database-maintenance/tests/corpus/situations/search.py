"""Full-text and spatial indexes: content of their own, of others, none; healthy, stale, without module."""

from __future__ import annotations

from corpus.place import ROWS, Place
from corpus.situation import FOUND, situation

_WORDS = "'word' || i || ' common ' || iif(i % 3, 'third', 'other')"
_ARTICLES = (
    "CREATE TABLE article (id INTEGER PRIMARY KEY, title TEXT, body TEXT)",
    f"{ROWS.format(count=300)} INSERT INTO article SELECT i, 'title ' || i, {_WORDS} FROM n",
)
_FIND = ("SELECT count(*) FROM found WHERE found MATCH 'common'", "SELECT rowid FROM found WHERE found MATCH 'word7'")


@situation("FTS5 with its own content", probes=_FIND)
def fts5(place: Place) -> None:
    place.make("CREATE VIRTUAL TABLE found USING fts5(title, body)")
    for part in range(6):
        place.make(
            f"{ROWS.format(count=100)} INSERT INTO found"
            f" SELECT 'title', 'word' || (i + {part * 100}) || ' common' FROM n"
        )
    place.make("DELETE FROM found WHERE rowid % 5 = 0")


@situation("FTS5 of a table with an INTEGER PRIMARY KEY, kept by triggers", probes=_FIND)
def fts5_external(place: Place) -> None:
    place.make(
        *_ARTICLES,
        "CREATE VIRTUAL TABLE found USING fts5(title, body, content='article', content_rowid='id')",
        "INSERT INTO found (found) VALUES ('rebuild')",
        "CREATE TRIGGER article_ai AFTER INSERT ON article BEGIN INSERT INTO found (rowid, title, body)"
        " VALUES (new.id, new.title, new.body); END",
        "CREATE TRIGGER article_ad AFTER DELETE ON article BEGIN INSERT INTO found (found, rowid, title, body)"
        " VALUES ('delete', old.id, old.title, old.body); END",
        "DELETE FROM article WHERE id % 4 = 0",
    )


@situation(
    "FTS5 of a table whose rowids a rebuild would renumber",
    probes=_FIND,
    refuses=("vacuum", "convert_auto_vacuum"),
)
def fts5_hidden(place: Place) -> None:
    place.make(
        "CREATE TABLE article (title TEXT, body TEXT)",
        f"{ROWS.format(count=300)} INSERT INTO article SELECT 'title ' || i, {_WORDS} FROM n",
        "CREATE VIRTUAL TABLE found USING fts5(title, body, content='article')",
        "CREATE TRIGGER article_ad AFTER DELETE ON article BEGIN INSERT INTO found (found, rowid, title, body)"
        " VALUES ('delete', old.rowid, old.title, old.body); END",
        "INSERT INTO found (found) VALUES ('rebuild')",
        "DELETE FROM article WHERE rowid % 3 = 0",
    )


@situation(
    "FTS5 of a table whose rowids a rebuild would renumber, in UTF-16",
    probes=_FIND,
    refuses=("vacuum", "convert_auto_vacuum"),
)
def fts5_hidden_utf16(place: Place) -> None:
    place.make("PRAGMA encoding = 'UTF-16le'", "CREATE TABLE first (a)")
    fts5_hidden(place)


@situation("FTS5 without content", probes=_FIND)
def fts5_contentless(place: Place) -> None:
    place.make(
        "CREATE VIRTUAL TABLE found USING fts5(body, content='')",
        f"{ROWS.format(count=300)} INSERT INTO found (rowid, body) SELECT i, {_WORDS} FROM n",
        "CREATE TABLE t (a)",
        f"{ROWS.format(count=300)} INSERT INTO t SELECT zeroblob(500) FROM n",
        "DELETE FROM t",
    )


@situation("FTS5 that no longer fits its content", exits={"fts_check": FOUND, "maintain --checks": FOUND})
def fts5_stale(place: Place) -> None:
    place.make(
        *_ARTICLES,
        "CREATE VIRTUAL TABLE found USING fts5(title, body, content='article', content_rowid='id')",
        "INSERT INTO found (found) VALUES ('rebuild')",
        "UPDATE article SET body = 'changed behind its back' WHERE id = 5",
    )


@situation("FTS5 whose content is a view", probes=_FIND)
def fts5_view(place: Place) -> None:
    place.make(
        *_ARTICLES,
        "CREATE VIEW shown AS SELECT id, title, body FROM article",
        "CREATE VIRTUAL TABLE found USING fts5(title, body, content='shown', content_rowid='id')",
        "INSERT INTO found (found) VALUES ('rebuild')",
    )


@situation("FTS5 whose content is gone", wherever=("fts_check", "fts_optimize", "maintain", "integrity_check"))
def fts5_content_gone(place: Place) -> None:
    place.make(
        *_ARTICLES,
        "CREATE VIRTUAL TABLE found USING fts5(title, body, content='article', content_rowid='id')",
        "INSERT INTO found (found) VALUES ('rebuild')",
        "DROP TABLE article",
    )


@situation("FTS5 with a tokenizer that only the application has", refuses=("fts_check", "fts_optimize"))
def fts5_tokenizer(place: Place) -> None:
    place.make(
        "CREATE VIRTUAL TABLE found USING fts5(body)",
        *(f"{ROWS.format(count=100)} INSERT INTO found SELECT {_WORDS} FROM n" for _ in range(3)),
        "CREATE TABLE t (i INTEGER PRIMARY KEY, b)",
        f"{ROWS.format(count=600)} INSERT INTO t SELECT i, hex(randomblob(30)) FROM n",
        "DELETE FROM t WHERE i % 2",
    )
    place.edit(
        "UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE found USING fts5(body, tokenize=''icu de'')'"
        " WHERE name = 'found'"
    )


@situation("FTS5 with prefixes, columns that are not indexed and a rank of its own", probes=_FIND)
def fts5_options(place: Place) -> None:
    place.make(
        "CREATE VIRTUAL TABLE found USING fts5(id UNINDEXED, body, prefix='2 3', tokenize='porter unicode61',"
        " columnsize=0)",
        f"{ROWS.format(count=300)} INSERT INTO found SELECT i, {_WORDS} FROM n",
        "INSERT INTO found (found, rank) VALUES ('rank', 'bm25(10.0, 5.0)')",
        "INSERT INTO found (found, rank) VALUES ('automerge', 0)",
    )


@situation("FTS4 with its own content", probes=_FIND)
def fts4(place: Place) -> None:
    place.make(
        "CREATE VIRTUAL TABLE found USING fts4(title, body)",
        f"{ROWS.format(count=300)} INSERT INTO found SELECT 'title', {_WORDS} FROM n",
        "DELETE FROM found WHERE docid % 5 = 0",
    )


@situation("FTS4 of a table", probes=_FIND)
def fts4_external(place: Place) -> None:
    place.make(
        *_ARTICLES,
        "CREATE VIRTUAL TABLE found USING fts4(content='article', title, body)",
        "INSERT INTO found (found) VALUES ('rebuild')",
    )


@situation("FTS4 without content, with languages and another order", probes=_FIND, wherever=("fts_check",))
def fts4_contentless(place: Place) -> None:
    place.make(
        "CREATE VIRTUAL TABLE found USING fts4(content='', body, languageid='lid', order=desc)",
        f"{ROWS.format(count=300)} INSERT INTO found (docid, body, lid) SELECT i, {_WORDS}, 0 FROM n",
    )


@situation(
    "FTS4 of a table whose rowids a rebuild would renumber", probes=_FIND, refuses=("vacuum", "convert_auto_vacuum")
)
def fts4_hidden(place: Place) -> None:
    place.make(
        "CREATE TABLE article (title TEXT, body TEXT)",
        f"{ROWS.format(count=300)} INSERT INTO article SELECT 'title ' || i, {_WORDS} FROM n",
        "DELETE FROM article WHERE rowid % 3 = 0",
        "CREATE VIRTUAL TABLE found USING fts4(content='article', title, body)",
        "INSERT INTO found (found) VALUES ('rebuild')",
    )


@situation("FTS3 with its own content", probes=_FIND)
def fts3(place: Place) -> None:
    place.make(
        "CREATE VIRTUAL TABLE found USING fts3(title, body, tokenize=porter)",
        f"{ROWS.format(count=300)} INSERT INTO found SELECT 'title', {_WORDS} FROM n",
    )


@situation("FTS5 in WAL mode with auto_vacuum, hundreds of small segments", probes=_FIND)
def fts5_segments(place: Place) -> None:
    place.make("PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF",
        "CREATE VIRTUAL TABLE found USING fts5(body)", "INSERT INTO found (found, rank) VALUES ('automerge', 0)",
        "INSERT INTO found (found, rank) VALUES ('crisismerge', 1999)",
        *(f"INSERT INTO found VALUES ('word{number} common')" for number in range(120)))  # fmt: skip


@situation("a name of a full-text index that needs quotes")
def fts5_quoted(place: Place) -> None:
    place.make(
        'CREATE VIRTUAL TABLE "it\'s ""found""" USING fts5("the title", body)',
        f'{ROWS.format(count=100)} INSERT INTO "it\'s ""found""" SELECT \'title\', {_WORDS} FROM n',
    )


@situation(
    "R-trees, one of integers, one with more columns", probes=("SELECT count(*) FROM box WHERE x0 > 50 AND x1 < 80",)
)
def rtree(place: Place) -> None:
    place.make(
        "CREATE VIRTUAL TABLE box USING rtree(id, x0, x1, y0, y1, +label TEXT)",
        "CREATE VIRTUAL TABLE grid USING rtree_i32(id, a, b)",
        f"{ROWS.format(count=300)} INSERT INTO box SELECT i, i, i + 2, i, i + 2, 'box ' || i FROM n",
        f"{ROWS.format(count=300)} INSERT INTO grid SELECT i, i, i + 2 FROM n",
        "DELETE FROM box WHERE id % 3 = 0",
    )


@situation("a GeoPackage in its style: an R-tree kept by triggers", probes=("SELECT count(*) FROM rtree_place_geom",))
def geopackage(place: Place) -> None:
    place.make(
        "PRAGMA application_id = 0x47504B47",
        "PRAGMA user_version = 10300",
        "CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, identifier TEXT UNIQUE,"
        " last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))",
        "CREATE TABLE place (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom POINT, name TEXT)",
        "CREATE VIRTUAL TABLE rtree_place_geom USING rtree(id, minx, maxx, miny, maxy)",
        "CREATE TRIGGER rtree_place_geom_delete AFTER DELETE ON place WHEN old.geom NOT NULL"
        " BEGIN DELETE FROM rtree_place_geom WHERE id = OLD.fid; END",
        f"{ROWS.format(count=400)} INSERT INTO place SELECT i, randomblob(60), 'p' || i FROM n",
        f"{ROWS.format(count=400)} INSERT INTO rtree_place_geom SELECT i, i, i, i, i FROM n",
        "DELETE FROM place WHERE fid > 250",
        "INSERT INTO gpkg_contents (table_name) VALUES ('place')",
    )


@situation("a virtual table of a module that nobody here has", wherever=("fts_check",))
def unknown_module(place: Place) -> None:
    place.shop()
    place.edit(
        "INSERT INTO sqlite_master VALUES ('table', 'vec', 'vec', 0, 'CREATE VIRTUAL TABLE vec USING vec0(e float[4])')"
    )
