"""What `LocalRunner` promises of the places that it keeps free, as tests for each of our runners."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from pitstop.contracts import Runner
from pitstop.runners.local import LocalRunner
from pitstop.testing.contracts.runner.base import RunInBackground, RunnerTests
from pitstop.testing.contracts.runner.recording_orchestrator import RecordingOrchestrator
from pitstop.testing.fakes.waiting import run_together

#: A runner with more places than this has no limit.
MANY_PLACES = 1000


class Reserving(RunnerTests):
    """`reserve`, `release` and `submit_reserved`."""

    __test__ = False

    @pytest.fixture
    def reserver(self, runner: Runner) -> LocalRunner:
        """The runner."""
        assert isinstance(runner, LocalRunner)
        return runner

    def test_runner_keeps_a_place_for_a_reserved_job(self, reserver: LocalRunner, jobs: RecordingOrchestrator) -> None:
        """A reserved job runs; a place that was given back serves the next."""
        assert reserver.reserve(), "reserve() of an idle runner says that there is no place"
        reserver.release()
        assert reserver.reserve(), "reserve() says that there is no place, after one was given back"
        reserver.submit_reserved("a")
        assert jobs.until("a") == ["a"]
        reserver.submit("b")
        assert jobs.until("b") == ["a", "b"]

    def test_runner_reserves_no_place_that_is_taken(self, reserver: LocalRunner, jobs: RecordingOrchestrator) -> None:
        """Not beyond its limit, not while other jobs wait, and again when they have ended."""
        places = _reserve_all(reserver)
        for _ in range(places):
            reserver.release()
        inside: list[bool] = []

        def act() -> None:
            inside.extend(reserver.reserve() for _ in range(places))
            for _ in range(sum(inside)):
                reserver.release()

        jobs.acts["a"] = act
        reserver.submit("a")
        jobs.until("a")
        assert inside == [True] * (places - 1) + [False], f"of {places} places, one is taken by a job: {inside}"

    def test_runner_starts_all_reserved_jobs_at_once(
        self, reserver: LocalRunner, jobs: RecordingOrchestrator, run_in_background: RunInBackground
    ) -> None:
        """Each place that was kept is one for a job beside the others; nobody waits for another one's end."""
        places = _reserve_all(reserver)
        for _ in range(places):
            reserver.release()
        meeting = threading.Barrier(places)
        ids = [f"job{number}" for number in range(places)]
        for job_id in ids:
            jobs.acts[job_id] = partial(meeting.wait, self.patience)

        def start() -> None:
            for job_id in ids:
                assert reserver.reserve()
                reserver.submit_reserved(job_id)

        run_in_background(start)
        assert sorted(jobs.until(*ids)) == sorted(ids)
        assert not meeting.broken, f"{places} places were kept, but so many jobs did not run side by side"

    def test_runner_carries_out_what_was_reserved_before_it_stopped(
        self, reserver: LocalRunner, jobs: RecordingOrchestrator, run_in_background: RunInBackground
    ) -> None:
        """The job counts as running already, so that it must not be dropped."""
        assert reserver.reserve()
        run_in_background(reserver.stop)
        while reserver.reserve():  # until it has been stopped
            reserver.release()
        reserver.submit_reserved("a")
        assert jobs.until("a") == ["a"]

    def test_runner_reserves_nothing_after_it_was_stopped(self, reserver: LocalRunner) -> None:
        """There is no place in a runner that takes no more jobs."""
        run_together(reserver.stop, patience=self.patience)
        assert not reserver.reserve(), "reserve() kept a place after stop()"


def _reserve_all(runner: LocalRunner) -> int:
    """Reserve as many places as there are, and return how many that is."""
    places = 0
    while runner.reserve():
        places += 1
        assert places <= MANY_PLACES, f"reserve() has kept {places} places, and no end is in sight"
    assert places, "reserve() of an idle runner says that there is no place"
    return places
