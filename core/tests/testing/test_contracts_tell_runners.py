"""The contract of runners notices each promise that is broken, and says which; an engine that keeps them passes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

import pytest
from tests.sampling import chosen, some

from pitstop.contracts import JobStore, Runner
from pitstop.registry.registry import Registry
from pitstop.testing.contracts.runner import RunnerContract

from . import broken_runners
from .broken_runners import BROKEN, Engine, EngineRunner
from .telling import Case, check, run

MODULE = Path(broken_runners.__file__)
CASES = [Case(f"Test{kind.__name__}", test) for kind, test in BROKEN.items()]
#: The same tests over runners that keep their promises.
SOUND = [
    Case(name, test) for test in {case.test for case in CASES} for name in ("TestInlineRunner", "TestThreadRunner")
]


@pytest.fixture(scope="module")
def reports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[Case, pytest.TestReport]:
    """All that are asked for, in one run."""
    return run(MODULE, chosen(request, "case"), folder=tmp_path_factory.mktemp("telling") / "runners")


@pytest.mark.parametrize("case", some(CASES, each=8), ids=lambda case: case.name)
def test_runner_contract_notices(case: Case, reports: Mapping[Case, pytest.TestReport]) -> None:
    """The test that checks the promise fails by an assertion, and the message names the promise."""
    check(reports.get(case), case.promise(RunnerContract))


@pytest.mark.slow
def test_runner_contract_finds_no_fault_with_sound_runners(tmp_path: Path) -> None:
    """The same tests pass where nothing is broken."""
    reports = run(MODULE, SOUND, folder=tmp_path / "runners")
    assert {case: reports[case].longreprtext for case in SOUND if not reports[case].passed} == {}


def test_runner_contract_says_what_a_subclass_must_have() -> None:
    """Who forgets the factory is told how it looks."""
    with pytest.raises(NotImplementedError, match=r"RunnerContract must say .*: def make_runner\(self\): return"):
        RunnerContract().make_runner()


class TestEngineRunner(RunnerContract):
    """A runner on an engine, whose workers run beside the test and know nothing but the store's url."""

    @cached_property
    def engine(self) -> Engine:
        return Engine(EngineRunner)

    def make_runner(self) -> Runner:
        return EngineRunner(self.engine)

    def make_registry(self) -> Registry:
        return self.engine.registry

    def run_workers(self, store: JobStore) -> AbstractContextManager[object]:
        return self.engine.run_workers(store)
