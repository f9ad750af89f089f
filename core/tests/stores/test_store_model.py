"""Random histories: both stores against a model that works everything out anew from the leaves."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pitstop.contracts import Claim, Ending, JobStore
from pitstop.jobs import Counts, ErrorRecord, Job, JobRecord, JobStatus, Tolerance, parent_status
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite import SQLiteStore

P, R, X, F = JobStatus.PENDING, JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.FAILED

nodes = st.tuples(
    st.integers(0, 5),  # which of the parents so far it belongs to; beyond them: none
    st.sampled_from([None, None, None, Tolerance(), *(Tolerance(on_error="stop", max_failures=n) for n in (0, 1))]),
    st.sampled_from([None, "x", "y"]),
)
endings = st.sampled_from(["completed", "failed", "failed", "cancelled", "pending"])
steps = st.tuples(
    st.sampled_from(["claim", "claim", "finish", "finish", "then", "cancel"]), st.integers(0, 11), endings
)


class Model:
    """The statuses of leaves; parents follow from them each time somebody asks."""

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = {job.id: job for job in jobs}
        self.status = {job.id: P for job in jobs if not job.is_parent}
        self.attempt = dict.fromkeys(self.jobs, 0)
        self.marked: set[str] = set()

    def below(self, job_id: str) -> list[str]:
        return [c for c in self.jobs if self._is_below(c, job_id)]

    def _is_below(self, child: str, top: str) -> bool:
        parent = self.jobs[child].parent_id
        return parent is not None and (parent == top or self._is_below(parent, top))

    def counts(self, job_id: str) -> Counts:
        counts = Counts()
        for job in self.jobs.values():
            if job.parent_id == job_id:
                counts = counts.plus(self.of(job.id))
        return counts

    def of(self, job_id: str) -> JobStatus:
        tolerance = self.jobs[job_id].tolerance
        if tolerance is None:
            return self.status[job_id]
        return parent_status(self.counts(job_id), tolerance, cancel_requested=job_id in self.marked)

    def held(self, resource: str | None) -> bool:
        running = {self.jobs[job_id].resource for job_id, status in self.status.items() if status is R}
        return resource is not None and resource in running

    def claim(self, job_id: str) -> bool:
        if self.status.get(job_id) is not P or self.held(self.jobs[job_id].resource):
            return False
        self.status[job_id] = R
        self.attempt[job_id] += 1
        return True

    def finish(self, job_id: str, status: JobStatus) -> bool:
        if self.status.get(job_id) is not R:
            return False
        self.status[job_id] = X if status is P and job_id in self.marked else status
        while any(self._stop(parent) for parent in reversed(self.jobs) if self.jobs[parent].is_parent):
            pass
        return True

    def _stop(self, parent: str) -> bool:
        tolerance = self.jobs[parent].tolerance
        assert tolerance is not None
        below = self.below(parent)
        pending = [job_id for job_id in below if self.status.get(job_id) is P]
        too_many = tolerance.on_error == "stop" and self.counts(parent).failed > tolerance.max_failures
        if not too_many or not pending or self.of(parent) is not R:
            return False
        self.marked.update(job_id for job_id in below if self.jobs[job_id].is_parent and self.of(job_id) is R)
        self.status.update(dict.fromkeys(pending, X))
        return True

    def cancel(self, job_id: str) -> None:
        live = [each for each in (job_id, *self.below(job_id)) if self.of(each) in (P, R)]
        self.marked.update(each for each in live if self.of(each) is R)
        self.status.update(dict.fromkeys((each for each in live if self.of(each) is P), X))


def plant(shape: list[Any]) -> list[Job]:
    """Return the jobs of a random forest, parents before their children."""
    jobs: list[Job] = []
    for number, (belongs, tolerance, resource) in enumerate(shape):
        parents = [job for job in jobs if job.is_parent]
        parent = parents[belongs] if belongs < len(parents) else None
        jobs.append(
            Job(
                type="t",
                id=f"j{number:02}",
                parent_id=parent.id if parent else None,
                correlation_id=parent.correlation_id if parent else f"j{number:02}",
                resource=None if tolerance is not None else resource,
                tolerance=tolerance,
            )
        )
    return jobs


def records(model: Model) -> list[JobRecord]:
    return [JobRecord(job=j, status=model.of(j.id), counts=model.counts(j.id)) for j in model.jobs.values()]


def take(store: JobStore, step: tuple[str, int, str], at: float) -> Any:
    """Take one step in a store and return what it says."""
    kind, number, status = step
    job_id, other = f"j{number:02}", f"j{(number + 1) % 12:02}"
    claim = Claim(job_id=job_id, owner="o", now=at, lease_until=at + 1)
    if kind == "claim":
        return store.claim(claim)
    if kind == "cancel":
        return store.cancel(job_id, now=at, reason="why") if job_id in store.ids(job_id) else None
    attempt = store.get(job_id).attempt if job_id in store.ids(job_id) else 1
    error = ErrorRecord(type="E", message="m") if status in ("failed", "pending") else None
    ending = Ending(job_id=job_id, attempt=attempt, status=JobStatus(status), now=at, error=error)
    return store.finish(ending, then=claim._replace(job_id=other) if kind == "then" else None)


def follow(model: Model, step: tuple[str, int, str]) -> None:
    """Take the same step in the model."""
    kind, number, status = step
    job_id, other = f"j{number:02}", f"j{(number + 1) % 12:02}"
    if job_id not in model.jobs:
        return
    if kind == "claim":
        model.claim(job_id)
    elif kind == "cancel":
        model.cancel(job_id)
    elif model.finish(job_id, JobStatus(status)) and kind == "then" and other in model.jobs:
        model.claim(other)


@settings(max_examples=60, deadline=None)
@given(st.lists(nodes, min_size=1, max_size=12), st.lists(steps, max_size=30))
def test_stores_agree_with_the_model_and_each_other(shape: list[Any], history: list[tuple[str, int, str]]) -> None:
    """Whatever happens in whatever order, statuses, counts and answers are what the rules say."""
    model = Model(plant(shape))
    with tempfile.TemporaryDirectory() as folder:
        memory, sqlite = MemoryStore(), SQLiteStore(Path(folder, "jobs.db"), durability="process")
        try:
            for store in (memory, sqlite):
                store.create(records(model))
            for at, step in enumerate(history, start=1):
                assert take(memory, step, float(at)) == take(sqlite, step, float(at))
                follow(model, step)
                for job_id in model.jobs:
                    record = memory.get(job_id)
                    assert record == sqlite.get(job_id)
                    assert list(memory.history(job_id)) == list(sqlite.history(job_id))
                    assert (record.status, record.counts) == (model.of(job_id), model.counts(job_id))
                    assert record.attempt == model.attempt[job_id]
                    ready = memory.ready(job_id, now=float(at))
                    assert ready == sqlite.ready(job_id, now=float(at))
                    assert not any(model.held(model.jobs[each].resource) for each in ready)
        finally:
            sqlite.close()
