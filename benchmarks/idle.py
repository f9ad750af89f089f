"""Jobs that do nothing, for what measures everything but the work."""

from __future__ import annotations

from typing import Any

#: Every job's config; small, as that of a real one.
CONFIG = {"operation": "nothing", "parameters": {"number": 7}}


class Idle:
    """A worker that does nothing."""

    worker_type = "idle"

    def validate(self, job: Any) -> None:
        """Accept every job."""

    def execute(self, job: Any, context: Any) -> None:
        """Do nothing."""


def nothing(context: Any, *, number: int) -> None:
    """Do nothing with a number: the same as an operation."""


def check_completed(store: Any, jobs: int) -> None:
    """Stop the benchmark unless a store knows of exactly so many jobs, all completed.

    Raises:
        RuntimeError: it does not; a figure would be about something else.
    """
    from pitstop import JobQuery

    counts = store.count(JobQuery())
    if counts.completed != jobs:
        raise RuntimeError(f"{jobs} jobs were submitted, but this became of them: {counts}")
