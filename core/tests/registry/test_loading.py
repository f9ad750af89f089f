"""A name is loaded once, for all threads, and a plugin at fault costs only itself."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pitstop.errors import (
    PluginError,
)
from pitstop.registry.catalog import COMMANDS, HOOKS, OPERATIONS, PLANNERS, RUNNERS, STORES, WORKERS

from .helpers import HOOK, RUN, WORKER, Greeter, add_operation


def test_load_returns_what_the_target_names(site):
    """An attribute, a nested attribute or the module itself, just as it is."""
    groups = {"pitstop.databases": {"one": "acme:Outer.inner", "two": "acme"}}
    site.add("acme", groups=groups, modules={"acme": "class Outer:\n    inner = [1]"})
    registry = site.registry()
    assert registry.load("pitstop.databases", "one") is sys.modules["acme"].Outer.inner
    assert registry.load("pitstop.databases", "two") is sys.modules["acme"]


def test_worker_is_made_once_and_given_no_lookup_it_does_not_want(site):
    """Every call gets the same instance."""
    site.add("acme", groups={WORKERS: {"greeting": "acme:Worker"}}, modules={"acme": WORKER})
    registry = site.registry()
    worker = registry.worker("greeting")
    assert registry.worker("greeting") is worker
    assert registry.load(WORKERS, "greeting") is type(worker)
    assert type(worker).made == 1
    assert not hasattr(worker, "lookup")


def test_worker_made_of_operations_gets_the_registry(site):
    """An OperationWorker finds the operations of its type through the registry that made it; any worker may ask."""
    source = "from pitstop import OperationWorker\nclass Demo(OperationWorker):\n    worker_type = 'demo'\n"
    source += WORKER.replace("greeting", "asking").replace("made = 0", "made = 0\n    lookup = None")
    site.add("acme", groups={WORKERS: {"demo": "acme:Demo", "asking": "acme:Worker"}}, modules={"acme": source})
    registry = site.registry()
    assert registry.worker("demo").lookup is registry
    assert registry.worker("asking").lookup is registry


def test_operation_is_made_once_with_its_parameters(site):
    """An operation knows its name, its distribution and its parameters."""
    add_operation(site, "acme-plug")
    registry = site.registry()
    operation = registry.operation("demo", "optimize")
    assert registry.operation("demo", "optimize") is operation
    assert (operation.name, operation.distribution) == ("optimize", "acme-plug 1")
    assert [parameter.name for parameter in operation.parameters] == ["times"]
    assert registry.operation_names("demo") == ["optimize"]
    assert registry.load(OPERATIONS + "demo", "optimize") is operation.function


@pytest.mark.parametrize(
    ("group", "method"), [(PLANNERS, "planner"), (RUNNERS, "runner"), (STORES, "store"), (COMMANDS, "command")]
)
def test_each_kind_is_loaded_by_its_name_and_must_be_callable(site, group, method):
    """Planners, runners, stores and commands are functions or classes."""
    groups = {group: {"good": "acme:thing", "bad": "acme:number"}}
    site.add("acme", groups=groups, modules={"acme": "def thing(*_): ...\nnumber = 5"})
    registry = site.registry()
    assert getattr(registry, method)("good") is sys.modules["acme"].thing
    with pytest.raises(PluginError, match=r"acme 1.0 \(acme:number\): it is of type int, which cannot be called"):
        getattr(registry, method)("bad")


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("import sys; sys.exit('good bye')", "SystemExit: good bye"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("x = ", r"SyntaxError: invalid syntax \(bad_plug.py, line 1\)"),
        ("", "AttributeError: module 'bad_plug' has no attribute 'run'"),
        ("run = None", r"it is None\."),
        (
            "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
            r"Mute \(its text cannot be had: ValueError\)",
        ),
        ("run = 5", "it is int, not a function"),
        ("async def run(target): ...", "it is an 'async def', and nothing would await it; write a plain 'def'"),
        ("def run(target, table): ...", r"parameters must be keyword-only: put '\*' before table"),
    ],
)
def test_load_tells_who_is_at_fault_whatever_goes_wrong(site, source, cause):
    """A broken plugin costs only itself; the error names it, its cause and the way on without it."""
    add_operation(site, "bad-plug", source=source, version="2.0")
    add_operation(site, "good-plug", name="good")
    registry = site.registry()
    text = rf"'optimize' could not be loaded from bad-plug 2.0 \(bad_plug:run\): {cause}.*PITSTOP_BLOCK=bad-plug"
    with pytest.raises(PluginError, match=text) as caught:
        registry.operation("demo", "optimize")
    assert caught.value.kind == "operation"
    assert registry.operation("demo", "good").function(None) is None


@pytest.mark.parametrize(
    ("source", "step"), [("run = 5", "tell the makers of bad-plug"), ("import gone_module", "install the package")]
)
def test_load_and_check_name_the_same_next_step(site, source, step):
    """No new installation mends what is of the wrong type: its makers must."""
    add_operation(site, "bad-plug", source=source)
    registry = site.registry()
    with pytest.raises(PluginError, match=f"still work. {step.capitalize()}.*, or switch it off"):
        registry.operation("demo", "optimize")
    assert step in registry.problems[0].hint


def test_load_tells_of_a_missing_module(site):
    """An uninstalled module is named."""
    site.add("acme", groups={STORES: {"s": "gone_module.deep:open"}})
    with pytest.raises(PluginError, match="ModuleNotFoundError: No module named 'gone_module'"):
        site.registry().store("s")


def test_load_lets_an_interrupt_pass(site):
    """Ctrl-C during an import is for the process, not a fault of the plugin."""
    add_operation(site, "acme", source="raise KeyboardInterrupt('now')")
    with pytest.raises(KeyboardInterrupt, match="now"):
        site.registry().operation("demo", "optimize")


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("def Worker(): ...", "it is of type function, not a class"),
        (WORKER.replace("greeting", "other"), "its worker_type is 'other', but it is registered as 'greeting'"),
        (WORKER.replace('"greeting"', "None"), "its worker_type is None, not a name"),
        (WORKER.replace("execute", "run"), "it has no method 'execute'"),
        (WORKER.replace("validate", "check"), "it has no method 'validate'"),
        (WORKER.replace("type(self).made += 1", "1 / 0"), "ZeroDivisionError: division by zero"),
        (WORKER.replace("(self): type", "(self, url): type"), "TypeError: Worker.__init__.. missing 1 required"),
    ],
)
def test_worker_refuses_what_is_no_worker(site, source, cause):
    """What is wrong with the class is said before any job gets it."""
    site.add("acme", groups={WORKERS: {"greeting": "acme:Worker"}}, modules={"acme": source})
    with pytest.raises(PluginError, match=cause):
        site.registry().worker("greeting")


def test_worker_may_get_its_methods_when_it_is_made(site):
    """What counts is what the object has, such as the methods of another one that it stands for."""

    class Wrapper:
        worker_type = "greeting"

        def __init__(self):
            self.execute = Greeter().execute

        def __getattr__(self, name):
            if name == "validate":
                return Greeter().validate
            raise AttributeError(name)

    registry = site.registry()
    registry.add_worker(Wrapper)
    assert isinstance(registry.worker("greeting"), Wrapper)


def test_load_tries_again_after_a_failure(site):
    """A failure is not remembered, and is no longer a problem once it is gone."""
    add_operation(site, "acme", source="import acme_missing\n" + RUN)
    registry = site.registry()
    for _ in range(2):
        with pytest.raises(PluginError, match="No module named 'acme_missing'"):
            registry.operation("demo", "optimize")
    (problem,) = registry.problems
    assert (problem.distribution, problem.where, problem.name) == ("acme", "acme:run", "optimize")
    site.add("missing", modules={"acme_missing": ""})
    assert registry.operation("demo", "optimize").name == "optimize"
    assert registry.problems == []


def test_problems_keep_what_is_unfit_though_it_can_be_loaded(site):
    """That a class can be imported does not make it a worker, nor a module a hook plugin."""
    groups = {WORKERS: {"wrong": "acme:Worker"}, HOOKS: {"late": "acme_late"}}
    site.add("acme", groups=groups, modules={"acme": WORKER})
    registry = site.registry()
    assert [problem.name for problem in registry.check()] == ["late", "wrong"]
    site.add("late", modules={"acme_late": HOOK})
    assert registry.load(HOOKS, "late") is sys.modules["acme_late"]
    assert registry.load(WORKERS, "wrong") is sys.modules["acme"].Worker
    assert [problem.name for problem in registry.problems] == ["late", "wrong"]
    assert [name for name, _ in registry.hook_plugins()] == ["acme/late"]
    assert [problem.name for problem in registry.problems] == ["wrong"]


def test_problems_mask_secrets(site):
    """A password in the text of a plugin's error is not shown."""
    add_operation(site, "acme", source="raise ValueError('postgresql://me:hunter2@host/db')")
    registry = site.registry()
    with pytest.raises(PluginError, match=r"postgresql://me:\*\*\*@host/db"):
        registry.operation("demo", "optimize")
    assert "hunter2" not in str(registry.problems[0].as_dict())


def test_load_imports_once_for_many_threads(site):
    """Threads that ask for the same worker at the same time get one instance from one import."""
    source = "import sys\nsys.acme_imports = getattr(sys, 'acme_imports', 0) + 1\n" + WORKER
    site.add("acme", groups={WORKERS: {"greeting": "acme:Worker"}}, modules={"acme": source})
    registry = site.registry()
    together = threading.Barrier(8, timeout=30)

    def ask():
        together.wait()
        return registry.worker("greeting")

    try:
        with ThreadPoolExecutor(8) as pool:
            workers = {future.result() for future in [pool.submit(ask) for _ in range(8)]}
        assert len(workers) == 1
        assert sys.acme_imports == type(workers.pop()).made == 1
    finally:
        del sys.acme_imports


def test_load_makes_one_instance_while_another_thread_is_making_it(site):
    """A thread that asks while the constructor runs waits for it, and makes no second one."""
    source = WORKER.replace("type(self).made += 1", "type(self).made += 1; import sys; sys.acme_pause()")
    site.add("acme", groups={WORKERS: {"greeting": "acme:Worker"}}, modules={"acme": source})
    registry = site.registry()
    inside, go_on = threading.Event(), threading.Event()

    def pause():
        inside.set()
        assert go_on.wait(30)

    sys.acme_pause = pause
    try:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(registry.worker, "greeting")
            assert inside.wait(30)
            second = pool.submit(registry.worker, "greeting")
            go_on.set()
            assert first.result(30) is second.result(30)
        assert type(first.result()).made == 1
    finally:
        del sys.acme_pause


def test_load_imports_different_plugins_side_by_side(site):
    """One slow plugin does not hold up another: each import waits here until the other one has begun."""
    for name in ("one", "two"):
        add_operation(site, f"{name}-plug", name=name, source=f"import sys\nsys.acme_meeting.wait()\n{RUN}")
    registry = site.registry()
    sys.acme_meeting = threading.Barrier(2, timeout=30)
    try:
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda name: registry.operation("demo", name).name, ["one", "two"]))
        assert found == ["one", "two"]
    finally:
        del sys.acme_meeting


def test_load_does_not_deadlock_when_two_plugins_load_each_other(site):
    """Two threads whose plugins ask for one another at import both come back."""
    for name, other in (("one", "two"), ("two", "one")):
        source = "import sys\nsys.acme_meeting.wait()\ntry:\n    sys.acme_registry.load('pitstop.operations.demo', "
        source += f"'{other}')\nexcept RuntimeError as error:\n    print(error)\n{RUN}"
        add_operation(site, f"{name}-plug", name=name, source=source)
    sys.acme_registry = registry = site.registry()
    sys.acme_meeting = threading.Barrier(2, timeout=30)
    try:
        threads = [threading.Thread(target=registry.operation, args=("demo", n), daemon=True) for n in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
        assert registry.operation("demo", "one").name == "one"
        assert registry.operation("demo", "two").name == "two"
    finally:
        del sys.acme_meeting, sys.acme_registry


def test_load_is_safe_for_a_plugin_that_uses_the_registry_at_import(site):
    """A plugin may load another one, and fails cleanly when it asks for itself."""
    source = """
import sys
registry = sys.acme_registry
other = registry.operation("demo", "other")
try:
    registry.operation("demo", "optimize")
except RuntimeError as error:
    itself = str(error)
"""
    add_operation(site, "acme", source=source + RUN)
    add_operation(site, "helper", name="other")
    sys.acme_registry = site.registry()
    try:
        assert sys.acme_registry.operation("demo", "optimize").name == "optimize"
        # what follows differs from one Python to the next
        assert "partially initialized module 'acme'" in sys.modules["acme"].itself
        assert sys.modules["acme"].other.name == "other"
    finally:
        del sys.acme_registry


def test_worker_that_asks_for_itself_while_it_is_made_is_refused(site):
    """A constructor that needs its own worker would never end."""
    source = WORKER.replace("type(self).made += 1", "import sys; sys.acme_registry.worker('greeting')")
    site.add("acme", groups={WORKERS: {"greeting": "acme:Worker"}}, modules={"acme": source})
    sys.acme_registry = site.registry()
    try:
        with pytest.raises(PluginError, match="it asks for itself while it is being made"):
            sys.acme_registry.worker("greeting")
    finally:
        del sys.acme_registry
