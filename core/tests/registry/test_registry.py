"""What a name means, what is loaded when, and what becomes of one that is broken."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from pitstop.contracts import Lookup
from pitstop.contracts.hooks import hookimpl
from pitstop.contracts.operation_worker import OperationWorker
from pitstop.errors import (
    BlockedError,
    ConflictError,
    InvalidValueError,
    PitstopError,
    PluginError,
    UnknownNameError,
)
from pitstop.registry.registry import CHECKS, COMMANDS, HOOKS, OPERATIONS, PLANNERS, RUNNERS, STORES, WORKERS, Registry

HOOK = "import pitstop; pitstop_job_created = pitstop.hookimpl(lambda record: None)\n"
WORKER = """
class Worker:
    worker_type = "greeting"
    made = 0
    def __init__(self): type(self).made += 1
    def validate(self, job): ...
    def execute(self, job, context): ...
"""
RUN = "def run(target, *, times: int = 1): 'Run it.'"


class Greeter:
    worker_type = "greeting"

    def validate(self, job):
        """Accept it."""

    def execute(self, job, context):
        """Do nothing."""


def add_operation(site, distribution, name="optimize", source=RUN, version="1"):
    module = distribution.replace("-", "_")
    site.add(distribution, version, {OPERATIONS + "demo": {name: f"{module}:run"}}, modules={module: source})


# -- listing


def test_entries_lists_without_importing(site):
    """Everything is known before anything is imported, sorted, of one group or of all."""
    site.add("beta", groups={WORKERS: {"b": "lost:b"}, STORES: {"s": "lost:s"}})
    site.add("alpha", groups={WORKERS: {"b": "lost:b", "a": "lost:a"}})
    registry = site.registry()
    assert [(e.group, e.name, e.distribution) for e in registry.entries()] == [
        (STORES, "s", "beta"),
        (WORKERS, "a", "alpha"),
        (WORKERS, "b", "alpha"),
        (WORKERS, "b", "beta"),
    ]
    assert [e.name for e in registry.entries(STORES)] == ["s"]
    assert registry.worker_types() == registry.names(WORKERS) == ["a", "b"]
    assert registry.entries("pitstop.unheard") == registry.names("pitstop.unheard") == []
    assert "lost" not in sys.modules


def test_registry_reads_the_declarations_once_and_again_when_told(site):
    """What is installed later is seen after `refresh`; what was loaded stays."""
    site.add("acme", groups={WORKERS: {"greeting": "acme:Worker"}}, modules={"acme": WORKER})
    registry = site.registry()
    worker = registry.worker("greeting")
    site.add("later", groups={PLANNERS: {"plan": "later:plan"}}, modules={"later": "def plan(config): ..."})
    assert registry.planner_names() == []
    registry.refresh()
    assert registry.planner_names() == ["plan"]
    assert registry.planner("plan") is sys.modules["later"].plan
    assert registry.worker("greeting") is worker


def test_registry_is_the_lookup_that_workers_are_promised():
    """Every method of the protocol is there."""
    promised = [name for name in vars(Lookup) if not name.startswith("_")]
    assert promised
    assert all(callable(getattr(Registry, name)) for name in promised)


# -- loading


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


# -- threads


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


# -- names


def test_conflict_is_an_error_only_when_the_name_is_used(site):
    """Listing goes on; using the name tells both distributions; naming one of them chooses."""
    add_operation(site, "aaa-plug")
    add_operation(site, "bbb-plug", version="3")
    add_operation(site, "ccc-plug", name="other")
    registry = site.registry()
    text = (
        r"operation 'optimize' is offered by 2 distributions: aaa-plug 1 \(aaa_plug:run\), "
        r"bbb-plug 3 \(bbb_plug:run\). Name one, such as 'aaa-plug/optimize', or block one"
    )
    with pytest.raises(ConflictError, match=text):
        registry.operation("demo", "optimize")
    assert registry.operation("demo", "BBB_plug/optimize").distribution == "bbb-plug 3"
    assert registry.operation("demo", "aaa-plug/optimize").name == "optimize"
    assert registry.operation("demo", "other").name == "other"
    assert registry.operation_names("demo") == ["optimize", "other"]
    (problem,) = registry.problems
    assert problem.distribution == "aaa-plug, bbb-plug"
    assert "aaa-plug/optimize" in problem.hint


def test_conflict_of_workers_is_solved_by_naming_one(site):
    """Worker types and actions are chosen in the same way."""
    for name in ("one", "two"):
        groups = {WORKERS: {"greeting": f"{name}:Worker"}, PLANNERS: {"plan": f"{name}:Worker"}}
        site.add(name, groups=groups, modules={name: WORKER})
    registry = site.registry()
    with pytest.raises(ConflictError, match="worker 'greeting' is offered by 2"):
        registry.worker("greeting")
    with pytest.raises(ConflictError, match="action 'plan' is offered by 2"):
        registry.planner("plan")
    assert type(registry.worker("two/greeting")).__module__ == "two"
    assert registry.planner("one/plan").__module__ == "one"


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (
            lambda r: r.operation("demo", "optimise"),
            "no operation 'optimise' for worker 'demo'; did you mean 'optimize'",
        ),
        (lambda r: r.operation("none", "x"), "no operation 'x' for worker 'none'; there are: none"),
        (lambda r: r.worker("x"), "no worker 'x'; there are: none"),
        (lambda r: r.planner("x"), "no action 'x'"),
        (lambda r: r.runner("x"), "no runner 'x'"),
        (lambda r: r.store("x"), "no store 'x'"),
        (lambda r: r.command("x"), "no command 'x'"),
        (lambda r: r.load("pitstop.databases", "x"), "no database 'x'"),
        (
            lambda r: r.operation("demo", "nobody/optimize"),
            "no operation 'nobody/optimize' .*there are: aaa-plug/optimize",
        ),
        (lambda r: r.operation("demo", "aaa-plug/x"), "no operation 'aaa-plug/x' .*there are: optimize"),
    ],
)
def test_unknown_name_tells_what_there_is(site, ask, text):
    """The kind is said as people say it, with a suggestion or with all names."""
    add_operation(site, "aaa-plug")
    with pytest.raises(UnknownNameError, match=text):
        ask(site.registry())


def test_error_whose_text_ends_the_process_costs_only_its_plugin(site):
    """Whatever an exception does when it is asked for its text, the host lives on."""
    source = "class Dumb(Exception):\n    def __str__(self): raise SystemExit('no')\nraise Dumb\n"
    add_operation(site, "dumb-plug", source=source)
    with pytest.raises(PluginError, match=r"Dumb \(its text cannot be had: SystemExit\)"):
        site.registry().operation("demo", "optimize")


# -- allow and block


def test_block_holds_before_import_everywhere(site, monkeypatch):
    """A blocked distribution is not imported by anything, is not listed, and cannot be picked by name."""
    monkeypatch.setenv("PITSTOP_BLOCK", "other, Bad_Plug")
    add_operation(site, "bad-plug", source="raise SystemExit")
    add_operation(site, "other", name="more", source="raise SystemExit")
    site.add("bad-hooks", text="[pitstop.workers]\nmalformed\n")
    registry = site.registry(block=["bad-hooks"])
    for name in ("optimize", "bad-plug/optimize"):
        with pytest.raises(BlockedError, match=r"from bad-plug 1 \(bad_plug:run\), .* by PITSTOP_BLOCK=Bad_Plug"):
            registry.operation("demo", name)
    assert registry.entries() == registry.names(OPERATIONS + "demo") == registry.check() == []
    assert [(e.distribution, rule) for e, rule in registry.blocked] == [
        ("other", "PITSTOP_BLOCK=other"),
        ("bad-plug", "PITSTOP_BLOCK=Bad_Plug"),
    ]
    assert "bad_plug" not in sys.modules


def test_block_solves_a_conflict(site):
    """With one of the two blocked, the name means the other."""
    add_operation(site, "aaa-plug")
    add_operation(site, "bbb-plug")
    registry = site.registry(block=["aaa-plug"])
    assert registry.operation("demo", "optimize").distribution == "bbb-plug 1"
    assert registry.problems == []
    with pytest.raises(BlockedError, match=r"switched off by Registry\(block=\['aaa-plug'\]\)"):
        registry.operation("demo", "aaa-plug/optimize")


def test_allow_keeps_all_others_out_but_not_pitstop(site, monkeypatch):
    """The built-in stores need not be allowed, but may be blocked."""
    add_operation(site, "aaa-plug", name="a")
    add_operation(site, "bbb-plug", name="b")
    site.add("pitstop", "0.1", {STORES: {"memory": "acme:open"}})
    registry = site.registry(allow=["AAA.plug"])
    assert [e.distribution for e in registry.entries()] == ["aaa-plug", "pitstop"]
    with pytest.raises(BlockedError, match=r"switched off by Registry\(allow=\['AAA.plug'\]\)"):
        registry.operation("demo", "b")
    monkeypatch.setenv("PITSTOP_ALLOW", "bbb-plug aaa-plug")
    assert site.registry().operation_names("demo") == ["a", "b"]
    monkeypatch.setenv("PITSTOP_BLOCK", "pitstop")
    with pytest.raises(BlockedError, match="switched off by PITSTOP_BLOCK=pitstop"):
        site.registry().store("memory")
    monkeypatch.setenv("PITSTOP_ALLOW", "bbb-plug")
    with pytest.raises(BlockedError, match="switched off by PITSTOP_ALLOW=bbb-plug"):
        site.registry().operation("demo", "a")


def test_every_list_that_is_given_holds(site, monkeypatch):
    """An argument does not undo what the environment says; an empty variable says nothing; a text is a list."""
    add_operation(site, "aaa-plug", name="a")
    add_operation(site, "bbb-plug", name="b")
    monkeypatch.setenv("PITSTOP_BLOCK", "aaa-plug")
    monkeypatch.setenv("PITSTOP_ALLOW", " ")
    assert site.registry().operation_names("demo") == ["b"]
    assert site.registry(allow=["aaa-plug"]).operation_names("demo") == []
    assert site.registry(block="bbb-plug, ccc").operation_names("demo") == []
    assert site.registry(allow=[]).operation_names("demo") == []


def test_a_list_that_names_nobody_is_a_problem(site, monkeypatch):
    """A name with a slip of the pen would switch off nothing, silently."""
    add_operation(site, "bad-plug")
    monkeypatch.setenv("PITSTOP_BLOCK", "bda-plug")
    problems = site.registry(allow=["bad-plug", "pitstop", "qqqq"]).problems
    assert [str(problem) for problem in problems] == [
        "PITSTOP_BLOCK=bda-plug: no installed distribution 'bda-plug' offers anything to Pitstop; "
        "did you mean 'bad-plug'?",
        "Registry(allow=['qqqq']): no installed distribution 'qqqq' offers anything to Pitstop; "
        "there are: bad-plug, pitstop",
    ]


# -- hooks, problems, check


class Watcher:
    @hookimpl
    def pitstop_job_created(self, record):
        pass


def test_hook_plugins_loads_each_and_leaves_out_the_broken(site):
    """One broken plugin costs no other; the same name twice is no conflict."""
    site.add("one", groups={HOOKS: {"log": "one"}}, modules={"one": HOOK})
    source = f"class Thing:\n    {HOOK}thing = Thing()\n".replace("lambda record", "lambda self, record")
    site.add("two", groups={HOOKS: {"log": "two:thing"}}, modules={"two": source})
    site.add("bad", groups={HOOKS: {"log": "bad"}}, modules={"bad": "raise SystemExit(3)"})
    site.add("misspelt", groups={HOOKS: {"log": "typo"}}, modules={"typo": HOOK.replace("created", "craeted")})
    registry = site.registry()
    assert registry.problems == []
    plugins = registry.hook_plugins()
    assert plugins == [("one/log", sys.modules["one"]), ("two/log", sys.modules["two"].thing)]
    bad, misspelt = registry.problems
    assert (bad.distribution, bad.cause) == ("bad", "SystemExit: 3")
    assert misspelt.distribution == "misspelt"
    assert "did you mean 'pitstop_job_created'?" in misspelt.cause


def test_check_loads_everything_and_each_failure_costs_only_itself(site):
    """The doctor sees declarations, conflicts and every kind of failure in one go."""
    site.add("alpha", text=f"[{WORKERS}]\nmalformed\ngreeting = alpha:Worker\n", modules={"alpha": WORKER})
    groups = {
        WORKERS: {"wrong": "beta:Worker", "greeting": "beta:Worker"},
        OPERATIONS + "greeting": {"bad": "beta:Worker.made", "good": "beta:run"},
        PLANNERS: {"p": "beta:missing"},
        RUNNERS: {"r": "beta:number"},
        HOOKS: {"h": "beta:nothing"},
        "pitstop.databases": {"d": "lost:D"},
    }
    site.add("beta", "2", groups, modules={"beta": f"{WORKER}\n{RUN}\nnumber = 1\nnothing = None"})
    registry = site.registry()
    problems = registry.check()
    assert [(p.distribution, p.group, p.name) for p in problems] == [
        ("alpha", WORKERS, "malformed"),
        ("alpha, beta", WORKERS, "greeting"),
        ("beta", "pitstop.databases", "d"),
        ("beta", HOOKS, "h"),
        ("beta", OPERATIONS + "greeting", "bad"),
        ("beta", PLANNERS, "p"),
        ("beta", RUNNERS, "r"),
        ("beta", WORKERS, "wrong"),
    ]
    assert problems == registry.problems
    assert registry.operation("greeting", "good").name == "good"


# -- added by hand


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
    assert (entry.distribution, entry.name, entry.target) == ("", "greeting", f"{__name__}:Greeter")
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


def test_check_names_operations_of_a_worker_type_that_nobody_offers(site) -> None:
    """A typo in a group's name is told with the worker type that is near."""
    site.add(
        "worker-plug",
        groups={"pitstop.workers": {"greeting": "greet:Greeter"}},
        modules={
            "greet": (
                "class Greeter:\n    worker_type = 'greeting'\n    def validate(self, job): pass\n"
                "    def execute(self, job, context): pass\n"
            )
        },
    )
    site.add(
        "lost-plug",
        groups={"pitstop.operations.greting": {"hello": "lost:hello"}},
        modules={"lost": "def hello(context): pass\n"},
    )
    (problem,) = site.registry().check()
    assert (problem.distribution, problem.name) == ("lost-plug", "hello")
    assert "no installed plugin offers the worker type 'greting'; did you mean 'greeting'?" in str(problem)


def test_check_says_that_the_worker_of_an_operation_is_switched_off(site) -> None:
    """That is only worth knowing: whoever blocked the worker knows it."""
    site.add("acme", groups={WORKERS: {"greeting": "acme:Worker"}}, modules={"acme": WORKER})
    site.add("other", groups={OPERATIONS + "greeting": {"run": "other:run"}}, modules={"other": RUN})
    (note,) = site.registry(block=["acme"]).check()
    assert (note.distribution, note.severity) == ("other", "note")
    assert note.cause == "the worker type 'greeting' is switched off by Registry(block=['acme'])"


def test_check_names_a_misspelt_group(site) -> None:
    """A group that nothing reads, one letter off a known one, is told with the one that was meant."""
    site.add("typo-plug", groups={"pitstop.worker": {"w": "typo:W"}}, modules={"typo": "W = 1\n"})
    (problem,) = site.registry().check()
    assert "nothing reads the group 'pitstop.worker'; did you mean 'pitstop.workers'?" in str(problem)


def test_hook_plugins_refuse_a_class(site) -> None:
    """A class has no `self` to give its hooks; the text says what to name instead."""
    registry = site.registry()
    with pytest.raises(InvalidValueError, match="it is the class Watcher; give an instance, or a module"):
        registry.add_hooks(Watcher)


@pytest.mark.parametrize(
    ("group", "hint"),
    [
        ("pitstop.wrokers", "did you mean 'pitstop.workers'?"),
        ("pitstop.operation.demo", "did you mean 'pitstop.operations.demo'?"),
        ("pitstop.operations", "name the worker type: pitstop.operations.TYPE"),
        ("pitstop.shelve", "did you mean 'pitstop.shelves'?"),
    ],
)
def test_strays_are_groups_that_are_nearly_known(site, group, hint):
    """Known is what Pitstop reads, and what several distributions offer something in."""
    site.add("aaa", groups={"pitstop.shelves": {"a": "aaa"}})
    site.add("bbb", groups={"pitstop.shelves": {"b": "bbb"}})
    site.add("slip", groups={group: {"x": "slip:x"}})
    (problem,) = site.registry().unused_entry_points()
    assert (problem.distribution, problem.hint) == ("slip", hint)
    assert problem.cause == f"nothing reads the group {group!r}"


@pytest.mark.parametrize("group", ["pitstop.tools", "pitstop.scores", "pitstop.databases", "pitstop.workers.of.mine"])
def test_strays_are_no_groups_of_a_plugin_s_own(site, group):
    """A word of its own is no slip, and what two use is none."""
    site.add("own", groups={group: {"x": "own:x"}})
    for name in ("aaa", "bbb"):
        site.add(name, groups={"pitstop.workres": {name: "own:x"}})
    assert site.registry().unused_entry_points() == []


CHECK = """
def check(name, loaded, lookup):
    if not isinstance(loaded, str): raise TypeError(f"it is {loaded!r}, no phrase")
    if name not in lookup.names("pitstop.phrases"): raise ValueError("it is not there")
"""


def test_check_asks_the_plugin_whose_group_it_is(site):
    """What is wrong is told as of any other group; what is right, and what nobody checks, is content."""
    site.add("owner", groups={"pitstop.checks": {"pitstop.phrases": "owner:check"}}, modules={"owner": CHECK})
    phrases = {"good": "phrases:good", "bad": "phrases:bad"}
    groups = {"pitstop.phrases": phrases, "pitstop.others": {"bad": "phrases:bad"}}
    site.add("phrases", groups=groups, modules={"phrases": "good = 'hello'\nbad = 5"})
    registry = site.registry()
    (problem,) = registry.check()
    assert (problem.distribution, problem.name, problem.cause) == ("phrases", "bad", "it is 5, no phrase")
    assert problem.hint.startswith("tell the makers of phrases")
    assert registry.load("pitstop.phrases", "bad") == 5


def test_check_that_cannot_be_loaded_costs_nobody_else(site):
    """Only the plugin that offers it is told of."""
    site.add("owner", groups={CHECKS: {"pitstop.phrases": "owner:gone"}}, modules={"owner": ""})
    site.add("phrases", groups={"pitstop.phrases": {"bad": "phrases:bad"}}, modules={"phrases": "bad = 5"})
    assert [problem.distribution for problem in site.registry().check()] == ["owner"]


def test_strays_are_groups_that_are_nearly_one_that_is_checked(site):
    """A plugin that offers a check makes its group known."""
    site.add("owner", groups={CHECKS: {"pitstop.phrases": "owner:check"}})
    site.add("slip", groups={"pitstop.phrasse": {"x": "slip:x"}})
    (problem,) = site.registry().unused_entry_points()
    assert problem.hint == "did you mean 'pitstop.phrases'?"
