"""Runs tests of a contract over something broken, in a pytest within this one, and says how they end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

#: Plugins that a pytest within another one must leave alone, and what nobody reads.
_WITHOUT = ("cacheprovider", "faulthandler", "terminal")


class Case(NamedTuple):
    """A class of a contract, over something that breaks one promise.

    Args:
        name: the class.
        test: the test of the contract that must fail; with its parameter in brackets, if it has one.
    """

    name: str
    test: str

    def promise(self, contract: type) -> str:
        """Return what the test checks, in words."""
        found = getattr(contract, self.test.partition("[")[0]).__doc__
        assert found, f"{self.test} says no promise"
        return str(found)


class Told:
    """How tests have ended, by class and name. A plugin of pytest's."""

    def __init__(self) -> None:
        self.reports: dict[Case, pytest.TestReport] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the call's report, or that of a skip or failure around it."""
        _, name, test = report.nodeid.split("::")
        if report.when == "call" or not report.passed:
            self.reports.setdefault(Case(name, test), report)


def run(module: Path, cases: Iterable[Case], *, folder: Path) -> Mapping[Case, pytest.TestReport]:
    """Run tests of a module, and return their reports.

    Args:
        module: a file with classes of tests.
        cases: which of them.
        folder: for their temporary files.
    """
    told = Told()
    plugins = [f"no:{name}" for name in _WITHOUT]
    options = ["--noconftest", "--import-mode=importlib", "--capture=no", f"--basetemp={folder}", "-c", "/dev/null"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        # the environment of the pytest around us says what it runs
        patch.delenv("PYTEST_ADDOPTS", raising=False)
        arguments = [argument for plugin in plugins for argument in ("-p", plugin)]
        pytest.main([*arguments, *options, *(f"{module}::{case.name}::{case.test}" for case in cases)], [told])
    return told.reports


def check(report: pytest.TestReport | None, promise: str) -> None:
    """Fail unless a test has failed by an assertion, and its message names the promise."""
    assert report is not None, "the contract has no such test"
    assert report.failed, f"the contract does not notice it: the test has {report.outcome}"
    crash = getattr(report.longrepr, "reprcrash", None)
    assert crash is not None, report.longreprtext
    said = crash.message
    assert said.startswith(("AssertionError", "assert ", "Failed: ")), f"it failed otherwise: {said}"
    assert f"The promise: {promise}" in report.longreprtext, report.longreprtext
