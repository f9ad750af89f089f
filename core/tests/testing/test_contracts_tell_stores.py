"""The contract of job stores notices each promise that is broken, and says which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pitstop.testing.job_stores import JobStoreContract

from . import broken_stores
from .broken_stores import BROKEN
from .telling import Case, check, run

pytestmark = pytest.mark.once

CASES = [Case(f"Test{kind.__name__}", test) for kind, test in BROKEN.items()]
#: The same tests over stores that keep their promises.
SOUND = [Case(name, case.test) for case in CASES for name in ("TestMemoryStore", "TestSQLiteStore")]
#: A store that is opened with records in it, as when tests share one.
FULL = Case("TestStartsFull", "test_create_of_nothing_changes_nothing")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Case, pytest.TestReport]:
    """All of them in one run."""
    return run(
        Path(broken_stores.__file__), [*CASES, *SOUND, FULL], folder=tmp_path_factory.mktemp("telling") / "stores"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_store_contract_notices(case: Case, reports: Mapping[Case, pytest.TestReport]) -> None:
    """The test that checks the promise fails by an assertion, and the message names the promise."""
    check(reports.get(case), case.promise(JobStoreContract))


def test_store_contract_finds_no_fault_with_sound_stores(reports: Mapping[Case, pytest.TestReport]) -> None:
    """The same tests pass, or are skipped in memory, where nothing is broken."""
    failed = {case: reports[case].longreprtext for case in SOUND if reports[case].failed}
    assert failed == {}


def test_store_contract_wants_a_store_for_each_test(reports: Mapping[Case, pytest.TestReport]) -> None:
    """A store with records of another test in it is refused, and what to do is said."""
    report = reports[FULL]
    assert (report.when, report.failed) == ("setup", True)
    assert "returned a store with records; each test needs its own" in report.longreprtext


def test_store_contract_says_what_a_subclass_must_have(tmp_path: Path) -> None:
    """Who forgets the factory is told how it looks."""
    with pytest.raises(
        NotImplementedError, match=r"JobStoreContract must say .*: def open_store\(self, folder\): return"
    ):
        JobStoreContract().open_store(tmp_path)
