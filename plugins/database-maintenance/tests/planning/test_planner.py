"""What is planned: by worth, by name, within limits, after an earlier run, and later than it was planned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from assessing import BESIDE, due, inspection, step_of
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InvalidJobError
from pitstop_database_maintenance.databases.assessment import Worth
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.history import History, PastStep
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenanceRequest
from pitstop_database_maintenance.planning.planner import MaintenancePlanner, plan_databases
from pitstop_database_maintenance.sqlite.inspection.records import (
    Inspection,
    Log,
    ObjectWaste,
    SchemaFacts,
    SchemaNeed,
    TableFacts,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature
from pitstop_database_maintenance.worker.action import CHILD_TYPE

HERE = "sqlite:/data/app.db"


STALE = SchemaFacts(statistics_missing=("t",))


def test_planning_runs_what_pays_in_the_order_that_pays(planned: Callable[..., DatabasePlan]) -> None:
    """A wasteful file without statistics is rebuilt and then described; all else stands there with its reason."""
    made = planned(inspection(waste=0.4, schema=STALE))
    assert due(made) == ["vacuum", "analyze"]
    assert all(step.why for step in made.steps)
    assert {step.operation for step in made.steps if not step.run} >= {"compact", "backup", "quick_check", "reindex"}


def test_planning_counts_the_look_for_damage_once(planned: Callable[..., DatabasePlan]) -> None:
    """The first step that writes takes it; after a rebuild, analyze costs next to nothing."""
    found = inspection(megabytes=3000, waste=0.4, schema=STALE)
    alone = step_of(planned(found, operations=("analyze",)), "analyze").prediction
    after = step_of(planned(found), "analyze").prediction
    assert alone.seconds is not None
    assert after.seconds is not None
    assert after.seconds < 0.1 < 3 < alone.seconds
    assert after.writer_stall < 0.1 < 3 < alone.writer_stall


def test_planning_of_a_sound_file_plans_nothing(planned: Callable[..., DatabasePlan]) -> None:
    """Little waste and fitting statistics leave nothing to do."""
    made = planned(inspection(waste=0.05))
    assert due(made) == []
    assert (made.gain, made.seconds) == (0, 0)


@pytest.mark.parametrize(
    ("found", "request_", "chosen"),
    [
        ({"waste": 0.4}, {}, ["vacuum"]),
        ({"waste": 0.4}, {"thresholds": {"compact": {"offline": True}}}, ["compact"]),
        ({"waste": 0.4, "free": 0.35, "auto_vacuum": "incremental"}, {}, ["incremental_vacuum"]),
        ({"waste": 0.4, "free": 0.3, "auto_vacuum": "incremental"}, {}, ["vacuum"]),
        ({"waste": 0.2, "free": 0.1, "auto_vacuum": "incremental"}, {}, ["incremental_vacuum"]),
        ({"waste": 0.2, "free": 0.2}, {}, []),
        ({"waste": 0.2}, {"thresholds": {"space": {"high_from": 0.2}}}, ["vacuum"]),
        ({"waste": 0.2}, {"thresholds": {"space": {"medium": ["vacuum"]}}}, ["vacuum"]),
        ({"waste": 0.4}, {"thresholds": {"space": {"high": []}}}, []),
        ({"waste": 0.4}, {"max_stall": 0.05}, []),
        ({"waste": 0.4, "free": 0.1, "auto_vacuum": "incremental"}, {"max_stall": 0.05}, ["incremental_vacuum"]),
        ({"waste": 0.4, "free": 0.1, "auto_vacuum": "incremental"}, {"max_stall": 0.005}, []),
        ({"waste": 0.4, "free": 0.1, "auto_vacuum": "incremental"}, {"time_limit": 1.0}, ["incremental_vacuum"]),
    ],
)
def test_planning_chooses_the_first_way_that_is_possible_and_gains_enough(
    planned: Callable[..., DatabasePlan], found: dict[str, Any], request_: dict[str, Any], chosen: list[str]
) -> None:
    """The list of the band is gone through in order; at most one operation gives space back."""
    assert due(planned(inspection(journal="wal", **found), **request_)) == chosen


def test_planning_says_why_the_others_were_not_chosen(planned: Callable[..., DatabasePlan]) -> None:
    """What lost names the winner, what gains too little says so with figures, what cannot be done says why."""
    made = planned(inspection(waste=0.4, free=0.1, auto_vacuum="incremental"))
    assert step_of(made, "incremental_vacuum").why == "vacuum is chosen, which gives back 120.0 MB instead of 30.0 MB"
    made = planned(inspection(waste=0.4), thresholds={"compact": {"offline": True}})
    assert step_of(made, "vacuum").why == "compact is chosen"
    assert "auto_vacuum is none" in step_of(made, "incremental_vacuum").why
    low = planned(inspection(waste=0.05))
    assert "5.0 % of 300.0 MB is waste" in step_of(low, "vacuum").why
    assert "for waste of less than 10.0 %" in step_of(low, "vacuum").why


def test_planning_gives_the_chosen_one_the_rule_it_was_chosen_by(planned: Callable[..., DatabasePlan]) -> None:
    """Who reads the plan finds the thresholds and their source with the step."""
    assessment = step_of(planned(), "vacuum").assessment
    assert assessment is not None
    assert "30.0 % or more" in assessment.rule
    assert assessment.source


def test_planning_leaves_out_what_stalls_too_long_and_says_for_how_long(planned: Callable[..., DatabasePlan]) -> None:
    """The figure stands beside the limit."""
    made = planned(inspection(waste=0.4), max_stall=0.05)
    assert "writers waiting for 2." in step_of(made, "vacuum").why
    assert step_of(made, "vacuum").why.endswith("s, more than the 50 ms allowed")


def test_planning_leaves_out_what_cannot_be_stopped_and_does_not_fit(planned: Callable[..., DatabasePlan]) -> None:
    """VACUUM is begun only if it is predicted to end in time, with a margin; what can be stopped may begin."""
    seconds = step_of(planned(), "vacuum").prediction.seconds
    assert seconds is not None
    assert due(planned(time_limit=1.31 * seconds)) == ["vacuum"]
    late = planned(inspection(schema=STALE), time_limit=1.29 * seconds)
    assert due(late) == ["analyze"]
    assert "cannot be stopped, which does not fit into the" in step_of(late, "vacuum").why


def test_planning_counts_what_comes_before_against_the_time(planned: Callable[..., DatabasePlan]) -> None:
    """What fits alone does not fit after a long check."""
    alone = {"operations": ("vacuum",), "time_limit": 4.0}
    after = {"operations": ("integrity_check", "vacuum"), "time_limit": 4.0}
    assert due(planned(**alone)) == ["vacuum"]
    made = planned(**after)
    assert due(made) == ["integrity_check"]
    assert "of other work" in step_of(made, "vacuum").why


def test_planning_by_name_runs_exactly_these_whatever_they_are_worth(planned: Callable[..., DatabasePlan]) -> None:
    """Asked for is reason enough, and what the assessment says is said all the same."""
    made = planned(inspection(waste=0.0), operations=("analyze", "vacuum", "rollback_stats"))
    assert [step.operation for step in made.steps] == ["rollback_stats", "vacuum", "analyze"]
    assert due(made) == ["rollback_stats", "vacuum", "analyze"]
    assert step_of(made, "vacuum").why.startswith("asked for; 0 % of 300.0 MB is waste")
    assert step_of(made, "rollback_stats").why == "asked for"


def test_planning_by_name_may_take_several_of_one_need(planned: Callable[..., DatabasePlan]) -> None:
    """Who names two ways to give space back wants both."""
    assert due(planned(operations=("quick_check", "integrity_check"))) == ["quick_check", "integrity_check"]


def test_planning_by_name_refuses_what_is_impossible_or_stalls_too_long(planned: Callable[..., DatabasePlan]) -> None:
    """Asked for is no reason to break what cannot be done, or a promise."""
    made = planned(operations=("compact", "vacuum", "rollback_stats"), max_stall=0.05)
    assert due(made) == []
    assert "--offline" in step_of(made, "compact").why
    assert "nothing tells" in step_of(made, "rollback_stats").why


def test_planning_of_all_ignores_worth_but_not_what_is_impossible(planned: Callable[..., DatabasePlan]) -> None:
    """--all rebuilds, reindexes and analyzes a file that needs none of it; compact instead of vacuum if it may."""
    assert due(planned(inspection(waste=0.0), everything=True)) == ["vacuum", "reindex", "analyze"]
    offline = {"compact": {"offline": True}}
    assert due(planned(inspection(waste=0.0), everything=True, thresholds=offline)) == ["compact", "reindex", "analyze"]
    missing = SchemaFacts(missing=(SchemaNeed(Feature.COLLATION, "german"),))
    assert due(planned(inspection(schema=missing), everything=True)) == ["reindex", "analyze"]


def test_planning_of_all_tells_what_could_not_be_done_although_another_serves_the_need(
    planned: Callable[..., DatabasePlan],
) -> None:
    """Half-empty indexes are rebuilt where the file cannot be, and that the file was not is no less said."""
    found = inspection(schema=SchemaFacts(missing=(SchemaNeed(Feature.COLLATION, "german"),)))
    assert found.waste is not None
    index = ObjectWaste(name="by_v", table="t", kind="index", pages=1000, unused=600 * found.page_size)
    found = evolve(found, waste=evolve(found.waste, exact=True, objects=(index,)))
    made = planned(found, everything=True)
    assert due(made) == ["reindex", "analyze"]
    assert {"vacuum", "compact"} <= {step.operation for step in made.left_out}


def test_planning_checks_only_when_asked(planned: Callable[..., DatabasePlan]) -> None:
    """With `checks` those that are due are planned, and an integrity check makes a quick one superfluous."""
    assert due(planned(inspection(waste=0.0))) == []
    assert due(planned(inspection(waste=0.0), checks=True)) == ["integrity_check"]


def test_planning_refuses_nothing_for_a_file_that_cannot_be_looked_at(planned: Callable[..., DatabasePlan]) -> None:
    """The refusal is the plan; the failure of one file is no error of the others."""
    made = planned(Inspection(path="/data/app.db", refused="it is not a SQLite database"))
    assert (made.refused, made.steps) == ("it is not a SQLite database", ())


def test_planning_sees_new_runs_each_time_it_is_made(lookup: Any, history: History) -> None:
    """What one plan remembers of the history is not what the next one sees."""

    def seconds() -> float | None:
        made = MaintenancePlanner(MaintenanceRequest(), lookup=lookup, history=history).database(
            "/data/app.db", inspection()
        )
        return step_of(made, "vacuum").prediction.seconds

    before = seconds()
    history.add_step(PastStep(database=HERE, operation="vacuum", seconds=77.0, bytes=300_000_000))
    assert before != seconds() == pytest.approx(77, rel=0.01)


def test_plan_databases_streams(lookup: Any, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each database is planned when it has been looked at, before the next one is, and variables stay in its URL."""
    from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

    looked: list[str] = []

    def fake(cls: object, urls: Any, **settings: Any) -> Iterator[Inspection]:
        assert settings == {"exact": False, "seed": 3, "on_connect": "json:loads", "pages": 64}
        for url in urls:
            looked.append(url)
            yield inspection()

    monkeypatch.setattr(SQLiteDatabase, "inspect", classmethod(fake))
    monkeypatch.setenv("WHERE", "/data")
    request = MaintenanceRequest(seed=3, options={"on_connect": "json:loads"})
    stream = plan_databases(["${WHERE}/a.db", "/data/b.db"], request, lookup=lookup, history=history, pages=64)
    first, found = next(stream)
    assert looked == ["/data/a.db"]
    assert first.database == "${WHERE}/a.db"
    assert found == inspection()
    assert [made.database for made, _ in stream] == ["sqlite:////data/b.db"]


def test_plan_databases_without_inspection_plans_what_is_named(lookup: Any) -> None:
    """A kind of database that cannot be looked at yet can still be worked on by name, and only so."""

    class Bare(Database):
        """A kind of database without an inspection."""

    lookup.groups["pitstop.databases"]["bare"] = Bare
    lookup.groups[f"pitstop.operations.{CHILD_TYPE}"]["bare.freeze"] = lambda db: None
    made = list(plan_databases(["bare://h/d"], MaintenanceRequest(operations=("freeze",)), lookup=lookup))
    assert [due(database) for database, _ in made] == [["freeze"]]
    with pytest.raises(InvalidJobError, match="has no inspection"):
        list(plan_databases(["bare://h/d"], MaintenanceRequest(), lookup=lookup))


@given(
    megabytes=st.integers(0, 3000),
    waste=st.none() | st.floats(0, 1),
    free=st.floats(0, 1),
    auto_vacuum=st.sampled_from(["none", "full", "incremental"]),
    journal=st.sampled_from(["wal", "rollback"]),
    log=st.integers(0, 10**9),
    tables=st.lists(st.sampled_from(["fts5", "rtree", ""]), max_size=2),
    stale=st.booleans(),
    everything=st.booleans(),
    checks=st.booleans(),
    offline=st.booleans(),
    max_stall=st.none() | st.floats(0.001, 20),
    time_limit=st.none() | st.floats(0.1, 100),
)
def test_planning_keeps_its_promises_for_any_file(lookup: Any, **drawn: Any) -> None:
    """At most one way to give space back; nothing above the stall; nothing unstoppable beyond the time; never twice."""
    tables = tuple(TableFacts(name=f"t{n}", module=module, segments=20) for n, module in enumerate(drawn["tables"]))
    schema = SchemaFacts(tables=tables, statistics_missing=("t0",) if drawn["stale"] else (), foreign_keys=1)
    fields = {name: drawn[name] for name in ("megabytes", "waste", "free", "auto_vacuum", "journal")}
    found = inspection(**fields, log=Log(bytes=drawn["log"]), schema=schema)
    request = MaintenanceRequest(
        everything=drawn["everything"],
        checks=drawn["checks"],
        thresholds={"compact": {"offline": drawn["offline"]}},
        max_stall=drawn["max_stall"],
        time_limit=drawn["time_limit"],
    )
    made = MaintenancePlanner(request, lookup=lookup).database("/data/app.db", found)
    names = [step.operation for step in made.steps]
    assert len(names) == len(set(names))
    needs = [step.assessment.need for step in made.due if step.assessment and step.assessment.need]
    assert len(needs) == len(set(needs))
    elapsed = 0.0
    for step in made.due:
        cost = step.prediction
        assert step.assessment is not None
        assert step.assessment.worth is not Worth.IMPOSSIBLE
        if request.max_stall is not None:
            assert max(cost.writer_stall, cost.reader_stall) <= request.max_stall
        elapsed += cost.seconds or 0.0
        if request.time_limit is not None and not cost.cancellable:
            assert elapsed <= request.time_limit
        if not request.everything:
            assert step.assessment.pays


@pytest.mark.parametrize(
    ("found", "request_", "operation", "cause"),
    [
        ({}, {}, "vacuum", Cause.PAYS),
        ({}, {"operations": ("vacuum",)}, "vacuum", Cause.ASKED_FOR),
        ({"waste": 0.05}, {}, "vacuum", Cause.POLICY),
        ({}, {}, "backup", Cause.BY_NAME_ONLY),
        ({}, {}, "convert_auto_vacuum", Cause.BY_NAME_ONLY),
        ({}, {}, "integrity_check", Cause.BY_NAME_ONLY),
        ({}, {}, "analyze", Cause.NOT_DUE),
        ({}, {}, "incremental_vacuum", Cause.NOT_APPLICABLE),
        ({}, {}, "compact", Cause.DECLARATION),
        ({}, {"thresholds": {"compact": {"offline": True}}}, "vacuum", Cause.SERVED),
        ({}, {"max_stall": 0.01}, "vacuum", Cause.STALL),
        ({}, {"time_limit": 0.1}, "vacuum", Cause.TIME),
        ({}, {"operations": ("integrity_check", "vacuum"), "time_limit": 4.0}, "vacuum", Cause.PUT_OFF),
        ({"folder": evolve(BESIDE, free=1)}, {}, "vacuum", Cause.ROOM),
        ({"read_only": "it is read-only for this user"}, {}, "vacuum", Cause.RIGHTS),
        ({"schema": SchemaFacts(missing=(SchemaNeed(Feature.COLLATION, "own"),))}, {}, "vacuum", Cause.FEATURE),
        ({"schema": SchemaFacts(renumbered={"t": "f"})}, {}, "vacuum", Cause.RENUMBERING),
        ({"schema": SchemaFacts(lost=("table 't'",))}, {}, "vacuum", Cause.LOSS),
        ({"folder": evolve(BESIDE, hazard="network file system")}, {}, "vacuum", Cause.FILE_SYSTEM),
        ({"hot_journal": True, "journal_doubt": "newer"}, {}, "vacuum", Cause.JOURNAL),
        ({"log": Log(bytes=9, unreadable=True)}, {}, "vacuum", Cause.LOG),
        ({"links": 2}, {"thresholds": {"compact": {"offline": True}}}, "compact", Cause.OBSTACLE),
    ],
)
def test_planning_says_why_as_a_code(
    planned: Callable[..., DatabasePlan], found: dict[str, Any], request_: dict[str, Any], operation: str, cause: Cause
) -> None:
    """Programs need not read sentences; and what is in the way of something that pays is left out, not "not due"."""
    step = step_of(planned(inspection(**found), **request_), operation)
    assert step.cause is cause
    assert step.why
    expected = not step.run and not cause.is_not_due and operation == "vacuum"
    assert step.left_out == expected


@pytest.mark.parametrize(
    "found",
    [{"read_only": "no rights"}, {"folder": evolve(BESIDE, free=1)}, {"taken_away": ("process 1 works",)}],
)
def test_planning_misses_nothing_on_a_healthy_database(planned: Callable[..., DatabasePlan], found: Any) -> None:
    """An obstacle before what would not pay anyway leaves nothing out."""
    made = planned(inspection(waste=0.02, **found))
    assert (made.due, made.left_out) == ((), ())
