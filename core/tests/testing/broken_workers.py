"""Workers and operations that break their promises, each with the tests that must tell.

No file of tests by its name: `test_contracts_tell_workers.py` runs it, and compares what fails with `breaks`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from typing import Any, ClassVar

import pytest

import pitstop
from pitstop.testing import OperationContract, WorkerContract

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
    stops_within = 0.2
    wrong = [{}, {"path": 5}]

    def make_config(self, folder):
        return {"path": str(folder / "file.txt")}


class TestGood(Contract):
    worker = Good


# -- validating ------------------------------------------------------------------------------------------------------


class RefusesAll(Good):
    def validate(self, job):
        raise pitstop.InvalidJobError("no")


class TestRefusesAll(Contract):
    worker = RefusesAll
    breaks = {"test_validate_accepts_a_job_that_is_right", *COMPLETES}


class AcceptsAll(Good):
    def validate(self, job):
        pass


class TestAcceptsAll(Contract):
    worker = AcceptsAll
    breaks = {"test_validate_refuses_what_is_wrong_in_words"}


class RefusesWithKeyError(Good):
    def validate(self, job):
        if not isinstance(job.config["path"], str):
            raise pitstop.InvalidJobError("'path' is no text")


class TestRefusesWithKeyError(Contract):
    worker = RefusesWithKeyError
    breaks = {"test_validate_refuses_what_is_wrong_in_words", "test_validate_never_fails_on_odd_values"}


class RefusesWithSystemExit(Good):
    def validate(self, job):
        if not isinstance(job.config.get("path"), str):
            sys.exit("no path")


class TestRefusesWithSystemExit(Contract):
    worker = RefusesWithSystemExit
    breaks = {"test_validate_refuses_what_is_wrong_in_words", "test_validate_never_fails_on_odd_values"}


class RefusesWithoutText(Good):
    def validate(self, job):
        if not isinstance(job.config.get("path"), str):
            raise pitstop.InvalidJobError("")


class TestRefusesWithoutText(Contract):
    worker = RefusesWithoutText
    breaks = {"test_validate_refuses_what_is_wrong_in_words", "test_validate_never_fails_on_odd_values"}


class Fragile(pitstop.InputError):
    def __init__(self, path, *, why):
        super().__init__()
        self.path, self.why = path, why

    def text(self):
        return f"{self.path}: {self.why}"


class RefusesWithFragileError(Good):
    def validate(self, job):
        if not isinstance(job.config.get("path"), str):
            raise Fragile("x", why="y")


class TestRefusesWithFragileError(Contract):
    worker = RefusesWithFragileError
    breaks = {"test_validate_refuses_what_is_wrong_in_words", "test_validate_never_fails_on_odd_values"}


class ValidateCreates(Good):
    def validate(self, job):
        super().validate(job)
        with open(job.config["path"], "a", encoding="utf-8"):
            pass


class TestValidateCreates(Contract):
    worker = ValidateCreates
    breaks = {"test_validate_changes_nothing", "test_validate_never_fails_on_odd_values"}


class ValidateFillsIn(Good):
    def validate(self, job):
        super().validate(job)
        job.config["mode"] = "soft"


class TestValidateFillsIn(Contract):
    worker = ValidateFillsIn
    breaks = {"test_validate_accepts_a_job_that_is_right"}


class ForgetfulResource(Good):
    def resource(self, job):
        return f"file:{time.monotonic_ns()}"


class TestForgetfulResource(Contract):
    worker = ForgetfulResource
    breaks = {"test_resource_is_a_text_or_none"}


# -- results and progress --------------------------------------------------------------------------------------------


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


class FragilePathError(Exception):
    def __init__(self, path, why):
        super().__init__(f"{path}: {why}")


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


# -- stopping --------------------------------------------------------------------------------------------------------


class NeverAsks(Good):
    def execute(self, job, context):
        context.progress(0, 2)
        time.sleep(0.3)
        context.progress(2, 2)


class TestNeverAsks(Contract):
    worker = NeverAsks
    stops_within = 0.1
    breaks = {SILENT, AT_EACH, "test_execute_asks_often_enough", *(each for each in TOLD if "last" not in each)}


class Swallows(Good):
    def execute(self, job, context):
        done = 0
        for number in range(5):
            try:
                context.check_cancelled()
                done += 1
            except Exception:
                logging.getLogger("x").info("never mind")
            context.progress(number)
        return {"done": done}


class TestSwallows(Contract):
    worker = Swallows
    # told at its last sign it is through before it could ask
    breaks = {each for each in TOLD if "last" not in each} | {AT_EACH}


class DeafCallback(Good):
    def execute(self, job, context):
        with context.on_cancel(lambda: None):
            time.sleep(0.3)


class TestDeafCallback(Contract):
    worker = DeafCallback
    stops_within = 0.1
    breaks = {SILENT, *TOLD, AT_EACH}


class FailingCallback(Good):
    def execute(self, job, context):
        stop = threading.Event()

        def told():
            stop.set()
            raise RuntimeError("no connection")

        with context.on_cancel(told):
            stop.wait(0.1)


class TestFailingCallback(Contract):
    worker = FailingCallback
    breaks = {SILENT, *TOLD, AT_EACH}


class CatchesCancelOnly(Good):
    """Obeys a user, but takes its deadline for a fault that it can go on after."""

    def execute(self, job, context):
        for number in range(5):
            with contextlib.suppress(TimeoutError):
                context.check_cancelled()
            context.progress(number)


class TestCatchesCancelOnly(Contract):
    worker = CatchesCancelOnly
    breaks = {each for each in TOLD if "time" in each and "last" not in each}


# -- isolation -------------------------------------------------------------------------------------------------------


class WritesBeside(Good):
    def step(self, job, context):
        with open(f"{os.path.dirname(job.config['path'])}.log", "a", encoding="utf-8") as file:
            file.write("x")


class TestWritesBeside(Contract):
    worker = WritesBeside
    breaks = {"test_execute_writes_nothing_outside_its_resource"}


class WritesWhereItIs(Good):
    """Through a library in C, which Python does not see."""

    def step(self, job, context):
        connection = sqlite3.connect("cache.db")
        connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
        connection.close()


class TestWritesWhereItIs(Contract):
    worker = WritesWhereItIs
    breaks = {"test_execute_writes_nothing_outside_its_resource"}


class ChangesTheProcess(Good):
    def step(self, job, context):
        os.environ["ACME_MODE"] = str(time.monotonic_ns())
        logging.root.addHandler(logging.NullHandler())


class TestChangesTheProcess(Contract):
    worker = ChangesTheProcess
    breaks = {"test_execute_leaves_the_process_as_it_was"}


class LeavesAThread(Good):
    def execute(self, job, context):
        context.check_cancelled()
        threading.Thread(target=time.sleep, args=(1,)).start()


class TestLeavesAThread(Contract):
    worker = LeavesAThread
    breaks = {"test_execute_leaves_the_process_as_it_was"}


class LeavesAFileOpen(Good):
    kept: ClassVar[list[Any]] = []

    def step(self, job, context):
        self.kept.append(open(job.config["path"], "a", encoding="utf-8"))  # noqa: SIM115 - that is the point


class TestLeavesAFileOpen(Contract):
    worker = LeavesAFileOpen
    breaks = {"test_execute_closes_what_it_opened", AT_EACH}


class KeepsTheContext(Good):
    def execute(self, job, context):
        self.context = context
        context.check_cancelled()
        self.context.progress(1, 1)


class TestKeepsTheContext(Contract):
    worker = KeepsTheContext
    breaks = {"test_jobs_run_side_by_side", "test_worker_keeps_no_job"}


class KeepsTheJob(Good):
    def execute(self, job, context):
        self.job = job
        context.check_cancelled()
        self.step(self.job, context)


class TestKeepsTheJob(Contract):
    worker = KeepsTheJob
    breaks = {"test_jobs_run_side_by_side", "test_worker_keeps_no_job"}


# -- what it is ------------------------------------------------------------------------------------------------------


class KeepsThePath(Good):
    def execute(self, job, context):
        self.path = job.config["path"]
        context.check_cancelled()
        with open(self.path, "a", encoding="utf-8") as file:
            file.write("step")


class TestKeepsThePath(Contract):
    worker = KeepsThePath
    breaks = {"test_jobs_run_side_by_side", "test_worker_keeps_no_job"}


class CountsForAll(Good):
    steps = 0

    def execute(self, job, context):
        self.steps = 0
        for _ in range(3):
            context.check_cancelled()
            self.steps += 1
        return {"steps": self.steps}


class TestCountsForAll(Contract):
    worker = CountsForAll
    breaks = {"test_jobs_run_side_by_side"}


class WritesWhereNobodyLooks(Good):
    """Through a library in C, anywhere."""

    def step(self, job, context):
        connection = sqlite3.connect(f"{os.path.dirname(os.path.dirname(job.config['path']))}/other.db")
        connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
        connection.close()


class TestWritesWhereNobodyLooks(Contract):
    worker = WritesWhereNobodyLooks
    breaks = {"test_execute_writes_nothing_outside_its_resource"}


class Interrupts(Good):
    def execute(self, job, context):
        raise KeyboardInterrupt


class TestInterrupts(Contract):
    worker = Interrupts
    breaks = COMPLETES


class InterruptsValidation(Good):
    def validate(self, job):
        super().validate(job)
        raise KeyboardInterrupt


class TestInterruptsValidation(Contract):
    worker = InterruptsValidation
    breaks = COMPLETES | {
        "test_validate_accepts_a_job_that_is_right",
        "test_validate_never_fails_on_odd_values",
        "test_validate_changes_nothing",
    }


class ValidateSetsTheEnvironment(Good):
    def validate(self, job):
        super().validate(job)
        os.environ["ACME_PATH"] = job.config["path"]


class TestValidateSetsTheEnvironment(Contract):
    worker = ValidateSetsTheEnvironment
    breaks = {"test_validate_changes_nothing", "test_execute_leaves_the_process_as_it_was"}


class ValidateFillsInDeeply(Good):
    def validate(self, job):
        super().validate(job)
        job.config["list"].append(1)


class TestValidateFillsInDeeply(Contract):
    worker = ValidateFillsInDeeply
    breaks = {"test_validate_accepts_a_job_that_is_right", "test_validate_never_fails_on_odd_values"}

    def make_config(self, folder):
        return {**super().make_config(folder), "list": []}


class StopsFragile(Good):
    def execute(self, job, context):
        for number in range(3):
            try:
                context.check_cancelled()
            except pitstop.JobCancelledError:
                raise FragilePathError("told", "to stop") from None
            threading.Event().wait(0 if number else 0.05)


class TestStopsFragile(Contract):
    worker = StopsFragile
    breaks = {SILENT, *TOLD, AT_EACH}


class ChangesTheProcessForGood(Good):
    """The same each time, so that a second job changes nothing any more."""

    def step(self, job, context):
        os.environ["TZ"] = "Nowhere"
        os.umask(0)


class TestChangesTheProcessForGood(Contract):
    worker = ChangesTheProcessForGood
    breaks = {"test_execute_leaves_the_process_as_it_was"}


class ValidateKeepsTheName(Good):
    def validate(self, job):
        super().validate(job)
        self.path = job.config["path"]


class TestValidateKeepsTheName(Contract):
    worker = ValidateKeepsTheName
    breaks = {"test_worker_keeps_no_job"}


class BlockingCallback(Good):
    def execute(self, job, context):
        with context.on_cancel(threading.Event().wait):
            for _ in range(5):
                context.check_cancelled()
                threading.Event().wait(0.02)


class TestBlockingCallback(Contract):
    worker = BlockingCallback
    breaks = {SILENT, AT_EACH, *TOLD}


class SwallowsOnce(Good):
    def execute(self, job, context):
        for number in range(9):
            try:
                context.check_cancelled()
            except pitstop.JobCancelledError:
                if number != 2:
                    raise
                break
        return {"done": number}


class TestSwallowsOnce(Contract):
    worker = SwallowsOnce
    breaks = {AT_EACH}


class LeavesOpenWhenStopped(Good):
    def execute(self, job, context):
        file = open(job.config["path"], "a", encoding="utf-8")  # noqa: SIM115 - that is the point
        self.files.append(file)
        for _ in range(3):
            context.check_cancelled()
            file.write("x")
        file.close()

    files: ClassVar[list[Any]] = []


class TestLeavesOpenWhenStopped(Contract):
    worker = LeavesOpenWhenStopped
    breaks = {AT_EACH}


class NamesWhatItMakes(Good):
    def resource(self, job):
        with open(f"{os.path.dirname(job.config['path'])}/made", "w", encoding="utf-8"):
            return "made"


class TestNamesWhatItMakes(Contract):
    worker = NamesWhatItMakes
    breaks = {"test_resource_is_a_text_or_none"}


class ValidateWritesForOddValues(Good):
    def validate(self, job):
        if job.config.get("path") == [None]:
            with open("odd.log", "w", encoding="utf-8"):
                pass
        super().validate(job)


class TestValidateWritesForOddValues(Contract):
    worker = ValidateWritesForOddValues
    breaks = {"test_validate_never_fails_on_odd_values"}


class OnCrashMaybe(Good):
    on_crash = "maybe"


class Misspells(Good):
    on_crahs = "retry"


class TestMisspells(Contract):
    worker = Misspells
    # where it is added it is warned of, which the pytest around this one would make an error of
    pytestmark = pytest.mark.filterwarnings("ignore:.*on_crahs:UserWarning")
    breaks = {"test_worker_is_one"}


class TestOnCrashMaybe(Contract):
    worker = OnCrashMaybe
    breaks = {"test_worker_is_one", "test_execute_completes", "test_execute_twice_in_a_row"}


# -- operations ------------------------------------------------------------------------------------------------------


class Operations(OperationContract):
    __test__ = False
    breaks: ClassVar[set[str]] = set()
    stops_within = 0.2


def silent(context, *, name: str):
    context.check_cancelled()


class TestSilent(Operations):
    operation = silent
    parameters = {"name": "x"}
    breaks = {"test_operation_says_what_it_does", "test_parameters_say_what_they_mean"}


def untyped(context, *, name, other: int | object = 3):
    """Take anything.

    Args:
        name: of it.
        other: too.
    """
    context.check_cancelled()


class TestUntyped(Operations):
    operation = untyped
    parameters = {"name": "x"}
    breaks = {"test_parameters_have_types"}


def wrong_default(context, *, limit: int = None, mode: str = 5):  # noqa: RUF013 - that is the point
    """Have defaults that nobody could give.

    Args:
        limit: how many.
        mode: how.
    """
    context.check_cancelled()


class TestWrongDefault(Operations):
    operation = wrong_default
    breaks = {"test_defaults_are_of_their_types"}


def fails(context, *, name: str):
    """Fail.

    Args:
        name: of it.
    """
    raise OSError(28, "No space left on device")


class TestFails(Operations):
    operation = fails
    parameters = {"name": "x"}
    breaks = COMPLETES


def handles_signals(context, *, name: str):
    """Take a signal for itself.

    Args:
        name: of it.
    """
    context.check_cancelled()
    os.chdir(os.pardir)
    signal.raise_signal(signal.SIGCHLD)


class TestHandlesSignals(Operations):
    operation = handles_signals
    parameters = {"name": "x"}
    breaks = {"test_execute_leaves_the_process_as_it_was"}


# -- what cannot even be made ----------------------------------------------------------------------------------------


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
