"""Workers that do harm to what is around them, or to their other jobs."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from typing import Any, ClassVar

from .broken_workers import AT_EACH, Contract, Good


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


class ChangesTheProcessForGood(Good):
    """The same each time, so that a second job changes nothing any more."""

    def step(self, job, context):
        os.environ["TZ"] = "Nowhere"
        os.umask(0)


class TestChangesTheProcessForGood(Contract):
    worker = ChangesTheProcessForGood
    breaks = {"test_execute_leaves_the_process_as_it_was"}
