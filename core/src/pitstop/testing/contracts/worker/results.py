"""What a worker promises of a job that runs to its end: it completes, tells how far it is, and says what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from pitstop.contracts import Worker
from pitstop.jobs import Job, Progress, Result, json_object
from pitstop.registry.registry import Registry
from pitstop.testing.contracts.worker.base import JobContract
from pitstop.testing.contracts.worker.trial import Trial, call_isolated, describe_error
from pitstop.testing.job_run import JobRun, run_job
from pitstop.testing.observe.pickling import find_pickling_loss


class ResultPromises(JobContract):
    """A right job completes."""

    def test_execute_completes(self, folder: Path) -> None:
        """A right job goes all the way: checked, stored, claimed, executed, and its end recorded."""
        worker = self.make_worker()
        run = self._run(worker, self.make_config(folder))
        assert run.ok, f"the job {run.status}: {run.record.error}"

    def test_execute_returns_what_can_be_stored(self, folder: Path) -> None:
        """It returns a `Result`, a mapping or None, with data that JSON can hold and texts of one line."""
        trial = self.trial(folder).run()
        assert trial.completed, f"a right job failed: {trial.ending}"
        _check_returned(trial.returned)

    def test_progress_is_a_way_forward(self, folder: Path) -> None:
        """What is done never goes back, is never less than nothing or more than all, and is a number."""
        trial = self.trial(folder).run()
        _check_progress(trial.context.reports)

    def test_execute_twice_in_a_row(self, folder: Path) -> None:
        """One worker carries out the same job again: nothing is left of the first time that would be in the way."""
        if not self.repeatable:
            return  # the author says that the job can be done once only
        worker = self.make_worker()
        config = self.make_config(folder)
        for turn in ("first", "second"):
            run = self._run(worker, config)
            assert run.ok, f"the {turn} time the job {run.status}: {run.record.error}"

    def _run(self, worker: Worker, config: Mapping[str, Any]) -> JobRun:
        run: JobRun = call_isolated(partial(run_job, registry=self.registry()), worker, config)
        return run

    def registry(self) -> Registry:
        """Return a registry in which nothing is but what is added."""
        return Registry(path=[])


def _check_returned(returned: object) -> None:
    if returned is None:
        return
    assert isinstance(returned, (Result, Mapping)), (
        f"execute returned {type(returned).__name__}; it returns a Result, a mapping, or None"
    )
    result = returned if isinstance(returned, Result) else Result(data=returned)
    try:
        data = json_object(result.data, what="the result's data")
    except ValueError as error:
        raise AssertionError(f"the result cannot be stored: {error}") from error
    assert json.loads(json.dumps(data)) == data
    for what, text in (("summary", result.summary), *(("warning", warning) for warning in result.warnings)):
        assert isinstance(text, str), f"the result's {what} is {text!r}, not a text"
        assert len(text.splitlines()) <= 1, f"the result's {what} has more than one line: {text!r}"


def _check_progress(reports: Sequence[Progress]) -> None:
    before = 0.0
    for report in reports:
        done, total = report.done, report.total
        for what, number in (("done", done), ("total", total)):
            is_number = isinstance(number, (int, float)) and not isinstance(number, bool) and isfinite(number)
            assert is_number or (what == "total" and number is None), f"progress: {what} is {number!r}, not a number"
        assert done >= 0, f"progress: {done} are done, which is less than nothing"
        assert done >= before, f"progress goes back, from {before} to {done}"
        assert total is None or done <= total, f"progress: {done} of {total} are done, which is more than all"
        assert isinstance(report.unit, str), f"progress: the unit is {report.unit!r}, not a text"
        assert isinstance(report.message, str), f"progress: the message is {report.message!r}, not a text"
        before = done


class FailurePromises(JobContract):
    """A job that fails says why, here and in another process."""

    def failing_configs(self, config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return configs that are accepted and then fail, given one that is right and whose resource is ready.

        There need be none.
        """
        return ()

    def test_execute_fails_with_an_error_that_survives_pickling(self, folder: Path) -> None:
        """What it raises has a text, and arrives whole in the process that records it."""
        worker = self.make_worker()
        for config in self.failing_configs(self.make_config(folder)):
            job = Job(type=worker.worker_type, config=dict(config))
            call_isolated(worker.validate, job)  # one that is refused never comes to fail
            trial = Trial(worker, job).run()
            assert trial.error is not None, f"{dict(config)!r} is said to fail, but {trial.ending}"
            assert str(trial.error).strip(), f"{type(trial.error).__name__} was raised without a text"
            lost = find_pickling_loss(trial.error)
            assert not lost, f"{describe_error(trial.error)} cannot be sent to another process: {lost}"
