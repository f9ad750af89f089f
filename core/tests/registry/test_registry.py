"""What there is, what a name means, and which distributions may be used."""

from __future__ import annotations

import sys

import pytest

from pitstop.contracts import Lookup
from pitstop.errors import (
    BlockedError,
    ConflictError,
    PluginError,
    UnknownNameError,
)
from pitstop.registry.catalog import OPERATIONS, PLANNERS, STORES, WORKERS
from pitstop.registry.registry import Registry

from .helpers import WORKER, add_operation


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
