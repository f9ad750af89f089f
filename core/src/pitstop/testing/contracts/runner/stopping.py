"""The end of a runner: what still runs is waited for, and nothing is started any more."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from functools import partial

from pitstop.contracts import Runner
from pitstop.testing.contracts.runner.base import RunnerTests
from pitstop.testing.contracts.runner.recording_orchestrator import Gate, RecordingOrchestrator
from pitstop.testing.contracts.runner.submitting import NEVER
from pitstop.testing.fakes.waiting import run_together, start_call

#: Seconds in which a `stop` that does not wait would have returned.
MOMENT = 0.05


class Stopping(RunnerTests):
    """`stop`."""

    def test_runner_stop_waits_for_the_running_job(
        self, busy_runner: Runner, jobs: RecordingOrchestrator, gate: Gate
    ) -> None:
        """After `stop` nothing runs, and nothing starts, here or from another thread."""
        for n in range(5):
            busy_runner.submit(f"queued{n}", not_before=NEVER)
        stop = start_call(busy_runner.stop)
        assert wait([stop], MOMENT).not_done, "stop() returned while a job was running"
        assert jobs.ran == []
        gate.open()
        in_time = wait([stop], self.patience).done
        assert in_time, f"stop() has not returned {self.patience:g} s after the last job ended"
        stop.result()
        assert jobs.ran == ["slow"]
        busy_runner.submit("late")
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
        self, busy_runner: Runner, jobs: RecordingOrchestrator, gate: Gate
    ) -> None:
        """The second Ctrl-C leaves now."""
        run_together(partial(busy_runner.stop, wait=False), patience=self.patience)
        assert jobs.ran == []
        gate.open()
        jobs.until("slow")

    def test_runner_may_be_stopped_without_a_job(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """One that was never used stops as well, and stopping it again is harmless."""
        run_together(runner.stop, patience=self.patience)
        run_together(runner.stop, patience=self.patience)
        assert jobs.ran == []
