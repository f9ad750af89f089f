"""`ScriptedWorker`: the worker of these tests. The job's config says what it does, so that any process can run it."""

from __future__ import annotations

import os
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
        write_journal(Path(job.config["journal"]), job.name)
        awaited = job.config.get("waits_for")
        pause = threading.Event()
        while awaited is not None and not Path(awaited).exists():
            context.check_cancelled()
            pause.wait(GLANCE)
        if context.attempt <= job.config.get("fails", 0):
            raise TransientError(reason=f"attempt {context.attempt} was to fail")
        return Result.changed(f"{job.name} is done")


def write_journal(journal: Path, name: str) -> None:
    """Add a name to a journal, in one call of the system, because others may write to it at the same time."""
    file = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{name}\n".encode())
    finally:
        os.close(file)


def read_journal(journal: Path) -> list[str]:
    """Return the names in a journal, in order; none if nobody has written to it."""
    return journal.read_text().split() if journal.exists() else []
