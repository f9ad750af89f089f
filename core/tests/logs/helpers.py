"""A log, and what was written to one."""

from __future__ import annotations

import logging
import logging.config
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from pitstop.logs import JobLog

# what an application would write once at its start; each runs in a process of its own
PRELUDE = """
import logging, sys
from pitstop import logs
from pitstop.logs import JobLog, JobLogHandler
log = JobLog(job_id="job1", correlation_id="root1", bound={"worker_type": "t", "operation": "op"})
def stored():
    return [(line.level, line.message) for line in log.drain()]
"""


def make_log(job_id: str = "job1", **options: Any) -> JobLog:
    """Return the log of a job of the tree "root1"."""
    bound = {"worker_type": "greeting", "operation": "hello"}
    return JobLog(job_id=job_id, correlation_id="root1", bound=bound, now=lambda: 1_700_000_000.25, **options)


def texts(log: JobLog) -> list[str]:
    """Return the messages of a log."""
    return [line.message for line in log.drain()]


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh process."""
    done = subprocess.run([sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


class Kept(logging.Handler):
    """Keeps the records that it is handed."""

    def __init__(self, then: Callable[[logging.LogRecord], object] = lambda record: None) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._then = then

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self._then(record)

    @property
    def texts(self) -> list[str]:
        """The messages."""
        return [record.getMessage() for record in self.records]
