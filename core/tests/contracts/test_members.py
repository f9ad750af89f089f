"""Misspelt members of a contract are found, and an author's own attributes are left alone."""

from __future__ import annotations

import functools
from typing import Any

import attrs
import pytest

import pitstop
from pitstop.contracts import BaseRunner, BaseWorker, RunJob
from pitstop.contracts.members import misspelt_members
from pitstop.errors import InvalidValueError


class Duck:
    """A worker that derives from nothing of Pitstop's."""

    worker_type = "duck"

    def validate(self, job: pitstop.Job) -> None:
        """Accept everything."""

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> None:
        """Do nothing."""


class Derived(BaseWorker):
    """The same, with the base."""

    worker_type = "derived"

    def validate(self, job: pitstop.Job) -> None:
        """Accept everything."""

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> None:
        """Do nothing."""


class Operated(pitstop.OperationWorker):
    """One that is made of operations."""

    worker_type = "operated"


def one_argument(self: object, _argument: object) -> Any:
    """Stand for a method that takes a job or an operation."""


@pytest.mark.parametrize("base", [Duck, Derived, Operated])
@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("on_crahs", "retry", "on_crash"),
        ("onCrash", "retry", "on_crash"),
        ("resouce", one_argument, "resource"),
        ("resource_", staticmethod(lambda _job: "x"), "resource"),
        ("exmaple", one_argument, "example"),
        ("exmaple", lambda self, operation, words: "", "example"),
        ("fcats", classmethod(one_argument), "facts"),
    ],
)
def test_misspelt_member_of_a_worker_is_found(base: type, name: str, value: object, meant: str) -> None:
    """Whether or not it derives from a base, as an instance and as a class."""
    kind = type("Kind", (base,), {name: value})
    said = [f"has {name!r}, which nothing reads; did you mean {meant!r}?"]
    assert misspelt_members(kind(), BaseWorker) == said
    assert misspelt_members(kind, BaseWorker) == said


def test_misspelt_member_of_an_instance_is_found() -> None:
    """What a constructor sets is an attribute too."""
    worker = Duck()
    worker.on_crsh = "retry"  # type: ignore[attr-defined]
    assert misspelt_members(worker, BaseWorker) == ["has 'on_crsh', which nothing reads; did you mean 'on_crash'?"]


def test_misspelt_member_of_the_base_in_between_is_found() -> None:
    """A subclass of `OperationWorker` has its members too."""
    kind = type("Kind", (Operated,), {"config_kyes": ("operation",), "paramters": one_argument})
    assert misspelt_members(kind(), BaseWorker) == [
        "has 'config_kyes', which nothing reads; did you mean 'config_keys'?",
        "has 'paramters', which nothing reads; did you mean 'parameters'?",
    ]


OWN: list[tuple[str, Any]] = [
    ("resources", ["a list of its own"]),
    ("resources", lambda self: ["of nothing in particular"]),
    ("resources", lambda self, kind=None: ["of a kind"]),
    ("examples", lambda self, operation, number, seed: ["several"]),
    ("resources", property(lambda self: "computed")),
    ("example", "a text of its own, and no method"),
    ("facets", functools.cached_property(lambda self: {})),
    ("on_crash_callback", lambda self: None),
    ("crash", "retry"),
    ("_on_crahs", "private"),
    ("execute_all", one_argument),
    ("validator", object()),
    ("fetch", one_argument),
]


@pytest.mark.parametrize("base", [Duck, Derived, Operated])
@pytest.mark.parametrize(("name", "value"), OWN)
def test_attributes_of_the_authors_own_are_left_alone(base: type, name: str, value: object) -> None:
    """Of another sort, of other arguments, private, or near to nothing."""
    assert misspelt_members(type("Kind", (base,), {name: value})(), BaseWorker) == []


def test_name_near_to_a_member_that_is_there_is_the_authors_own() -> None:
    """Who has `resource` knows how it is spelt."""
    kind = type("Kind", (Derived,), {"resource": one_argument, "resources": one_argument})
    assert misspelt_members(kind(), BaseWorker) == []


@attrs.frozen
class Slotted:
    """No attributes of its class, and no dictionary."""

    worker_type: str = "slotted"
    on_crash: str = "fail"


def test_workers_of_pitstop_misspell_nothing() -> None:
    """Nor does an object with slots."""
    for worker in (Duck(), Derived(), Operated(), Slotted()):
        assert misspelt_members(worker, BaseWorker) == []
    for runner in (pitstop.InlineRunner, pitstop.ThreadRunner, pitstop.ProcessRunner):
        assert misspelt_members(runner, BaseRunner) == []


def test_worker_with_a_misspelt_member_is_warned_of_where_it_is_added() -> None:
    """The warning names the class, the attribute and what was meant; the worker works."""
    kind = type("Kind", (Duck,), {"on_crahs": "retry"})
    registry = pitstop.Registry()
    with pytest.warns(UserWarning, match=r":Kind has 'on_crahs', .* did you mean 'on_crash'\?") as caught:
        registry.add_worker(kind)
    assert caught[0].filename == __file__
    assert pitstop.run("duck", registry=registry, store="none").ok


@pytest.mark.parametrize("base", [object, BaseWorker])
def test_worker_with_a_misspelt_method_is_refused(base: type) -> None:
    """What every worker must have is missing then; the text says what was found instead."""
    members = {"worker_type": "x", "validat": Duck.validate, "execute": Duck.execute}
    with pytest.raises(InvalidValueError, match="it has no method 'validate'; is it meant by 'validat'"):
        pitstop.Registry(path=[]).add_worker(type("Kind", (base,), members))


@pytest.mark.parametrize("value", ["retyr", None, True])
def test_worker_with_an_unknown_on_crash_is_refused(value: object) -> None:
    """It would silently mean "fail"."""
    with pytest.raises(InvalidValueError, match=r"its on_crash is .*; it is 'fail' or 'retry'"):
        pitstop.Registry(path=[]).add_worker(type("Kind", (Duck,), {"on_crash": value}))


async def asynchronous(self: object, _argument: object) -> None:
    """Never run."""


@pytest.mark.parametrize("name", ["resource", "example", "facts"])
def test_worker_with_an_optional_method_that_nobody_awaits_is_refused(name: str) -> None:
    """Its resource would be a coroutine."""
    with pytest.raises(InvalidValueError, match=f"its method '{name}' is an 'async def'"):
        pitstop.Registry(path=[]).add_worker(type("Kind", (Duck,), {name: asynchronous}))


def test_base_worker_has_every_default() -> None:
    """A subclass has the three things that make a worker, and nothing else of its own."""
    worker, job = Derived(), pitstop.Job(type="derived")
    operation: Any = None
    assert (worker.on_crash, worker.resource(job)) == ("fail", None)
    assert (worker.example(operation), worker.facts(operation)) == ("", {})


class Smallest(BaseRunner):
    """Runs a job where it is handed over."""

    run_job: RunJob

    def start(self, run_job: RunJob) -> None:
        """Begin."""
        self.run_job = run_job

    def submit(self, job_id: str, *, not_before: float | None = None) -> None:
        """Run it."""
        self.run_job(job_id)

    def stop(self, *, wait: bool = True) -> None:
        """Nothing runs."""


def _registry(worker: type = Derived) -> pitstop.Registry:
    registry = pitstop.Registry(path=[])
    registry.add_worker(worker)
    return registry


def test_base_runner_has_every_default() -> None:
    """A subclass has three methods, and jobs run."""
    assert pitstop.run("derived", registry=_registry(), store="none", runner=Smallest()).ok


@pytest.mark.parametrize("base", [Derived, Operated, Smallest])
def test_bases_pass_on_what_another_base_is_made_with(base: type) -> None:
    """An author's class may have another base beside ours, in any order, and make it as Python's own classes do."""

    class Other:
        def __init__(self, given: int = 0) -> None:
            super().__init__()
            self.given = given

    inherits: Any = type("Inherits", (base, Other), {})
    turned: Any = type("Turned", (Other, base), {})
    calls: Any = type("Calls", (base, Other), {"__init__": lambda self: super(calls, self).__init__(3)})
    assert [made.given for made in (calls(), inherits(4), turned(given=5))] == [3, 4, 5]
    with pytest.raises(TypeError):
        base(1)


def test_runner_with_a_misspelt_member_is_warned_of() -> None:
    """By the orchestrator that is to use it; a job that it would have refused runs."""

    class Misspelt(Smallest):
        def chekc(self, job: pitstop.Job) -> None:
            raise pitstop.InvalidJobError("it does not run here")

    with pytest.warns(UserWarning, match=r"Misspelt has 'chekc', which nothing reads; did you mean 'check'\?"):
        assert pitstop.run("derived", registry=_registry(), store="none", runner=Misspelt()).ok


def test_loaded_runner_whose_method_nobody_awaits_is_refused(site: Any) -> None:
    """`await` is not what an orchestrator does with `submit`."""
    source = "import pitstop\nclass Runner(pitstop.InlineRunner):\n    async def submit(self, job_id): ...\n"
    site.add("slow", groups={"pitstop.runners": {"slow": "slow:Runner"}}, modules={"slow": source})
    with pytest.raises(pitstop.PluginError, match="its method 'submit' is an 'async def', and nothing would await it"):
        site.registry().runner("slow")
