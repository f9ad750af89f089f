"""A plan as a document and as jobs, and whether it still fits the database that it was made for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from assessing import NOW, inspection
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pitstop.errors import InvalidValueError
from pitstop.jobs import Job, Plan
from pitstop_database_maintenance.databases.assessment import Assessment, Prediction, Worth
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenancePlan, MaintenanceRequest, PlannedStep
from pitstop_database_maintenance.planning.plan_config import job_config, prediction_document
from pitstop_database_maintenance.planning.planner import staleness
from pitstop_database_maintenance.worker.action import plan

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
