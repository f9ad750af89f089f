"""`RunnerTests`: the runner that each test gets. What a runner must do is in the areas beside this module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from typing import ClassVar

import pytest

from pitstop.contracts import RunJob, Runner
from pitstop.testing.contracts.base import Contract
from pitstop.testing.contracts.runner.recording_orchestrator import Gate, RecordingOrchestrator
from pitstop.testing.fakes.waiting import PATIENCE, run_together, start_call

Begin = Callable[[RunJob], Runner]
RunInBackground = Callable[[Callable[[], object]], None]


class RunnerTests(Contract):
    """Makes runners for tests, and stops them.

    Attributes:
        patience: seconds after which what is waited for counts as lost. None comes near it when all is well.
    """

    patience: ClassVar[float] = PATIENCE

    def make_runner(self) -> Runner:
        """Return a new runner that was not started. The one thing that a subclass must say."""
        raise NotImplementedError(
            f"{type(self).__name__} must say how a runner is made: def make_runner(self): return MyRunner(4)"
        )

    @pytest.fixture
    def begin(self) -> Iterator[Begin]:
        """What starts a runner of the author's with a `run_job`; skips for one whose jobs run in other processes."""
        made: list[Runner] = []

        def begin(run_job: RunJob) -> Runner:
            runner = self.make_runner()
            if runner.shared:
                pytest.skip("the runner is shared: its jobs may run in another process; see the tests with a store")
            made.append(runner)
            runner.start(run_job)
            return runner

        yield begin
        for runner in made:
            run_together(runner.stop, patience=self.patience)

    @pytest.fixture
    def jobs(self) -> RecordingOrchestrator:
        """What the runner calls."""
        return RecordingOrchestrator(self.patience)

    @pytest.fixture
    def runner(self, begin: Begin, jobs: RecordingOrchestrator) -> Runner:
        """A runner that was started with `jobs`."""
        return begin(jobs)

    @pytest.fixture
    def gate(self) -> Iterator[Gate]:
        """Where a job stands until the test lets it go on; open when the test is over."""
        gate = Gate(self.patience)
        yield gate
        gate.open()

    @pytest.fixture
    def busy_runner(
        self, runner: Runner, jobs: RecordingOrchestrator, gate: Gate, run_in_background: RunInBackground
    ) -> Runner:
        """The runner while the job "slow" stands at the gate."""
        jobs.acts["slow"] = gate
        run_in_background(partial(runner.submit, "slow"))
        gate.wait()
        return runner

    @pytest.fixture
    def run_in_background(self) -> Iterator[RunInBackground]:
        """What makes a call in a thread of its own: a runner may run a job before `submit` returns."""
        calls: list[Future[object]] = []
        yield lambda call: calls.append(start_call(call))
        late = wait(calls, self.patience).not_done
        assert not late, f"submit() or stop() has not returned after {self.patience:g} s"
        for each in calls:
            each.result()
