"""When giving space back pays, and which operation rather."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from assessing import BESIDE, PAGE, TEMPORARY, inspection, look
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pitstop_database_maintenance.databases.assessment import Assessment, Look, Worth
from pitstop_database_maintenance.history import History, PastStep
from pitstop_database_maintenance.sqlite.assessments import space
from pitstop_database_maintenance.sqlite.files.filesystem import Folder
from pitstop_database_maintenance.sqlite.inspection.records import Inspection, SchemaFacts, SchemaNeed
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature


@pytest.fixture
def history() -> Iterator[History]:
    with History(":memory:") as opened:
        yield opened


def offline_compact(given: Look) -> Assessment:
    return space.compact(given, offline=True)


@pytest.mark.parametrize(
    ("waste", "order"),
    [
        (0.0, ()),
        (0.0999, ()),
        (0.10, ("incremental_vacuum",)),
        (0.2999, ("incremental_vacuum",)),
        (0.30, ("compact", "incremental_vacuum", "vacuum", "reindex")),
        (1.0, ("compact", "incremental_vacuum", "vacuum", "reindex")),
    ],
)
def test_policy_has_a_list_of_operations_for_each_band(history: History, waste: float, order: tuple[str, ...]) -> None:
    """Below 10 % of waste nothing, from 10 % what does not stall, from 30 % a rebuild."""
    assert space.policy(look(inspection(waste=waste), history)).order == order


def test_policy_takes_other_bands_and_lists(history: History) -> None:
    """Every share and every list is a threshold of its own."""
    given = look(inspection(waste=0.15), history)
    assert space.policy(given, high_from=0.15, high=("vacuum",)).order == ("vacuum",)
    assert space.policy(given, medium_from=0.2, low=("reindex",)).order == ("reindex",)
    assert space.policy(given, medium=("vacuum", "compact")).order == ("vacuum", "compact")


def test_policy_leaves_small_files_alone_whatever_their_share(history: History) -> None:
    """63 wasted pages of 4 kB are not worth a run, 64 are."""
    made = inspection(waste=0.9)
    assert made.waste is not None
    few = evolve(made, waste=evolve(made.waste, bytes=64 * PAGE - 1))
    enough = evolve(made, waste=evolve(made.waste, bytes=64 * PAGE))
    assert space.policy(look(few, history)).order == ()
    assert space.policy(look(enough, history)).order != ()


def test_policy_says_its_rule_with_the_thresholds(history: History) -> None:
    """Who reads the plan sees from what share on what is done, and where that comes from."""
    found = space.policy(look(inspection(waste=0.2), history), medium_from=0.15)
    assert found.rule == "for waste of 15.0 % to 30.0 % (space.medium): incremental_vacuum"
    assert "ola.hallengren.com" in found.source


def test_vacuum_says_the_waste_with_its_interval(history: History) -> None:
    """The reason has the share, the size and how sure that is; the gain is the waste."""
    found = space.vacuum(look(inspection(megabytes=306, waste=0.32), history))
    assert found.reason == "32.0 % of 306.0 MB is waste (31.0 to 33.0 %)"
    assert found.worth is Worth.YES
    assert found.gain == pytest.approx(0.32 * 306e6, rel=1e-3)
    assert found.need == "space"


def test_vacuum_falls_back_to_the_free_pages(history: History) -> None:
    """Where the pages could not be looked into, what is known is said to be all that is known."""
    found = space.vacuum(look(inspection(waste=None, free=0.2), history))
    assert found.reason.startswith("20.0 % of 300.0 MB are free pages; what pages hold is not known")
    assert found.gain == pytest.approx(0.2 * 300e6, rel=1e-3)


def test_vacuum_needs_its_result_twice_on_one_file_system(history: History) -> None:
    """The temporary file and the journal beside are added up where both are on one file system.

    The result is taken for the file without its free pages, as the operation takes it: that is sure to be enough.
    """
    found = space.vacuum(look(inspection(waste=0.6, free=0.5), history))
    assert dict(found.prediction.disk) == {"/data": pytest.approx(300e6, rel=1e-3)}
    apart = evolve(TEMPORARY, device=2)
    found = space.vacuum(look(inspection(waste=0.6, free=0.5, temporary=apart), history))
    assert dict(found.prediction.disk) == {
        "/var/tmp": pytest.approx(150e6, rel=1e-3),
        "/data": pytest.approx(150e6, rel=1e-3),
    }


@pytest.mark.parametrize("assess", [space.vacuum, space.convert_auto_vacuum])
def test_rebuild_is_impossible_without_room(history: History, assess: Callable[[Look], Assessment]) -> None:
    """The folder, what it needs and what is free there are named, before anything has begun."""
    small = Folder(path="/var/tmp", device=2, free=100_000_000)
    found = assess(look(inspection(free=0.5, temporary=small), history))
    assert found.worth is Worth.IMPOSSIBLE
    assert "150.0 MB in /var/tmp, where 100.0 MB are free" in found.reason


def test_compact_needs_its_result_once(history: History) -> None:
    """It writes its copy beside the file, and nowhere else."""
    room = evolve(BESIDE, free=150_100_000)
    found = space.compact(look(inspection(free=0.5, folder=room), history), offline=True)
    assert found.worth is Worth.YES
    assert dict(found.prediction.disk) == {"/data": pytest.approx(150e6, rel=1e-3)}
    less = evolve(BESIDE, free=149_000_000)
    assert space.compact(look(inspection(free=0.5, folder=less), history), offline=True).worth is Worth.IMPOSSIBLE


def test_compact_is_out_of_the_question_unless_declared(history: History) -> None:
    """Replacing a file that is open elsewhere corrupts it, so that nobody's silence is taken for a yes."""
    found = space.compact(look(inspection(), history))
    assert found.worth is Worth.IMPOSSIBLE
    assert "--offline" in found.reason
    assert space.compact(look(inspection(), history), offline=True).parameters["offline"] is True


@pytest.mark.parametrize("assess", [space.vacuum, offline_compact, space.convert_auto_vacuum])
@pytest.mark.parametrize("missing", [SchemaNeed(Feature.COLLATION, "german"), SchemaNeed(Feature.FUNCTION, "jsonb")])
def test_rebuild_is_impossible_without_what_the_schema_uses(
    history: History, assess: Callable[[Look], Assessment], missing: str
) -> None:
    """What is missing is named, and how to bring it."""
    found = assess(look(inspection(schema=SchemaFacts(missing=(missing,))), history))
    assert found.worth is Worth.IMPOSSIBLE
    assert str(missing) in found.reason
    assert "--on-connect" in found.reason


def test_compact_may_be_done_where_vacuum_would_renumber_rows(history: History) -> None:
    """VACUUM INTO keeps the rows' numbers, and the operation compares them before the copy takes the file's place."""
    schema = SchemaFacts(renumbered={"notes": "FTS5 table 'search'"})
    assert offline_compact(look(inspection(schema=schema), history)).worth is Worth.YES


@pytest.mark.parametrize("assess", [space.vacuum, offline_compact])
def test_rebuild_does_not_need_the_modules_of_virtual_tables(
    history: History, assess: Callable[[Look], Assessment]
) -> None:
    """VACUUM copies the tables beneath a virtual one without its module."""
    schema = SchemaFacts(missing=(SchemaNeed(Feature.MODULE, "vec0"),))
    assert assess(look(inspection(schema=schema), history)).worth is Worth.YES


@pytest.mark.parametrize("assess", [space.vacuum, space.incremental_vacuum, offline_compact])
def test_nothing_is_planned_on_what_cannot_be_written(history: History, assess: Any) -> None:
    """A job would be refused; the plan says it before, and `force` changes nothing about it."""
    found = inspection(read_only="its file system is mounted read-only", auto_vacuum="full")
    for options in ({}, {"force": True}):
        assert assess(look(found, history, options=options)).reason == "its file system is mounted read-only"


def test_compact_is_impossible_under_two_names(history: History) -> None:
    """The other name would keep the old file; vacuum does not mind."""
    found = inspection(links=2)
    assert "the file has 2 names (hard links)" in offline_compact(look(found, history)).reason
    assert space.vacuum(look(found, history)).pays


def test_vacuum_is_impossible_where_it_would_renumber_rows(history: History) -> None:
    """An FTS index over rows without declared numbers would find other rows, and no check would tell."""
    schema = SchemaFacts(renumbered={"notes": "FTS5 table 'search'"})
    found = space.vacuum(look(inspection(schema=schema), history))
    assert found.worth is Worth.IMPOSSIBLE
    assert "'notes'" in found.reason
    assert "FTS5 table 'search'" in found.reason
    allowed = space.vacuum(look(inspection(schema=schema), history), allow_renumbering=True)
    assert allowed.worth is Worth.YES
    assert allowed.parameters == {"allow_renumbering": True}


@pytest.mark.parametrize("assess", [space.vacuum, offline_compact, space.incremental_vacuum])
def test_writing_is_impossible_on_a_network_file_system_unless_forced(
    history: History, assess: Callable[[Look], Assessment]
) -> None:
    """Locks that cannot be relied on are a reason to refuse, and --force is the only way around."""
    remote = evolve(BESIDE, hazard="network file system nfs4")
    found = inspection(folder=remote, auto_vacuum="incremental")
    assert "nfs4" in assess(look(found, history)).reason
    assert assess(look(found, history)).worth is Worth.IMPOSSIBLE
    assert assess(look(found, history, options={"force": True})).worth is Worth.YES


def test_writing_is_impossible_where_a_journal_may_be_another_files(history: History) -> None:
    """One of the file's own is rolled back first, and the figures are those after it."""
    foreign = space.vacuum(look(inspection(hot_journal=True, journal_doubt="newer"), history))
    assert foreign.worth is Worth.IMPOSSIBLE
    assert "journal" in foreign.reason
    assert space.vacuum(look(inspection(hot_journal=True), history)).worth is Worth.YES


def test_incremental_vacuum_needs_auto_vacuum(history: History) -> None:
    """Without a map of its pages the file cannot give them back one by one; the way there is named."""
    found = space.incremental_vacuum(look(inspection(), history))
    assert found.worth is Worth.IMPOSSIBLE
    assert "convert_auto_vacuum" in found.reason


def test_incremental_vacuum_gains_the_free_pages_only(history: History) -> None:
    """However much the pages waste, it gives back whole ones, and leaves the reserve."""
    made = inspection(waste=0.5, free=0.2, auto_vacuum="incremental")
    assert space.incremental_vacuum(look(made, history)).gain == pytest.approx(60e6, rel=1e-3)
    assert space.incremental_vacuum(look(made, history), keep=0.15).gain == pytest.approx(15e6, rel=1e-2)


@pytest.mark.parametrize(("free", "worth"), [(0.049, Worth.NO), (0.0501, Worth.YES)])
def test_incremental_vacuum_pays_from_five_percent_on(history: History, free: float, worth: Worth) -> None:
    """Fewer free pages are soon needed again."""
    made = inspection(free=free, auto_vacuum="full")
    assert space.incremental_vacuum(look(made, history)).worth is worth


@pytest.mark.parametrize(("asked", "least", "most"), [(None, 0.01, 0.05), (0.02, 0.01, 0.02), (5.0, 0.01, 0.05)])
def test_incremental_vacuum_stalls_no_longer_than_asked(
    history: History, asked: float | None, least: float, most: float
) -> None:
    """Slices are shorter than what is asked for, because a sync may take longer than the one before."""
    made = inspection(auto_vacuum="incremental")
    assert least <= space.incremental_vacuum(look(made, history, max_stall=asked)).prediction.writer_stall < most


def test_incremental_vacuum_cannot_promise_less_than_a_sync_takes(history: History) -> None:
    """No transaction is shorter, however short a stall is asked for."""
    made = inspection(auto_vacuum="incremental")
    assert space.incremental_vacuum(look(made, history, max_stall=0.001)).prediction.writer_stall == 0.01


def test_vacuum_keeps_readers_waiting_only_without_a_log(history: History) -> None:
    """In WAL mode readers go on while it runs; writers wait in either mode."""
    wal = space.vacuum(look(inspection(journal="wal"), history)).prediction
    rollback = space.vacuum(look(inspection(journal="rollback"), history)).prediction
    assert wal.reader_stall == 0
    assert wal.writer_stall > 1
    assert rollback.reader_stall == rollback.writer_stall > 1
    assert not wal.cancellable


def test_predictions_come_from_past_runs_of_like_size(history: History) -> None:
    """What this database took before counts; else what any of this machine took, if it was about as big."""
    given = look(inspection(megabytes=300), history, sound=True)
    assert not space.vacuum(given).prediction.learned
    history.add_step(_step("sqlite:/other", 300, seconds=30.0))
    assert space.vacuum(given).prediction.seconds == pytest.approx(30, rel=0.01)
    history.add_step(_step("sqlite:/data/app.db", 600, seconds=6.0, writer_stall=4.0))
    learned = space.vacuum(given).prediction
    assert learned.learned
    assert learned.seconds == pytest.approx(3, rel=0.01)
    assert learned.writer_stall == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_predictions_count_the_look_for_damage_apart(history: History, journal: str) -> None:
    """It is taken once for a plan: no part of what an operation was seen to take, and none of the stall it caused."""
    # of the five seconds, four went to the look, which is also what kept writers waiting without a log
    stall = 0.2 if journal == "wal" else 4.0
    step = _step("sqlite:/data/app.db", 300, seconds=5.0, looked=4.0, writer_stall=stall)
    history.add_step(evolve(step, data={**step.data, "journal": journal}))
    given = inspection(megabytes=300, journal=journal)
    first = space.vacuum(look(given, history)).prediction
    later = space.vacuum(look(given, history, sound=True)).prediction
    assert first.checks_first
    assert first.seconds == pytest.approx(5, rel=0.01)
    assert later.seconds == pytest.approx(1, rel=0.01)
    if journal == "wal":
        assert first.writer_stall == later.writer_stall == pytest.approx(0.2, rel=0.01)
    else:
        assert first.writer_stall == pytest.approx(4, rel=0.05)
        assert later.writer_stall == pytest.approx(1, rel=0.1), "as long as it takes itself"


def test_predictions_learn_nothing_from_files_of_another_size(history: History) -> None:
    """What a file of 1 MB takes is mostly opening it, and says nothing of a gigabyte."""
    history.add_step(_step("sqlite:/data/app.db", 1, seconds=1.0))
    assert not space.vacuum(look(inspection(megabytes=300), history)).prediction.learned


@pytest.mark.parametrize(("outcome", "data"), [("skipped", {}), ("changed", {"stopped_by": "time limit"})])
def test_predictions_learn_nothing_from_half_a_run(history: History, outcome: str, data: dict[str, str]) -> None:
    """A run that was skipped or stopped did not do the work that its size stands for."""
    history.add_step(evolve(_step("sqlite:/data/app.db", 300, seconds=0.1), outcome=outcome, data=data))
    assert not space.vacuum(look(inspection(megabytes=300), history)).prediction.learned


def test_convert_auto_vacuum_is_advice_only(history: History) -> None:
    """It is never due by itself, but says when rebuilds keep coming back."""
    given = look(inspection(), history)
    assert space.convert_auto_vacuum(given).worth is Worth.NO
    for _ in range(3):
        history.add_step(_step("sqlite:/data/app.db", 300, seconds=2.0))
    for _ in range(9):
        history.add_step(_step("sqlite:/other", 300, seconds=2.0))
    assert "rebuilt 3 times" in space.convert_auto_vacuum(given).reason
    assert space.convert_auto_vacuum(given).worth is Worth.NO


def test_convert_auto_vacuum_rebuilds_only_where_there_is_no_map(history: History) -> None:
    """Between full and incremental only the header changes, for which there is always room and time."""
    full = inspection(auto_vacuum="full", temporary=evolve(TEMPORARY, device=2, free=0))
    assert space.convert_auto_vacuum(look(full, history)).prediction.writer_stall == 0
    assert space.convert_auto_vacuum(look(full, history), mode="none").worth is Worth.IMPOSSIBLE
    assert "already" in space.convert_auto_vacuum(look(full, history), mode="full").reason


@given(
    megabytes=st.integers(0, 5000),
    waste=st.none() | st.floats(0, 1),
    free=st.floats(0, 1),
    auto_vacuum=st.sampled_from(["none", "full", "incremental"]),
    journal=st.sampled_from(["wal", "rollback"]),
    max_stall=st.none() | st.floats(0.001, 10),
)
def test_assessments_are_finite_and_never_gain_more_than_there_is(
    megabytes: int, waste: float | None, free: float, auto_vacuum: str, journal: str, max_stall: float | None
) -> None:
    """For any file, an empty one included, figures are finite, and what is possible gains at most the file."""
    made: Inspection = inspection(megabytes=megabytes, waste=waste, free=free, auto_vacuum=auto_vacuum, journal=journal)
    with History(":memory:") as history:
        given = look(made, history, max_stall=max_stall)
        for assess in (space.vacuum, offline_compact, space.incremental_vacuum, space.convert_auto_vacuum):
            found = assess(given)
            if found.worth is Worth.IMPOSSIBLE:
                continue
            cost = found.prediction
            assert 0 <= (found.gain or 0) <= made.size
            assert cost.seconds is not None
            assert math.isfinite(cost.seconds)
            assert cost.seconds > 0
            assert 0 <= cost.reader_stall <= cost.writer_stall < math.inf


def _step(database: str, megabytes: int, *, seconds: float, **data: float) -> PastStep:
    return PastStep(database=database, operation="vacuum", seconds=seconds, bytes=megabytes * 1_000_000, data=data)


def test_time_is_not_learned_from_the_other_journal_mode(history: History) -> None:
    """Slices take six times as long without a write-ahead log, and a run with one says nothing of them."""
    data = {"free_pages_before": 20_000, "free_pages_after": 0, "page_size": PAGE, "journal": "wal"}
    history.add_step(
        PastStep(
            database="sqlite:/data/app.db", operation="incremental_vacuum", seconds=1.0, bytes=300_000_000, data=data
        )
    )
    wal, rollback = (
        space.incremental_vacuum(look(inspection(auto_vacuum="full", journal=mode), history)).prediction
        for mode in ("wal", "rollback")
    )
    assert wal.learned
    assert not rollback.learned
    assert rollback.seconds is not None
    assert wal.seconds is not None
    assert rollback.seconds > 2 * wal.seconds
