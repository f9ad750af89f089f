"""`ScriptedWorker`: the worker of these tests. The job's config says what it does, so that any process can run it."""

from __future__ import annotations

import threading
from pathlib import Path

from pitstop.contracts import JobContext
from pitstop.errors import InvalidJobError, TransientError
from pitstop.jobs import Job, Result
from pitstop.testing.fakes.waiting import GLANCE


class ScriptedWorker:
    """Writes its job's name into a journal, waits for a file if it is to, and fails as often as it is to.

    The config has `journal`, the path of a file; and may have `waits_for`, the path of a file that must come into
    being, and `fails`, how many attempts fail with a `TransientError`.
    """

    worker_type = "scripted"
    on_crash = "retry"

    def validate(self, job: Job) -> None:
        """Refuse a job without a journal."""
        if not isinstance(job.config.get("journal"), str):
            raise InvalidJobError(reason="'journal' is missing", hint="give the path of a file")

    def execute(self, job: Job, context: JobContext) -> Result:
        """Do as the config says."""
        with open(job.config["journal"], "a", encoding="utf-8") as journal:  # what others write meanwhile stays whole
            journal.write(f"{job.name}\n")
        awaited = job.config.get("waits_for")
        pause = threading.Event()
        while awaited is not None and not Path(awaited).exists():
            context.check_cancelled()
            pause.wait(GLANCE)
        if context.attempt <= job.config.get("fails", 0):
            raise TransientError(reason=f"attempt {context.attempt} was to fail")
        return Result.changed(f"{job.name} is done")
