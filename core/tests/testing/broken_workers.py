"""Workers that break their promises, each with the tests that must fail; what they are about has a file each.

No file of tests by its name: `test_contracts_tell_workers.py` runs it, and compares what fails with `breaks`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pitstop
from pitstop.testing import WorkerContract

TOLD = {
    f"test_execute_stops_when_it_is_told[{why}-{moment}]"
    for why in ("cancelled", "its time is over")
    for moment in ("before it begins", "at its first sign", "in the middle", "at its last sign")
}
SILENT = "test_execute_stops_in_its_longest_silence"
AT_EACH = "test_execute_stops_at_each_sign"
#: Everything that needs a right job to go well.
COMPLETES = {
    "test_execute_completes",
    "test_execute_returns_what_can_be_stored",
    "test_execute_twice_in_a_row",
    "test_jobs_run_side_by_side",
}


class Good:
    """A worker that keeps its promises; what follows breaks one or two."""

    worker_type = "good"

    def validate(self, job: pitstop.Job) -> None:
        if not isinstance(job.config.get("path"), str) or "\0" in job.config["path"]:
            raise pitstop.InvalidJobError("'path' is missing")

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> Any:
        for number in range(3):
            context.check_cancelled()
            self.step(job, context)
            context.progress(number + 1, 3, "steps")
        return pitstop.Result.changed("done")

    def step(self, job: pitstop.Job, context: pitstop.JobContext) -> None:
        with open(job.config["path"], "a", encoding="utf-8") as file:
            file.write("step\n")


class Contract(WorkerContract):
    __test__ = False
    breaks: ClassVar[set[str]] = set()
    wrong = [{}, {"path": 5}]

    def make_config(self, folder):
        return {"path": str(folder / "file.txt")}


class TestGood(Contract):
    worker = Good


class FragilePathError(Exception):
    def __init__(self, path, why):
        super().__init__(f"{path}: {why}")


class ReturnsABool(Good):
    def execute(self, job, context):
        super().execute(job, context)
        return True


class TestReturnsABool(Contract):
    worker = ReturnsABool
    breaks = {"test_execute_completes", "test_execute_returns_what_can_be_stored", "test_execute_twice_in_a_row"}


class ReturnsBytes(Good):
    def execute(self, job, context):
        super().execute(job, context)
        return {"digest": b"x"}


class TestReturnsBytes(Contract):
    worker = ReturnsBytes
    breaks = {"test_execute_completes", "test_execute_returns_what_can_be_stored", "test_execute_twice_in_a_row"}


class SummaryOfTwoLines(Good):
    def execute(self, job, context):
        super().execute(job, context)
        return pitstop.Result.changed("one\ntwo")


class TestSummaryOfTwoLines(Contract):
    worker = SummaryOfTwoLines
    breaks = {"test_execute_returns_what_can_be_stored"}


class GoesBack(Good):
    def execute(self, job, context):
        for number in (1, 2, 1):
            context.check_cancelled()
            context.progress(number, 3)


class TestGoesBack(Contract):
    worker = GoesBack
    breaks = {"test_progress_is_a_way_forward"}


class MoreThanAll(Good):
    def execute(self, job, context):
        context.check_cancelled()
        context.progress(101, 100, "%")


class TestMoreThanAll(Contract):
    worker = MoreThanAll
    breaks = {"test_progress_is_a_way_forward"}


class NotANumber(Good):
    def execute(self, job, context):
        context.check_cancelled()
        context.progress(float("nan"), 100, "%")


class TestNotANumber(Contract):
    worker = NotANumber
    breaks = {"test_progress_is_a_way_forward"}


class OnceOnly(Good):
    def execute(self, job, context):
        context.check_cancelled()
        with open(job.config["path"], "x", encoding="utf-8"):
            pass


class TestOnceOnly(Contract):
    worker = OnceOnly
    breaks = {"test_execute_twice_in_a_row"}


class FailsFragile(Good):
    def step(self, job, context):
        if job.config["path"] == "bad":
            raise FragilePathError("bad", "really")
        super().step(job, context)


class TestFailsFragile(Contract):
    worker = FailsFragile
    breaks = {"test_execute_fails_with_an_error_that_survives_pickling"}

    def failing_configs(self, config):
        return [{"path": "bad"}]


class Interrupts(Good):
    def execute(self, job, context):
        raise KeyboardInterrupt


class TestInterrupts(Contract):
    worker = Interrupts
    breaks = COMPLETES


class NeedsArguments(Good):
    def __init__(self, url):
        self.url = url


class TestNeedsArguments(Contract):
    worker = NeedsArguments
    breaks = {
        "test_worker_is_one",
        "test_resource_is_a_text_or_none",
        "test_progress_is_a_way_forward",
        "test_validate_accepts_a_job_that_is_right",
        "test_validate_changes_nothing",
        "test_validate_never_fails_on_odd_values",
        "test_validate_refuses_what_is_wrong_in_words",
        "test_execute_asks_often_enough",
        "test_execute_closes_what_it_opened",
        "test_execute_fails_with_an_error_that_survives_pickling",
        "test_execute_leaves_the_process_as_it_was",
        "test_execute_writes_nothing_outside_its_resource",
        "test_worker_keeps_no_job",
        AT_EACH,
        SILENT,
        *COMPLETES,
        *TOLD,
    }
