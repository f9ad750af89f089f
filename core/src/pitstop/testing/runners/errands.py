"""`Errand`: the worker of these tests. What it does stands in the job's config, so that any process can run it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from pitstop.contracts import JobContext
from pitstop.errors import InvalidJobError, TransientError
from pitstop.jobs import Job, Result
from pitstop.testing.patience import GLANCE


class Errand:
    """Writes its job's name into a diary, waits for a file if it is to, and fails as often as it is to.

    The config has `diary`, the path of a file; and may have `waits_for`, the path of a file that must come into being,
    and `fails`, how many attempts fail with a `TransientError`.
    """

    worker_type = "errand"
    on_crash = "retry"

    def validate(self, job: Job) -> None:
        """Refuse a job without a diary."""
        if not isinstance(job.config.get("diary"), str):
            raise InvalidJobError(reason="'diary' is missing", hint="give the path of a file")

    def execute(self, job: Job, context: JobContext) -> Result:
        """Run the errand."""
        write(Path(job.config["diary"]), job.name)
        awaited = job.config.get("waits_for")
        pause = threading.Event()
        while awaited is not None and not Path(awaited).exists():
            context.check_cancelled()
            pause.wait(GLANCE)
        if context.attempt <= job.config.get("fails", 0):
            raise TransientError(reason=f"attempt {context.attempt} was to fail")
        return Result.changed(f"{job.name} is done")


def write(diary: Path, name: str) -> None:
    """Add a name to a diary, in one call of the system, because others may write to it at the same time."""
    file = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{name}\n".encode())
    finally:
        os.close(file)


def read(diary: Path) -> list[str]:
    """Return the names in a diary, in order; none if nobody has written to it."""
    return diary.read_text().split() if diary.exists() else []
