"""The runners that come with Pitstop, each through the contract that is shipped, and what only one of them does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from pitstop.contracts import Runner
from pitstop.errors import InvalidValueError
from pitstop.runners.inline import InlineRunner
from pitstop.runners.local import LocalRunner
from pitstop.runners.process.runner import ProcessRunner
from pitstop.runners.thread import ThreadRunner
from pitstop.testing.contracts.runner import RunnerContract
from pitstop.testing.contracts.runner.recording_orchestrator import RecordingOrchestrator

from ..helpers import PATIENCE, FakeClock, eventually
from .reserving import Reserving


class OwnRunner(RunnerContract, Reserving):
    """What holds for all of them."""

    __test__ = False
    places = 1

    def test_runner_is_not_shared(self) -> None:
        """What these runners were given ends with the process."""
        assert self.make_runner().shared is False

    def test_runner_reserves_as_many_places_as_it_has(self, reserver: LocalRunner) -> None:
        """A job for each of its threads or processes, and not one more."""
        assert [reserver.reserve() for _ in range(self.places + 1)] == [True] * self.places + [False]
        for _ in range(self.places):
            reserver.release()


class TestInlineRunner(OwnRunner):
    def make_runner(self) -> Runner:
        return InlineRunner()


class TestOneThread(OwnRunner):
    def make_runner(self) -> Runner:
        return ThreadRunner(1)


class TestFourThreads(OwnRunner):
    places = 4

    def make_runner(self) -> Runner:
        return ThreadRunner(4)


class TestOneProcess(OwnRunner):
    def make_runner(self) -> Runner:
        return ProcessRunner(1)


@pytest.mark.slow
class TestFourProcesses(OwnRunner):
    places = 4

    def make_runner(self) -> Runner:
        return ProcessRunner(4)


@pytest.fixture
def jobs() -> RecordingOrchestrator:
    return RecordingOrchestrator()


@pytest.mark.parametrize("kind", [ThreadRunner, ProcessRunner])
@pytest.mark.parametrize(("processors", "places"), [(1, 1), (3, 3), (64, 8), (None, 1)])
def test_runner_has_a_place_for_each_processor_and_no_more_than_eight(
    monkeypatch: pytest.MonkeyPatch, kind: type[ThreadRunner], processors: int | None, places: int
) -> None:
    """Where nobody says how many; what the system does not tell is taken for one."""
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    runner = kind()
    assert [runner.reserve() for _ in range(places + 1)] == [True] * places + [False]


# -- inline ----------------------------------------------------------------------------------------------------------


def test_inline_runner_waits_for_a_delayed_job(jobs: RecordingOrchestrator, clock: FakeClock) -> None:
    """It sleeps on its clock until the time has come, and does what is due meanwhile."""
    runner = InlineRunner(clock=clock)
    runner.start(jobs)
    started: list[tuple[str, float]] = []
    jobs.acts["now"] = lambda: (runner.submit("later", not_before=clock.now() + 5), runner.submit("soon"))
    for job_id in ("later", "soon"):
        jobs.acts[job_id] = lambda job_id=job_id: started.append((job_id, clock.now()))  # type: ignore[misc]
    runner.submit("now")
    assert [job_id for job_id, _ in started] == ["soon", "later"]
    assert started[0][1] == 1000.0
    assert started[1][1] >= 1005.0
    assert sum(clock.slept) == pytest.approx(5, abs=0.2)


def test_inline_runner_does_not_offer_a_delayed_job(clock: FakeClock) -> None:
    """`following` never gives what may not start yet."""
    runner = InlineRunner(clock=clock)
    offered: list[Any] = []

    def run_job(job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
        if job_id == "now":
            runner.submit("later", not_before=clock.now() + 5)
            offered.append(following())

    runner.start(run_job)
    runner.submit("now")
    assert offered == [None]


def test_inline_runner_lets_an_interruption_through(jobs: RecordingOrchestrator) -> None:
    """KeyboardInterrupt reaches whoever submitted, and the runner can be used afterwards."""
    runner = InlineRunner()
    runner.start(jobs)

    def interrupted() -> None:
        runner.submit("queued")
        raise KeyboardInterrupt("stop")

    jobs.acts["bad"] = interrupted
    with pytest.raises(KeyboardInterrupt, match="stop"):
        runner.submit("bad")
    assert jobs.ran == ["bad"]
    runner.submit("next")
    assert jobs.ran == ["bad", "queued", "next"]


def test_inline_runner_runs_one_job_at_a_time(jobs: RecordingOrchestrator) -> None:
    """Whichever thread submits, no two jobs overlap."""
    runner = InlineRunner()
    inside = threading.Lock()
    overlaps: list[str] = []

    def run_job(job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(job_id)
            return
        jobs(job_id)
        inside.release()

    runner.start(run_job)

    def submit() -> None:
        for n in range(300):
            runner.submit(f"job{n}")

    threads = [threading.Thread(target=submit, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    runner.stop()
    assert overlaps == []
    assert len(jobs.ran) == 1200


# -- threads ---------------------------------------------------------------------------------------------------------


def test_thread_runner_uses_all_its_threads(jobs: RecordingOrchestrator) -> None:
    """Jobs that come in quick succession run side by side, also when the threads have been idle before."""
    runner = ThreadRunner(4)
    runner.start(jobs)
    for turn in range(20):
        barrier = threading.Barrier(4, timeout=PATIENCE)
        ids = [f"{turn}-{n}" for n in range(4)]
        for job_id in ids:
            jobs.acts[job_id] = barrier.wait
        for job_id in ids:
            runner.submit(job_id)
        jobs.until(*ids)
        assert not barrier.broken
    runner.stop()


def test_thread_runner_does_not_count_on_a_thread_that_is_taken(jobs: RecordingOrchestrator) -> None:
    """Two jobs for one idle thread need a second thread, although the first has not woken yet when the second comes."""
    for _ in range(10):
        runner = ThreadRunner(2)
        runner.start(jobs)
        runner.submit("first")
        eventually(lambda runner=runner: runner._idle == 1, "an idle thread")  # type: ignore[misc]
        barrier = threading.Barrier(2, timeout=2)
        jobs.acts["one"] = jobs.acts["two"] = barrier.wait
        runner.submit("one")
        runner.submit("two")
        jobs.until("one", "two")
        assert not barrier.broken
        runner.stop()
        jobs.ran.clear()


def test_thread_runner_respects_not_before(jobs: RecordingOrchestrator, clock: FakeClock) -> None:
    """A job waits until its time on the runner's clock; others pass it by."""
    runner = ThreadRunner(1, clock=clock)
    runner.start(jobs)
    runner.submit("later", not_before=clock.now() + 1000)
    runner.submit("now")
    jobs.until("now")
    assert jobs.ran == ["now"]
    clock.time += 1001
    runner.submit("wake")
    jobs.until("later", "wake")
    runner.stop()


def test_thread_runner_keeps_its_threads_after_an_interruption(jobs: RecordingOrchestrator) -> None:
    """A worker that raises KeyboardInterrupt in a thread does not end it."""
    runner = ThreadRunner(1)
    runner.start(jobs)

    def interrupted() -> None:
        raise KeyboardInterrupt

    jobs.acts["bad"] = interrupted
    runner.submit("bad")
    runner.submit("good")
    jobs.until("bad", "good")
    runner.stop()


@pytest.mark.parametrize("threads", [0, -1])
def test_thread_runner_refuses_no_threads(threads: int) -> None:
    """At least one thread is needed."""
    with pytest.raises(InvalidValueError, match=f"{threads} is less than 1"):
        ThreadRunner(threads)
