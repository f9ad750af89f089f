"""What a job waits for, who has it, and since when: for a person, for a line, for a program. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

from attrs import frozen

from pitstop.contracts import JobQuery, JobStore
from pitstop.jobs import JobRecord, JobStatus
from pitstop.secrets.masking import mask
from pitstop.text import iso_text, moment_text, time_text
from pitstop.text.escaping import one_line


@frozen(kw_only=True)
class Wait:
    """What keeps a job.

    Args:
        kind: "lock": the running job says so; "resource": another job has what it needs; "retry": its next attempt is
            not due yet.
        what: what it waits for.
        since: since when, in seconds since 1970; None if that is not known.
        until: when it is over, if that is known.
        holder: who has it; "" if nobody knows.
    """

    kind: Literal["lock", "resource", "retry"]
    what: str
    since: float | None = None
    until: float | None = None
    holder: str = ""


def find_waits(store: JobStore, records: Sequence[JobRecord]) -> dict[str, Wait]:
    """Return what each of some jobs waits for, by their ids; those that wait for nothing known are left out."""
    holders: dict[str, JobRecord | None] = {}
    waits = {record.id: _find_wait(store, record, holders) for record in records}
    return {job_id: wait for job_id, wait in waits.items() if wait is not None}


def own_wait(record: JobRecord) -> Wait | None:
    """Return what a job waits for as far as its own record says it: a lock, or the time of its next attempt."""
    if record.status is JobStatus.RUNNING and record.progress is not None and record.progress.waiting is not None:
        said = record.progress.waiting
        return Wait(kind="lock", what=said.what, since=said.since, holder=said.holder)
    if record.status is JobStatus.PENDING and record.not_before is not None and record.not_before > time.time():
        return Wait(kind="retry", what=f"attempt {record.attempt + 1}", until=record.not_before)
    return None


def _find_wait(store: JobStore, record: JobRecord, holders: dict[str, JobRecord | None]) -> Wait | None:
    own, resource = own_wait(record), record.job.resource
    if own is not None or record.status is not JobStatus.PENDING or resource is None:
        return own
    if resource not in holders:
        query = JobQuery(resource=resource, statuses=(JobStatus.RUNNING,), leaves=True, limit=1)
        holders[resource] = next(iter(store.select(query)), None)
    holder = holders[resource]
    if holder is None or holder.id == record.id:  # it has begun since its record was read
        return None
    by = f"job {holder.id} ({holder.job.name})"
    return Wait(kind="resource", what=resource, since=holder.started_at, holder=by)


def wait_text(wait: Wait, *, now: float | None = None) -> str:
    """Return a wait as a few words: "waiting for the lock of app.db, held by process 4711 (python), for 12.0 s"."""
    parts = [f"waiting for {mask(wait.what)}"]
    if wait.holder:
        parts.append(f"held by {mask(wait.holder)}")
    if wait.since is not None:
        parts.append(f"for {time_text(max(0.0, (time.time() if now is None else now) - wait.since))}")
    if wait.until is not None:
        parts.append(f"due at {moment_text(wait.until, seconds=True)}")
    return one_line(", ".join(parts))


def wait_document(wait: Wait | None) -> dict[str, Any] | None:
    """Return a wait as a JSON object, its times in ISO 8601 and UTC; None for none."""
    if wait is None:
        return None
    return {
        "kind": wait.kind,
        "what": mask(wait.what),
        "since": iso_text(wait.since),
        "until": iso_text(wait.until),
        "holder": mask(wait.holder) or None,
    }
