"""The survey's facts of the schema: tables, indexes, statistics, what refers to rowids, what is missing."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.databases.assessment import Look
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.planning.plan import MaintenanceRequest
from pitstop_database_maintenance.planning.planner import plan_database
from pitstop_database_maintenance.sqlite.assessments import space, statistics
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.describe import description
from pitstop_database_maintenance.sqlite.inspection.records import Inspection, SchemaFacts
from pitstop_database_maintenance.sqlite.inspection.survey import survey
from pitstop_database_maintenance.sqlite.surveyor import survey_file as look
from pitstop_database_maintenance.sqlite.surveyor.format.btrees import trees
from pitstop_database_maintenance.sqlite.surveyor.format.wal import Log
from pitstop_database_maintenance.sqlite.surveyor.random_numbers import Chance
from pitstop_database_maintenance.sqlite.surveyor.schema import facts as facts_module
from pitstop_database_maintenance.sqlite.surveyor.schema import read_schema
from pitstop_database_maintenance.sqlite.surveyor.schema.missing_features import probe_statement

Make = Callable[..., Path]


def inspection(path: Path, **settings: object) -> Inspection:
    (found,) = survey([str(path)], **settings)  # type: ignore[arg-type]
    return found


def schema(path: Path, **settings: object) -> SchemaFacts:
    found = inspection(path, **settings)
    assert found.notes == ()
    assert found.schema is not None
    return found.schema


def redundant(path: Path) -> dict[str, str]:
    return {index.name: index.redundant_with for index in schema(path).indexes if index.redundant_with}


def german(connection: sqlite3.Connection) -> None:
    """What an application would register; also named by `on_connect` below."""
    connection.create_collation("german", lambda one, other: (one > other) - (one < other))
    connection.create_function("fold", 1, str.lower, deterministic=True)


def test_tables_are_told_apart_by_kind_and_rowid(make: Make) -> None:
    """Each kind of table, and whose rowids VACUUM keeps: those that an INTEGER PRIMARY KEY names, and no others."""
    path = make(
        "CREATE TABLE key (id INTEGER PRIMARY KEY, a)",
        "CREATE TABLE other_key (id INT PRIMARY KEY, a)",
        "CREATE TABLE falling (id INTEGER PRIMARY KEY DESC, a)",
        "CREATE TABLE hidden (a)",
        "CREATE TABLE none (a PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE strict (a INTEGER PRIMARY KEY, b TEXT) STRICT",
        "CREATE VIRTUAL TABLE f USING fts5 (a, b)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE child (a REFERENCES key (id), b REFERENCES key (id))",
    )
    found = schema(path)
    tables = {table.name: table for table in found.tables}
    rowids = {name: table.rowid for name, table in tables.items() if table.kind == "table"}
    assert rowids == {
        "key": "key", "other_key": "hidden", "falling": "hidden", "hidden": "hidden", "none": "none",
        "strict": "key", "child": "hidden",
    }  # fmt: skip
    assert [table.name for table in found.tables if table.strict] == ["strict"]
    assert (tables["f"].kind, tables["f"].module, tables["f_data"].kind) == ("virtual", "fts5", "shadow")
    assert tables["key"].columns == 2
    assert (found.views, found.triggers, found.foreign_keys) == (1, 0, 2)


def test_redundant_indexes_are_prefixes_of_others(make: Make) -> None:
    """An index that another begins with is redundant; with another order, collation or column it is not."""
    path = make(
        "CREATE TABLE t (a, b, c, d TEXT COLLATE NOCASE)",
        "CREATE INDEX wide ON t (a, b, c)",
        "CREATE INDEX prefix ON t (a, b)",
        "CREATE INDEX other_order ON t (b, a)",
        "CREATE INDEX falling ON t (a DESC)",
        "CREATE INDEX folded ON t (a COLLATE NOCASE)",
        "CREATE INDEX same ON t (a, b, c)",
        "CREATE INDEX inherited ON t (d)",
        "CREATE INDEX spelled ON t (d COLLATE nocase)",
    )
    assert redundant(path) == {"prefix": "wide", "same": "wide", "spelled": "inherited"}


def test_redundant_indexes_never_lose_a_constraint(make: Make) -> None:
    """UNIQUE promises something: only another one over just the same columns makes it redundant."""
    path = make(
        "CREATE TABLE t (a, b, c UNIQUE)",
        "CREATE UNIQUE INDEX one ON t (a)",
        "CREATE INDEX wider ON t (a, b)",
        "CREATE UNIQUE INDEX wider_one ON t (a, b)",
        "CREATE INDEX plain ON t (a)",
        "CREATE INDEX beside_constraint ON t (c)",
        "CREATE UNIQUE INDEX twice ON t (c)",
    )
    assert redundant(path) == {
        "wider": "wider_one",
        "plain": "wider_one",
        "beside_constraint": "sqlite_autoindex_t_1",
        "twice": "sqlite_autoindex_t_1",
    }


def test_redundant_indexes_hold_the_same_rows_and_expressions(make: Make) -> None:
    """A partial index is told by its WHERE, an expression by its text; blanks and case outside quotes do not count."""
    path = make(
        "CREATE TABLE t (a, b)",
        "CREATE INDEX whole ON t (a, b)",
        "CREATE INDEX part ON t (a) WHERE b > 5",
        "CREATE INDEX same_part ON t (a) where  B>5",
        "CREATE INDEX other_part ON t (a) WHERE b > 6",
        "CREATE INDEX quoted ON t (a) WHERE b > 'X'",
        "CREATE INDEX other_quoted ON t (a) WHERE b > 'x'",
        "CREATE INDEX upper ON t (upper(a), b)",
        "CREATE INDEX upper_too ON t ( UPPER( a ) )",
        "CREATE INDEX lower ON t (lower(a))",
    )
    assert redundant(path) == {"same_part": "part", "upper_too": "upper"}
    found = {index.name: index for index in schema(path).indexes}
    assert found["upper"].columns == ("<expression>", "b")
    assert (found["upper"].expression, found["part"].partial, found["whole"].partial) == (True, True, False)


def test_renumbered_names_tables_under_a_full_text_index(make: Make) -> None:
    """Only where the indexed table has rowids that nobody declared, and the index uses these."""
    path = make(
        "CREATE TABLE loose (a, b)",
        "CREATE TABLE keyed (id INTEGER PRIMARY KEY, a)",
        'CREATE TABLE "odd \'name" (a)',
        "CREATE TABLE own (n INT, a)",
        "CREATE VIRTUAL TABLE f1 USING fts5 (a, content = 'loose')",
        "CREATE VIRTUAL TABLE f2 USING fts5 (a, content=keyed, content_rowid='id')",
        'CREATE VIRTUAL TABLE f3 USING fts4 (content="odd \'name", a)',
        "CREATE VIRTUAL TABLE f4 USING fts5 (a, content='own', content_rowid='n')",
        "CREATE VIRTUAL TABLE f5 USING fts5 (a, content='')",
    )
    assert dict(schema(path).renumbered) == {
        "loose": "FTS5 table 'f1'",
        "odd 'name": "FTS4 table 'f3'",
    }


def test_renumbered_follows_views_and_triggers(make: Make) -> None:
    """A view that passes rowids on is looked through, and a trigger that stores one elsewhere refers to it."""
    path = make(
        "CREATE TABLE loose (a)",
        "CREATE TABLE kept (a)",
        "CREATE TABLE unrelated (a)",
        "CREATE TABLE refs (r, a)",
        "CREATE VIEW v AS SELECT rowid, a FROM loose",
        "CREATE VIRTUAL TABLE f USING fts5 (a, content = 'v', content_rowid = 'rowid')",
        "CREATE TRIGGER k AFTER INSERT ON kept BEGIN INSERT INTO refs VALUES (new.rowid, 1); END",
        "CREATE TRIGGER u AFTER INSERT ON unrelated BEGIN INSERT INTO refs VALUES (1, new.a); END",
    )
    assert dict(schema(path).renumbered) == {
        "loose": "view 'v'",
        "kept": "trigger 'k'",
    }


def test_a_renumbered_table_is_really_renumbered(make: Make) -> None:
    """What is warned of happens: after VACUUM the full-text index finds another row, and SQLite calls it sound."""
    path = make(
        "CREATE TABLE loose (a)",
        "INSERT INTO loose VALUES ('alpha one'), ('beta two'), ('gamma three'), ('delta four')",
        "CREATE VIRTUAL TABLE f USING fts5 (a, content = 'loose')",
        "INSERT INTO f (f) VALUES ('rebuild')",
        "DELETE FROM loose WHERE a LIKE 'beta%'",
        "INSERT INTO f (f, rowid, a) VALUES ('delete', 2, 'beta two')",
    )
    assert "loose" in schema(path).renumbered
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("VACUUM")
        found = connection.execute("SELECT a FROM f WHERE f MATCH 'gamma'").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    if sqlite3.sqlite_version_info < (3, 54):
        assert found == [("delta four",)]


def test_missing_names_what_only_the_application_has(make: Make) -> None:
    """Collations of indexes, functions of indexes, CHECKs and generated columns; not what only a view uses."""
    path = make(
        "CREATE TABLE a (x TEXT COLLATE german UNIQUE, y)",
        "CREATE TABLE b (x, CHECK (fold(x) <> ''))",
        "CREATE VIEW v AS SELECT nowhere(1)",
        "CREATE INDEX b_x ON b (fold(x), x COLLATE german)",
        setup=german,
    )
    assert tuple(map(str, schema(path).missing)) == ("collation german", "function fold")


def test_missing_names_the_collation_of_a_constraint(make: Make) -> None:
    """A collation that only a UNIQUE uses is as needed as any, and so is that of a column without an index.

    VACUUM runs the CREATE TABLE again, which refuses a column with a collation that it does not know.
    """
    found = schema(make("CREATE TABLE a (x TEXT COLLATE german UNIQUE)", setup=german))
    assert tuple(map(str, found.missing)) == ("collation german",)
    plain = make("CREATE TABLE a (x TEXT COLLATE german)", name="plain.db", setup=german)
    assert tuple(map(str, schema(plain).missing)) == ("collation german",)
    with closing(sqlite3.connect(plain)) as connection, pytest.raises(sqlite3.OperationalError, match="german"):
        connection.execute("VACUUM")


def test_missing_names_more_than_one_of_a_statement(make: Make) -> None:
    """Behind what is missing first, what else is missing of the same statement is found too."""

    def setup(connection: sqlite3.Connection) -> None:
        for name in ("one", "two", "three"):
            connection.create_function(name, 1, lambda value: value, deterministic=True)

    path = make(
        "CREATE TABLE t (a, b AS (one(a)), CHECK (two(a) IS NOT NULL))", "CREATE INDEX i ON t (three(a))", setup=setup
    )
    assert set(map(str, schema(path).missing)) == {"function one", "function two", "function three"}


def test_missing_names_modules(make: Make) -> None:
    """A virtual table of a module that is not there is named, and the rest of the schema is told."""
    path = make(
        "CREATE TABLE t (a)",
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING vec0(e float[3])')",
    )
    found = schema(path)
    assert tuple(map(str, found.missing)) == ("module vec0",)
    assert [(table.name, table.module) for table in found.tables] == [("t", ""), ("v", "vec0")]


def test_on_connect_brings_what_is_missing(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's function is found on the caller's path and called in the child.

    What it prints harms nothing, nor in which form it has rows and texts.
    """
    module = tmp_path / "app_of_the_test.py"
    module.write_text(
        "import os\n"
        "print('imported in', os.getpid())\n"
        "class hooks:\n"
        "    @staticmethod\n"
        "    def register(connection):\n"
        "        connection.create_collation('german', lambda a, b: (a > b) - (a < b))\n"
        "        connection.create_function('fold', 1, str.lower, deterministic=True)\n"
        "        connection.row_factory = lambda cursor, row: {name: value for (name, *_), value in "
        "zip(cursor.description, row)}\n"
        "        connection.text_factory = bytes\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = make("CREATE TABLE b (x TEXT COLLATE german UNIQUE, CHECK (fold(x) <> ''))", setup=german)
    assert tuple(map(str, schema(path, on_connect="app_of_the_test:hooks.register").missing)) == ()
    assert "app_of_the_test" not in sys.modules


def test_on_connect_that_fails_is_noted(make: Make) -> None:
    """A hook that cannot be imported costs no inspection: it is said, and the schema is told without it."""
    found = inspection(make("CREATE TABLE t (a)"), on_connect="no_such_module:register")
    assert found.schema is not None
    assert found.notes == (
        "on_connect 'no_such_module:register' could not be used: ModuleNotFoundError: No module named 'no_such_module'",
    )


def test_statistics_that_are_missing_are_those_of_tables_with_rows_and_indexes(make: Make) -> None:
    """Statistics help where there is an index to choose, and rows."""
    path = make(
        "CREATE TABLE indexed (a)", "CREATE INDEX i ON indexed (a)", "INSERT INTO indexed VALUES (1)",
        "CREATE TABLE empty (a UNIQUE)", "CREATE TABLE plain (a)", "INSERT INTO plain VALUES (1)",
        "CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID", "INSERT INTO w VALUES (1)",
    )  # fmt: skip
    found = schema(path)
    assert (found.statistics_missing, found.statistics_kind) == (("indexed", "w"), "none")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ANALYZE")
    after = schema(path)
    assert (after.statistics_missing, dict(after.statistics_stale), after.statistics_kind) == ((), {}, "stat1")
    assert {table.name: table.rows for table in after.tables} == {"indexed": 1, "empty": None, "plain": 1, "w": 1}


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("table", "table"),
        ("Index", "Index"),
        ("view", "view"),
        ("tabl\0", "object"),
        ("\x1b]0;owned\x07", "object"),
        ("", "object"),
        ("long" * 100, "object"),
    ],
)
def test_kind_of_an_entry_is_a_word_of_sqlite_or_none(make: Make, word: str, kind: str) -> None:
    """What somebody wrote into the schema goes to no terminal as it is, and makes no column wide."""
    path = make("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET type = ?", (word,))
    (found,) = survey([str(path)])
    waste = found.waste
    assert waste is not None
    assert [one.kind for one in waste.objects if one.name == "t"] == [kind]


@pytest.mark.parametrize(("added", "stale"), [(0, False), (2000, False), (4000, True)])
def test_statistics_are_stale_by_the_square_root_rule(added: int, stale: bool, make: Make) -> None:
    """Of 10 000 rows, sqrt(1000 * rows) = 3162 may come or go before the statistics no longer fit."""
    fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) INSERT INTO t SELECT i FROM n"
    path = make("CREATE TABLE t (a)", "CREATE INDEX i ON t (a)", fill.format(10_000), "ANALYZE")
    if added:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(fill.format(added))
            connection.commit()
    found = schema(path).statistics_stale
    assert dict(found) == ({"t": "statistics of 10 000 rows, now about 14 000"} if stale else {})


def test_statistics_are_stale_by_tenfold_growth(make: Make) -> None:
    """Twenty rows that became three hundred are less than the square root asks, and ten times as many."""
    path = make("CREATE TABLE t (a UNIQUE)", "INSERT INTO t VALUES (1), (2), (3)", "ANALYZE")
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(10, 50)])
        connection.commit()
    assert dict(schema(path).statistics_stale) == {"t": "statistics of 3 rows, now about 43"}


def test_statistics_of_a_new_index_are_stale(make: Make) -> None:
    """An index that was made after the last ANALYZE is unknown to the planner; an empty partial one always is."""
    path = make(
        "CREATE TABLE t (a UNIQUE, b)", "INSERT INTO t VALUES (1, 2)", "CREATE INDEX p ON t (b) WHERE a > 5", "ANALYZE"
    )
    assert dict(schema(path).statistics_stale) == {}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX b ON t (b)")
    assert dict(schema(path).statistics_stale) == {"t": "index 'b' has no statistics"}


def test_rows_are_estimated_from_a_sample_of_each_level(tmp_path: Path) -> None:
    """Of a table with half of its rows gone here and there, the estimate is within three of its standard errors."""
    path, chance = tmp_path / "app.db", random.Random(3)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA page_size = 512")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
        connection.execute("CREATE TABLE w (a PRIMARY KEY, b) WITHOUT ROWID")
        rows = [(number, "x" * chance.randrange(5, 80)) for number in range(40_000)]
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.executemany("INSERT INTO w VALUES (?, ?)", rows)
        connection.execute("DELETE FROM t WHERE id < 20000 AND id % 3")
        connection.commit()
        truth = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("t", "w")}
    request = {"path": str(path), "facts": True}
    found = look._Survey(str(path), request, {"notes": []}, ExitStack())
    found.take()
    for name, (rows_now, error) in found.rows.items():
        if name in truth:
            assert 0 < error < 0.1 * truth[name]
            assert abs(rows_now - truth[name]) <= 3 * error
    assert set(truth) <= set(found.rows)


def test_schema_of_too_many_tables_is_cut_short(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more tables than are looked at, the first ones are told and the rest is said."""
    monkeypatch.setattr(facts_module, "TABLES", 3)
    path = make(*(f"CREATE TABLE t{number} (a)" for number in range(5)))
    answer = look.inspect_file({"path": str(path), "facts": True})
    assert [table["name"] for table in answer["schema"]["tables"]] == ["t0", "t1", "t2"]
    assert answer["notes"] == ["of 5 tables the schema of the first 3 was looked at"]


def test_schema_that_cannot_be_read_is_noted(make: Make) -> None:
    """A schema that this SQLite does not understand costs the schema, and not the rest."""
    path = make(
        "CREATE TABLE t (a)", "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a from)'"
    )
    found = inspection(path)
    assert (found.schema, found.refused) == (None, "")
    assert found.waste is not None
    assert found.notes == ()
    assert "malformed database schema" in found.schema_error


def test_features_name_what_is_special(make: Make) -> None:
    """What a maintainer of the file wants to know beforehand."""
    path = make(
        "CREATE TABLE t (a TEXT, b TEXT AS (a)) STRICT",
        "CREATE INDEX i ON t (upper(a)) WHERE a > '' ",
        "CREATE INDEX d ON t (a COLLATE NOCASE DESC)",
        "CREATE VIRTUAL TABLE f USING fts5 (a)",
        "CREATE VIRTUAL TABLE r USING rtree (id, a, b)",
    )
    assert set(schema(path).features) == {
        "STRICT", "WITHOUT ROWID", "generated columns", "expression index", "partial index", "descending index",
        "R-tree", "FTS5", "collation NOCASE",
    }  # fmt: skip


def test_segments_of_a_full_text_index_are_counted(make: Make) -> None:
    """Each commit adds a segment until a merge; `optimize` leaves one."""
    path = make(
        "CREATE VIRTUAL TABLE f USING fts5 (a)", *(f"INSERT INTO f VALUES ('word{number}')" for number in range(3))
    )
    before = {table.name: table.segments for table in schema(path).tables}
    assert (before["f"], before["f_data"]) == (3, None)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO f (f) VALUES ('optimize')")
    assert schema(path).tables[0].segments == 1


def test_trees_are_those_of_the_schema(bloated: Path) -> None:
    """The names and root pages that are read from the bytes are those that SQLite tells."""
    found = {}

    def keep(source: object) -> tuple[list[object], bool]:
        found["trees"], complete = trees(source)  # type: ignore[arg-type]
        return found["trees"], complete  # type: ignore[return-value]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(look.all_trees, "trees", keep)
        look.inspect_file({"path": str(bloated)})
    with closing(sqlite3.connect(bloated)) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, rootpage FROM sqlite_master").fetchall()
    told = [(tree.kind, tree.name, tree.table, tree.root) for tree in found["trees"]]  # type: ignore[attr-defined]
    assert told == [("table", "sqlite_schema", "sqlite_schema", 1), *rows]


def test_chance_is_even() -> None:
    """Numbers from a seed fall evenly, and stay below their limit."""
    chance = Chance(5)
    counts = [0] * 10
    for _ in range(10_000):
        counts[chance.below(10)] += 1
    assert min(counts) > 850
    assert max(counts) < 1150
    assert os.path.basename(sys.modules[Chance.__module__].__file__ or "") == "random_numbers.py"


@pytest.mark.parametrize(
    ("version", "text"),
    [(3_099_001, "here cannot read its schema, which 3.99.1 wrote: malformed database schema (v)"), (3_008_000, "")],
    ids=["a newer SQLite's", "an older one's"],
)
def test_schema_of_a_newer_sqlite_is_not_called_damaged(make: Make, version: int, text: str) -> None:
    """Nothing is planned, the version that is needed is named, and a job is refused before it starts."""
    path = make("CREATE TABLE t (a)", "PRAGMA writable_schema = ON")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES ('view', 'v', 'v', 0, 'CREATE VIEW v AS SELECT !! 1')")
    data = bytearray(path.read_bytes())
    data[96:100] = version.to_bytes(4, "big")
    path.write_bytes(data)
    found = inspection(path)
    assert (text or "SQLite cannot read its schema: malformed") in found.schema_error
    assert description(found).findings[0].title == found.schema_error
    with History(":memory:") as history:
        look = Look(database=str(path), inspection=found, history=history.of("x"))
        assert space.vacuum(look).reason == statistics.analyze(look).reason == found.schema_error
    with pytest.raises(InvalidJobError, match=r"here cannot read the schema of .*if a newer SQLite wrote it"):
        SQLiteDatabase.check(str(path))


@pytest.mark.parametrize(
    ("written", "there"),
    [(b"CREATE TABLE", b"CREATE TAB\xff\xfe"), (b"CREATE INDEX", b"CREATE \xff\xfeDEX"), (b"(a)", b"\xffa)")],
)
def test_schema_that_is_refused_in_words_that_are_no_utf8_cannot_be_read(
    make: Make, written: bytes, there: bytes
) -> None:
    """Python has no error of SQLite's then, and no code; the file is a failure all the same."""
    path = make("CREATE TABLE t (a, b)", "CREATE INDEX i ON t (a)")
    path.write_bytes(path.read_bytes().replace(written, there))
    for brief in (False, True):
        found = inspection(path, facts=not brief)
        assert found.schema_error.startswith("SQLite cannot read its schema"), brief
        assert SQLiteDatabase.failure(found)


def test_what_fails_beside_the_schema_is_no_refusal_of_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite reads the schema, and it is an answer to something else that could not be decoded."""

    def fail(*_: object) -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    path = make("CREATE TABLE t (a)")
    answer: dict[str, Any] = {"path": str(path), "notes": [], "written_by": ""}
    monkeypatch.setattr(read_schema, "read_facts", fail)
    read_schema.add_schema(answer, Log(0), {}, {})
    assert "schema_error" not in answer
    assert answer["schema_unread"]


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR])
def test_schema_that_was_not_read_is_never_nothing_due(
    make: Make, monkeypatch: pytest.MonkeyPatch, lookup: Any, code: int
) -> None:
    """A lock, or too little time: what would be due is left out, and `inspect` does not call the file healthy."""

    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("not now")
        error.sqlite_errorcode = code
        raise error

    path = make("CREATE TABLE t (a)")
    answer: dict[str, Any] = {"path": str(path), "notes": []}
    monkeypatch.setattr(read_schema, "read_facts", fail)
    read_schema.add_schema(answer, Log(0), {}, {})
    assert answer["notes"] == [f"the schema could not be read: {answer['schema_unread']}"]
    found = evolve(inspection(path), schema=None, schema_unread=answer["schema_unread"])
    made = plan_database(str(path), found, MaintenanceRequest(), lookup=lookup)
    unseen = [step.operation for step in made.left_out if step.cause is Cause.UNSEEN]
    assert unseen == ["fts_optimize", "analyze", "optimize"]
    assert not made.failure
    assert "could not be read" in description(found).findings[0].title


def test_what_is_missing_is_found_without_running_anything_but_a_schema(tmp_path: Path) -> None:
    """All that one statement lacks is found at once; a text that makes nothing is not run, whatever the file says."""
    statement = "CREATE TABLE t (a CHECK (fold(a) = unfold(a)), b COLLATE german, c UNIQUE)"
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("PRAGMA trusted_schema = OFF")
        found = probe_statement(db, statement)
        assert sorted(found) == [("collation", "german"), ("function", "fold"), ("function", "unfold")]
        assert probe_statement(db, f"ATTACH '{tmp_path}/made.db' AS other") == []
        assert db.execute("PRAGMA trusted_schema").fetchall() == [(0,)]
    assert list(tmp_path.iterdir()) == []
