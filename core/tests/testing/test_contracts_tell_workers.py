"""The suites for workers and operations tell: what breaks a promise fails the test of that promise, and no other."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.sampling import chosen, some

HERE = Path(__file__).parent


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


def _run(file: Path, *arguments: str, classes: Iterable[str] = ()) -> Outcomes:
    outcomes = Outcomes()
    names = [f"{file}::{name}" for name in classes] or [str(file)]
    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "-c", "/dev/null", "--import-mode=importlib"]
    pytest.main([*names, *options, "--rootdir", str(file.parent), *arguments], plugins=[outcomes])
    return outcomes


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BROKEN: list[Any] = [
    each
    for name, each in vars(_module("broken_workers")).items()
    if name.startswith("Test") and hasattr(each, "breaks")
]


@pytest.fixture(scope="module")
def broken(request: pytest.FixtureRequest) -> Outcomes:
    """What came of broken workers; the tests of imports are about modules, and stand in a file of their own."""
    classes = [suite.__name__ for suite in chosen(request, "suite")]
    return _run(HERE / "broken_workers.py", "-k", "not test_import and not of_the_module", classes=classes)


@pytest.mark.parametrize("suite", some(BROKEN, each=12), ids=lambda suite: suite.__name__)
def test_contract_tells_what_is_broken(broken: Outcomes, suite: Any) -> None:
    """Each broken promise fails its tests, and no other test fails."""
    assert set(broken.failed[suite.__name__]) == suite.breaks


@pytest.mark.slow
def test_contract_accepts_what_is_odd_but_legal() -> None:
    """Nothing is demanded that nobody has promised."""
    outcomes = _run(HERE / "odd_workers.py")
    assert {name: failed for name, failed in outcomes.failed.items() if failed} == {}
    assert len(outcomes.ran) == 12
    assert min(outcomes.ran.values()) >= 24
