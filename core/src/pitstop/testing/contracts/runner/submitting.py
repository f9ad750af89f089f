"""What is handed over is run: wherever, whenever and however often that is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from pitstop.contracts import BaseRunner, Runner
from pitstop.contracts.members import misspelt_members
from pitstop.testing.contracts.runner.base import Begin, RunInBackground, RunnerTests
from pitstop.testing.contracts.runner.recording_orchestrator import Gate, RecordingOrchestrator
from pitstop.testing.fakes.waiting import run_together

#: A time that does not come.
NEVER = 4e9
#: A runner that has offered so many jobs, where there are two, offers them for ever.
ENOUGH = 10
#: Seconds by which a job is delayed in these tests.
DELAY = 0.15


class Submitting(RunnerTests):
    """`start`, `submit` and `cancel`."""

    def test_runner_says_whether_it_is_shared(self) -> None:
        """`shared` says whether what was handed over outlives this process and may run in another one."""
        runner = self.make_runner()
        assert isinstance(runner.shared, bool), f"shared is {runner.shared!r}; it must be true or false"

    def test_runner_misspells_no_optional_member(self) -> None:
        """Its attributes are members of `BaseRunner`, or of its own: none is nearly one, and never read."""
        assert (misspelt := misspelt_members(self.make_runner(), BaseRunner)) == [], f"it {misspelt[0]}"

    def test_runner_runs_every_submitted_job(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """Nothing is lost, and nothing runs that was not submitted."""
        ids = [f"job{n}" for n in range(50)]
        for job_id in ids:
            runner.submit(job_id)
        assert sorted(jobs.until(*ids)) == sorted(ids)

    def test_runner_takes_a_job_twice(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """Handing a job over twice is harmless: it is run at least once, and so is the next one."""
        runner.submit("a")
        runner.submit("a")
        runner.submit("b")
        ran = jobs.until("a", "b")
        assert 1 <= ran.count("a") <= 2

    def test_runner_takes_a_job_from_within_itself(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """A retry is submitted while the attempt before it has not returned yet, and is run all the same."""
        again = threading.Event()

        def act() -> None:
            jobs.acts["a"] = again.set
            runner.submit("a")

        jobs.acts["a"] = act
        runner.submit("a")
        assert again.wait(self.patience), "a job that was submitted again from within itself was not run again"
        assert jobs.nested == [], "run_job was called from within submit, while a job was running in that thread"

    def test_runner_takes_a_job_from_within_a_job(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """It runs after the submitting one, or beside it, and never inside it."""
        jobs.acts["outer"] = lambda: runner.submit("inner")
        runner.submit("outer")
        jobs.until("outer", "inner")
        assert jobs.nested == [], "run_job was called from within submit, while a job was running in that thread"

    def test_runner_has_no_limit_of_depth(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """Two thousand jobs, each submitted from within the one before, need no deep stack."""
        for number in range(2000):
            jobs.acts[f"job{number}"] = partial(runner.submit, f"job{number + 1}")
        runner.submit("job0")
        jobs.until("job2000")

    def test_runner_takes_jobs_from_many_threads(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """No wake-up is lost between threads that submit."""
        ids = [[f"{thread}-{n}" for n in range(50)] for thread in range(4)]

        def submit(mine: list[str]) -> None:
            for job_id in mine:
                runner.submit(job_id)

        run_together(*(partial(submit, mine) for mine in ids), patience=self.patience)
        assert len(jobs.until(*(job_id for mine in ids for job_id in mine))) == 200

    def test_runner_wakes_for_each_job(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """A job that comes when there is nothing to do, or just as that becomes so, is run without another one."""
        for number in range(200):
            runner.submit(f"job{number}")
            jobs.until(f"job{number}")

    def test_runner_offers_the_following_job(self, begin: Begin) -> None:
        """`following` gives the next job that would start here, once; the runner does not start it again."""
        taken: list[str] = []
        done = threading.Event()
        submit: list[Callable[[str], None]] = []

        def run_job(job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
            if job_id == "first":
                submit[0]("second")
            then: str | None = job_id
            while then is not None and len(taken) < ENOUGH:
                taken.append(then)
                then = following()
            if "second" in taken:
                done.set()

        runner = begin(run_job)
        submit.append(runner.submit)
        runner.submit("first")
        assert done.wait(self.patience), f"submitted from within a job, and never run: 'second'; ran {taken}"
        run_together(runner.stop, patience=self.patience)
        assert sorted(taken) == ["first", "second"], f"of two jobs, these were run or given by following(): {taken}"

    def test_runner_drops_a_cancelled_job(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """What has not started can be taken back; the rest runs."""

        def act() -> None:
            for job_id in ("a", "b", "c"):
                runner.submit(job_id, not_before=0.0)
            runner.submit("late", not_before=NEVER)
            runner.cancel("late")

        runner.cancel("unknown")
        jobs.acts["outer"] = act
        runner.submit("outer")
        assert "late" not in jobs.until("outer", "a", "b", "c")

    def test_runner_cancel_leaves_a_running_job_alone(
        self, busy_runner: Runner, jobs: RecordingOrchestrator, gate: Gate
    ) -> None:
        """A running job is told by other means: it is neither waited for nor ended, and others are run after it."""
        run_together(partial(busy_runner.cancel, "slow"), patience=self.patience)
        assert jobs.ran == []
        gate.open()
        jobs.until("slow")
        busy_runner.submit("next")
        jobs.until("next")

    def test_runner_starts_no_job_before_its_time(
        self, runner: Runner, jobs: RecordingOrchestrator, run_in_background: RunInBackground
    ) -> None:
        """A job is run, but not before the time that was given, in seconds since 1970."""
        started: dict[str, float] = {}
        due = time.time() + DELAY

        def act() -> None:
            runner.submit("later", not_before=due)
            runner.submit("soon")

        def note(job_id: str) -> None:
            started[job_id] = time.time()

        jobs.acts = {"outer": act, "later": partial(note, "later"), "soon": partial(note, "soon")}
        run_in_background(partial(runner.submit, "outer"))
        jobs.until("outer", "soon", "later")
        early = due - started["later"]
        assert early <= 0, f"a job with not_before was run {early:.3f} s before its time"

    def test_runner_lets_others_pass_a_job_that_waits(
        self, runner: Runner, jobs: RecordingOrchestrator, run_in_background: RunInBackground
    ) -> None:
        """A job whose time does not come for long holds up nobody, and is not offered as the following one."""

        def act() -> None:
            runner.submit("waits", not_before=NEVER)
            runner.submit("a")
            runner.submit("b")

        jobs.acts["outer"] = act
        run_in_background(partial(runner.submit, "outer"))
        jobs.until("outer", "a", "b")
        runner.cancel("waits")
        run_together(runner.stop, patience=self.patience)
        assert sorted(jobs.ran) == ["a", "b", "outer"]

    def test_runner_goes_on_after_an_interrupted_job(self, runner: Runner, jobs: RecordingOrchestrator) -> None:
        """A KeyboardInterrupt from a job may reach who submitted it; jobs that come after it are run all the same."""

        def interrupt() -> None:
            raise KeyboardInterrupt

        jobs.acts["bad"] = interrupt
        with suppress(KeyboardInterrupt):
            runner.submit("bad")
        jobs.until("bad")
        runner.submit("good")
        jobs.until("good")

    def test_runner_may_run_a_job_while_another_is_submitted(
        self, busy_runner: Runner, jobs: RecordingOrchestrator, gate: Gate
    ) -> None:
        """Submitting to a runner that is busy neither fails nor waits for what runs: who submits may hold it up."""
        run_together(partial(busy_runner.submit, "next"), patience=self.patience)
        gate.open()
        assert sorted(jobs.until("slow", "next")) == ["next", "slow"]
