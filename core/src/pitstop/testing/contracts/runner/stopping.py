"""The end of a runner: what still runs is waited for, and nothing is started any more."""

from __future__ import annotations

import threading
from functools import partial

from pitstop.contracts import Runner
from pitstop.testing.contracts.runner.base import RunInBackground, RunnerTests
from pitstop.testing.contracts.runner.recording_orchestrator import Gate, RecordingOrchestrator
from pitstop.testing.contracts.runner.submitting import NEVER
from pitstop.testing.fakes.waiting import run_together

#: Seconds in which a `stop` that does not wait would have returned.
MOMENT = 0.05


class Stopping(RunnerTests):
    """`stop`."""

    def test_runner_stop_waits_for_the_running_job(
        self, runner: Runner, jobs: RecordingOrchestrator, gate: Gate, run_in_background: RunInBackground
    ) -> None:
        """After `stop` nothing runs, and nothing starts, here or from another thread."""
        jobs.acts["slow"] = gate
        run_in_background(partial(runner.submit, "slow"))
        gate.wait()
        for n in range(5):
            runner.submit(f"queued{n}", not_before=NEVER)
        stopped = threading.Event()

        def stop() -> None:
            runner.stop()
            stopped.set()

        run_in_background(stop)
        assert not stopped.wait(MOMENT), "stop() returned while a job was running"
        assert jobs.ran == []
        gate.open()
        assert stopped.wait(self.patience), f"stop() has not returned {self.patience:g} s after the last job ended"
        assert jobs.ran == ["slow"]
        runner.submit("late")
        assert jobs.ran == ["slow"]

    def test_runner_starts_nothing_after_it_was_stopped(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """What comes too late is not run and does no harm: the store remembers it."""
        runner.submit("a")
        jobs.until("a")
        run_together(runner.stop, patience=self.patience)
        for number in range(20):
            runner.submit(f"late{number}")
        threading.Event().wait(MOMENT)
        assert jobs.ran == ["a"], "run_job was called for a job that was submitted after stop()"

    def test_runner_can_be_stopped_from_within_a_job(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """A job that ends its own host does not wait for itself."""
        jobs.acts["last"] = runner.stop
        runner.submit("last")
        jobs.until("last")

    def test_runner_stop_without_waiting_returns(
        self, runner: Runner, jobs: RecordingOrchestrator, gate: Gate, run_in_background: RunInBackground
    ) -> None:
        """The second Ctrl-C leaves now."""
        jobs.acts["slow"] = gate
        run_in_background(partial(runner.submit, "slow"))
        gate.wait()
        run_together(partial(runner.stop, wait=False), patience=self.patience)
        assert jobs.ran == []
        gate.open()
        jobs.until("slow")

    def test_runner_may_be_stopped_without_a_job(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """One that was never used stops as well, and stopping it again is harmless."""
        run_together(runner.stop, patience=self.patience)
        run_together(runner.stop, patience=self.patience)
        assert jobs.ran == []
