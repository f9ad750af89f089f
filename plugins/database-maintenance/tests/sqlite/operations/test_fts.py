"""`fts_check` and `fts_optimize`: indexes that lie are found, and pieces are merged without keeping writers waiting."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import JobCancelledError, OperationError, TransientError, UnknownNameError
from pitstop.jobs import Outcome
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.sqlite.checks.verdicts import Verdicts
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations import _full_text
from pitstop_database_maintenance.sqlite.operations import fts_check as fts_check_module
from pitstop_database_maintenance.sqlite.operations import fts_optimize as module
from pitstop_database_maintenance.sqlite.operations._time_slices import Slices
from pitstop_database_maintenance.sqlite.operations.fts_check import fts_check
from pitstop_database_maintenance.sqlite.operations.fts_optimize import fts_optimize
from pitstop_database_maintenance.sqlite.operations.integrity_check import integrity_check

Open = Callable[..., SQLiteDatabase]
MODULES = ("fts3", "fts4", "fts5")
WORDS = ("alpha one", "beta two", "gamma three", "delta four")
#: Texts in a table without an INTEGER PRIMARY KEY, and an index over them that knows them by their rowids.
EXTERNAL = (
    "CREATE TABLE texts (a)",
    "CREATE VIRTUAL TABLE f USING fts5(a, content='texts')",
    *(f"INSERT INTO texts VALUES ('{words}')" for words in WORDS),
    "INSERT INTO f(rowid, a) SELECT rowid, a FROM texts",
)


@pytest.fixture
def renumbered(make: Any) -> Path:
    """A database that VACUUM has numbered anew, so that a search for one row finds another."""
    path: Path = make(
        *EXTERNAL,
        "INSERT INTO f(f, rowid, a) VALUES ('delete', 2, 'beta two')",
        "DELETE FROM texts WHERE rowid = 2",
        "VACUUM",
    )
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT a FROM f WHERE f MATCH 'gamma'").fetchall()
    assert found == [("delta four",)]
    return path


@pytest.fixture
def many(make: Any) -> Path:
    """A database of one table of each module and an R-tree, all sound."""
    statements: list[str] = []
    for number, module_name in enumerate(MODULES):
        statements += [
            f"CREATE VIRTUAL TABLE own{number} USING {module_name}(a)",
            *(f"INSERT INTO own{number}(a) VALUES ('{words}')" for words in WORDS),
        ]
    path: Path = make(
        *EXTERNAL,
        *statements,
        "CREATE VIRTUAL TABLE without USING fts5(a, content='')",
        "INSERT INTO without(rowid, a) VALUES (1, 'x')",
        'CREATE VIRTUAL TABLE "a using ""b" USING fts5(a)',
        "CREATE VIRTUAL TABLE places USING rtree(id, low, high)",
        "INSERT INTO places VALUES (1, 2, 3), (2, 3, 4)",
    )
    return path


# -- fts_check ---------------------------------------------------------------------------------------------------------


def test_fts_check_finds_rows_that_vacuum_numbered_anew(renumbered: Path, opened: Open, seen: Any) -> None:
    """SQLite's integrity check says "ok"; a search says otherwise. Building it anew repairs it."""
    assert seen.integrity(renumbered) == ["ok"]
    assert integrity_check(opened(renumbered)).outcome is Outcome.UNCHANGED
    before = seen.content(renumbered)
    with pytest.raises(OperationError, match=r"1 problem in .*: FTS5 table 'f' does not agree .*rebuild=true builds"):
        fts_check(opened(renumbered))
    assert seen.content(renumbered) == before
    result = fts_optimize(opened(renumbered), tables=["f"], rebuild=True)
    assert result.outcome is Outcome.CHANGED
    assert result.data["writer_stall"] > 0
    assert fts_check(opened(renumbered)).outcome is Outcome.UNCHANGED
    assert seen.query(renumbered, "SELECT a FROM f WHERE f MATCH 'gamma'") == [("gamma three",)]


@pytest.mark.parametrize("module_name", MODULES[1:])
def test_fts_check_finds_texts_that_are_not_indexed(make: Any, opened: Open, module_name: str) -> None:
    """An application that forgot to tell the index."""
    path = make(
        "CREATE TABLE texts (id INTEGER PRIMARY KEY, a)",
        f"CREATE VIRTUAL TABLE f USING {module_name}(a, content=texts)",
        "INSERT INTO texts VALUES (1, 'alpha')",
    )
    with pytest.raises(OperationError, match=f"{module_name.upper()} table 'f' does not agree"):
        fts_check(opened(path))


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_fts_check_passes_what_agrees_and_writes_nothing(
    many: Path, opened: Open, raw: Any, seen: Any, mode: str
) -> None:
    """Though SQLite checks by an INSERT: what it would commit is taken back, and readers are in nobody's way."""
    connection = raw(many)
    connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
    before = seen.content(many)
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM texts").fetchall()
    result = fts_check(opened(many))
    connection.execute("ROLLBACK")
    assert result.outcome is Outcome.UNCHANGED
    assert result.summary == "7 of 7 tables agree with what they index"
    assert result.data["writer_stall"] > 0
    assert result.warnings == ()
    assert seen.content(many) == before


def test_fts_check_finds_damage_in_an_r_tree(many: Path, opened: Open, raw: Any) -> None:
    """By what the R-tree's own check says."""
    raw(many).execute("DELETE FROM places_rowid WHERE rowid = 2")
    with pytest.raises(OperationError, match=r"R-tree table 'places': .*have the application fill the R-tree"):
        fts_check(opened(many), tables=["places"])


def test_fts_check_names_what_it_cannot_check(make: Any, opened: Open) -> None:
    """An extension's module, and a table of texts that is gone."""
    path = make(
        *EXTERNAL,
        "CREATE VIRTUAL TABLE lost USING fts5(a, content='nowhere')",
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING vec0(x)')",
    )
    result = fts_check(opened(path))
    assert result.data["checked"] == 1
    first, second = result.warnings
    assert "'v' was not looked at: it is of the module 'vec0', which is not known" in first
    assert "FTS5 table 'lost' was not checked" in second
    assert fts_check(opened(path), tables=["lost"]).outcome is Outcome.SKIPPED


def test_fts_check_of_nothing(bloated: Path, opened: Open) -> None:
    """Nothing to do is said, and a name that is none refused."""
    with History(":memory:") as history:
        db = opened(bloated)
        db.history = history.of("it")
        assert fts_check(db).summary == "there are no full-text indexes and no R-trees"
        assert "" in Verdicts.read(db).latest("fts_check")
    with pytest.raises(UnknownNameError, match="full-text or R-tree table"):
        fts_check(opened(bloated), tables=["t"])


def test_fts_check_waits_for_no_lock_for_ever(
    many: Path, opened: Open, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs the writers' lock, and says so when it does not get it."""
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.05)
    raw(many).execute("BEGIN IMMEDIATE")
    with pytest.raises(TransientError, match="was locked by another connection"):
        fts_check(opened(many))


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_fts_check_stands_aside_for_writers(
    renumbered: Path, opened: Open, raw: Any, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A copy keeps the rowids, and so the evidence; VACUUM INTO would not have to."""
    monkeypatch.setattr(fts_check_module, "_RATE", 1e3)
    raw(renumbered).execute(f"PRAGMA journal_mode = {mode}").fetchall()
    db = opened(renumbered)
    db.limits = Limits(max_stall=1.0)
    with pytest.raises(OperationError, match=r"in .*app\.db: FTS5 table 'f' does not agree"):
        fts_check(db)
    assert bool(db.stalls.count) is (mode == "delete")


def test_fts_check_remembers_and_begins_with_the_oldest(many: Path, opened: Open, context: Any) -> None:
    """What the time does not allow is for the next run."""
    with History(":memory:") as history:
        db = opened(many)
        db.history = history.of("it")
        context.at_progress = lambda done: setattr(db, "limits", Limits(until=time.time() - 1)) if done == 2 else None
        first = fts_check(db)
        assert first.data["stopped_by"] == "time limit"
        assert len(first.data["left"]["tables"]) == 5
        assert len(Verdicts.read(db).latest("fts_check")) == 2
        context.at_progress = lambda done: None
        context.reports.clear()
        db.limits = Limits()
        assert fts_check(db, tables=["f", "without"]).data["checked"] == 2
        assert "" not in Verdicts.read(db).latest("fts_check")  # that was not everything
        context.reports.clear()
        assert fts_check(db).data["checked"] == 7
        assert "" in Verdicts.read(db).latest("fts_check")
        assert {report[3] for report in context.reports[:5]} >= set(first.data["left"]["tables"]) - {"f", "without"}


# -- fts_optimize ------------------------------------------------------------------------------------------------------


def in_pieces(make: Any, module_name: str, *, pieces: int = 40, mode: str = "wal") -> Path:
    """Make an index of as many segments as the module leaves."""
    quiet = ["INSERT INTO f(f, rank) VALUES ('automerge', 0)"] if module_name == "fts5" else []
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
    texts = "printf('w%d w%d same', abs(random()) % 9999, abs(random()) % 9999)"
    path: Path = make(
        f"PRAGMA journal_mode = {mode}",
        f"CREATE VIRTUAL TABLE f USING {module_name}(a)",
        *quiet,
        *([f"{rows} INSERT INTO f(a) SELECT {texts} FROM n"] * pieces),
    )
    return path


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("module_name", MODULES)
def test_fts_optimize_merges_and_loses_nothing(make: Any, opened: Open, seen: Any, module_name: str, mode: str) -> None:
    """There are fewer segments, every text is found as before, and a second time there is nothing to do."""
    path = in_pieces(make, module_name, mode=mode)
    found = seen.query(path, "SELECT rowid, a FROM f WHERE f MATCH 'same'")
    result = fts_optimize(opened(path))
    before, after = result.data["segments_before"]["f"], result.data["segments_after"]["f"]
    assert result.outcome is Outcome.CHANGED
    assert before > 4
    assert after == 1 if module_name == "fts5" else 1 <= after < before / 2
    assert f"f {before} -> {after}" in result.summary
    assert 0 < result.data["writer_stall"] < 5
    assert seen.query(path, "SELECT rowid, a FROM f WHERE f MATCH 'same'") == found
    assert len(found) == 2400
    assert fts_check(opened(path)).outcome is Outcome.UNCHANGED
    assert seen.integrity(path) == ["ok"]
    assert fts_optimize(opened(path)).outcome is Outcome.UNCHANGED


def test_fts_optimize_goes_on_where_the_time_ended(
    make: Any, opened: Open, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is merged stays so; the next run, told what was left, finishes."""
    path = in_pieces(make, "fts5")
    db = opened(path)
    db.limits = Limits(max_stall=0.001)
    paused = Slices.pause

    def pause(slices: Any) -> None:
        db.limits = Limits(until=time.time() - 1)
        paused(slices)

    with monkeypatch.context() as patched:
        patched.setattr(Slices, "pause", pause)
        first = fts_optimize(db, pages=1)
    assert first.outcome is Outcome.CHANGED
    assert (first.data["stopped_by"], first.data["left"]) == (
        "time limit",
        {"tables": ["f"], "pages": 1, "rebuild": False},
    )
    second = fts_optimize(opened(path), **first.data["left"])
    assert second.data["segments_after"] == {"f": 1}
    assert "left" not in second.data


def test_fts_optimize_stops_between_slices(make: Any, opened: Open, context: Any, seen: Any) -> None:
    """Cancelled, it leaves a sound index."""
    path = in_pieces(make, "fts5")
    db = opened(path)
    db.limits = Limits(max_stall=0.001)
    context.at_progress = lambda done: setattr(context, "checks", 0)
    context.at_check = lambda count: context.cancel() if context.reports and count > 3 else None
    with pytest.raises(JobCancelledError, match="test"):
        fts_optimize(db, pages=1)
    assert fts_check(opened(path, type(context)())).outcome is Outcome.UNCHANGED


def test_fts_optimize_gives_up_where_readers_leave_no_moment(
    make: Any, opened: Open, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a write-ahead log a reader keeps a commit out; the index is as it was."""
    path = in_pieces(make, "fts5", mode="delete")
    monkeypatch.setattr(SQLiteDatabase, "BUSY_SECONDS", 0.2)
    reader = raw(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM f_content").fetchall()
    with pytest.raises(TransientError, match="left no moment to commit in"):
        fts_optimize(opened(path))
    reader.execute("ROLLBACK")
    assert fts_optimize(opened(path)).data["segments_after"] == {"f": 1}


def test_fts_optimize_skips_what_it_does_not_know(make: Any, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that this SQLite was built without is named."""
    path = in_pieces(make, "fts5", pieces=2)
    monkeypatch.setattr(module, "is_known", lambda db, table: False)
    result = fts_optimize(opened(path))
    assert result.outcome is Outcome.SKIPPED
    assert result.warnings == ("FTS5 table 'f' was skipped: its module is not known to SQLite here",)


def test_fts_optimize_of_nothing(bloated: Path, opened: Open) -> None:
    """Nothing to do is said, and a name that is none refused."""
    assert fts_optimize(opened(bloated)).summary == "there are no full-text indexes"
    with pytest.raises(UnknownNameError, match="'nope'"):
        fts_optimize(opened(bloated), tables=["nope"])


def test_fts_optimize_tells_why_nothing_could_be_done(make: Any, opened: Open) -> None:
    """An index without texts of its own has nothing to be built anew from."""
    path = make(
        "CREATE VIRTUAL TABLE f USING fts5(a, content='')",
        "INSERT INTO f(rowid, a) VALUES (1, 'x')",
    )
    with pytest.raises(OperationError, match=r"no full-text index of .*app\.db could be worked on: FTS5 table 'f'"):
        fts_optimize(opened(path), rebuild=True)


def test_fts_optimize_refuses_to_build_anew_where_writers_may_not_wait(
    renumbered: Path, opened: Open, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is one statement, which cannot be cut into slices."""
    monkeypatch.setattr(module, "_REBUILD_RATE", 1e3)
    before = seen.content(renumbered)
    db = opened(renumbered)
    db.limits = Limits(max_stall=0.05)
    with pytest.raises(OperationError, match=r"would keep writers waiting for about .*, more than the 0\.05 s"):
        fts_optimize(db, rebuild=True)
    assert seen.content(renumbered) == before


def test_fts_optimize_refuses_a_damaged_file(make: Any, opened: Open, seen: Any) -> None:
    """As every operation that writes: a page of the index that is on the list of free ones would be overwritten."""
    path = in_pieces(make, "fts5", mode="delete")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE gone AS SELECT zeroblob(40000)")
        connection.execute("DROP TABLE gone")
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'f_data'").fetchall()
    content = bytearray(path.read_bytes())
    at = (int.from_bytes(content[32:36], "big") - 1) * 4096 + 8
    content[at : at + 4] = root.to_bytes(4, "big")
    path.write_bytes(content)
    before = seen.content(path)
    with pytest.raises(OperationError, match=r"is damaged.*nothing was written"):
        fts_optimize(opened(path))
    assert seen.content(path) == before


def test_fts_optimize_ends_with_the_merge_that_finds_nothing_to_do(
    make: Any, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is the one that changes less than two rows."""
    path = in_pieces(make, "fts5")
    merges: list[int] = []

    def counted(db: Any, table: Any, command: str, number: int | None = None) -> None:
        merges.append(number or 0)
        _full_text.send_command(db, table, command, number)

    monkeypatch.setattr(module, "send_command", counted)
    fts_optimize(opened(path), pages=5000)
    assert merges == [-5000, 5000]


# -- virtual tables ----------------------------------------------------------------------------------------------------


def test_fts_check_copies_nothing_where_there_is_nothing_to_check(bloated: Path, opened: Open) -> None:
    """However short a stall is allowed."""
    db = opened(bloated)
    db.limits = Limits(max_stall=1e-6)
    result = fts_check(db)
    assert (result.data["copied"], db.stalls.count) == (False, 0)
    assert result.summary == "there are no full-text indexes and no R-trees"


@given(name=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_virtual_tables_tell_the_module_whatever_the_name(name: str) -> None:
    """A name may hold any word and any quote."""
    quoted = '"' + name.replace('"', '""') + '"'
    if name.lower().startswith("sqlite_") or name.lower() in ("rank", "words"):
        return  # SQLite's own names, and the column's
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE VIRTUAL TABLE main.{quoted} USING fts5(words)")
        [(sql,)] = connection.execute("SELECT sql FROM sqlite_master WHERE rootpage = 0").fetchall()
    assert _full_text._find_name(_full_text._SQL, sql).lower() == "fts5"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CREATE VIRTUAL TABLE t USING fts5(a)", "fts5"),
        ("CREATE VIRTUAL TABLE IF NOT EXISTS [a b]USING FTS4", "fts4"),
        ("CREATE VIRTUAL TABLE `t` using 'rtree'(id, a, b)", "rtree"),
        ("CREATE VIRTUAL TABLE", ""),
    ],
)
def test_virtual_tables_tell_the_module_as_it_may_be_written(sql: str, expected: str) -> None:
    """Spaces, quotes and case are the user's."""
    assert _full_text._find_name(_full_text._SQL, sql).lower() == expected


@pytest.mark.parametrize(
    ("block", "expected"),
    [("0000000104010000000000000000010d01826d", 1), ("00000001ff0000010404", 4), ("0000000181008101", 129)],
)
def test_virtual_tables_read_how_many_segments_there_are(block: str, expected: int) -> None:
    """In both forms of the structure; the numbers are varints."""
    assert _full_text._parse_segments(bytes.fromhex(block)) == expected
