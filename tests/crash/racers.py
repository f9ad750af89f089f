"""Workers that leave a trace of each start and each end in a file before anything else happens.

This file is copied into a folder of its own and installed there, so that processes of every kind find it as a plugin.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from pitstop import InvalidJobError, Job, JobContext, OperationError, TransientError

ACTS = ("complete", "fail", "transient", "wait", "hold", "deaf")
#: Seconds between two looks for a file, and after which nobody waits for it any more.
LOOK, PATIENCE = 0.005, 60.0


class Racer:
    """Does what its config says: `act`, after `seconds`; a transient one fails `times` times.

    One that holds goes on until the file `until` is there or it is told to stop; a deaf one is not to be told.
    """

    worker_type = "race"
    on_crash = "retry"

    def validate(self, job: Job) -> None:
        if job.config.get("act") not in ACTS:
            raise InvalidJobError(reason=f"act is {job.config.get('act')!r}")

    def execute(self, job: Job, context: JobContext) -> dict[str, Any]:
        note(job.config["journal"], "start", job.id, context.attempt)
        how = "stopped"
        try:
            self._act(job.config, context)
            how = "done"
        finally:
            note(job.config["journal"], how, job.id, context.attempt)
        return {"attempt": context.attempt}

    def _act(self, config: Any, context: JobContext) -> None:
        told = threading.Event()
        with context.on_cancel(told.set):
            told.wait(config.get("seconds", 0))
        if config["act"] in ("hold", "deaf"):
            self._hold(config, context)
        if config["act"] == "deaf":
            return
        context.check_cancelled()
        context.progress(1, 2, "steps")
        if config["act"] == "fail":
            raise OperationError(reason="it was to fail")
        if config["act"] == "transient" and context.attempt <= config["times"]:
            raise TransientError(reason="busy")

    def _hold(self, config: Any, context: JobContext) -> None:
        told, ends_at = threading.Event(), time.monotonic() + PATIENCE
        with context.on_cancel(told.set):
            while not os.path.exists(config["until"]) and time.monotonic() < ends_at:
                if config["act"] == "deaf":
                    time.sleep(LOOK)
                elif told.wait(LOOK):
                    return


class Fragile(Racer):
    """The same, but what it had begun when its process died is not begun again."""

    worker_type = "fragile"
    on_crash = "fail"


def note(path: str, *words: object) -> None:
    """Append a line to a file. When this returns the system has it, and the death of a process cannot undo it."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, (" ".join(map(str, words)) + "\n").encode())
    finally:
        os.close(file)
