"""Submission: a request is checked whole, and is refused whole in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pitstop.contracts import JobQuery
from pitstop.errors import (
    InvalidJobError,
    InvalidPlanError,
    OperationError,
    PitstopError,
    PluginError,
    UnknownNameError,
)
from pitstop.jobs import Job, Plan, Tolerance
from pitstop.orchestration.orchestrator import Orchestrator
from pitstop.orchestration.submission import SubmitOptions, expand_request, flatten_request, validate_jobs
from pitstop.registry.registry import Registry

from ..helpers import Actor, job, plan

Orchestrate = Callable[..., Orchestrator]


class Needy(Actor):
    """A worker that names a resource for its jobs."""

    worker_type = "needy"
    answer: Any = "its-resource"

    def resource(self, asked: Job) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_submission_sets_the_ids_of_the_whole_tree() -> None:
    """Every job knows its parent and its root, whatever the planner wrote into it."""
    inner = plan(job("b"), job("c", parent_id="wrong", correlation_id="wrong"), name="inner")
    jobs = flatten_request(plan(job("a", correlation_id="wrong"), inner))
    by_name = {each.name: each for each in jobs}
    assert [each.name for each in jobs] == ["root", "a", "inner", "b", "c"]
    root, middle = by_name["root"], by_name["inner"]
    assert {each.correlation_id for each in jobs} == {root.id}
    assert root.parent_id is None
    assert {by_name[name].parent_id for name in ("a", "inner")} == {root.id}
    assert {by_name[name].parent_id for name in ("b", "c")} == {middle.id}


def test_submission_makes_parents_of_plans() -> None:
    """A plan's parent gets a tolerance if it has none, and the notes."""
    (parent,) = flatten_request(Plan(parent=Job(type="group", metadata={"by": "me"}), notes=["mind the gap"]))
    assert parent.tolerance == Tolerance()
    assert parent.metadata == {"by": "me", "notes": ["mind the gap"]}


def test_submission_applies_options_to_the_tree() -> None:
    """Limits go to every job, tolerance to every parent, name and metadata to the root."""
    options = SubmitOptions(
        name="nightly", timeout=5, max_attempts=7, on_error="stop", max_failures=2, metadata={"definition": "n"}
    )
    root, inner, leaf = flatten_request(plan(plan(job("a", timeout=9), name="inner")), options)
    assert (root.name, root.metadata) == ("nightly", {"definition": "n"})
    assert root.tolerance == inner.tolerance == Tolerance(on_error="stop", max_failures=2)
    assert (leaf.name, leaf.timeout, leaf.max_attempts) == ("a", 5, 7)


def test_submission_leaves_what_options_do_not_say() -> None:
    """Without options the planner's choice stays."""
    root, leaf = flatten_request(
        plan(job("a", timeout=9, max_attempts=1), on_error="stop", max_failures=1), SubmitOptions()
    )
    assert root.tolerance == Tolerance(on_error="stop", max_failures=1)
    assert (leaf.timeout, leaf.max_attempts) == (9, 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (SubmitOptions(on_error="halt"), "on_error is 'halt'"),
        (SubmitOptions(max_failures=-1), "max_failures is -1"),
        (SubmitOptions(timeout=0), "timeout is 0"),
        (SubmitOptions(max_attempts=0), "max_attempts is 0"),
        (SubmitOptions(metadata={"x": object()}), "which JSON cannot hold"),
    ],
)
def test_submission_refuses_impossible_options(options: SubmitOptions, says: str) -> None:
    """Wrong options are refused before anything is planned."""
    with pytest.raises(InvalidJobError, match=says):
        flatten_request(plan(job("a")), options)


@pytest.mark.parametrize("request_", [None, 5, {"type": "act"}, [], Plan(parent=None)])  # type: ignore[arg-type]
def test_submission_refuses_what_is_no_job(request_: Any) -> None:
    """What is neither a job nor a plan is named."""
    with pytest.raises(InvalidJobError, match=r"is of type .*; give a Job or a Plan"):
        flatten_request(request_)


def test_submission_refuses_a_child_that_is_no_job() -> None:
    """A planner that puts an id or a dict among its children is told so."""
    with pytest.raises(InvalidJobError, match="a plan's child is of type str"):
        flatten_request(plan(job("a"), "b"))  # type: ignore[arg-type]


def test_plan_of_prefers_an_action(registry: Registry) -> None:
    """A planner is asked with the config; a worker type without planner becomes one job."""
    made = plan(job("a"))
    asked: list[Any] = []

    def planner(config: Mapping[str, Any]) -> Plan:
        asked.append(config)
        return made

    registry.add_planner("make", planner)
    assert expand_request(registry, "make", {"x": 1}) is made
    assert asked == [{"x": 1}]
    single = expand_request(registry, "act", {"x": 1})
    assert isinstance(single, Job)
    assert (single.type, single.config) == ("act", {"x": 1})


def test_plan_of_gives_the_registry_to_a_planner_that_takes_it(registry: Registry) -> None:
    """A parameter `lookup` is all that it needs for that."""
    made = plan(job("a"))
    given: list[Any] = []

    def planner(config: Mapping[str, Any], /, *, lookup: Any) -> Plan:
        given.append((config, lookup))
        return made

    registry.add_planner("make", planner)
    assert expand_request(registry, "make", {"x": 1}) is made
    assert given == [({"x": 1}, registry)]


def test_plan_of_suggests_the_nearest_name(registry: Registry) -> None:
    """An unknown name gets a "did you mean" from actions and worker types alike."""
    registry.add_planner("database_care", lambda config: plan())
    with pytest.raises(UnknownNameError, match="no action or worker type 'database_car'; did you mean 'database_care'"):
        expand_request(registry, "database_car", {})
    with pytest.raises(UnknownNameError, match="no action or worker type 'xyz'; there are: database_care, act"):
        expand_request(registry, "xyz", {})


@pytest.mark.parametrize("nonsense", [None, 5, [job("a")], "plan"])
def test_plan_of_refuses_a_planner_that_returns_no_plan(registry: Registry, nonsense: Any) -> None:
    """Nonsense from a planner is the planner's fault, and is told so."""
    registry.add_planner("make", lambda config: nonsense)
    with pytest.raises(PluginError, match=f"returned {type(nonsense).__name__}, not a Plan"):
        expand_request(registry, "make", {})


@pytest.mark.parametrize("error", [KeyError("database"), SystemExit(1), ZeroDivisionError()])
def test_plan_of_tells_whose_fault_an_exception_is(registry: Registry, error: BaseException) -> None:
    """Whatever a planner raises becomes a clear error, and never ends the host."""

    def planner(config: Mapping[str, Any]) -> Plan:
        raise error

    registry.add_planner("make", planner)
    with pytest.raises(InvalidJobError, match=f"the planner of 'make' failed in .*planner with {type(error).__name__}"):
        expand_request(registry, "make", {})


def test_checked_asks_the_worker_for_the_resource(registry: Registry) -> None:
    """A job that names no resource gets the worker's; one that does keeps its own."""
    registry.add_worker(Needy())
    accepted = validate_jobs([Job(type="needy"), Job(type="needy", resource="mine")], registry)
    assert [each.resource for each in accepted] == ["its-resource", "mine"]


@pytest.mark.parametrize("answer", [5, b"db", ["db"]])
def test_checked_refuses_a_resource_that_is_no_text(registry: Registry, answer: Any) -> None:
    """A resource is compared as text in every store."""
    needy = Needy()
    needy.answer = answer
    registry.add_worker(needy)
    with pytest.raises(InvalidJobError, match="the worker of 'needy' names the resource"):
        validate_jobs([Job(type="needy")], registry)


def test_checked_wraps_what_a_resource_method_raises(registry: Registry) -> None:
    """A fault in `resource` is told like one in `validate`."""
    needy = Needy()
    needy.answer = KeyError("database")
    registry.add_worker(needy)
    with pytest.raises(InvalidJobError, match=r"failed in Needy\.resource with KeyError: 'database'"):
        validate_jobs([Job(type="needy")], registry)


@pytest.mark.parametrize("error", [ValueError("bad size"), SystemExit(2), AssertionError()])
def test_checked_wraps_what_a_worker_raises(registry: Registry, actor: Actor, error: BaseException) -> None:
    """A worker's `validate` that raises what it should not is no crash of the host."""

    def refuse(asked: Job) -> None:
        raise error

    actor.on_validate = refuse
    with pytest.raises(
        InvalidJobError, match=f"the worker of 'act' failed in Actor.validate with {type(error).__name__}"
    ):
        validate_jobs([job("a")], registry)


def test_checked_masks_a_secret_of_the_config_wherever_it_stands_in_a_long_text(
    registry: Registry, actor: Actor
) -> None:
    """Nothing is cut before it is masked: half a password is not recognized."""

    def refuse(asked: Job) -> None:
        raise ValueError("x" * 490 + asked.config["password"])

    actor.on_validate = refuse
    with pytest.raises(InvalidJobError, match="ValueError: xxx") as refused:
        validate_jobs([Job(type="act", config={"password": "correct-horse-battery"})], registry)
    assert "correct" not in refused.value.text()


def test_checked_lets_an_interruption_through(registry: Registry, actor: Actor) -> None:
    """Ctrl-C while a job is checked is the user's."""

    def interrupted(asked: Job) -> None:
        raise KeyboardInterrupt("stop")

    actor.on_validate = interrupted
    with pytest.raises(KeyboardInterrupt, match="stop"):
        validate_jobs([job("a")], registry)


def test_submit_tells_every_problem_and_creates_nothing(
    orchestrate: Orchestrate, actor: Actor, recorder: Any, registry: Registry
) -> None:
    """One bad child refuses the whole plan, all problems are told, and no hook is called."""
    registry.add_hooks(recorder)

    def refuse(asked: Job) -> None:
        if asked.name == "b":
            raise InvalidJobError(reason="no table 'x'", hint="name one")
        if asked.name == "c":
            raise OperationError(reason="not here")
        if asked.name == "d":
            raise ValueError("wrong")

    actor.on_validate = refuse
    orchestrator = orchestrate()
    tree = plan(job("a"), job("b"), job("c"), plan(job("d"), Job(type="nobody", name="e"), name="inner"))
    with pytest.raises(InvalidPlanError, match="no table 'x'; name one") as caught:
        orchestrator.submit(tree)
    assert [name for name, _ in caught.value.problems] == ["b", "c", "d", "e"]
    assert "ValueError: wrong" in str(caught.value)
    assert "no worker 'nobody'" in str(caught.value) or "nobody" in str(caught.value)
    assert orchestrator.store.select(JobQuery()) == []
    assert actor.ran == []
    assert recorder.calls == []


def test_submit_raises_the_only_problem_as_it_is(orchestrate: Orchestrate, actor: Actor) -> None:
    """A single job's refusal is not wrapped."""

    def refuse(asked: Job) -> None:
        raise InvalidJobError(reason="no table 'x'")

    actor.on_validate = refuse
    with pytest.raises(InvalidJobError, match=r"\Ano table 'x'\Z"):
        orchestrate().submit("act", {})


@pytest.mark.parametrize("config", [5, "text", [1], {"x": object()}, {1: 2}])
def test_submit_refuses_a_config_that_is_no_json_object(orchestrate: Orchestrate, config: Any) -> None:
    """A config is a JSON object."""
    with pytest.raises(PitstopError, match="config"):
        orchestrate().submit("act", config)


def test_submit_refuses_a_config_beside_a_job(orchestrate: Orchestrate) -> None:
    """A job already has its config."""
    with pytest.raises(InvalidJobError, match="put it into the job"):
        orchestrate().submit(job("a"), {"x": 1})


def test_submit_keeps_variables_unexpanded(
    orchestrate: Orchestrate, actor: Actor, monkeypatch: Any, store: Any
) -> None:
    """The store never sees what `${NAME}` stands for; the worker does."""
    monkeypatch.setenv("LIFE_SECRET", "hunter2-long")
    orchestrator = orchestrate(store)
    record = orchestrator.run("act", {"password": "${LIFE_SECRET}", "literal": "$${LIFE_SECRET}"})
    assert record.job.config == {"password": "${LIFE_SECRET}", "literal": "$${LIFE_SECRET}"}
    assert actor.configs == [{"password": "hunter2-long", "literal": "${LIFE_SECRET}"}]


@pytest.mark.parametrize("options", [SubmitOptions(on_error="stop"), SubmitOptions(max_failures=1)])
def test_submission_refuses_a_tolerance_for_a_single_job(options: SubmitOptions) -> None:
    """What would do nothing is refused: a single job has no children to tolerate."""
    with pytest.raises(InvalidJobError, match="a single job has none"):
        flatten_request(job("a"), options)


def test_submission_refuses_a_parent_outside_of_a_plan() -> None:
    """A job with a tolerance would have no children, and complete without doing anything."""
    with pytest.raises(InvalidJobError, match="'a' has a tolerance, so that it is a parent; submit it as the parent"):
        flatten_request(plan(job("a", tolerance=Tolerance())))


def test_plugin_error_of_what_was_added_by_hand_names_no_distribution(registry: Registry) -> None:
    """There is no distribution to reinstall or to block, and the text does not say so."""
    registry.add_planner("nonsense", lambda config: None)
    with pytest.raises(
        PluginError, match=r"action 'nonsense', added by hand .* is at fault: it returned NoneType"
    ) as told:
        expand_request(registry, "nonsense", {})
    assert "PITSTOP_BLOCK" not in str(told.value)


def test_submit_options_fill_their_gaps_from_defaults() -> None:
    """What is given counts, zero and an empty mapping too; the rest is the defaults'."""
    defaults = SubmitOptions(name="nightly", timeout=9, on_error="stop", max_failures=3, metadata={"a": 1})
    given = SubmitOptions(timeout=5, max_failures=0, metadata={})
    assert given.with_defaults(defaults) == SubmitOptions(
        name="nightly", timeout=5, on_error="stop", max_failures=0, metadata={}
    )
