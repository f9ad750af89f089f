"""The suite for kinds of databases tells: what breaks a promise fails the test of that promise, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sampling import chosen, some

from . import suites

SUITES = [
    suite for name in ("connections", "statements", "inspections") for suite in suites.load_broken(f"broken_{name}")
]


@pytest.fixture(scope="module")
def broken(request: pytest.FixtureRequest) -> suites.Outcomes:
    """What came of broken databases; the tests of imports are about modules, and the core's."""
    return suites.run_suites(chosen(request, "suite"), "-k", "not test_import and not of_the_module")


@pytest.mark.parametrize("suite", some(SUITES, each=8), ids=lambda suite: suite.__name__)
def test_contract_tells_what_is_broken(broken: suites.Outcomes, suite: Any) -> None:
    """Each broken promise fails its tests, and no other test fails."""
    assert set(broken.failed[suite.__name__]) == suite.breaks


@pytest.mark.slow
def test_contract_accepts_what_is_odd_but_legal() -> None:
    """Nothing is demanded that nobody has promised."""
    outcomes = suites.run("odd_databases", "-k", "not test_import")
    assert {name: failed for name, failed in outcomes.failed.items() if failed} == {}
    assert len(outcomes.ran) == 5
    assert min(outcomes.ran.values()) >= 30
