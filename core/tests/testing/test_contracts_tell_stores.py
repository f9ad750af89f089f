"""The contract of job stores notices each promise that is broken, and says which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.sampling import chosen, some

from pitstop.testing.contracts.job_store import JobStoreContract

from . import broken_stores
from .broken_stores import BROKEN
from .telling import Case, check, run

MODULE = Path(broken_stores.__file__)
CASES = [Case(f"Test{kind.__name__}", test) for kind, test in BROKEN.items()]
#: The same tests over stores that keep their promises.
SOUND = [Case(name, case.test) for case in CASES for name in ("TestMemoryStore", "TestSQLiteStore")]
#: A store that is opened with records in it, as when tests share one.
FULL = Case("TestStartsFull", "test_create_of_nothing_changes_nothing")


@pytest.fixture(scope="module")
def reports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[Case, pytest.TestReport]:
    """All that are asked for, in one run."""
    return run(MODULE, chosen(request, "case"), folder=tmp_path_factory.mktemp("telling") / "stores")


@pytest.mark.parametrize("case", some(CASES, each=12), ids=lambda case: case.name)
def test_store_contract_notices(case: Case, reports: Mapping[Case, pytest.TestReport]) -> None:
    """The test that checks the promise fails by an assertion, and the message names the promise."""
    check(reports.get(case), case.promise(JobStoreContract))


@pytest.mark.slow
def test_store_contract_finds_no_fault_with_sound_stores(tmp_path: Path) -> None:
    """The same tests pass, or are skipped in memory, where nothing is broken."""
    reports = run(MODULE, SOUND, folder=tmp_path / "stores")
    failed = {case: reports[case].longreprtext for case in SOUND if reports[case].failed}
    assert failed == {}


def test_store_contract_wants_a_store_for_each_test(tmp_path: Path) -> None:
    """A store with records of another test in it is refused, and what to do is said."""
    report = run(MODULE, [FULL], folder=tmp_path / "stores")[FULL]
    assert (report.when, report.failed) == ("setup", True)
    assert "returned a store with records; each test needs its own" in report.longreprtext


def test_store_contract_says_what_a_subclass_must_have(tmp_path: Path) -> None:
    """Who forgets the factory is told how it looks."""
    with pytest.raises(
        NotImplementedError, match=r"JobStoreContract must say .*: def open_store\(self, folder\): return"
    ):
        JobStoreContract().open_store(tmp_path)
