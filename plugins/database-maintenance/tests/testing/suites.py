"""How the tests that a conformance suite tells run it on what is broken: pytest in pytest, each failure noted."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


class Outcomes:
    """A pytest plugin that notes, for each class of tests, which have failed, and with which text."""

    def __init__(self) -> None:
        self.failed: dict[str, dict[str, str]] = {}
        self.ran: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        *_, name, test = f"::{report.nodeid}".rsplit("::", 2)
        self.failed.setdefault(name, {})
        if report.when == "call":
            self.ran[name] = self.ran.get(name, 0) + 1
        if report.failed:
            self.failed[name][test] = str(report.longrepr)


def run(module: str | Path, *arguments: str) -> Outcomes:
    """Run the suites of a module: one that stands beside this one, or any file."""
    return _run([str(module if isinstance(module, Path) else HERE / f"{module}.py")], *arguments)


def run_suites(suites: Iterable[type], *arguments: str) -> Outcomes:
    """Run suites of modules that stand beside this one."""
    return _run([f"{HERE / suite.__module__}.py::{suite.__name__}" for suite in suites], *arguments)


def _run(names: Sequence[str], *arguments: str) -> Outcomes:
    outcomes = Outcomes()
    folder = os.path.dirname(names[0])
    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "-c", "/dev/null", "--import-mode=importlib"]
    options += ["--noconftest", "--rootdir", folder]
    pytest.main([*names, *options, *arguments], plugins=[outcomes])
    return outcomes


def load_broken(name: str) -> list[Any]:
    """Return the suites of a module that say what they break."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [each for key, each in vars(module).items() if key.startswith("Test") and hasattr(each, "breaks")]
