"""The survey's facts of the schema: tables, statistics, what refers to rowids, what else is special."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from surveying import schema

from pitstop_database_maintenance.sqlite.inspection.survey import survey
from pitstop_database_maintenance.sqlite.surveyor import survey_file as look
from pitstop_database_maintenance.sqlite.surveyor.format.btrees import trees
from pitstop_database_maintenance.sqlite.surveyor.random_numbers import Chance
from pitstop_database_maintenance.sqlite.surveyor.schema import facts as facts_module

Make = Callable[..., Path]


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
    found.run()
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
