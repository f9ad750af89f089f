"""What a request may plan: operations and assessments of anybody, and what is refused of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from assessing import due, inspection, step_of

from pitstop.errors import InputError, InvalidJobError, InvalidValueError, UnknownKeyError, UnknownNameError
from pitstop_database_maintenance.databases.assessment import GROUP, Assessment, Look, Worth
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenanceRequest
from pitstop_database_maintenance.planning.planner import MaintenancePlanner
from pitstop_database_maintenance.worker.action import CHILD_TYPE


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


def test_planning_passes_parameters_to_the_step_and_its_assessment(planned: Callable[..., DatabasePlan]) -> None:
    """A parameter that an assessment knows too, such as what to leave free, changes its figures."""
    found = inspection(waste=0.3, free=0.3, auto_vacuum="incremental")
    all_of_it = step_of(planned(found), "incremental_vacuum").assessment
    half = step_of(planned(found, parameters={"incremental_vacuum": {"keep": 0.15}}), "incremental_vacuum")
    assert half.parameters == {"keep": 0.15}
    assert half.assessment is not None
    assert all_of_it is not None
    assert half.assessment.gain == pytest.approx((all_of_it.gain or 0) / 2, rel=0.01)


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
    assert step_of(made, "freeze").why == "level 3"


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


def _with(load: Callable[[str, str], Any], name: str, thing: object) -> Callable[[str, str], Any]:
    return lambda group, wanted: thing if wanted == name and group == GROUP else load(group, wanted)


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
    assert text in step_of(made, "freeze").why


def test_planning_of_all_and_by_name_contradict_each_other(planned: Callable[..., DatabasePlan]) -> None:
    """Both at once mean nothing."""
    with pytest.raises(InvalidJobError, match="give --all or --operations"):
        planned(everything=True, operations=("vacuum",))
