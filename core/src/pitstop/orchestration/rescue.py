"""Finding what processes that died left behind, for one orchestrator. Writes no status itself: the manager does.

Owns what a job of a worker type wants in a crash, as far as it is known here, and what is told of a rescue.
"""

from __future__ import annotations

from attrs import frozen

from pitstop import logs
from pitstop.contracts import ends_with_process
from pitstop.errors import PitstopError
from pitstop.jobs import JobRecord, JobStatus, OnCrash, on_crash_of
from pitstop.orchestration.manager import JobManager, RescueReport
from pitstop.registry.registry import Registry


@frozen(kw_only=True)
class Rescue:
    """What came of a rescue.

    Args:
        lost: jobs whose process died under them, as they are now: failed, or pending for another attempt.
        roots: ids of the trees that nobody else looks after; they go on here, if they were to be adopted.
        left: ids of jobs whose process died too, and that a process must see to which knows their worker.
    """

    lost: tuple[JobRecord, ...] = ()
    roots: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[JobRecord, ...]:
        """Those of the lost that will not be tried again."""
        return tuple(record for record in self.lost if record.status is JobStatus.FAILED)

    def __bool__(self) -> bool:
        """Whether anything was left behind."""
        return bool(self.lost or self.roots or self.left)


class Rescuer:
    """Looks for what was lost in one store.

    Args:
        manager: brings the store.
        registry: knows the workers of jobs that do not say themselves what they want.
    """

    def __init__(self, manager: JobManager, registry: Registry) -> None:
        self._manager = manager
        self._registry = registry
        self._reported: set[str] = set()
        self._is_first = not ends_with_process(manager.store)

    @property
    def is_first(self) -> bool:
        """Whether nobody has looked yet, and others may have left something."""
        return self._is_first

    def rescue(self, *, whole: bool) -> RescueReport:
        """Bring to the right place what was lost. See `JobManager.rescue`."""
        self._is_first = False
        rescued = self._manager.rescue(on_crash=self._on_crash, whole=whole)
        for job_id in set(rescued.left) - self._reported:
            self._reported.add(job_id)
            logs.warn(f"job {job_id} was lost, and is left to a process that knows its worker")
        return rescued

    def _on_crash(self, worker_type: str) -> OnCrash | None:
        try:
            worker = self._registry.worker(worker_type)
        except PitstopError:
            return None
        return on_crash_of(worker)
