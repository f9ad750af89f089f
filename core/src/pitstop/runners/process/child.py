"""`Child`: one child process of the process runner, as its parent sees it. Knows no job.

Why it is a fresh interpreter: docs/decisions/process-runner.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from pitstop.children import CHUNK, ChildProcess, call
from pitstop.errors import PitstopError
from pitstop.runners.process.protocol import ALONE

#: Seconds that a child may take until it is ready; a start takes a fraction of one, but a machine may be busy.
START_LIMIT = 60.0
#: Seconds that an idle child may take to end.
END_LIMIT = 2.0
#: So much of what Python says of a crash goes into the job's log, in characters.
REPORT_LIMIT = 4000


class ChildError(PitstopError):
    """A child process cannot be had.

    Fields: `problem`.
    """

    problem: str

    def text(self) -> str:
        """Return what went wrong."""
        return f"its process could not be started: {self.problem}"


class Child(ChildProcess):
    """One child process that executes jobs.

    Args:
        python: the interpreter.
        environment: all of its variables.

    Attributes:
        jobs: how many it was given.
        changes: the registry's `changes` that its own registry is made after.
        path: its `sys.path`.
        ready: whether it has said that it can take jobs.
        was_killed: whether it was killed because a job did not stop.

    Raises:
        ChildError: it cannot be started.
    """

    def __init__(self, *, python: str, environment: Mapping[str, str]) -> None:
        self.jobs = 0
        self.changes = -1
        self.ready = False
        self.was_killed = False
        self.path = list(sys.path)
        self._report, reports = os.pipe()
        os.set_blocking(self._report, False)  # a fork of the child may outlive it with the other end open
        try:
            super().__init__(
                call("pitstop.runners.process.child_main:main", str(reports), python=python),
                environment=environment,
                stdout=_stderr(),  # what a plugin prints must not stand between the lines of our own output
                stderr=None,
                descriptors=[reports],
            )
        except OSError as error:
            os.close(self._report)
            raise ChildError(problem=str(error)) from error
        finally:
            os.close(reports)

    def wait_until_ready(self) -> None:
        """Return when it can take jobs.

        Raises:
            ChildError: it ended, or takes too long.
        """
        if self.ready:
            return
        message = self.receive(timeout=START_LIMIT)
        if message is not None and "ready" in message:
            self.ready = True
            return
        if self.exit_code is not None:
            raise ChildError(problem=f"it {self.ending}, and has said why on stderr")
        self.kill()
        raise ChildError(problem=f"it was not ready within {START_LIMIT:g} s")

    def close(self, *, patience: float = END_LIMIT) -> None:
        """Let it end, or, if it does not at once, kill it. Afterwards nothing is left of it."""
        # one that is just starting has nothing to lose
        super().close(patience=patience if self.ready else 0.0)
        if self._report >= 0:
            os.close(self._report)
        self._report = -1

    @property
    def ending(self) -> str:
        """How it ended, to follow "its process"."""
        lost = "lost its connection, which a job may have closed, and " if self.exit_code == ALONE else ""
        return lost + super().ending

    def report(self) -> str:
        """Return what Python itself said of its crash; "" if nothing."""
        try:
            data = os.read(self._report, CHUNK)
        except OSError:  # nothing, or it is closed already
            return ""
        return data.decode(errors="replace").strip()[:REPORT_LIMIT]


def _stderr() -> int:
    try:
        os.fstat(2)
    except OSError:  # a service may run without one
        return subprocess.DEVNULL
    return 2
