"""Workers, operations, planners and hooks that are added by hand."""

from __future__ import annotations

import gc
import weakref
from types import ModuleType

import pytest

from pitstop.contracts.hooks import hookimpl
from pitstop.contracts.operation_worker import OperationWorker
from pitstop.errors import (
    InvalidValueError,
    PitstopError,
    UnknownNameError,
)
from pitstop.registry.catalog import WORKERS

from .helpers import WORKER, Greeter, Watcher, add_operation


def test_add_worker_takes_an_instance_or_a_class(site):
    """A class is called at once; an instance is used as it is; both are listed."""
    registry = site.registry()
    registry.add_worker(Greeter)
    assert isinstance(registry.worker("greeting"), Greeter)
    assert registry.worker("greeting") is registry.worker("greeting")
    registry.remove_worker("greeting")
    worker = Greeter()
    registry.add_worker(worker)
    assert registry.worker("greeting") is worker
    (entry,) = registry.entries(WORKERS)
    assert (entry.distribution, entry.name, entry.target) == ("", "greeting", f"{Greeter.__module__}:Greeter")
    assert registry.worker_types() == ["greeting"]
    assert registry.check() == []


def test_add_worker_gives_the_registry_to_one_made_of_operations(site):
    """A worker in a script finds operations added in the same script."""

    class Demo(OperationWorker):
        worker_type = "demo"

    registry = site.registry()
    registry.add_worker(Demo())
    registry.add_operation("demo", "shout", lambda target, *, loud=True: None)
    assert registry.worker("demo").lookup is registry
    assert registry.worker("demo").lookup.operation("demo", "shout").parameters[0].name == "loud"
    registry.remove_operation("demo", "shout")
    assert registry.operation_names("demo") == []


def test_add_refuses_a_name_that_is_taken_unless_told(site):
    """A name is taken by what was added and by what is installed; replacing wins over both, removing undoes it."""
    site.add("acme", groups={WORKERS: {"greeting": "acme:Worker"}}, modules={"acme": WORKER})
    registry = site.registry()
    text = r"add_worker: greeting: the name is taken by acme 1.0 \(acme:Worker\); give replace=True"
    with pytest.raises(InvalidValueError, match=text):
        registry.add_worker(Greeter)
    registry.add_worker(Greeter, replace=True)
    assert isinstance(registry.worker("greeting"), Greeter)
    with pytest.raises(InvalidValueError, match=r"taken by this program \(.*:Greeter\)"):
        registry.add_worker(Greeter)
    assert type(registry.worker("acme/greeting")).__module__ == "acme"
    registry.remove_worker("greeting")
    assert type(registry.worker("greeting")).__module__ == "acme"
    with pytest.raises(UnknownNameError, match="no added worker 'greeting'; what a distribution offers can only be"):
        registry.remove_worker("greeting")


def test_add_with_replace_settles_a_conflict(site):
    """An added one is what the name means, however many distributions offer it."""
    add_operation(site, "aaa-plug")
    add_operation(site, "bbb-plug")
    registry = site.registry()
    registry.add_operation("demo", "optimize", lambda target: "by hand", replace=True)
    assert registry.operation("demo", "optimize").function(None) == "by hand"
    assert registry.operation("demo", "optimize").distribution == ""
    assert registry.problems == []


def test_added_planner_is_used_and_taken_back(site):
    """Adding and removing are exact opposites."""

    def plan(config):
        raise NotImplementedError

    registry = site.registry()
    registry.add_planner("tidy", plan)
    assert registry.planner("tidy") is plan
    assert registry.planner_names() == ["tidy"]
    with pytest.raises(InvalidValueError, match="add_planner: tidy: the name is taken"):
        registry.add_planner("tidy", plan)
    registry.remove_planner("tidy")
    with pytest.raises(UnknownNameError, match="no action 'tidy'"):
        registry.planner("tidy")
    with pytest.raises(UnknownNameError, match="no added action 'tidy'"):
        registry.remove_planner("tidy")


def test_removed_things_are_let_go(site):
    """What was taken back is not kept alive by the registry."""
    registry = site.registry()
    worker = Greeter()
    registry.add_worker(worker)
    gone = weakref.ref(worker)
    registry.remove_worker("greeting")
    del worker
    gc.collect()
    assert gone() is None


def test_added_hooks_are_known_by_what_they_are(site):
    """Two objects of one class are two plugins; the same one twice is a mistake."""
    registry = site.registry()
    one, two, module = Watcher(), Watcher(), ModuleType("watching")
    module.pitstop_job_created = hookimpl(lambda record: None)
    registry.add_hooks(one)
    registry.add_hooks(two)
    registry.add_hooks(module)
    assert {plugin for _, plugin in registry.hook_plugins()} == {one, two, module}
    assert len({name for name, _ in registry.hook_plugins()}) == 3
    assert ("watching", module) in registry.hook_plugins()
    with pytest.raises(InvalidValueError, match="the name is taken"):
        registry.add_hooks(one)
    registry.add_hooks(one, replace=True)
    registry.remove_hooks(one)
    registry.remove_hooks(module)
    assert [plugin for _, plugin in registry.hook_plugins()] == [two]
    with pytest.raises(UnknownNameError, match="no added hook 'watching'"):
        registry.remove_hooks(module)


@pytest.mark.parametrize(
    ("add", "text"),
    [
        (lambda r: r.add_worker(object()), "add_worker: worker: its worker_type is None, not a name"),
        (lambda r: r.add_worker(type("W", (), {"worker_type": "w"})), "it has no method 'validate'"),
        (lambda r: r.add_operation("demo", "x", None), "add_operation: function: it is NoneType, not a function"),
        (lambda r: r.add_operation("demo", "x", lambda: None), "it takes no positional argument"),
        (lambda r: r.add_operation("demo", "", len), "add_operation: name: '' is not a name"),
        (lambda r: r.add_operation(None, "x", len), "add_operation: worker_type: None is not a name"),
        (lambda r: r.add_planner("plan", 5), "add_planner: planner: 5 cannot be called"),
        (lambda r: r.add_planner(5, len), "add_planner: action: 5 is not a name"),
        (lambda r: r.add_hooks(None), "add_hooks: plugin: None: it has no function marked"),
        (lambda r: r.add_hooks("module"), "add_hooks: plugin: 'module': it has no function marked"),
    ],
)
def test_add_checks_its_argument_at_once(site, add, text):
    """What can never work is refused when it is added, and nothing is added."""
    registry = site.registry()
    with pytest.raises(PitstopError, match=text):
        add(registry)
    assert registry.entries() == []
