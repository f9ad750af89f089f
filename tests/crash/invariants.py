"""What must hold of a store at any moment, whoever was killed: read from its records, its history and what jobs left.

Owns the rules and nothing else: it starts nothing and changes nothing. Each rule yields a sentence for each breach, so
that one look shows all of them.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pitstop.contracts import JobQuery, JobStore
from pitstop.jobs import TRANSITIONS, Counts, JobRecord, JobStatus, StatusChange, Tolerance, parent_status

P, R, C = JobStatus.PENDING, JobStatus.RUNNING, JobStatus.COMPLETED


class Use(NamedTuple):
    """One attempt's time with a resource."""

    resource: str
    begin: float
    end: float
    job_id: str


def violations(store: JobStore, *, settled: bool, backwards: float = 0.0) -> list[str]:
    """Return what is wrong in a store.

    Args:
        store: an open one, which nobody writes to meanwhile.
        settled: whether everything must have ended.
        backwards: seconds by which the times of one job's changes may go back. Who waits for another process's lock
            has looked at the clock before, so that where several write this is not 0.
    """
    records = {record.id: record for record in store.select(JobQuery(oldest_first=True, limit=None))}
    histories: dict[str, list[StatusChange]] = {job_id: [] for job_id in records}
    found: list[str] = []
    for root in (record for record in records.values() if record.job.parent_id is None):
        changes = list(store.history(root.id, tree=True))
        found += _in_tree(records, changes, backwards=backwards)
        for change in changes:
            histories.setdefault(change.job_id, []).append(change)
    children = defaultdict(list)
    for record in records.values():
        children[record.job.parent_id].append(record)
        found += _in_steps(record, histories[record.id], backwards=backwards)
        found += _in_record(record, histories[record.id], settled=settled)
    uses = (use for record in records.values() for use in _uses(record, histories[record.id]))
    found += _sharing(uses, backwards=backwards)
    for record in records.values():
        found += _in_parent(record, children[record.id])
        if record.job.parent_id is not None and record.job.parent_id not in records:
            found.append(f"{record.id} has a parent that does not exist")
    return found


def check(store: JobStore, *, settled: bool = True, backwards: float = 0.0) -> None:
    """Fail with everything that is wrong in a store; see `violations`."""
    found = violations(store, settled=settled, backwards=backwards)
    assert not found, "\n".join(found)


# -- one job ---------------------------------------------------------------------------------------------------------


def _in_steps(record: JobRecord, changes: Sequence[StatusChange], *, backwards: float) -> Iterator[str]:
    if not changes or changes[0].old is not None:
        yield f"{record.id}: its history does not begin with its creation: {changes[:1]}"
        return
    first = changes[0]
    if first.attempt or first.at != record.created_at:
        yield f"{record.id}: it was created at {record.created_at}, and its history says {first}"
    if not record.job.is_parent and first.new is not P:
        yield f"{record.id}: it was created {first.new}"
    for before, change in pairwise(changes):
        if change.old is not before.new:
            yield f"{record.id}: {before.new} is followed by {change.old} -> {change.new}"
        if change.old is None or change.new not in TRANSITIONS[change.old]:
            yield f"{record.id}: {change.old} -> {change.new} is not allowed"
        if change.attempt != before.attempt + (change.new is R):
            yield f"{record.id}: attempt {before.attempt} is followed by {change.attempt} as it became {change.new}"
        if change.at < before.at - backwards:
            yield f"{record.id}: its time goes back by {before.at - change.at:.6f} s as it became {change.new}"
    if sum(change.new is C for change in changes) > 1:
        yield f"{record.id}: it completed more than once"


def _in_record(record: JobRecord, changes: Sequence[StatusChange], *, settled: bool) -> Iterator[str]:
    last = changes[-1] if changes else None
    status = record.status
    if last is not None and (status, record.attempt) != (last.new, last.attempt):
        yield f"{record.id}: it is {status} (attempt {record.attempt}), and its history ends with {last}"
    if settled and not status.terminal:
        yield f"{record.id}: it is still {status} (attempt {record.attempt}, owner {record.owner})"
    if status.terminal and last is not None and record.finished_at != last.at:
        yield f"{record.id}: it ended at {record.finished_at}, and its history says {last.at}"
    if status.terminal != (record.finished_at is not None):
        yield f"{record.id}: it is {status}, and ended at {record.finished_at}"
    if status is not R and record.lease_until is not None:
        yield f"{record.id}: it is {status}, and has a lease"
    if record.job.is_parent:
        return
    if status is R and (record.owner is None or record.lease_until is None):
        yield f"{record.id}: it is running without an owner or a lease"
    if record.attempt > record.job.max_attempts:
        yield f"{record.id}: it was started {record.attempt} times, of {record.job.max_attempts}"
    if (record.result is not None) is not (status is C):
        yield f"{record.id}: it is {status}, and its result is {record.result}"
    if status.terminal and (record.error is None) is not (status is C):
        yield f"{record.id}: it is {status}, and its error is {record.error}"


# -- a tree ----------------------------------------------------------------------------------------------------------


def _in_parent(record: JobRecord, children: Sequence[JobRecord]) -> Iterator[str]:
    if not record.job.is_parent:
        if children:
            yield f"{record.id}: it has children and is no parent"
        return
    counts = Counts()
    for child in children:
        counts = counts.plus(child.status)
    if counts != record.counts:
        yield f"{record.id}: it counts {record.counts}, and its children are {counts}"
    cancelled = record.cancel_requested_at is not None
    expected = parent_status(counts, record.job.tolerance or Tolerance(), cancel_requested=cancelled)
    if record.status is not expected:
        yield f"{record.id}: it is {record.status}, and by its children ({counts}) it is {expected}"


def _in_tree(records: Mapping[str, JobRecord], changes: Sequence[StatusChange], *, backwards: float) -> Iterator[str]:
    """Follow a tree through its history: nothing starts below what has ended or has stopped."""
    ended: dict[str, float] = {}
    failed: dict[str, int] = defaultdict(int)
    stopped: dict[str, float] = {}
    for change in changes:
        record = records.get(change.job_id)
        if record is None:
            yield f"{change.job_id}: it has a history and no record"
            continue
        if change.new.terminal:
            ended[change.job_id] = change.at
        parent_id = record.job.parent_id
        failed[parent_id or ""] += change.new is JobStatus.FAILED
        if parent_id in records and _stops(records[parent_id], failed[parent_id]):
            stopped.setdefault(parent_id, change.at)
        if change.old is None:
            continue
        for parent in _ancestors(records, record):
            # in the order of the history; where clocks may be late by so much, only beyond that
            if parent.id in ended and (not backwards or change.at > ended[parent.id] + backwards):
                yield f"{record.id}: it became {change.new} after its ancestor {parent.id} had ended"
            elif change.new is R and change.at > stopped.get(parent.id, change.at) + backwards:
                yield f"{record.id}: it started after its ancestor {parent.id} had stopped"


def _ancestors(records: Mapping[str, JobRecord], record: JobRecord) -> Iterator[JobRecord]:
    while record.job.parent_id in records:
        record = records[record.job.parent_id]
        yield record


def _stops(parent: JobRecord, failed: int) -> bool:
    tolerance = parent.job.tolerance
    return tolerance is not None and tolerance.on_error == "stop" and failed > tolerance.max_failures


# -- the whole store -------------------------------------------------------------------------------------------------


def _uses(record: JobRecord, changes: Sequence[StatusChange]) -> Iterator[Use]:
    """Yield when an attempt had the job's resource, as its history says."""
    if record.job.resource is None or record.job.is_parent:
        return
    for change, after in pairwise([*changes, None]):
        if change is not None and change.new is R:
            end = float("inf") if after is None else after.at
            yield Use(record.job.resource, change.at, end, record.id)


def _sharing(uses: Iterable[Use], *, backwards: float) -> Iterator[str]:
    """Yield where two jobs ran with one resource at one time."""
    for use, after in pairwise(sorted(uses)):
        if use.resource == after.resource and after.begin < use.end - backwards:
            yield f"{after.job_id} started {use.end - after.begin:.6f} s before {use.job_id} let go of {use.resource!r}"


def damage(path: Path) -> list[str]:
    """Return what SQLite itself finds wrong in a file; nothing for a sound one."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            lines = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        except sqlite3.DatabaseError as error:
            return [str(error)]
    return [] if lines == ["ok"] else lines
