"""`analyze`: what statistics come of it, and what happens when one table cannot be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InvalidValueError, JobCancelledError, OperationError, UnknownNameError
from pitstop.jobs import Outcome
from pitstop.operations import operation_of
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.history import DatabaseHistory, History
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.operations import _limited_analyze
from pitstop_database_maintenance.sqlite.operations._limited_analyze import is_doubtful
from pitstop_database_maintenance.sqlite.operations.analyze import analyze

Open = Callable[..., SQLiteDatabase]


def _with_collation(connection: sqlite3.Connection) -> None:
    connection.create_collation("german", lambda a, b: (a > b) - (a < b))


def _rows(path: Path, seen: Any) -> dict[str, str]:
    return dict(seen.query(path, "SELECT idx, stat FROM sqlite_stat1"))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[DatabaseHistory]:
    """An empty history of one database."""
    with History(tmp_path / "history.db") as kept:
        yield kept.of("test")


@pytest.fixture
def varied(make: Any) -> Path:
    """50 000 rows with indexes of two, of a hundred and of as many values, and one of which 1 % is the other value."""
    return make(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, two, hundred, many, rare)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)"
        " INSERT INTO t SELECT i, i % 2, i % 100, i * 7919 % 50000, i % 100 = 0 FROM n",
        *(f"CREATE INDEX by_{name} ON t ({name})" for name in ("two", "hundred", "many", "rare")),
        "CREATE INDEX by_two_many ON t (two, many)",
    )


@pytest.mark.parametrize("full", [False, True])
def test_analyze_gathers_statistics(bloated: Path, opened: Open, seen: Any, full: bool) -> None:
    """The figures are exact where they must be: 6000 rows, of which each value of w has 6000 / 7."""
    rows = seen.rows(bloated)
    result = analyze(opened(bloated), full=full)
    assert result.outcome is Outcome.CHANGED
    assert result.summary == "statistics of 1 table and 3 indexes"
    assert result.data["tables_described_before"] == result.data["indexes_described_before"] == 0
    assert result.data["tables_described_after"] == 1
    assert result.data["indexes_described_after"] == 3
    assert result.data["indexes_in_full"] == ([] if full else ["by_w"])
    assert result.data["writer_stall"] > 0
    assert seen.query(bloated, "SELECT stat FROM sqlite_stat1 WHERE idx = 'by_w'") == [("6000 858",)]
    assert seen.rows(bloated) == rows


def test_limited_statistics_do_mislead(varied: Path, raw: Any) -> None:
    """What SQLite itself writes with a limit is wrong by a factor of 25 where an index has two values."""
    connection = raw(varied)
    connection.execute("PRAGMA analysis_limit = 1000")
    connection.execute("ANALYZE")
    [(stat,)] = connection.execute("SELECT stat FROM sqlite_stat1 WHERE idx = 'by_two'").fetchall()
    assert int(stat.split()[1]) <= 1001


def test_analyze_with_a_limit_does_not_mislead(varied: Path, opened: Open, seen: Any) -> None:
    """Indexes with few distinct values are looked at in full; the others are not."""
    result = analyze(opened(varied))
    assert sorted(result.data["indexes_in_full"]) == ["by_hundred", "by_rare", "by_two", "by_two_many"]
    stats = _rows(varied, seen)
    assert stats["by_two"] == "50000 25000"
    assert stats["by_rare"] == "50000 25000"
    assert stats["by_hundred"] == "50000 500"
    assert stats["by_two_many"] == "50000 25000 1"
    assert stats["by_many"].split()[1] == "1"


@pytest.fixture
def outgrown(make: Any) -> Path:
    """Rows of which SQLite guesses the number wrongly, with an index on all, a partial one, and a table without any."""
    return make(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, key TEXT, note TEXT)",
        "CREATE TABLE bare (x TEXT)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO t SELECT i, hex(i * 7919 % 20011) || 'xxxxxxxxxxxxxxxxxxxx', 'n' || i FROM n",
        "INSERT INTO bare SELECT key || note FROM t",
        "CREATE INDEX by_key ON t (key)",
        "CREATE INDEX some ON t (note) WHERE id % 4 = 0",
    )


@pytest.mark.parametrize("at_once", [0, 50_000], ids=["in a transaction of its own", "with the rest"])
def test_analyze_counts_the_rows(
    outgrown: Path, opened: Open, seen: Any, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """The number of rows is right, for tables without an index too, and an index of some rows keeps its own."""
    monkeypatch.setattr(_limited_analyze, "_COUNTED_AT_ONCE", at_once)
    analyze(opened(outgrown))
    stats = dict(seen.query(outgrown, "SELECT coalesce(idx, tbl), stat FROM sqlite_stat1"))
    assert stats["by_key"] == "20000 1"
    assert stats["bare"] == "20000"
    assert 2_000 < int(stats["some"].split()[0]) < 10_000
    assert analyze(opened(outgrown)).outcome is Outcome.UNCHANGED


def test_analyze_does_not_count_where_that_would_take_too_long(
    outgrown: Path, opened: Open, seen: Any, raw: Any
) -> None:
    """Writers would wait for longer than they may: then what SQLite guesses stays, which 3.40 does wrongly."""
    db = opened(outgrown)
    db.limits = Limits(max_stall=0.0005)
    analyze(db)
    ours = _rows(outgrown, seen)
    connection = raw(outgrown)
    connection.executescript("PRAGMA analysis_limit = 1000; ANALYZE")
    assert ours == _rows(outgrown, seen)


def test_analyze_looks_in_full_where_the_figures_have_changed_too_much(make: Any, opened: Open, seen: Any) -> None:
    """An index that begins with rare values seems to have only such; what it was said to be before tells otherwise."""
    path = make(
        "CREATE TABLE t (x)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)"
        " INSERT INTO t SELECT min(i, 2000) FROM n",
        "CREATE INDEX i ON t (x)",
    )
    assert analyze(opened(path)).data["indexes_in_full"] == []
    assert int(_rows(path, seen)["i"].split()[1]) < 5
    analyze(opened(path), full=True)
    assert _rows(path, seen)["i"] == "40000 20"
    assert analyze(opened(path)).data["indexes_in_full"] == ["i"]
    assert _rows(path, seen)["i"] == "40000 20"


def test_analyze_keeps_to_the_longest_stall(varied: Path, opened: Open, seen: Any) -> None:
    """Where an index would take too long in full, its figures stay what they were, and wrong ones are never written."""
    db = opened(varied)
    db.limits = Limits(max_stall=0.001)
    result = analyze(db)
    assert result.data["indexes_in_full"] == []
    assert "by_two" not in _rows(varied, seen)
    assert any("'by_two' has few distinct values and was not looked at in full" in text for text in result.warnings)
    analyze(opened(varied), full=True)
    before = _rows(varied, seen)
    again = opened(varied)
    again.limits = Limits(max_stall=0.001)
    analyze(again)
    assert _rows(varied, seen)["by_two"] == before["by_two"] == "50000 25000"
    with pytest.raises(OperationError, match=r"full statistics of .* would keep writers waiting.*leave out full"):
        analyze(again, full=True)


@given(
    now=st.lists(st.integers(0, 10**9), max_size=5),
    before=st.lists(st.integers(0, 10**9), max_size=5),
    limit=st.integers(1, 2**31 - 1),
)
def test_is_doubtful_judges_any_figures(now: list[int], before: list[int], limit: int) -> None:
    """Whatever stands in the file, it is judged; what was looked at as a whole is never doubted."""
    doubtful = is_doubtful(now, before, limit)
    if not now or now[0] <= limit:
        assert not doubtful
    elif len(now) > 1 and max(now[1:]) > limit / 10:
        assert doubtful


def test_analyze_keeps_samples_that_it_cannot_gather(make: Any, opened: Open, seen: Any) -> None:
    """A library without STAT4 deletes the samples that another one gathered: they are there again in the end."""
    path = make(
        "CREATE TABLE t (x)",
        "CREATE INDEX i ON t (x)",
        "INSERT INTO t VALUES (1), (2)",
        "PRAGMA writable_schema = ON",
        "CREATE TABLE sqlite_stat4 (tbl, idx, nEq, nLt, nDLt, sample)",
        "INSERT INTO sqlite_stat4 VALUES ('t', 'i', '1 1', '0 0', '0 0', x'0201'),"
        " ('t', 'i', '1 1', '1 1', '1 1', x'0301')",
    )
    analyze(opened(path))
    assert seen.query(path, "SELECT count(*) FROM sqlite_stat4 WHERE idx = 'i'") == [(2,)]


def test_analyze_of_some_tables(make: Any, opened: Open, seen: Any) -> None:
    """Only these; one that there is not is refused before anything, and so is an empty list."""
    path = make(
        "CREATE TABLE a (x UNIQUE)", "CREATE TABLE b (x UNIQUE)", *(f"INSERT INTO {t} VALUES (1)" for t in "ab")
    )
    before = seen.content(path)
    with pytest.raises(UnknownNameError, match="no table 'c'"):
        analyze(opened(path), tables=["a", "c"])
    with pytest.raises(InvalidValueError, match="tables: is empty"):
        analyze(opened(path), tables=[])
    assert seen.content(path) == before
    analyze(opened(path), tables=["B", "b"])
    assert seen.query(path, "SELECT tbl FROM sqlite_stat1") == [("b",)]


def test_analyze_takes_a_limit_or_all(bloated: Path, opened: Open) -> None:
    """Both is a contradiction."""
    with pytest.raises(InvalidValueError, match="limit: does not go with full"):
        analyze(opened(bloated), limit=5, full=True)


def test_analyze_ends_when_the_time_is_over(make: Any, opened: Open, context: Any, seen: Any) -> None:
    """What is done is done, and what is left is said in such a way that the next run goes on with it."""
    path = make(
        *(f"CREATE TABLE {t} (x UNIQUE)" for t in "abc"),
        *(f"INSERT INTO {t} VALUES (1)" for t in "abc"),
    )
    db = opened(path)
    context.at_progress = lambda done: setattr(db, "limits", Limits(until=0.0)) if done == 1 else None
    result = analyze(db)
    assert (result.data["stopped_by"], result.data["left"]) == ("time limit", {"tables": ["b", "c"]})
    assert seen.query(path, "SELECT tbl FROM sqlite_stat1") == [("a",)]
    db.limits, context.at_progress = Limits(), lambda done: None
    assert "left" not in analyze(db, **result.data["left"]).data
    assert seen.query(path, "SELECT tbl FROM sqlite_stat1 ORDER BY 1") == [("a",), ("b",), ("c",)]


def test_analyze_ends_within_a_table_when_the_time_is_over(
    varied: Path, opened: Open, context: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that was not finished is as before, and among what is left."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 1000)
    db = opened(varied)

    def over(count: int) -> None:
        if db.in_transaction:
            db.limits = Limits(until=0.0)

    context.at_check = over
    result = analyze(db, full=True)
    assert result.data["left"] == {"tables": ["t"]}
    assert seen.query(varied, "SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'") == [(0,)]


def test_analyze_keeps_what_there_was(bloated: Path, opened: Open, history: DatabaseHistory) -> None:
    """Once for each state, and nothing of the rows: only figures, names and digests."""
    db = opened(bloated)
    db.history = history
    for _ in range(3):
        analyze(db)
    kept = history.snapshots("statistics")
    assert [len(state.data["rows"]) for state in kept] == [3, 0]
    assert set(kept[0].data) == {"rows", "definitions"}
    assert all(len(digest) in (0, 16) for digest in kept[0].data["definitions"].values())


@pytest.mark.parametrize("limit", [0, -1, 2**31])
def test_analyze_refuses_a_limit_that_is_none(limit: int) -> None:
    """Nought would mean all of it, which is what leaving it out means; it is refused before anything starts."""
    with pytest.raises(InvalidValueError, match=rf"limit: expected int >= 1, <= 2147483647, got {limit} \(int\)"):
        operation_of("sqlite.analyze", analyze).check({"limit": limit})


def test_analyze_tells_when_statistics_were_right(bloated: Path, opened: Open) -> None:
    """A second time in a row changes nothing, and says so."""
    analyze(opened(bloated))
    result = analyze(opened(bloated))
    assert result.outcome is Outcome.UNCHANGED
    assert result.summary == "the statistics were right already"
    assert result.data["tables_described_before"] == 1


@pytest.mark.parametrize("statements", [["PRAGMA user_version = 7"], ["CREATE TABLE t (x)", "CREATE INDEX i ON t (x)"]])
def test_analyze_of_nothing_changes_nothing(make: Any, opened: Open, statements: list[str]) -> None:
    """No table, or only empty ones: there is nothing to describe."""
    result = analyze(opened(make(*statements)))
    assert result.outcome is Outcome.UNCHANGED
    assert result.summary == "there are no rows to describe"


def test_analyze_goes_on_without_a_table_that_it_cannot_read(make: Any, opened: Open, context: Any) -> None:
    """A collation of the application costs only its own table, and the warning names both."""
    path = make(
        "CREATE TABLE names (x COLLATE german)",
        "CREATE INDEX by_name ON names (x)",
        'CREATE TABLE "odd ""one" (y)',
        'CREATE INDEX other ON "odd ""one" (y)',
        "INSERT INTO names VALUES ('a')",
        'INSERT INTO "odd ""one" VALUES (1)',
        setup=_with_collation,
    )
    result = analyze(opened(path))
    assert result.outcome is Outcome.CHANGED
    assert result.data["tables_described_after"] == 1
    assert len(result.warnings) == 1
    assert "table 'names'" in result.warnings[0]
    assert "'german'" in result.warnings[0]
    assert ("tables", "names") in [(unit, message) for _, _, unit, message in context.reports]


def test_analyze_fails_when_no_table_can_be_read(make: Any, opened: Open) -> None:
    """Nothing done is not a success."""
    path = make("CREATE TABLE t (x COLLATE german)", "CREATE INDEX i ON t (x)", setup=_with_collation)
    with pytest.raises(
        OperationError, match=r"no table of .*app\.db could be analyzed: .*'german'.*on_connect.*from the application"
    ):
        analyze(opened(path))


def test_analyze_that_is_stopped_leaves_the_file_as_it_was(
    bloated: Path, opened: Open, context: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told in the middle, it ends at once and writes no half of the statistics."""
    monkeypatch.setattr(SQLiteDatabase, "STEPS", 1000)
    before = seen.content(bloated)
    db = opened(bloated)
    context.at_check = lambda count: context.cancel() if count == 10 else None
    with pytest.raises(JobCancelledError, match="cancelled by the test"):
        analyze(db)
    assert seen.content(bloated) == before
