"""Which jobs the action `database_maintenance` becomes, and which configs are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pitstop import Registry
from pitstop.errors import InputError, InvalidJobError, InvalidValueError, UnknownKeyError
from pitstop.jobs import Job, Plan
from pitstop_database_maintenance.worker.action import plan, sort_operations


def names(made: Plan) -> list[str]:
    """Return the operations of a plan for one database, in order."""
    return [child.name for child in made.children if isinstance(child, Job)]


def test_plan_runs_three_operations_by_default() -> None:
    """Vacuum, reindex and analyze are the default; optimize is not."""
    made = plan({"database": "/data/app.db"})
    assert names(made) == ["vacuum", "reindex", "analyze"]
    assert made.parent.type == "database_maintenance_parent"
    assert made.parent.name == "app.db"
    assert made.notes == ()


def test_plan_makes_one_job_an_operation() -> None:
    """A child names one operation and the absolute database, and has parameters only if some were given."""
    made = plan({"database": "app.db", "operations": ["analyze", "reindex"], "parameters": {"analyze": {"limit": 9}}})
    url = f"sqlite:///{os.getcwd()}/app.db"
    configs = [(c.type, c.name, dict(c.config), c.resource) for c in made.children if isinstance(c, Job)]
    assert configs == [
        ("database_maintenance_operation", "reindex", {"operation": "reindex", "database": url}, None),
        (
            "database_maintenance_operation",
            "analyze",
            {"operation": "analyze", "database": url, "parameters": {"limit": 9}},
            None,
        ),
    ]


def test_plan_of_a_fleet_has_a_parent_for_each_database() -> None:
    """A list of databases becomes a root, a parent per database and a child per operation."""
    made = plan({"databases": ["a.db", "mysql://h/shop"], "operations": ["vacuum"]})
    assert made.parent.config["databases"] == [f"sqlite:///{os.getcwd()}/a.db", "mysql://h/shop"]
    assert made.parent.name == "2 databases"
    assert [child.parent.name for child in made.children if isinstance(child, Plan)] == ["a.db", "mysql://h/shop"]
    assert [names(child) for child in made.children if isinstance(child, Plan)] == [["vacuum"], ["vacuum"]]


def test_plan_of_a_fleet_of_one_is_still_a_fleet() -> None:
    """The shape follows the key that was given, not the number of databases."""
    made = plan({"databases": ["/a.db"]})
    assert [type(child) for child in made.children] == [Plan]


@pytest.mark.parametrize(
    "config", [{"database": "a.db", "parameters": {"reindex": {"indexes": ["i"]}}}, {"databases": ["a.db"]}]
)
def test_plan_can_be_made_again_from_its_parent(config: dict[str, Any]) -> None:
    """What is stored with the parent is a config that gives the same children."""
    made = plan(config)
    again = plan(made.parent.config)
    assert again.parent.config == made.parent.config
    assert len(again.children) == len(made.children)


def test_plan_stores_no_absolute_path_of_a_variable() -> None:
    """`${NAME}` goes into the jobs as it was written."""
    child = plan({"database": "${DB}"}).children[0]
    assert isinstance(child, Job)
    assert child.config["database"] == "${DB}"


def test_in_order_is_independent_of_the_users_order() -> None:
    """Vacuum, reindex, the unknown ones as they were given, analyze, optimize."""
    given = ("optimize", "freeze", "analyze", "reindex", "acme/vacuum", "check")
    assert sort_operations(Registry(), "a.db", given) == (
        "acme/vacuum",
        "reindex",
        "freeze",
        "check",
        "analyze",
        "optimize",
    )


def test_plan_notes_that_it_changed_the_order() -> None:
    """Who wrote another order is told."""
    assert "vacuum, reindex" in plan({"database": "a.db", "operations": ["reindex", "vacuum"]}).notes[0]
    assert plan({"database": "a.db", "operations": ["vacuum", "reindex"]}).notes == ()


@pytest.mark.parametrize(
    ("config", "kind", "text"),
    [
        ({"databse": "a.db"}, UnknownKeyError, "did you mean 'database'"),
        ({}, InvalidJobError, "'database' is missing"),
        ({"database": "a", "databases": ["b"]}, InvalidJobError, "both"),
        ({"database": ["a"]}, InvalidValueError, "write it as 'databases'"),
        ({"database": None}, InvalidValueError, "expected a path or a URL"),
        ({"database": "a", "operations": "vacuum"}, InvalidValueError, r'write \["vacuum"\]'),
        ({"database": "a", "operations": "vacuum, analyze"}, InvalidValueError, r'write \["vacuum", "analyze"\]'),
        ({"database": "a", "operations": []}, InvalidValueError, "empty list"),
        ({"database": "a", "operations": None}, InvalidValueError, "expected a list"),
        ({"database": "a", "operations": {"vacuum": 1}}, InvalidValueError, "expected a list"),
        ({"database": "a", "operations": ["vacuum", 5]}, InvalidValueError, r"one is 5 \(int\)"),
        ({"database": "a", "operations": ["vacuum", ""]}, InvalidValueError, "one is empty"),
        ({"database": "a", "operations": ["vacuum", "vacuum"]}, InvalidValueError, "'vacuum' is given twice"),
        ({"databases": "a,b.db"}, InvalidValueError, r'write \["a,b.db"\]'),
        ({"databases": []}, InvalidValueError, "empty list"),
        ({"databases": [3]}, InvalidValueError, "one is 3"),
        ({"databases": ["a.db", "./a.db"]}, InvalidValueError, "'a.db' and './a.db' are one and the same"),
        ({"databases": ["mysql://h/d", "mysql://h/d"]}, InvalidValueError, "is given twice"),
        ({"databases": ["sqlite://"]}, InvalidJobError, "names no file"),
        ({"database": "a", "parameters": []}, InvalidValueError, "expected an object"),
        ({"database": "a", "parameters": {"analyse": {}}}, InvalidValueError, "did you mean 'analyze'"),
        ({"database": "a", "parameters": {"optimize": {}}}, InvalidValueError, "not among the operations"),
        ({"database": "a", "parameters": {"vacuum": 1}}, InvalidValueError, "not an object"),
        ([], InvalidJobError, "not an object"),
    ],
)
def test_plan_refuses(config: Any, kind: type[InputError], text: str) -> None:
    """Each wrong config is refused with what to write; nothing is dropped or guessed."""
    with pytest.raises(kind, match=text):
        plan(config)


def test_plan_refuses_one_file_through_a_link(tmp_path: Path) -> None:
    """A link and its target are one database, which is not to be vacuumed twice."""
    (tmp_path / "a.db").touch()
    (tmp_path / "b.db").symlink_to("a.db")
    with pytest.raises(InvalidValueError, match="one and the same"):
        plan({"databases": [str(tmp_path / "a.db"), str(tmp_path / "b.db")]})


def test_plan_shows_no_password_in_an_error() -> None:
    """A database given twice is named without its password."""
    with pytest.raises(InvalidValueError, match="given twice") as caught:
        plan({"databases": ["mysql://u:hunter2@h/d"] * 2})
    assert "hunter2" not in str(caught.value)


STEP = {"operation": "vacuum", "parameters": {"a": 1}, "limits": {"max_stall": 2}, "predicted": {"seconds": 3}}


def test_plan_takes_what_is_decided_already() -> None:
    """Each step becomes a child as it stands, in its order, with its options and limits; what was predicted is kept."""
    entry = {"database": "app.db", "options": {"force": True}, "steps": [{"operation": "analyze"}, STEP]}
    made = plan({"plan": [entry]})
    assert names(made) == ["analyze", "vacuum"]
    analyze, vacuum = (child for child in made.children if isinstance(child, Job))
    url = f"sqlite:///{os.getcwd()}/app.db"
    assert analyze.config == {"operation": "analyze", "database": url, "options": {"force": True}}
    assert vacuum.config["parameters"] == {"a": 1}
    assert vacuum.config["limits"] == {"max_stall": 2}
    assert vacuum.metadata == {"predicted": {"seconds": 3}}
    assert made.parent.type == "database_maintenance_parent"


@pytest.mark.parametrize("count", [1, 2])
def test_plan_that_is_decided_can_be_made_again_from_its_parent(count: int) -> None:
    """What is stored with the parent is a config that gives the same children."""
    made = plan({"plan": [{"database": f"/data/{n}.db", "steps": [STEP]} for n in range(count)]})
    again = plan(made.parent.config)
    assert again.parent.config == made.parent.config
    assert len(again.children) == len(made.children)


@pytest.mark.parametrize(
    ("config", "kind", "text"),
    [
        ({"plan": [], "operations": ["vacuum"]}, UnknownKeyError, "'operations'"),
        ({"plan": []}, InvalidJobError, "the plan is empty"),
        ({"plan": {"database": "a.db"}}, InvalidValueError, "expected a list of objects, got dict"),
        ({"plan": ["a.db"]}, InvalidValueError, r"plan\[0\]: expected an object, got str"),
        ({"plan": [{"steps": [STEP]}]}, InvalidValueError, "'database' is missing"),
        ({"plan": [{"database": "a.db"}]}, InvalidValueError, "'steps' is missing"),
        ({"plan": [{"database": "a.db", "steps": []}]}, InvalidValueError, "empty list"),
        ({"plan": [{"database": "a.db", "step": [STEP]}]}, UnknownKeyError, "did you mean 'steps'"),
        ({"plan": [{"database": "a.db", "steps": [{}]}]}, InvalidValueError, "'operation' is missing"),
        ({"plan": [{"database": "a.db", "steps": [{"operation": 1}]}]}, InvalidValueError, "expected a name, got 1"),
        ({"plan": [{"database": "a.db", "steps": [{**STEP, "limits": 1}]}]}, InvalidValueError, "limits"),
        ({"plan": [{"database": "a.db", "steps": [{**STEP, "limit": {}}]}]}, UnknownKeyError, "did you mean 'limits'"),
        ({"plan": [{"database": n, "steps": [STEP]} for n in ("a", "./a")]}, InvalidValueError, "in the plan twice"),
    ],
)
def test_plan_refuses_what_is_decided_wrongly(config: dict[str, Any], kind: type[InputError], text: str) -> None:
    """The text says where in the plan it is wrong."""
    with pytest.raises(kind, match=text):
        plan(config)
