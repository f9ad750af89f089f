"""`RecordingOrchestrator`: what a runner calls in these tests. Claims nothing and stores nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from pitstop.testing.fakes.waiting import PATIENCE, Signal


class RecordingOrchestrator:
    """A `RunJob` that notes each run, and does what the test says. What that raises is no matter of the runner's.

    Args:
        patience: seconds after which what is waited for counts as lost.

    Attributes:
        ran: the ids of the jobs that have ended, in that order.
        acts: what a job does, by its id; nothing for all others.
        nested: ids of jobs that were started within another one, in the same thread.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self.ran: list[str] = []
        self.acts: dict[str, Callable[[], object]] = {}
        self.nested: list[str] = []
        self._patience = patience
        self._changed = threading.Condition()
        self._here = threading.local()

    def __call__(self, job_id: str, following: Callable[[], str | None] = lambda: None) -> None:
        """Run a job; see `RunJob`."""
        if getattr(self._here, "inside", False):
            self.nested.append(job_id)
        self._here.inside = True
        try:
            # an orchestrator's raises nothing but a KeyboardInterrupt, and what went wrong is in the job's record
            with suppress(Exception):
                self.acts.get(job_id, lambda: None)()
        finally:
            self._here.inside = False
            with self._changed:
                self.ran.append(job_id)
                self._changed.notify_all()

    def until(self, *ids: str) -> list[str]:
        """Wait until all of these have run, and return everything that has."""
        with self._changed:
            self._changed.wait_for(lambda: set(ids) <= set(self.ran), self._patience)
            missing = [job_id for job_id in ids if job_id not in self.ran]
            assert not missing, (
                f"submitted, but run_job was not called within {self._patience:g} s: {', '.join(missing[:3])}; "
                f"{len(missing)} of {len(ids)} are missing"
            )
            return list(self.ran)


class Gate:
    """Where a job stands until the test lets it go on."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._reached, self._opened = Signal("a job was started"), Signal("the test opened the gate")
        self.open = self._opened.give

    def __call__(self) -> None:
        """Stand here; what the job does."""
        self._reached.give()
        self._opened.wait(self._patience)

    def wait(self) -> None:
        """Wait until a job stands here."""
        self._reached.wait(self._patience)
