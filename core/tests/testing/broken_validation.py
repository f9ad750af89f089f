"""Workers that are not what they should be, or check their jobs in a wrong way."""

from __future__ import annotations

import os
import sys
import time

import pytest

import pitstop

from .broken_workers import COMPLETES, Contract, Good


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


class ValidateKeepsTheName(Good):
    def validate(self, job):
        super().validate(job)
        self.path = job.config["path"]


class TestValidateKeepsTheName(Contract):
    worker = ValidateKeepsTheName
    breaks = {"test_worker_keeps_no_job"}


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
