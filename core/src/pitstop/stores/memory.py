"""`MemoryStore`: records that end with the process, for tests, scripts and jobs that nobody wants to look up later.

Owns the dictionaries and the one lock around them. The rules are those of `BaseJobStore`; nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from threading import RLock

from pitstop.contracts import BaseJobStore, JobQuery, StoredJob
from pitstop.contracts.parent_rules import LIVE
from pitstop.errors import InvalidValueError
from pitstop.jobs import Job, JobRecord, JobStatus, LogLine

_Key = tuple[str, str]
URL = "memory:"


def open_url(url: str) -> MemoryStore:
    """Return a new, empty store.

    Args:
        url: `memory:` or `memory://`; there is nothing to choose.

    Raises:
        InvalidValueError: the URL says more than that.
    """
    scheme, _, rest = url.partition(":")
    if scheme != "memory" or rest.strip("/"):
        raise InvalidValueError(
            where="memory store", name="url", problem=f"{url!r} is not 'memory:', which takes nothing"
        )
    return MemoryStore()


class MemoryStore(BaseJobStore):
    """A `JobStore` in memory.

    Nothing is ever rolled back: `BaseJobStore` checks everything before it changes anything, and no method here fails.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._seq = 0
        self._jobs: dict[str, StoredJob] = {}  # in order of creation
        self._index: dict[_Key, dict[str, StoredJob]] = {}
        self._keys: dict[str, Sequence[_Key]] = {}  # where the index has a job because of its current state
        self._lines: dict[_Key, list[LogLine]] = {}

    @property
    def url(self) -> str:
        """`memory:`; opening it again gives another store."""
        return URL

    def transaction(self) -> AbstractContextManager[object]:
        """Return the lock. See `BaseJobStore.transaction`."""
        return self._lock

    def insert_job(self, job: StoredJob) -> None:
        """Add a job. See `BaseJobStore.insert_job`."""
        self._seq += 1
        job.update(seq=self._seq)
        request = job.record.job
        self._jobs[request.id] = job
        self._keys[request.id] = ()
        for key in _fixed_keys(request):
            self._index.setdefault(key, {})[request.id] = job
        self.save_job(job)

    def load_job(self, job_id: str) -> StoredJob | None:
        """Return a job. See `BaseJobStore.load_job`."""
        return self._jobs.get(job_id)

    def find_jobs(self, query: JobQuery) -> Iterator[StoredJob]:
        """Return the jobs that fit. See `BaseJobStore.find_jobs`."""
        fits = query.fits
        return islice((job for job in self._candidates(query) if fits(job.record)), query.limit)

    def save_job(self, job: StoredJob) -> None:
        """Put a changed job where the index leads to it. See `BaseJobStore.save_job`."""
        job_id, keys = job.record.job.id, _state_keys(job.record)
        old = self._keys[job_id]
        if keys != old:
            self._keys[job_id] = keys
            self._remove_from_index(job_id, [key for key in old if key not in keys])
            for key in keys:
                if key not in old:
                    self._index.setdefault(key, {})[job_id] = job

    def remove_jobs(self, job_ids: Sequence[str]) -> None:
        """Remove jobs and their lines. See `BaseJobStore.remove_jobs`."""
        gone = set(job_ids)
        lines = [line for job_id in job_ids for line in self._lines.pop(("job", job_id), ())]
        for tree in {("tree", line.correlation_id) for line in lines}:
            self._lines[tree] = [line for line in self._lines[tree] if line.job_id not in gone]
            if not self._lines[tree]:
                del self._lines[tree]
        for job_id in job_ids:
            job = self._jobs.pop(job_id)
            self._remove_from_index(job_id, [*_fixed_keys(job.record.job), *self._keys.pop(job_id)])

    def insert_lines(self, lines: Sequence[LogLine]) -> None:
        """Add log lines. See `BaseJobStore.insert_lines`."""
        for line in lines:
            self._lines.setdefault(("job", line.job_id), []).append(line)
            self._lines.setdefault(("tree", line.correlation_id), []).append(line)

    def find_lines(self, job_id: str, *, tree: bool) -> Iterable[LogLine]:
        """Return the lines of a job or of a tree. See `BaseJobStore.find_lines`."""
        return sorted(self._lines.get(("tree" if tree else "job", job_id), ()), key=lambda line: line.at)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _candidates(self, query: JobQuery) -> Iterable[StoredJob]:
        """Return a superset of what fits, in the order that is asked for."""
        keys = _query_keys(query)
        if keys is None:
            return self._jobs.values() if query.oldest_first else reversed(self._jobs.values())
        found = [job for key in keys for job in self._index.get(key, {}).values()]
        return sorted(found, key=lambda job: job.record.seq, reverse=not query.oldest_first)

    def _remove_from_index(self, job_id: str, keys: Sequence[_Key]) -> None:
        for key in keys:
            jobs = self._index[key]
            del jobs[job_id]
            if not jobs:
                del self._index[key]


def _fixed_keys(job: Job) -> Sequence[_Key]:
    tree = ("tree", job.correlation_id)
    return (tree,) if job.parent_id is None else (tree, ("parent", job.parent_id))


def _state_keys(record: JobRecord) -> Sequence[_Key]:
    if record.status not in LIVE:
        return ()
    job, keys = record.job, list[_Key]()
    if job.parent_id is not None:
        keys.append(("live", job.parent_id))
    if job.resource is not None:
        keys.append((record.status, job.resource))
    if record.status is JobStatus.RUNNING and record.owner is not None:
        keys.append(("owner", record.owner))
    return keys


def _query_keys(query: JobQuery) -> list[_Key] | None:
    """Return the keys that together lead to all that fits, or None if it may be anywhere."""
    statuses = query.statuses
    only_live = statuses is not None and all(status in LIVE for status in statuses)
    if query.parent_id is not None:
        return [("live" if only_live else "parent", query.parent_id)]
    if query.resource is not None and statuses is not None and only_live:
        return [(status, query.resource) for status in dict.fromkeys(statuses)]
    if query.owner is not None and statuses == (JobStatus.RUNNING,):
        return [("owner", query.owner)]
    return None if query.correlation_id is None else [("tree", query.correlation_id)]
