"""One contract for all runners: what is submitted is run, wherever and however often it is handed over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pitstop.contracts import Runner
from pitstop.errors import InvalidValueError
from pitstop.runners.inline import InlineRunner
from pitstop.runners.process import ProcessRunner
from pitstop.runners.thread import ThreadRunner

from .conftest import PATIENCE, FakeClock, eventually

RUNNERS: dict[str, Callable[[], Runner]] = {
    "inline": InlineRunner,
    "thread-1": lambda: ThreadRunner(1),
    "thread-4": lambda: ThreadRunner(4),
    "process-1": lambda: ProcessRunner(1),
    "process-4": lambda: ProcessRunner(4),
}


class Jobs:
    """What runners call; notes each run, and does what the test says."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.acts: dict[str, Callable[[], object]] = {}
        self._changed = threading.Condition()

    def __call__(self, job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
        act = self.acts.get(job_id)
        try:
            if act is not None:
                act()
        finally:
            with self._changed:
                self.ran.append(job_id)
                self._changed.notify_all()

    def until(self, *ids: str) -> list[str]:
        """Wait until all of these have run, and return everything that has."""
        with self._changed:
            assert self._changed.wait_for(lambda: set(ids) <= set(self.ran), PATIENCE), f"ran only {self.ran}"
            return list(self.ran)


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture(params=sorted(RUNNERS))
def runner(request: pytest.FixtureRequest, jobs: Jobs) -> Iterator[Runner]:
    made = RUNNERS[request.param]()
    made.start(jobs)
    yield made
    made.stop()


def test_runner_runs_every_submitted_job(runner: Runner, jobs: Jobs) -> None:
    """Nothing is lost, and nothing runs that was not submitted."""
    ids = [f"job{n}" for n in range(50)]
    for job_id in ids:
        runner.submit(job_id)
    assert sorted(jobs.until(*ids)) == sorted(ids)


def test_runner_takes_a_job_twice(runner: Runner, jobs: Jobs) -> None:
    """Handing a job over twice is harmless: it is run at least once, and so is the next one."""
    runner.submit("a")
    runner.submit("a")
    runner.submit("b")
    ran = jobs.until("a", "b")
    assert 1 <= ran.count("a") <= 2


def test_runner_takes_a_job_from_within_a_job(runner: Runner, jobs: Jobs) -> None:
    """It runs after the submitting one, or beside it, and never inside it."""
    jobs.acts["outer"] = lambda: runner.submit("inner")
    runner.submit("outer")
    jobs.until("outer", "inner")


def test_runner_has_no_limit_of_depth(runner: Runner, jobs: Jobs) -> None:
    """Two thousand jobs, each submitted from within the one before, need no deep stack."""
    for number in range(2000):
        jobs.acts[f"job{number}"] = lambda number=number: runner.submit(f"job{number + 1}")  # type: ignore[misc]
    runner.submit("job0")
    jobs.until("job2000")


def test_runner_takes_jobs_from_many_threads(runner: Runner, jobs: Jobs) -> None:
    """No wake-up is lost between threads that submit."""
    ids = [[f"{thread}-{n}" for n in range(50)] for thread in range(4)]

    def submit(mine: list[str]) -> None:
        for job_id in mine:
            runner.submit(job_id)

    threads = [threading.Thread(target=submit, args=(mine,), daemon=True) for mine in ids]
    for thread in threads:
        thread.start()
    ran = jobs.until(*(job_id for mine in ids for job_id in mine))
    assert len(ran) == 200
    for thread in threads:
        thread.join(PATIENCE)


def test_runner_offers_the_following_job(runner: Runner) -> None:
    """`following` gives the next job that would start here, once; the runner does not start it again."""
    taken: list[str] = []
    all_submitted, done = threading.Event(), threading.Event()

    def run_job(job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
        if job_id == "first":
            runner.submit("second")
            all_submitted.set()
        taken.append(job_id)
        then = following()
        while then is not None:
            taken.append(then)
            then = following()
        if "second" in taken:
            done.set()

    runner.start(run_job)
    runner.submit("first")
    assert all_submitted.wait(PATIENCE)
    assert done.wait(PATIENCE)
    runner.stop()
    assert sorted(taken) == ["first", "second"]


def test_runner_drops_a_cancelled_job(runner: Runner, jobs: Jobs) -> None:
    """What has not started can be taken back; the rest runs."""
    gate = threading.Event()

    def act() -> None:
        for job_id in ("a", "b", "c"):
            runner.submit(job_id, not_before=0.0)
        runner.submit("late", not_before=4e9)
        runner.cancel("late")
        runner.cancel("unknown")
        gate.set()

    jobs.acts["outer"] = act
    runner.submit("outer")
    assert gate.wait(PATIENCE)
    assert "late" not in jobs.until("a", "b", "c")


def test_runner_stop_waits_for_the_running_job(runner: Runner, jobs: Jobs) -> None:
    """After `stop` nothing runs, and nothing starts, here or from another thread."""
    inside, go_on = threading.Event(), threading.Event()

    def act() -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    jobs.acts["slow"] = act
    submitter = threading.Thread(target=runner.submit, args=("slow",), daemon=True)
    submitter.start()
    assert inside.wait(PATIENCE)
    for n in range(5):
        runner.submit(f"queued{n}", not_before=4e9)
    stopped = threading.Event()
    stopper = threading.Thread(target=lambda: (runner.stop(), stopped.set()), daemon=True)
    stopper.start()
    assert not stopped.wait(0.05), "stop() did not wait"
    assert jobs.ran == []
    go_on.set()
    assert stopped.wait(PATIENCE)
    assert jobs.ran == ["slow"]
    runner.submit("late")
    assert jobs.ran == ["slow"]
    submitter.join(PATIENCE)


def test_runner_can_be_stopped_from_within_a_job(runner: Runner, jobs: Jobs) -> None:
    """A job that ends its own host does not wait for itself."""
    jobs.acts["last"] = runner.stop
    runner.submit("last")
    jobs.until("last")


def test_runner_stop_without_waiting_returns(runner: Runner, jobs: Jobs) -> None:
    """The second Ctrl-C leaves now."""
    inside, go_on = threading.Event(), threading.Event()
    jobs.acts["slow"] = lambda: (inside.set(), go_on.wait(PATIENCE))
    threading.Thread(target=runner.submit, args=("slow",), daemon=True).start()
    assert inside.wait(PATIENCE)
    runner.stop(wait=False)
    assert jobs.ran == []
    go_on.set()
    jobs.until("slow")


def test_runner_keeps_a_place_for_a_reserved_job(runner: Runner, jobs: Jobs) -> None:
    """A reserved job runs; a place that was given back serves the next."""
    assert runner.reserve()
    runner.release()
    assert runner.reserve()
    runner.submit_reserved("a")
    assert jobs.until("a") == ["a"]
    runner.submit("b")
    assert jobs.until("b") == ["a", "b"]


def test_runner_reserves_no_place_that_is_taken(runner: Runner, jobs: Jobs) -> None:
    """Not beyond its limit, not while other jobs wait, and again when they have ended."""
    places = 0
    while runner.reserve():
        places += 1
        assert places <= 4
    assert places >= 1
    for _ in range(places):
        runner.release()
    inside: list[bool] = []

    def act() -> None:
        inside.extend(runner.reserve() for _ in range(places))
        for _ in range(sum(inside)):
            runner.release()

    jobs.acts["a"] = act
    runner.submit("a")
    jobs.until("a")
    assert inside == [True] * (places - 1) + [False]


def test_runner_carries_out_what_was_reserved_before_it_stopped(runner: Runner, jobs: Jobs) -> None:
    """The job counts as running already, so that it must not be dropped."""
    assert runner.reserve()
    stopping = threading.Thread(target=runner.stop, daemon=True)
    stopping.start()
    while runner.reserve():  # until it has been stopped
        runner.release()
    runner.submit_reserved("a")
    assert jobs.until("a") == ["a"]
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert not runner.reserve()


def test_runner_is_not_shared(runner: Runner) -> None:
    """What these runners were given ends with the process."""
    assert runner.shared is False


# -- inline ----------------------------------------------------------------------------------------------------------


def test_inline_runner_waits_for_a_delayed_job(jobs: Jobs, clock: FakeClock) -> None:
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


def test_inline_runner_lets_an_interruption_through(jobs: Jobs) -> None:
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


def test_inline_runner_runs_one_job_at_a_time(jobs: Jobs) -> None:
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


def test_thread_runner_uses_all_its_threads(jobs: Jobs) -> None:
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


def test_thread_runner_does_not_count_on_a_thread_that_is_taken(jobs: Jobs) -> None:
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


def test_thread_runner_respects_not_before(jobs: Jobs, clock: FakeClock) -> None:
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


def test_thread_runner_keeps_its_threads_after_an_interruption(jobs: Jobs) -> None:
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
