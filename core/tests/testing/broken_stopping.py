"""Workers that do not stop when they are told, or not properly."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Any, ClassVar

import pytest

import pitstop

from .broken_workers import AT_EACH, SILENT, TOLD, Contract, FragilePathError, Good


def go_on(context, seconds):
    """Take some time, and much more once the job is to stop, however late that is on a busy machine."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends + (5 if getattr(context, "stopped", None) else 0):
        time.sleep(0.01)


class NeverAsks(Good):
    def execute(self, job, context):
        context.progress(0, 2)
        go_on(context, 0.3)
        context.progress(2, 2)


class TestNeverAsks(Contract):
    worker = NeverAsks
    stops_within = 0.2
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
            go_on(context, 0.01)


class TestDeafCallback(Contract):
    worker = DeafCallback
    stops_within = 0.5
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


class BlockingCallback(Good):
    def execute(self, job, context):
        with context.on_cancel(threading.Event().wait):
            for _ in range(5):
                context.check_cancelled()
                threading.Event().wait(0.02)


class TestBlockingCallback(Contract):
    worker = BlockingCallback
    stops_within = 0.5

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch):
        """Who waits for it waits in vain."""
        monkeypatch.setattr("pitstop.testing.fakes.context.CALLBACK_PATIENCE", 0.1)

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
