"""What is planned: by worth, by name, within limits, after an earlier run, and later than it was planned."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from assessing import BESIDE, DAY, NOW, inspection
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InputError, InvalidJobError, InvalidValueError, UnknownKeyError, UnknownNameError
from pitstop.jobs import Job, Plan
from pitstop_database_maintenance.databases.assessment import GROUP, Assessment, Look, Prediction, Worth
from pitstop_database_maintenance.databases.causes import Cause
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.history import History, PastStep, UnfinishedStep
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenancePlan, MaintenanceRequest, PlannedStep
from pitstop_database_maintenance.planning.plan_config import job_config, prediction_document
from pitstop_database_maintenance.planning.planner import MaintenancePlanner, plan_databases, staleness
from pitstop_database_maintenance.sqlite.inspection.records import (
    Inspection,
    Log,
    ObjectWaste,
    SchemaFacts,
    SchemaNeed,
    TableFacts,
)
from pitstop_database_maintenance.sqlite.surveyor.schema.sqlite_texts import Feature
from pitstop_database_maintenance.worker.action import CHILD_TYPE, plan

HERE = "sqlite:/data/app.db"
STALE = SchemaFacts(statistics_missing=("t",))


@pytest.fixture
def history() -> Iterator[History]:
    with History(":memory:") as opened:
        yield opened


@pytest.fixture
def planned(lookup: Any, history: History) -> Callable[..., DatabasePlan]:
    """Return a plan for one database."""

    def make(found: Inspection | None = None, **request: Any) -> DatabasePlan:
        planning = MaintenancePlanner(MaintenanceRequest(**request), lookup=lookup, history=history)
        return planning.database("/data/app.db", found or inspection())

    return make


def due(made: DatabasePlan) -> list[str]:
    return [step.operation for step in made.due]


def why(made: DatabasePlan, operation: str) -> str:
    return next(step.why for step in made.steps if step.operation == operation)


def step_of(made: DatabasePlan, operation: str) -> PlannedStep:
    return next(step for step in made.steps if step.operation == operation)


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
    assert why(made, "incremental_vacuum") == "vacuum is chosen, which gives back 120.0 MB instead of 30.0 MB"
    made = planned(inspection(waste=0.4), thresholds={"compact": {"offline": True}})
    assert why(made, "vacuum") == "compact is chosen"
    assert "auto_vacuum is none" in why(made, "incremental_vacuum")
    low = planned(inspection(waste=0.05))
    assert "5.0 % of 300.0 MB is waste" in why(low, "vacuum")
    assert "for waste of less than 10.0 %" in why(low, "vacuum")


def test_planning_gives_the_chosen_one_the_rule_it_was_chosen_by(planned: Callable[..., DatabasePlan]) -> None:
    """Who reads the plan finds the thresholds and their source with the step."""
    assessment = step_of(planned(), "vacuum").assessment
    assert assessment is not None
    assert "30.0 % or more" in assessment.rule
    assert assessment.source


def test_planning_leaves_out_what_stalls_too_long_and_says_for_how_long(planned: Callable[..., DatabasePlan]) -> None:
    """The figure stands beside the limit."""
    made = planned(inspection(waste=0.4), max_stall=0.05)
    assert "writers waiting for 2." in why(made, "vacuum")
    assert why(made, "vacuum").endswith("s, more than the 50 ms allowed")


def test_planning_leaves_out_what_cannot_be_stopped_and_does_not_fit(planned: Callable[..., DatabasePlan]) -> None:
    """VACUUM is begun only if it is predicted to end in time, with a margin; what can be stopped may begin."""
    seconds = step_of(planned(), "vacuum").prediction.seconds
    assert seconds is not None
    assert due(planned(time_limit=1.31 * seconds)) == ["vacuum"]
    late = planned(inspection(schema=STALE), time_limit=1.29 * seconds)
    assert due(late) == ["analyze"]
    assert "cannot be stopped, which does not fit into the" in why(late, "vacuum")


def test_planning_counts_what_comes_before_against_the_time(planned: Callable[..., DatabasePlan]) -> None:
    """What fits alone does not fit after a long check."""
    alone = {"operations": ("vacuum",), "time_limit": 4.0}
    after = {"operations": ("integrity_check", "vacuum"), "time_limit": 4.0}
    assert due(planned(**alone)) == ["vacuum"]
    made = planned(**after)
    assert due(made) == ["integrity_check"]
    assert "of other work" in why(made, "vacuum")


def test_planning_by_name_runs_exactly_these_whatever_they_are_worth(planned: Callable[..., DatabasePlan]) -> None:
    """Asked for is reason enough, and what the assessment says is said all the same."""
    made = planned(inspection(waste=0.0), operations=("analyze", "vacuum", "rollback_stats"))
    assert [step.operation for step in made.steps] == ["rollback_stats", "vacuum", "analyze"]
    assert due(made) == ["rollback_stats", "vacuum", "analyze"]
    assert why(made, "vacuum").startswith("asked for; 0 % of 300.0 MB is waste")
    assert why(made, "rollback_stats") == "asked for"


def test_planning_by_name_may_take_several_of_one_need(planned: Callable[..., DatabasePlan]) -> None:
    """Who names two ways to give space back wants both."""
    assert due(planned(operations=("quick_check", "integrity_check"))) == ["quick_check", "integrity_check"]


def test_planning_by_name_refuses_what_is_impossible_or_stalls_too_long(planned: Callable[..., DatabasePlan]) -> None:
    """Asked for is no reason to break what cannot be done, or a promise."""
    made = planned(operations=("compact", "vacuum", "rollback_stats"), max_stall=0.05)
    assert due(made) == []
    assert "--offline" in why(made, "compact")
    assert "nothing tells" in why(made, "rollback_stats")


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


def test_planning_of_all_and_by_name_contradict_each_other(planned: Callable[..., DatabasePlan]) -> None:
    """Both at once mean nothing."""
    with pytest.raises(InvalidJobError, match="give --all or --operations"):
        planned(everything=True, operations=("vacuum",))


def test_planning_checks_only_when_asked(planned: Callable[..., DatabasePlan]) -> None:
    """With `checks` those that are due are planned, and an integrity check makes a quick one superfluous."""
    assert due(planned(inspection(waste=0.0))) == []
    assert due(planned(inspection(waste=0.0), checks=True)) == ["integrity_check"]


def test_planning_takes_up_what_an_earlier_run_left(planned: Callable[..., DatabasePlan], history: History) -> None:
    """It is planned although its rule no longer says so, with the parameters to go on with, and first among equals."""
    left = UnfinishedStep(
        database=HERE, operation="reindex", at=NOW - DAY, reason="time limit", parameters={"indexes": ["i"]}
    )
    history.defer(left)
    made = planned(inspection(waste=0.0))
    assert due(made) == ["reindex"]
    assert made.continued
    step = step_of(made, "reindex")
    assert step.continued
    assert step.cause is Cause.LEFT_OVER
    assert step.parameters == {"indexes": ["i"]}
    assert "left over on 2023-" in step.why
    assert "time limit" in step.why
    assert due(planned(inspection(waste=0.0), operations=("analyze",))) == ["analyze"]


@pytest.mark.parametrize(
    ("left", "request_", "taken"),
    [
        # what nobody had asked for, and this run may plan by itself, or is asked for
        ({"operation": "reindex"}, {}, True),
        ({"operation": "reindex"}, {"operations": ("reindex",)}, True),
        ({"operation": "quick_check"}, {"checks": True}, True),
        # what this run does not plan by itself
        ({"operation": "quick_check"}, {}, False),
        ({"operation": "backup", "parameters": {"to": "/b.db"}}, {}, False),
        ({"operation": "backup", "parameters": {"to": "/b.db"}}, {"everything": True}, False),
        ({"operation": "convert_auto_vacuum"}, {}, False),
        ({"operation": "rollback_stats"}, {}, False),
        ({"operation": "no_such_operation"}, {}, False),
        # what somebody had asked for is for who asks for just that
        ({"operation": "reindex", "asked": {}}, {}, False),
        ({"operation": "reindex", "asked": {}}, {"operations": ("reindex",)}, True),
        ({"operation": "fts_optimize", "asked": {"rebuild": True}, "parameters": {"rebuild": True}}, {}, False),
        (
            {"operation": "fts_optimize", "asked": {"rebuild": True}, "parameters": {"rebuild": True}},
            {"operations": ("fts_optimize",)},
            False,
        ),
        (
            {"operation": "fts_optimize", "asked": {"rebuild": True}, "parameters": {"rebuild": True}},
            {"operations": ("fts_optimize",), "parameters": {"fts_optimize": {"rebuild": True}}},
            True,
        ),
        # what the operation would not take
        ({"operation": "reindex", "parameters": {"indexes": 7}}, {}, False),
        ({"operation": "reindex", "parameters": {"nosuch": True}}, {}, False),
    ],
)
def test_planning_goes_on_only_with_what_it_may(
    planned: Callable[..., DatabasePlan],
    history: History,
    left: dict[str, Any],
    request_: dict[str, Any],
    taken: bool,
) -> None:
    """The history gives no orders: nothing is done that this run would not do by itself, or is asked for."""
    history.defer(UnfinishedStep(**{"database": HERE, "at": NOW, "reason": "time limit", "parameters": {}, **left}))
    made = planned(inspection(waste=0.0, schema=SchemaFacts(foreign_keys=1)), **request_)
    assert [step.operation for step in made.steps if step.continued] == ([left["operation"]] if taken else [])
    if not taken and "operations" not in request_ and "everything" not in request_:
        assert due(made) == []


def test_planning_puts_what_was_left_before_its_equals(planned: Callable[..., DatabasePlan], history: History) -> None:
    """Of the checks, the one that an earlier run left is made first."""
    history.defer(UnfinishedStep(database=HERE, operation="quick_check", at=NOW, reason="time limit", parameters={}))
    made = planned(inspection(waste=0.0, schema=SchemaFacts(foreign_keys=1)), checks=True)
    assert due(made) == ["quick_check", "foreign_key_check"]


def test_planning_goes_on_with_what_was_left_rather_than_with_what_is_preferred(
    planned: Callable[..., DatabasePlan], history: History
) -> None:
    """Half of an incremental vacuum is finished before a rebuild is thought of."""
    history.defer(
        UnfinishedStep(database=HERE, operation="incremental_vacuum", at=NOW, reason="time limit", parameters={})
    )
    made = planned(inspection(waste=0.6, free=0.1, auto_vacuum="incremental"))
    assert due(made) == ["incremental_vacuum"]
    assert why(made, "vacuum").startswith("incremental_vacuum is chosen")


def test_planning_leaves_others_remainders_alone(planned: Callable[..., DatabasePlan], history: History) -> None:
    """What was left of one database is nothing to another."""
    history.defer(
        UnfinishedStep(database="sqlite:/other", operation="analyze", at=NOW, reason="time limit", parameters={})
    )
    assert due(planned(inspection(waste=0.0))) == []


def test_maintenance_plan_begins_with_what_was_left() -> None:
    """Databases on which an earlier run left something come first; the others keep their order."""
    step = PlannedStep(operation="analyze", run=True, why="left", continued=True)
    plans = [DatabasePlan(database=name, resource=name) for name in ("a", "b")]
    left = DatabasePlan(database="c", resource="c", steps=(step,))
    made = MaintenancePlan.of([*plans, left], MaintenanceRequest())
    assert [entry.database for entry in made.databases] == ["c", "a", "b"]


def test_planning_refuses_nothing_for_a_file_that_cannot_be_looked_at(planned: Callable[..., DatabasePlan]) -> None:
    """The refusal is the plan; the failure of one file is no error of the others."""
    made = planned(Inspection(path="/data/app.db", refused="it is not a SQLite database"))
    assert (made.refused, made.steps) == ("it is not a SQLite database", ())


def test_planning_passes_parameters_to_the_step_and_its_assessment(planned: Callable[..., DatabasePlan]) -> None:
    """A parameter that an assessment knows too, such as what to leave free, changes its figures."""
    found = inspection(waste=0.3, free=0.3, auto_vacuum="incremental")
    all_of_it = step_of(planned(found), "incremental_vacuum").assessment
    half = step_of(planned(found, parameters={"incremental_vacuum": {"keep": 0.15}}), "incremental_vacuum")
    assert half.parameters == {"keep": 0.15}
    assert half.assessment is not None
    assert all_of_it is not None
    assert half.assessment.gain == pytest.approx((all_of_it.gain or 0) / 2, rel=0.01)


@pytest.mark.parametrize(
    ("request_", "kind", "text"),
    [
        ({"operations": ("vacum",)}, UnknownNameError, "did you mean 'vacuum'"),
        ({"thresholds": {"vaccum": {}}}, InvalidValueError, "did you mean 'vacuum'"),
        ({"thresholds": {"space": {"hgih": []}}}, UnknownKeyError, "did you mean 'high'"),
        ({"thresholds": {"space": {"high_from": 30}}}, InvalidValueError, "float >= 0, <= 1"),
        ({"thresholds": {"space": {"high": "vacuum"}}}, InvalidValueError, "high"),
        ({"thresholds": {"space": {"high": ["vacum"]}}}, UnknownNameError, "did you mean 'vacuum'"),
        ({"thresholds": {"quick_check": {"every": 0}}}, InvalidValueError, "every"),
        ({"parameters": {"analyze": {"limt": 1}}}, UnknownKeyError, "did you mean 'limit'"),
        ({"parameters": {"analyze": {"limit": "many"}}}, InvalidValueError, "limit"),
        ({"parameters": {"analyse": {}}}, UnknownNameError, "did you mean 'analyze'"),
        ({"operations": ("vacuum",), "parameters": {"analyze": {}}}, InvalidValueError, "not among the operations"),
    ],
)
def test_planning_refuses_what_is_not_taken(
    planned: Callable[..., DatabasePlan], request_: dict[str, Any], kind: type[InputError], text: str
) -> None:
    """What was given and is not understood is never left aside."""
    with pytest.raises(kind, match=text):
        planned(**request_)


def test_planning_takes_the_operations_and_assessments_of_others(lookup: Any, history: History) -> None:
    """Any distribution's assessment is asked; one that serves a known need is chosen where a list names it."""

    def freeze(look: Look, *, level: int = 1) -> Assessment:
        return Assessment(worth=Worth.YES, reason=f"level {level}", gain=10**8, need="space")

    lookup.groups[GROUP]["sqlite.freeze"] = freeze
    lookup.groups[f"pitstop.operations.{CHILD_TYPE}"]["sqlite.freeze"] = lambda db: None
    made = MaintenancePlanner(MaintenanceRequest(), lookup=lookup, history=history).database(
        "/data/app.db", inspection()
    )
    assert due(made) == ["vacuum"]
    chosen = MaintenanceRequest(thresholds={"space": {"high": ["freeze"]}, "freeze": {"level": 3}})
    made = MaintenancePlanner(chosen, lookup=lookup, history=history).database("/data/app.db", inspection())
    assert due(made) == ["freeze"]
    assert why(made, "freeze") == "level 3"


def test_planning_runs_an_operation_without_assessment_only_by_name(lookup: Any, history: History) -> None:
    """Who ships no assessment leaves it to the user."""
    lookup.groups[f"pitstop.operations.{CHILD_TYPE}"]["sqlite.freeze"] = lambda db: None
    made = MaintenancePlanner(MaintenanceRequest(), lookup=lookup, history=history).database(
        "/data/app.db", inspection()
    )
    assert "freeze" not in [step.operation for step in made.steps]
    made = MaintenancePlanner(MaintenanceRequest(operations=("freeze",)), lookup=lookup, history=history).database(
        "/data/app.db", inspection()
    )
    assert due(made) == ["freeze"]


@pytest.mark.parametrize(
    ("assess", "text"),
    [
        (lambda look: 1 / 0, "ZeroDivisionError"),
        (lambda look: None, "returned NoneType"),
        ("not a function", "cannot be used"),
    ],
)
def test_planning_survives_an_assessment_that_fails(lookup: Any, history: History, assess: Any, text: str) -> None:
    """A broken assessment costs only its own operation, and is named."""
    lookup.groups[GROUP]["sqlite.freeze"] = assess
    lookup.groups[f"pitstop.operations.{CHILD_TYPE}"]["sqlite.freeze"] = lambda db: None
    if isinstance(assess, str):
        lookup.load = _with(lookup.load, "sqlite.freeze", 42)
    made = MaintenancePlanner(MaintenanceRequest(), lookup=lookup, history=history).database(
        "/data/app.db", inspection()
    )
    assert due(made) == ["vacuum"]
    assert text in why(made, "freeze")


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


def test_staleness_accepts_the_same_file(lookup: Any, planned: Callable[..., DatabasePlan]) -> None:
    """A file as it was, or a little bigger and a few changes later, may be maintained as planned."""
    made = planned()
    assert staleness(made, inspection(), lookup=lookup) == ""
    little = inspection(megabytes=320, waste=0.45, change_counter=99, modified=5)
    assert staleness(made, little, lookup=lookup) == ""


@pytest.mark.parametrize(
    ("now", "text"),
    [
        ({"inode": 78}, "the file was replaced by another one"),
        ({"schema_cookie": 6}, "the schema changed from 5 to 6"),
        ({"auto_vacuum": "full"}, "auto_vacuum changed from none to full"),
        ({"journal": "wal"}, "the journal mode changed from rollback to wal"),
        ({"page_size": 8192}, "the page size changed"),
        ({"megabytes": 331}, "the size changed from 300.0 MB to 331.0 MB"),
        ({"megabytes": 269}, "the size changed from 300.0 MB to 269.0 MB"),
        ({"waste": 0.51}, "the waste changed from 40 % to 51 %"),
        ({"waste": 0.29}, "the waste changed from 40 % to 29 %"),
        ({"free": 0.25}, "the free pages changed from 10 % to 25 %"),
        ({"refused": "it is empty"}, "it is empty"),
    ],
)
def test_staleness_says_what_changed(
    lookup: Any, planned: Callable[..., DatabasePlan], now: dict[str, Any], text: str
) -> None:
    """A plan for a file that is no longer what it was is refused, with what it was and what it is."""
    assert text in staleness(planned(), inspection(**now), lookup=lookup)


@pytest.mark.parametrize(
    "state",
    [{"waste": float("nan")}, {"waste": "0.4"}, {"pages": True}, {"free_pages": []}, {"pages": None}],
    ids=str,
)
def test_staleness_refuses_a_state_that_says_nothing(
    lookup: Any, planned: Callable[..., DatabasePlan], state: Mapping[str, Any]
) -> None:
    """A comparison that cannot be made must not pass for one that held."""
    saved = planned()
    [name] = state
    broken = evolve(saved, state={**saved.state, **state})
    assert f"it does not say how the file was: {name} is" in staleness(broken, inspection(), lookup=lookup)
    without = evolve(saved, state={key: value for key, value in saved.state.items() if key != name})
    assert f"it does not say how the file was: {name} is None" in staleness(without, inspection(), lookup=lookup)


def test_staleness_works_on_a_plan_that_was_saved(lookup: Any, planned: Callable[..., DatabasePlan]) -> None:
    """What is compared survives the document."""
    saved = MaintenancePlan.from_document(
        json.loads(json.dumps(MaintenancePlan.of([planned()], MaintenanceRequest()).to_document()))
    )
    assert staleness(saved.databases[0], inspection(), lookup=lookup) == ""
    assert staleness(saved.databases[0], inspection(inode=1), lookup=lookup) != ""


def test_job_config_becomes_one_child_for_each_step(planned: Callable[..., DatabasePlan]) -> None:
    """The jobs run what is planned, in its order, with its limits, and know what was predicted."""
    request = MaintenanceRequest(max_stall=9.0, options={"force": True}, operations=("vacuum", "analyze"))
    one = planned(operations=("vacuum", "analyze"), parameters={"analyze": {"limit": 9}})
    idle = evolve(one, database="sqlite:////data/idle.db", steps=())
    config = job_config(MaintenancePlan.of([one, idle], request), until=NOW)
    json.dumps(config)
    made = plan(config)
    assert made.parent.name == "app.db"
    vacuum, analyze = (child for child in made.children if isinstance(child, Job))
    assert vacuum.config["operation"] == "vacuum"
    assert vacuum.config["options"] == {"force": True}
    assert vacuum.config["limits"]["until"] == NOW
    assert vacuum.config["limits"]["max_stall"] == 9.0
    assert vacuum.config["limits"]["predicted"] == one.due[0].prediction.seconds
    assert vacuum.metadata["predicted"]["gain"] == one.gain
    assert vacuum.metadata["predicted"]["cancellable"] is False
    assert analyze.config["parameters"] == {"limit": 9}


def test_job_config_of_several_databases_is_a_root_with_a_parent_for_each(
    planned: Callable[..., DatabasePlan],
) -> None:
    """What is stored with the root and with each parent is a config from which the same jobs can be made again."""
    one = planned()
    two = evolve(one, database="sqlite:////data/two.db")
    made = plan(job_config(MaintenancePlan.of([one, two], MaintenanceRequest())))
    assert made.parent.name == "2 databases"
    parents = [child.parent for child in made.children if isinstance(child, Plan)]
    assert [parent.name for parent in parents] == ["app.db", "two.db"]
    assert len(plan(made.parent.config).children) == 2
    assert plan(parents[1].config).parent.name == "two.db"


def test_predicted_of_a_step_without_assessment_promises_nothing() -> None:
    """None is not nought."""
    kept = prediction_document(PlannedStep(operation="freeze", run=True, why="asked for"))
    assert kept["seconds"] is None
    assert kept["writer_stall"] is None
    assert kept["reason"] == "asked for"


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
    from pitstop_database_maintenance.databases.database import Database

    class Bare(Database):
        """A kind of database without an inspection."""

    lookup.groups["pitstop.databases"]["bare"] = Bare
    lookup.groups[f"pitstop.operations.{CHILD_TYPE}"]["bare.freeze"] = lambda db: None
    made = list(plan_databases(["bare://h/d"], MaintenanceRequest(operations=("freeze",)), lookup=lookup))
    assert [due(database) for database, _ in made] == [["freeze"]]
    with pytest.raises(InvalidJobError, match="has no inspection"):
        list(plan_databases(["bare://h/d"], MaintenanceRequest(), lookup=lookup))


PLANS = st.builds(
    MaintenancePlan,
    databases=st.lists(
        st.builds(
            DatabasePlan,
            database=st.text(min_size=1),
            resource=st.text(),
            bytes=st.integers(0, 2**50),
            state=st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.booleans(), max_size=3),
            steps=st.lists(
                st.builds(
                    PlannedStep,
                    operation=st.text(min_size=1),
                    run=st.booleans(),
                    why=st.text(),
                    assessment=st.none()
                    | st.builds(
                        Assessment,
                        worth=st.sampled_from(Worth),
                        reason=st.text(),
                        gain=st.none() | st.integers(0, 2**50),
                        prediction=st.builds(
                            Prediction,
                            seconds=st.none() | st.floats(0, 1e6),
                            writer_stall=st.floats(0, 1e6),
                            disk=st.dictionaries(st.text(), st.integers(0, 2**50), max_size=2),
                        ),
                    ),
                    continued=st.booleans(),
                ),
                max_size=3,
            ).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    request=st.builds(
        MaintenanceRequest,
        operations=st.none() | st.lists(st.text(), max_size=2).map(tuple),
        max_stall=st.none() | st.floats(0, 1e6),
    ),
    made_at=st.floats(0, 1e10),
)


@given(PLANS)
def test_plan_is_the_same_after_a_file(made: MaintenancePlan) -> None:
    """What is written to a document and read from it is the plan that it was."""
    assert MaintenancePlan.from_document(json.loads(json.dumps(made.to_document()))) == made


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kind": "something"}, "the document is no plan"),
        ({"version": 2}, "expected 1, got 2; make the plan anew"),
        ({"databases": {}}, "databases"),
        ({"databases": [{"database": "a"}]}, "resource"),
        ({"more": 1}, "more"),
        ({"made_at": "now"}, "expected float, got 'now'"),
    ],
)
def test_plan_refuses_a_document_that_is_none(change: Mapping[str, Any], text: str) -> None:
    """What is not understood is refused with where it is wrong, never guessed at."""
    document = {**MaintenancePlan.of([], MaintenanceRequest()).to_document(), **change}
    with pytest.raises(InvalidValueError, match=text):
        MaintenancePlan.from_document(document)
    with pytest.raises(InvalidValueError, match="no plan"):
        MaintenancePlan.from_document([document])


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


def _with(load: Callable[[str, str], Any], name: str, thing: object) -> Callable[[str, str], Any]:
    return lambda group, wanted: thing if wanted == name and group == GROUP else load(group, wanted)


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


def test_planning_refuses_parameters_that_would_be_ignored(planned: Callable[..., DatabasePlan]) -> None:
    """Of what is not planned by itself they mean nothing without --operations; of a check they do with --checks."""
    for name, values in (("backup", {"to": "/b"}), ("rollback_stats", {}), ("integrity_check", {"limit": 3})):
        with pytest.raises(InvalidValueError, match=f"ask for it: --operations {name}"):
            planned(parameters={name: values})
    planned(parameters={"integrity_check": {"limit": 3}}, checks=True)
    planned(parameters={"backup": {"to": "/b"}}, operations=("backup",))


def test_planning_checks_options_as_the_jobs_do(planned: Callable[..., DatabasePlan]) -> None:
    """How a database is opened is checked before anything is looked at."""
    with pytest.raises(UnknownKeyError, match="did you mean 'on_connect'"):
        planned(options={"on_conect": "json:loads"})


def test_planning_lets_thresholds_of_other_kinds_pass(lookup: Any, history: History) -> None:
    """A call about several kinds of database may set thresholds of each: of assessments, and of policies."""

    class Other(Database):
        @classmethod
        def policies(cls) -> Mapping[str, Callable[..., Any]]:
            return {"bloat": lambda look, *, high_from=0.2: None}

    lookup.groups["pitstop.databases"]["other"] = Other
    request = MaintenanceRequest(thresholds={"bloat": {"high_from": 0.1}})
    MaintenancePlanner(request, lookup=lookup, history=history).database("/data/app.db", inspection())
    with pytest.raises(InvalidValueError, match="did you mean 'bloat'"):
        MaintenancePlanner(MaintenanceRequest(thresholds={"blot": {}}), lookup=lookup).database(
            "/data/app.db", inspection()
        )
