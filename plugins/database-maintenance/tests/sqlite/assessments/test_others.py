"""When checks, statistics, checkpoints, indexes, full-text indexes and backups are due."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from assessing import BESIDE, DAY, NOW, PAGE, inspection, look, remember
from attrs import evolve

from pitstop_database_maintenance.databases.assessment import Assessment, Worth
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.history import CheckRecord, History, PastStep
from pitstop_database_maintenance.sqlite.assessments import backup, checkpoint, checks, fts, reindex, statistics
from pitstop_database_maintenance.sqlite.checks.verdicts import verdict
from pitstop_database_maintenance.sqlite.connection.check_answers import Flaw, Problem
from pitstop_database_maintenance.sqlite.inspection.records import (
    IndexFacts,
    Inspection,
    Log,
    ObjectWaste,
    SchemaFacts,
    SchemaNeed,
    TableFacts,
    Waste,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature

HERE = "sqlite:/data/app.db"
CHECKS = [
    (checks.quick_check, "quick_check", 1),
    (checks.integrity_check, "integrity_check", 7),
    (checks.foreign_key_check, "foreign_key_check", 7),
    (checks.fts_check, "fts_check", 7),
]
SCHEMA = SchemaFacts(tables=(TableFacts(name="f", kind="virtual", module="fts5"),), foreign_keys=1)


@pytest.fixture
def history() -> Iterator[History]:
    with History(":memory:") as opened:
        yield opened


def checked(kind: str, *, days_ago: float, name: str = "", problems: int = 0) -> CheckRecord:
    return CheckRecord(object=name, kind=kind, at=NOW - days_ago * DAY, seconds=1.0, problems=problems)


@pytest.mark.parametrize(("assess", "kind", "every"), CHECKS)
def test_check_is_due_by_its_age(history: History, assess: Callable[..., Assessment], kind: str, every: int) -> None:
    """Never checked is due; then it is due again after so many days, a day for quick_check and a week for the rest."""
    given = look(inspection(schema=SCHEMA), history)
    assert assess(given, by_itself=True).worth is Worth.YES
    remember(inspection(), history, [checked(kind, days_ago=every - 0.01)])
    assert assess(given, by_itself=True).worth is Worth.NO
    remember(inspection(), history, [checked(kind, days_ago=every + 0.01)])
    assert assess(given, by_itself=True).worth is Worth.YES
    assert assess(given, by_itself=True, every=every + 1.0).worth is Worth.NO


@pytest.mark.parametrize(("assess", "kind", "every"), CHECKS)
def test_check_is_not_planned_by_itself(
    history: History, assess: Callable[..., Assessment], kind: str, every: int
) -> None:
    """The first run over thousands of files must not check them all unless that was asked for."""
    found = assess(look(inspection(schema=SCHEMA), history))
    assert found.worth is Worth.NO
    assert "--checks" in found.reason


def test_check_in_parts_is_as_old_as_its_oldest_part(history: History) -> None:
    """Parts alone are no whole check; the whole's time is what the check itself noted for it."""
    given = look(inspection(), history)
    remember(inspection(), history, [checked("integrity_check", days_ago=1, name="a")])
    assert "never checked completely" in checks.integrity_check(given, by_itself=True).reason
    remember(inspection(), history, [checked("integrity_check", days_ago=9)])
    found = checks.integrity_check(given, by_itself=True)
    assert found.worth is Worth.YES
    assert "9 days ago" in found.reason


def test_check_that_found_problems_is_due_again(history: History) -> None:
    """However new it is, a check with problems is repeated, so that somebody hears of it until it is set right."""
    remember(inspection(), history, [checked("quick_check", days_ago=0, problems=2)])
    found = checks.quick_check(look(inspection(), history), by_itself=True)
    assert found.worth is Worth.YES
    assert "2 problems were found" in found.reason


def test_check_keeps_others_waiting_only_without_a_log(history: History) -> None:
    """In WAL mode a reader is in nobody's way; without a log nobody writes while it reads."""
    wal = checks.integrity_check(look(inspection(journal="wal"), history)).prediction
    rollback = checks.integrity_check(look(inspection(journal="rollback"), history)).prediction
    assert (wal.writer_stall, wal.reader_stall) == (0, 0)
    assert rollback.writer_stall == rollback.reader_stall > 1


def test_check_that_would_stall_too_long_looks_at_a_copy_where_that_is_quicker(history: History) -> None:
    """A clone takes milliseconds on some file systems; on others a copy is only quicker than the check."""
    made = inspection(journal="rollback")
    alone = checks.integrity_check(look(made, history)).prediction
    cloned = checks.integrity_check(
        look(evolve(made, folder=evolve(BESIDE, kind="xfs")), history, max_stall=0.05)
    ).prediction
    copied = checks.integrity_check(look(made, history, max_stall=1.0)).prediction
    too_long = checks.integrity_check(look(made, history, max_stall=0.3)).prediction
    assert (cloned.writer_stall, dict(cloned.disk)) == (0.01, {"/data": made.size})
    assert 0.5 <= copied.writer_stall <= 1.0
    assert too_long == alone


def test_fts_check_keeps_writers_waiting_with_a_log_too(history: History) -> None:
    """SQLite checks a full-text index by an INSERT; with a limit a copy is looked at, which nobody waits for."""
    made = inspection(journal="wal", schema=SCHEMA)
    here = checks.fts_check(look(made, history)).prediction
    assert here.writer_stall > 1
    assert here.reader_stall == 0
    assert checks.fts_check(look(made, history, max_stall=0.05)).prediction.writer_stall == 0


def test_checks_of_what_is_not_there_never_pay(history: History) -> None:
    """No foreign keys and no full-text indexes leave nothing to check."""
    given = look(inspection(), history)
    assert checks.foreign_key_check(given, by_itself=True).worth is Worth.NO
    assert checks.fts_check(given, by_itself=True).worth is Worth.NO


@pytest.mark.parametrize(
    ("megabytes", "log_bytes", "worth"),
    [
        (1000, 64_000_000, Worth.NO),
        (1000, 64_000_001, Worth.YES),
        (10, 2_400_000, Worth.NO),
        (10, 4_000_000, Worth.NO),
        (10, 4_000_001, Worth.YES),
        (100, 24_000_000, Worth.NO),
        (100, 26_000_000, Worth.YES),
    ],
)
def test_checkpoint_pays_for_a_long_log(history: History, megabytes: int, log_bytes: int, worth: Worth) -> None:
    """A log is too long at 64 MB, or at a quarter of the database if it has more than 4 MB."""
    made = inspection(megabytes=megabytes, journal="wal", log=Log(bytes=log_bytes))
    assert checkpoint.checkpoint(look(made, history)).worth is worth


def test_checkpoint_names_who_holds_the_log(history: History) -> None:
    """While a reader holds it the log cannot be shortened, and so nothing is promised."""
    held = Log(bytes=90_000_000, held_by=("process 4711 (python) holds frame 120 of 5000",))
    found = checkpoint.checkpoint(look(inspection(journal="wal", log=held), history))
    assert "4711" in found.reason
    assert found.gain is None
    assert found.prediction.reader_stall == 0


def test_checkpoint_is_nothing_for_a_rollback_journal(history: History) -> None:
    """Without a log there is nothing to move."""
    assert checkpoint.checkpoint(look(inspection(log=Log(bytes=10**9)), history)).worth is Worth.NO


@pytest.mark.parametrize(
    ("outcome", "grown", "modified", "pays"),
    [
        ("changed", 1.0, NOW - 10, False),  # nobody has written since
        ("changed", 1.0, NOW + 10, True),
        ("unchanged", 1.05, NOW + 10, False),  # it would be unchanged again
        ("unchanged", 1.2, NOW + 10, True),
        ("skipped", 1.0, NOW - 10, True),
    ],
)
def test_stale_statistics_do_not_pay_where_analyze_would_find_the_same(
    history: History, outcome: str, grown: float, modified: float, pays: bool
) -> None:
    """A limited ANALYZE may guess the rows wrongly, and would guess so again: it is not due for ever."""
    stale = SchemaFacts(statistics_stale={"c": "statistics of 10 500 rows, now about 20 055"})
    found = look(inspection(schema=stale, modified=int(modified * 1e9)), history)
    data = {"bytes_after": int(found.inspection.size / grown)}
    history.add_step(PastStep(database=HERE, operation="analyze", at=NOW, outcome=outcome, data=data))
    assert statistics.analyze(found).pays is pays
    missing = SchemaFacts(statistics_missing=("d",))
    assert statistics.analyze(look(inspection(schema=missing, modified=int(modified * 1e9)), history)).pays


@pytest.mark.parametrize("assess", [statistics.analyze, statistics.optimize])
def test_statistics_pay_when_they_are_missing_or_stale(history: History, assess: Callable[..., Assessment]) -> None:
    """Each table that has none, or too old ones, is named."""
    assert assess(look(inspection(), history)).worth is Worth.NO
    found = assess(look(inspection(schema=SchemaFacts(statistics_missing=("a", "b"))), history))
    assert found.worth is Worth.YES
    assert "no statistics of a and b" in found.reason
    stale = SchemaFacts(statistics_stale={"c": "statistics of 1000 rows, now about 12 000"})
    found = assess(look(inspection(schema=stale), history))
    assert found.worth is Worth.YES
    assert "now about 12 000" in found.reason
    assert assess(look(inspection(schema=stale), history), min_tables=2).worth is Worth.NO


@pytest.mark.parametrize(
    ("missing", "worth"),
    [(SchemaNeed(Feature.COLLATION, "german"), Worth.NO), (SchemaNeed(Feature.FUNCTION, "f"), Worth.YES)],
)
def test_statistics_are_not_due_where_a_collation_is_missing(history: History, missing: str, worth: Worth) -> None:
    """ANALYZE compares by collations and would fail every night; it calls no function of the application."""
    index = IndexFacts(name="i", table="a", columns=("id", "x COLLATE german DESC"), collations=("BINARY", "german"))
    schema = SchemaFacts(indexes=(index,), statistics_missing=("a",), missing=(missing,))
    found = statistics.analyze(look(inspection(schema=schema), history))
    assert found.worth is worth
    assert found.pays or "a can be analyzed only with a collation of the application's" in found.reason


def test_statistics_of_other_tables_are_due_where_a_collation_is_missing(history: History) -> None:
    """It costs the tables that have an index in its order, and no other."""
    index = IndexFacts(name="i", table="a", columns=("x COLLATE german",), collations=("german",))
    schema = SchemaFacts(
        indexes=(index, IndexFacts(name="j", table="b", columns=("x COLLATE NOCASE",), collations=("NOCASE",))),
        statistics_missing=("a", "b"),
        missing=(SchemaNeed(Feature.COLLATION, "german"),),
    )
    found = statistics.analyze(look(inspection(schema=schema), history))
    assert (found.worth, found.reason) == (Worth.YES, "no statistics of b")


def test_statistics_that_no_table_needs_are_not_called_there(history: History) -> None:
    """Without an index there is nothing to choose from."""
    found = statistics.analyze(look(inspection(schema=SchemaFacts()), history))
    assert found.reason == "no table has an index, so that none needs statistics"


def test_stale_statistics_do_not_pay_after_they_were_rolled_back(history: History) -> None:
    """Whoever restored the old ones does not want new ones the next night."""
    stale = SchemaFacts(statistics_stale={"c": "statistics of 1000 rows, now about 12 000"})
    found = look(inspection(schema=stale, modified=int((NOW + 10) * 1e9)), history)
    data = {"bytes_after": found.inspection.size}
    history.add_step(PastStep(database=HERE, operation="analyze", at=NOW - DAY, data=data))
    assert statistics.analyze(found).pays
    history.add_step(PastStep(database=HERE, operation="rollback_stats", at=NOW, data=data))
    assert not statistics.analyze(found).pays


def test_statistics_of_a_schema_that_was_not_read_are_left_alone(history: History) -> None:
    """What was not looked at is no reason to write."""
    assert statistics.analyze(look(inspection(schema=None), history)).worth is Worth.NO


INDEXES = SchemaFacts(
    tables=(TableFacts(name="t"), TableFacts(name="u")),
    indexes=(IndexFacts(name="i", table="t"), IndexFacts(name="j", table="u")),
)


def lacks(index: str) -> Problem:
    return Problem(flaw=Flaw.INDEX, text=f"row 3 missing from index {index}", object=index)


def test_reindex_pays_while_an_index_is_known_to_be_broken(history: History) -> None:
    """What a check found of each table stays known until another check of that table finds it gone."""
    given = look(inspection(schema=INDEXES), history)
    assert reindex.reindex(given).worth is Worth.NO
    both = [
        verdict("t", "integrity_check", problems=[lacks("i")]),
        verdict("u", "integrity_check", problems=[lacks("j")]),
    ]
    remember(inspection(), history, both)
    found = reindex.reindex(given)
    assert found.worth is Worth.YES
    assert found.reason == "i and j disagree with their tables, as a check found"
    assert found.need == ""
    remember(inspection(), history, [verdict("t", "integrity_check"), verdict("", "quick_check")])
    history.add_step(PastStep(database=HERE, operation="reindex", at=NOW, seconds=1.0))
    assert reindex.reindex(given).reason == "j disagrees with its table, as a check found"
    remember(inspection(), history, [verdict("u", "integrity_check")])
    assert reindex.reindex(given).worth is Worth.NO
    rows = [Problem(flaw=Flaw.ROWS, text="NULL value in t.x", object="t.x")]
    remember(inspection(), history, [verdict("t", "integrity_check", problems=rows)])
    assert reindex.reindex(given).worth is Worth.NO


def test_reindex_pays_after_a_quick_check_until_the_table_is_looked_at(history: History) -> None:
    """From SQLite 3.42 on it counts entries; what an integrity check of the table says later is stricter."""
    given = look(inspection(schema=INDEXES), history)
    remember(inspection(), history, [verdict("t", "integrity_check")])
    remember(inspection(), history, [verdict("", "quick_check", problems=[lacks("i")])])
    assert reindex.reindex(given).worth is Worth.YES
    remember(inspection(), history, [evolve(verdict("t", "integrity_check"), at=time.time() + 1)])
    assert reindex.reindex(given).worth is Worth.NO


def test_what_was_dropped_is_not_broken_any_more(history: History) -> None:
    """An index, or a table with all that was found in it."""
    found = [
        verdict("t", "integrity_check", problems=[lacks("gone")]),
        verdict("old", "integrity_check", problems=[lacks("i")]),
    ]
    remember(inspection(), history, [*found, verdict("u", "integrity_check"), verdict("", "integrity_check")])
    given = look(inspection(schema=evolve(INDEXES, indexes=())), history)
    assert reindex.reindex(given).worth is Worth.NO
    assert "1 problem was found" in checks.integrity_check(given, by_itself=True).reason


@pytest.mark.parametrize(
    "change",
    [
        {"inode": 78},
        {"device": 2},
        {"change_counter": 8},
        {"change_counter": 9, "modified": 6},
        {"change_counter": 10, "schema_cookie": 4},
    ],
    ids=["inode", "device", "older", "overwritten", "older schema"],
)
def test_checks_belong_to_a_file_and_not_to_its_path(history: History, change: dict[str, int]) -> None:
    """Another file in its place is unchecked, and nothing is known to be wrong with it; the same one may have moved."""
    this = inspection(change_counter=9, modified=5, schema=INDEXES)
    remember(this, history, [verdict("t", "integrity_check", problems=[lacks("i")]), verdict("", "quick_check")])
    moved = evolve(this, path="/elsewhere/b.db", change_counter=11, modified=9)
    for same in (this, moved):
        assert reindex.reindex(look(same, history)).worth is Worth.YES
        assert checks.quick_check(look(same, history), by_itself=True, every=10_000.0).worth is Worth.NO
    other = look(evolve(this, **change), history)
    assert reindex.reindex(other).worth is Worth.NO
    assert checks.quick_check(other, by_itself=True).reason == "it was never checked completely"


def test_reindex_pays_for_half_empty_indexes_that_were_counted(history: History) -> None:
    """Only an exact look knows them; they are named, only they are rebuilt, and a rebuild of the file does it too."""
    objects = (
        ObjectWaste(name="by_v", table="t", kind="index", pages=1000, unused=600 * PAGE),
        ObjectWaste(name="by_w", table="t", kind="index", pages=1000, unused=400 * PAGE),
        ObjectWaste(name="small", table="t", kind="index", pages=10, unused=9 * PAGE),
        ObjectWaste(name="t", table="t", kind="table", pages=1000, unused=900 * PAGE),
    )
    made = _exact(inspection(), objects)
    found = reindex.reindex(look(made, history))
    assert found.worth is Worth.YES
    assert found.parameters == {"indexes": ["by_v"]}
    assert found.reason == "unused space in by_v (60 %)"
    assert found.need == "space"
    assert reindex.reindex(look(made, history), min_waste=0.61).worth is Worth.NO
    both = reindex.reindex(look(made, history), min_waste=0.4)
    assert both.parameters == {"indexes": ["by_v", "by_w"]}


def test_reindex_of_the_largest_index_is_the_longest_stall(history: History) -> None:
    """Each index is a transaction of its own, so that a writer waits for the largest."""
    objects = tuple(
        ObjectWaste(name=f"i{n}", table="t", kind="index", pages=10_000, unused=8_000 * PAGE) for n in range(4)
    )
    cost = reindex.reindex(look(_exact(inspection(journal="wal"), objects), history)).prediction
    assert cost.seconds is not None
    assert cost.writer_stall < cost.seconds


def test_reindex_leaves_the_largest_out_where_a_writer_would_wait_too_long(history: History) -> None:
    """Each index is a transaction of its own, so that those that are short enough can be built."""
    pages = {"small": 2_000, "large": 40_000}
    objects = tuple(
        ObjectWaste(name=name, table="t", kind="index", pages=count, unused=count * 3000)
        for name, count in pages.items()
    )
    made = _exact(inspection(journal="wal"), objects)
    assert reindex.reindex(look(made, history)).parameters == {"indexes": ["small", "large"]}
    assert reindex.reindex(look(made, history, max_stall=0.4)).parameters == {"indexes": ["small"]}


@pytest.mark.parametrize(("segments", "worth"), [(None, Worth.NO), (15, Worth.NO), (16, Worth.YES)])
def test_fts_optimize_pays_for_many_segments(history: History, segments: int | None, worth: Worth) -> None:
    """Every search reads every segment; where their number is not known nothing is due."""
    table = TableFacts(name="f", kind="virtual", module="fts5", segments=segments)
    found = fts.fts_optimize(look(inspection(schema=SchemaFacts(tables=(table,))), history))
    assert found.worth is worth


def test_fts_optimize_by_rebuilding_is_one_transaction(history: History) -> None:
    """Merges are as short as writers need them, a rebuild is not."""
    table = TableFacts(name="f", kind="virtual", module="fts5")
    given = look(inspection(journal="wal", schema=SchemaFacts(tables=(table,))), history)
    assert 0.01 <= fts.fts_optimize(given).prediction.writer_stall < 0.05
    assert fts.fts_optimize(given, rebuild=True).prediction.writer_stall > 1


def test_backup_is_only_for_who_asks(history: History, tmp_path: Path) -> None:
    """It never pays by itself, and says what room the copy takes where."""
    found = backup.backup(look(inspection(waste=0.5), history), to="/data/copy.db")
    assert found.worth is Worth.NO
    assert found.reason == "a copy would have 300.0 MB"  # the free pages too, which the operation copies
    assert found.prediction.written == dict(found.prediction.disk)["/data"]
    assert dict(found.prediction.disk) == {"/data": pytest.approx(300e6, rel=1e-3)}
    assert set(backup.backup(look(inspection(), history), to=str(tmp_path)).prediction.disk) == {str(tmp_path)}
    full = inspection(folder=evolve(BESIDE, free=1000))
    assert backup.backup(look(full, history), to="/data/copy.db").worth is Worth.IMPOSSIBLE


def test_backup_that_has_no_room_is_foreseen_wherever_it_goes(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder than the database's too, on whatever that is; `~` stands for the home folder."""
    room = os.statvfs(tmp_path)
    size = room.f_bavail * room.f_frsize
    monkeypatch.setenv("HOME", str(tmp_path))
    for to in (str(tmp_path), str(tmp_path / "copy.db"), "~", "~/copy.db"):
        assert backup.backup(look(evolve(inspection(), pages=size // 2 // PAGE), history), to=to).worth is Worth.NO
        found = backup.backup(look(evolve(inspection(), pages=size * 2 // PAGE), history), to=to)
        assert (found.worth, found.obstacle) == (Worth.IMPOSSIBLE, Cause.ROOM)
        assert f"in {tmp_path}, where" in found.reason


def _exact(made: Inspection, objects: tuple[ObjectWaste, ...]) -> Inspection:
    assert isinstance(made.waste, Waste)
    return evolve(made, waste=evolve(made.waste, exact=True, objects=objects))
