"""`MemoryStore`: records that end with the process, for tests, scripts and jobs that nobody wants to look up later.

Owns the dictionaries and the one lock around them. The rules about parents are in `family`; nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from pathlib import Path
from threading import RLock

from pitstop.contracts import Cancelled, Claim, Ending, Finished, JobQuery, Running
from pitstop.errors import InvalidValueError, StoreError, UnknownJobError
from pitstop.jobs import Counts, JobRecord, JobStatus, LogLine, Progress, StatusChange
from pitstop.stores.entry import Entry, matcher
from pitstop.stores.family import Settled, Standing, Stopped, cancellation, check_move, settle
from pitstop.stores.history import in_order

_PENDING, _RUNNING = JobStatus.PENDING, JobStatus.RUNNING
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


class MemoryStore:
    """A `JobStore` in memory. Each record's fields change in place; what is handed out is a frozen copy."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._seq = 0
        self._entries: dict[str, Entry] = {}  # in order of `seq`, as everything below
        self._children: dict[str, list[Entry]] = {}
        self._trees: dict[str, list[Entry]] = {}
        self._pending: dict[str, dict[str, Entry]] = {}  # by resource; a retry comes back at the end
        self._holders: dict[str, Entry] = {}  # the running job of each resource
        self._running: dict[str, dict[str, Entry]] = {}  # by owner
        self._lines: dict[str, list[LogLine]] = {}
        self._tree_lines: dict[str, list[LogLine]] = {}

    @property
    def url(self) -> str:
        """`memory:`; opening it again gives another store."""
        return URL

    @property
    def path(self) -> Path | None:
        """None: there is no file."""
        return None

    # -- records ---------------------------------------------------------------------------------------------------

    def create(self, records: Sequence[JobRecord], *, then: Claim | None = None) -> JobRecord | None:
        """Add records, and claim one of them. See `JobStore.create`."""
        with self._lock:
            self._check_new(records)
            for record in records:
                self._seq += 1
                self._add(Entry(record, self._seq))
            return None if then is None else self.claim(then)

    def get(self, job_id: str) -> JobRecord:
        """Return one record. See `JobStore.get`."""
        with self._lock:
            return self._entry(job_id).record()

    def ids(self, prefix: str, *, limit: int = 10) -> list[str]:
        """Return the ids that begin with `prefix`, sorted. See `JobStore.ids`."""
        with self._lock:
            return nsmallest(limit, (job_id for job_id in self._entries if job_id.startswith(prefix)))

    def select(self, query: JobQuery) -> list[JobRecord]:
        """Return the records that fit. See `JobStore.select`."""
        with self._lock:
            fitting = filter(matcher(query), self._candidates(query))
            return [entry.record() for entry in islice(fitting, query.limit)]

    def count(self, query: JobQuery) -> Counts:
        """Return how many records fit, by status. See `JobStore.count`."""
        numbers = dict.fromkeys(JobStatus, 0)
        with self._lock:
            for entry in filter(matcher(query, paged=False), self._candidates(query)):
                numbers[entry.status] += 1
        return Counts(**{status.value: number for status, number in numbers.items()})

    # -- the life of a job -----------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> JobRecord | None:
        """Make a pending job running, if it can be had. See `JobStore.claim`."""
        with self._lock:
            entry = self._entries.get(claim.job_id)
            if entry is None or not entry.may_start(claim.now) or entry.job.resource in self._holders:
                return None
            entry.owner = claim.owner
            entry.lease_until = claim.lease_until
            entry.started_at = claim.now
            entry.attempt += 1
            self._move(entry, _RUNNING, claim.now)
            return entry.record()

    def finish(self, ending: Ending, *, then: Claim | None = None) -> Finished | None:
        """End an attempt, settle its parents, and claim the next job. See `JobStore.finish`.

        Raises:
            TransitionError: a running job cannot come to the status that is asked for.
        """
        check_move(ending.job_id, _RUNNING, ending.status)
        with self._lock:
            entry = self._entries.get(ending.job_id)
            if entry is None or not entry.runs(ending.attempt):
                return None
            retry = ending.status is _PENDING
            self._end(entry, ending)
            settled = Settled((), ())
            if entry.job.parent_id is not None:
                settled = settle(self, (entry.job.parent_id,), ending.now, climb=retry)
            self._store_lines(ending.lines)
            claimed = self.claim(then) if then is not None else None
            return Finished(record=entry.record(), closed=settled.closed, cancelled=settled.cancelled, claimed=claimed)

    def cancel(self, job_id: str, *, now: float, reason: str) -> Cancelled:
        """Cancel a job and its descendants. See `JobStore.cancel`."""
        with self._lock:
            top = self._entry(job_id)
            live = sorted([top, *self._live_below(top)], key=_seq_of) if top.live else []
            cancelled: list[Entry] = []
            told: list[str] = []
            for entry in live:
                if entry.status is _PENDING:
                    self._stop(entry, now, reason)
                    cancelled.append(entry)
                else:
                    entry.mark(now, reason)
                    told += [] if entry.tolerance else [entry.job.id]
            settled = settle(self, {entry.job.parent_id for entry in cancelled}, now)
            ids = tuple(entry.job.id for entry in cancelled)
            return Cancelled(cancelled=ids + settled.cancelled, told=tuple(told), closed=settled.closed)

    def adopt(self, job_ids: Sequence[str], *, owner: str, lease_until: float) -> None:
        """Make `owner` look after pending jobs and running parents. See `JobStore.adopt`."""
        with self._lock:
            for entry in filter(None, map(self._entries.get, job_ids)):
                if entry.status is _PENDING:
                    entry.owner = owner
                elif entry.status is _RUNNING and entry.tolerance is not None:
                    self._forget_running(entry)
                    entry.owner, entry.lease_until = owner, lease_until
                    self._note_running(entry)

    def heartbeat(self, owner: str, *, lease_until: float) -> list[Running]:
        """Extend an owner's leases; return the leaf jobs that it runs. See `JobStore.heartbeat`."""
        with self._lock:
            for entry in self._running.get(owner, {}).values():
                entry.lease_until = lease_until
            return self.running(owner)

    def running(self, owner: str) -> list[Running]:
        """Return the leaf jobs that an owner runs. See `JobStore.running`."""
        with self._lock:
            entries = sorted(self._running.get(owner, {}).values(), key=_seq_of)
            return [entry.running() for entry in entries if entry.tolerance is None]

    def version(self) -> int:
        """Return 0: no other process can use it. See `JobStore.version`."""
        return 0

    def progress(self, job_id: str, attempt: int, progress: Progress) -> None:
        """Note how far a job is. See `JobStore.progress`."""
        with self._lock:
            entry = self._entries.get(job_id)
            if entry is not None and entry.runs(attempt):
                entry.progress = progress

    # -- what may start --------------------------------------------------------------------------------------------

    def ready(self, parent_id: str, *, now: float) -> list[str]:
        """Return the ids of the leaf jobs that may start. See `JobStore.ready`."""
        with self._lock:
            top = self._entries.get(parent_id)
            if top is None:
                return []
            firsts: dict[tuple[str, str], int] = {}
            below = [top] if top.tolerance is None else sorted(self._live_below(top), key=_seq_of)
            return [entry.job.id for entry in below if entry.may_start(now) and self._is_next(entry, firsts)]

    def waiting(self, resource: str, *, limit: int = 10) -> list[JobRecord]:
        """Return pending jobs that need a resource. See `JobStore.waiting`."""
        with self._lock:
            pending = self._pending.get(resource, {}).values()
            return [entry.record() for entry in nsmallest(limit, pending, key=_seq_of)]

    # -- logs ------------------------------------------------------------------------------------------------------

    def add_lines(self, lines: Sequence[LogLine]) -> None:
        """Store log lines. See `JobStore.add_lines`."""
        with self._lock:
            self._store_lines(lines)

    def lines(self, job_id: str, *, tree: bool = False) -> Iterable[LogLine]:
        """Return the lines of a job or of a tree, in order of time. See `JobStore.lines`."""
        with self._lock:
            lines = (self._tree_lines if tree else self._lines).get(job_id, ())
            # sorting keeps the order of insertion among equal times
            return iter(sorted(lines, key=lambda line: line.at))

    def history(self, job_id: str, *, tree: bool = False) -> Iterable[StatusChange]:
        """Return the changes of a job's status, or of a tree's, in order. See `JobStore.history`."""
        with self._lock:
            only = self._entries.get(job_id)
            entries = self._trees.get(job_id, ()) if tree else filter(None, (only,))
            return iter(in_order([entry.past() for entry in entries]))

    # -- the end ---------------------------------------------------------------------------------------------------

    def purge(self, *, before: float, statuses: Sequence[JobStatus]) -> int:
        """Remove whole trees that ended before a time. See `JobStore.purge`."""
        removed = 0
        with self._lock:
            for root in [entry for entry in self._entries.values() if entry.job.parent_id is None]:
                ended = root.finished_at
                if root.status.terminal and root.status in statuses and ended is not None and ended < before:
                    tree = [root, *self._below(root)]
                    self._drop(tree)
                    removed += len(tree)
        return removed

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    # -- the family of a job, see `stores.family` ------------------------------------------------------------------

    def standing(self, parent_id: str) -> Standing | None:
        """Return how a parent stands. See `Family.standing`."""
        entry = self._entries.get(parent_id)
        return None if entry is None else entry.standing()

    def close_parent(self, parent_id: str, status: JobStatus, now: float) -> JobRecord:
        """End a running parent. See `Family.close_parent`."""
        entry = self._entries[parent_id]
        # who waits for the lock has looked at the clock before, so that another child's end may say later
        ended = (child.finished_at for child in self._children.get(parent_id, ()))
        now = max(now, max((at for at in ended if at is not None), default=now))
        self._move(entry, status, now)
        entry.finished_at, entry.lease_until = now, None
        return entry.record()

    def stop_below(self, parent_id: str, now: float, reason: str) -> list[Stopped]:
        """Cancel all that is pending below a parent. See `Family.stop_below`."""
        live = sorted(self._live_below(self._entries[parent_id]), key=_seq_of)
        stopped = [entry for entry in live if entry.status is _PENDING]
        for entry in stopped:
            self._stop(entry, now, reason)
        if stopped:  # a parent below which nothing was held back may still end as if nothing had happened
            for entry in live:
                if entry.status is _RUNNING and entry.tolerance is not None:
                    entry.mark(now, reason)
        return [Stopped(entry.seq, entry.job.id, entry.job.parent_id) for entry in stopped]

    # -- the dictionaries ------------------------------------------------------------------------------------------

    def _entry(self, job_id: str) -> Entry:
        entry = self._entries.get(job_id)
        if entry is None:
            raise UnknownJobError(id=job_id)
        return entry

    def _check_new(self, records: Sequence[JobRecord]) -> None:
        if len(records) == 1 and records[0].job.id not in self._entries and records[0].status is _PENDING:
            return  # as nearly always
        ids = {record.job.id for record in records}
        taken = ids & self._entries.keys() if len(ids) == len(records) else ids
        if taken:
            raise StoreError(
                url=URL, problem=f"a job id is taken: {sorted(taken)[0]}", hint="each job needs an id of its own"
            )
        running = [r.job.resource for r in records if r.status is _RUNNING and r.job.resource and not r.job.tolerance]
        if len(set(running)) < len(running) or self._holders.keys() & set(running):
            raise StoreError(url=URL, problem="two running jobs would share a resource", hint="create jobs as pending")

    def _add(self, entry: Entry) -> None:
        job = entry.job
        self._entries[job.id] = entry
        self._trees.setdefault(job.correlation_id, []).append(entry)
        if job.parent_id is not None:
            self._children.setdefault(job.parent_id, []).append(entry)
        self._enter(entry)

    def _drop(self, tree: Sequence[Entry]) -> None:
        gone = {entry.job.id for entry in tree}
        for job_id in gone:
            del self._entries[job_id]
            self._children.pop(job_id, None)
        for key in {entry.job.correlation_id for entry in tree}:
            self._trees[key] = [entry for entry in self._trees[key] if entry.job.id not in gone]
        lines = [line for job_id in gone for line in self._lines.pop(job_id, ())]
        for key in {line.correlation_id for line in lines}:
            self._tree_lines[key] = [line for line in self._tree_lines[key] if line.job_id not in gone]

    def _move(self, entry: Entry, status: JobStatus, now: float) -> None:
        """Change a status, and with it the history, the parent's counts and whatever is found by status."""
        check_move(entry.job.id, entry.status, status)
        parent = self._entries.get(entry.job.parent_id) if entry.job.parent_id is not None else None
        if parent is not None:
            parent.move_child(entry.status, status)
        self._leave(entry)
        entry.note(status, now)
        entry.status = status
        self._enter(entry)

    def _enter(self, entry: Entry) -> None:
        resource = entry.job.resource
        if entry.status is _RUNNING:
            self._note_running(entry)
            if resource is not None and entry.tolerance is None:
                self._holders[resource] = entry
        elif entry.status is _PENDING and resource is not None:
            self._pending.setdefault(resource, {})[entry.job.id] = entry

    def _leave(self, entry: Entry) -> None:
        resource = entry.job.resource
        if entry.status is _RUNNING:
            self._forget_running(entry)
            if resource is not None and entry.tolerance is None:
                del self._holders[resource]
        elif entry.status is _PENDING and resource is not None:
            pending = self._pending[resource]
            del pending[entry.job.id]
            if not pending:
                del self._pending[resource]

    def _note_running(self, entry: Entry) -> None:
        if entry.owner is not None:
            self._running.setdefault(entry.owner, {})[entry.job.id] = entry

    def _forget_running(self, entry: Entry) -> None:
        if entry.owner is not None:
            self._running[entry.owner].pop(entry.job.id, None)

    # -- steps -----------------------------------------------------------------------------------------------------

    def _end(self, entry: Entry, ending: Ending) -> None:
        status = ending.status
        if status is _PENDING and entry.cancel_requested_at is not None:
            status = JobStatus.CANCELLED  # a cancelled job is never retried
        if ending.status is _PENDING:
            entry.result = ending.result or entry.result
            entry.error = ending.error or entry.error
        else:
            entry.result, entry.error = ending.result, ending.error
        self._move(entry, status, ending.now)
        if ending.status is _PENDING:
            entry.owner = ending.owner
        entry.lease_until = None
        entry.not_before = ending.not_before if status is _PENDING else None
        entry.finished_at = None if status is _PENDING else ending.now

    def _stop(self, entry: Entry, now: float, reason: str) -> None:
        entry.finished_at, entry.error = now, cancellation(reason)
        self._move(entry, JobStatus.CANCELLED, now)

    def _is_next(self, entry: Entry, firsts: dict[tuple[str, str], int]) -> bool:
        """Tell whether a job's resource is free and no earlier job of its tree waits for it."""
        resource = entry.job.resource
        if resource is None:
            return True
        if resource in self._holders:
            return False
        key = (entry.job.correlation_id, resource)
        if key not in firsts:
            pending = self._pending[resource].values()
            firsts[key] = min(other.seq for other in pending if other.job.correlation_id == key[0])
        return firsts[key] == entry.seq

    def _live_below(self, top: Entry) -> Iterator[Entry]:
        return (entry for entry in self._below(top, only_live=True) if entry.live)

    def _below(self, top: Entry, *, only_live: bool = False) -> Iterator[Entry]:
        """Yield all that is below a job, outside in; with `only_live`, not what is below a parent that has ended."""
        level = [top]
        while level:
            parents = [entry for entry in level if not only_live or entry.live]
            level = [child for entry in parents for child in self._children.get(entry.job.id, ())]
            yield from level

    def _candidates(self, query: JobQuery) -> Iterable[Entry]:
        """Return a superset of what fits, in the order that is asked for."""
        entries: list[Entry] | Iterable[Entry]
        if query.parent_id is not None:
            entries = self._children.get(query.parent_id, [])
        elif query.correlation_id is not None:
            entries = self._trees.get(query.correlation_id, [])
        else:
            return self._entries.values() if query.oldest_first else reversed(self._entries.values())
        return entries if query.oldest_first else reversed(entries)

    def _store_lines(self, lines: Sequence[LogLine]) -> None:
        for line in lines:
            self._lines.setdefault(line.job_id, []).append(line)
            self._tree_lines.setdefault(line.correlation_id, []).append(line)


def _seq_of(entry: Entry) -> int:
    return entry.seq
