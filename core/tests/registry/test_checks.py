"""What is told of plugins that are broken, never used or nearly right."""

from __future__ import annotations

import sys

import pytest

from pitstop.errors import (
    InvalidValueError,
)
from pitstop.registry.catalog import CHECKS, HOOKS, OPERATIONS, PLANNERS, RUNNERS, WORKERS

from .helpers import HOOK, RUN, WORKER, Watcher


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


def test_check_of_a_group_that_comes_later_reaches_what_was_loaded_before(site) -> None:
    """Whoever installs the owner of a group hears of what is wrong in it, and need not start again."""
    site.add("phrases", groups={"pitstop.phrases": {"bad": "phrases:bad"}}, modules={"phrases": "bad = 5"})
    registry = site.registry()
    assert registry.load("pitstop.phrases", "bad") == 5
    assert registry.check() == []
    site.add("owner", groups={CHECKS: {"pitstop.phrases": "owner:check"}}, modules={"owner": CHECK})
    registry.refresh()
    (problem,) = registry.check()
    assert (problem.distribution, problem.group, problem.name) == ("phrases", "pitstop.phrases", "bad")


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
