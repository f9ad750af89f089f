"""The suites for workers and operations tell: what breaks a promise fails the test of that promise, and no other."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.sampling import chosen, some

from . import broken_isolation, broken_operations, broken_stopping, broken_validation, broken_workers, odd_workers

ROOT = Path(__file__).parents[3]


class Outcomes:
    """A pytest plugin that notes, for each class of tests, which have failed, and with which text."""

    def __init__(self) -> None:
        self.failed: dict[str, dict[str, str]] = {}
        self.ran: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, name, test = report.nodeid.split("::", 2)
        self.failed.setdefault(name, {})
        if report.when == "call":
            self.ran[name] = self.ran.get(name, 0) + 1
        if report.failed:
            self.failed[name][test] = str(report.longrepr)


def run_suites(suites: Iterable[type], *arguments: str) -> Outcomes:
    """Run suites, in the modules that are imported already."""
    outcomes = Outcomes()
    names = [f"{sys.modules[suite.__module__].__file__}::{suite.__name__}" for suite in suites]
    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "-c", "/dev/null", "--import-mode=importlib"]
    pytest.main(
        [*names, *options, "--noconftest", f"--rootdir={ROOT}", *arguments],
        plugins=[outcomes],
    )
    return outcomes


def list_suites(*modules: ModuleType) -> list[Any]:
    """Return the suites that modules define."""
    return [
        each
        for module in modules
        for name, each in vars(module).items()
        if name.startswith("Test") and each.__module__ == module.__name__
    ]


BROKEN = list_suites(broken_workers, broken_validation, broken_stopping, broken_isolation, broken_operations)


@pytest.fixture(scope="module")
def broken(request: pytest.FixtureRequest) -> Outcomes:
    """What came of broken workers; the tests of imports are about modules, and stand in a file of their own."""
    return run_suites(chosen(request, "suite"), "-k", "not test_import and not of_the_module")


@pytest.mark.parametrize("suite", some(BROKEN, each=12), ids=lambda suite: suite.__name__)
def test_contract_tells_what_is_broken(broken: Outcomes, suite: Any) -> None:
    """Each broken promise fails its tests, and no other test fails."""
    assert set(broken.failed[suite.__name__]) == suite.breaks


def test_contract_accepts_a_long_silence_that_can_be_interrupted(tmp_path: Path) -> None:
    """What says what to call when it must stop need not ask."""
    suite = odd_workers.TestInterrupted()
    suite.stops_within = 0.09
    suite.test_execute_asks_often_enough(tmp_path)


@pytest.mark.slow
def test_contract_accepts_what_is_odd_but_legal() -> None:
    """Nothing is demanded that nobody has promised."""
    outcomes = run_suites(list_suites(odd_workers))
    assert {name: failed for name, failed in outcomes.failed.items() if failed} == {}
    assert len(outcomes.ran) == 12
    assert min(outcomes.ran.values()) >= 24
