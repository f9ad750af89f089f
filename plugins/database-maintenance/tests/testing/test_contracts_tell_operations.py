"""The suite for operations on databases tells: what breaks a promise fails the test of that promise, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sampling import chosen, some

from . import suites

SUITES = [*suites.load_broken("broken_names"), *suites.load_broken("broken_operations")]


@pytest.fixture(scope="module")
def broken(request: pytest.FixtureRequest) -> suites.Outcomes:
    """What came of broken operations. That the core's own promises are told is tested by the core."""
    theirs = (
        "test_import",
        "of_the_module",
        "test_validate",
        "test_parameters",
        "test_defaults",
        "over",
        "each_sign",
        "keeps_no_job",
    )
    return suites.run_suites(chosen(request, "suite"), "-k", " and ".join(f"not {each}" for each in theirs))


@pytest.mark.parametrize("suite", some(SUITES, each=10), ids=lambda suite: suite.__name__)
def test_contract_tells_what_is_broken(broken: suites.Outcomes, suite: Any) -> None:
    """Each broken promise fails its tests, and no other test fails."""
    assert set(broken.failed[suite.__name__]) - suite.may_break == suite.breaks - suite.may_break
    assert set(broken.failed[suite.__name__]) >= suite.breaks


@pytest.mark.slow
def test_contract_accepts_what_is_odd_but_legal() -> None:
    """Nothing is demanded that nobody has promised."""
    outcomes = suites.run("odd_operations", "-k", "not test_import and not say_what_they_mean")
    assert {name: failed for name, failed in outcomes.failed.items() if failed} == {}
    assert len(outcomes.ran) == 5
    assert min(outcomes.ran.values()) >= 40
