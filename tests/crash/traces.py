"""What processes wrote down before they died, and what must hold between that and the store.

A *ledger* has the trees that were submitted: `asking ROOT JOBS` before, `stored ID...` after. A *journal* has what jobs
did: `start`, `done` and `stopped`, each with the job's id and its attempt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from pitstop.contracts import JobQuery, JobStore
from pitstop.jobs import JobRecord, JobStatus


def read(path: Path) -> list[list[str]]:
    """Return the words of each line; of none if the file does not exist."""
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def violations(store: JobStore, *, ledger: Path, journal: Path) -> list[str]:
    """Return where a store and the traces disagree."""
    records = {record.id: record for record in store.select(JobQuery(limit=None))}
    return [*_lost(records, read(ledger)), *_repeated(records, read(journal)), *_shared(records, read(journal))]


def _lost(records: Mapping[str, JobRecord], ledger: list[list[str]]) -> Iterator[str]:
    for what, *words in ledger:
        if what == "stored":
            yield from (f"{job_id}: it was stored, and is gone" for job_id in words if job_id not in records)
        elif what == "asking":
            root_id, number = words
            stored = sum(record.job.correlation_id == root_id for record in records.values())
            if stored not in (0, int(number)):
                yield f"{root_id}: of {number} jobs of its tree {stored} were stored"


def _repeated(records: Mapping[str, JobRecord], journal: list[list[str]]) -> Iterator[str]:
    """Yield jobs that ran when they must not: after they had completed, or twice as one attempt."""
    started: dict[str, list[int]] = defaultdict(list)
    done: dict[str, list[int]] = defaultdict(list)
    for what, job_id, attempt in journal:
        if what in ("start", "done"):
            (started if what == "start" else done)[job_id].append(int(attempt))
    for job_id, attempts in started.items():
        record = records.get(job_id)
        if record is None:
            yield f"{job_id}: it ran, and is unknown"
            continue
        if len(set(attempts)) < len(attempts):
            yield f"{job_id}: an attempt ran twice: {attempts}"
        if max(attempts) > record.attempt:
            yield f"{job_id}: attempt {max(attempts)} ran, and its record knows {record.attempt}"
    for record in records.values():
        if record.job.is_parent or record.status is not JobStatus.COMPLETED:
            continue
        if record.attempt not in done[record.id]:
            yield f"{record.id}: it completed at attempt {record.attempt}, which was never done: {done[record.id]}"
        if record.result is not None and record.result.data.get("attempt") != record.attempt:
            yield f"{record.id}: it completed at attempt {record.attempt} with the result of another: {record.result}"


def _shared(records: Mapping[str, JobRecord], journal: list[list[str]]) -> Iterator[str]:
    """Yield where two jobs really used one resource at one time. One that has no end was killed, and has let go."""
    ended = {(job_id, attempt) for what, job_id, attempt in journal if what != "start"}
    users: dict[str, tuple[str, str]] = {}
    for what, job_id, attempt in journal:
        record = records.get(job_id)
        resource = record.job.resource if record is not None else None
        if resource is None:
            continue
        if what != "start":
            users.pop(resource, None)
        elif resource in users:
            yield f"{job_id} worked with {resource!r} while {users[resource]} did"
        if what == "start" and (job_id, attempt) in ended:
            users[resource] = (job_id, attempt)
