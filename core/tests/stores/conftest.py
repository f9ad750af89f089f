"""Stores to test, and short ways to make jobs. Times are plain numbers: a store reads no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pitstop.contracts import Claim, Ending, JobStore
from pitstop.jobs import Counts, ErrorRecord, Job, JobRecord, JobStatus, Tolerance
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite import SQLiteStore

MAKERS: dict[str, Callable[[Path], JobStore]] = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SQLiteStore(folder / "jobs.db", durability="process"),
}


@pytest.fixture(params=list(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobStore]:
    """Each store that comes with Pitstop, empty."""
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


class Shorthand:
    """What nearly every test of a store needs."""

    @staticmethod
    def leaf(job_id: str, parent: str | None = None, *, root: str | None = None, **fields: Any) -> JobRecord:
        """Return a pending record of a job that a worker carries out."""
        record = {key: fields.pop(key) for key in ("status", "created_at", "owner", "not_before") if key in fields}
        correlation = root or parent or job_id
        job = Job(id=job_id, type="t", parent_id=parent, correlation_id=correlation, **fields)
        return JobRecord(job=job, **{"created_at": 1.0, **record})

    @staticmethod
    def parent(
        job_id: str,
        parent: str | None = None,
        *,
        root: str | None = None,
        tolerance: Tolerance | None = None,
        **counts: int,
    ) -> JobRecord:
        """Return a running record of a parent with these counts."""
        correlation = root or parent or job_id
        tolerance = tolerance or Tolerance()
        job = Job(id=job_id, type="p", parent_id=parent, correlation_id=correlation, tolerance=tolerance)
        return JobRecord(job=job, status=JobStatus.RUNNING, created_at=1.0, counts=Counts(**counts))

    def family(self, *ids: str, tolerance: Tolerance | None = None, **fields: Any) -> list[JobRecord]:
        """Return a parent `p` and pending children."""
        children = [self.leaf(job_id, "p", **fields) for job_id in ids]
        return [self.parent("p", tolerance=tolerance, pending=len(ids)), *children]

    @staticmethod
    def claim(job_id: str, *, owner: str = "me", now: float = 10.0) -> Claim:
        """Return a claim with a lease of 30 s."""
        return Claim(job_id=job_id, owner=owner, now=now, lease_until=now + 30)

    @staticmethod
    def end(job_id: str, status: str = "completed", *, attempt: int = 1, now: float = 20.0, **fields: Any) -> Ending:
        """Return the end of an attempt; a failed one gets an error."""
        if status in ("failed", "pending"):
            fields.setdefault("error", ErrorRecord(type="OSError", message="broken", traceback="line 1"))
        return Ending(job_id=job_id, attempt=attempt, status=JobStatus(status), now=now, **fields)

    def run(self, store: JobStore, job_id: str, status: str = "completed", **fields: Any) -> Any:
        """Claim a job and end it."""
        record = store.claim(self.claim(job_id))
        assert record is not None
        return store.finish(self.end(job_id, status, attempt=record.attempt, **fields))


@pytest.fixture
def make() -> Shorthand:
    """Short ways to make jobs, claims and endings."""
    return Shorthand()
