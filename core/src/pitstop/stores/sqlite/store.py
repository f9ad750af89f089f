"""`SQLiteStore`: job records in one file, for many threads and processes. No server, nothing to set up.

Owns which steps and statements make up each method. The steps are in `steps`, the texts in `statements`, the tables in
`schema`, what a connection does in `connection`, and the rules about parents in `contracts.parent_rules`. A trigger
moves a parent's counts with every change of a child's status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, quote, unquote
from weakref import WeakValueDictionary

from attrs import evolve

from pitstop.contracts import (
    Cancelled,
    Claim,
    Completion,
    CompletionReceipt,
    JobQuery,
    JobStore,
    Running,
    StoredJob,
    Unreadable,
)
from pitstop.contracts.job_history import merge_histories
from pitstop.contracts.parent_rules import check_transition, settle_parents
from pitstop.errors import InvalidValueError, UnknownJobError, UnknownKeyError, UnreadableRecordError
from pitstop.jobs import Counts, JobRecord, JobStatus, LogLine, Progress, StatusChange, cancellation
from pitstop.stores.sqlite import queries, rows, statements, steps
from pitstop.stores.sqlite.columns import UnreadableRowError
from pitstop.stores.sqlite.connection import SYNCHRONOUS, Connection, Row
from pitstop.stores.sqlite.group_commit import Transaction
from pitstop.text import suggest

#: Rows that `lines` reads at once.
LINES_AT_ONCE = 1000
T = TypeVar("T", bound=JobRecord | None)
_WHERE = "sqlite job store"
_LIVE = (JobStatus.PENDING.value, JobStatus.RUNNING.value)
_STATUSES = frozenset(status.value for status in JobStatus)


def open_url(url: str) -> SQLiteStore:
    """Open a store, and make its file if there is none.

    Args:
        url: `sqlite:///relative.db` or `sqlite:////absolute.db`, with `?durability=full` (the default) or
            `?durability=process`. A `?`, `#` or `%` in a path is written as in any URL: `%3F`, `%23`, `%25`.

    Raises:
        InvalidValueError, UnknownKeyError: the URL is not as above.
        StoreError: the file cannot be used.
    """
    address, _, query = url.partition("?")
    path = unquote(address.removeprefix("sqlite:///"))
    if not address.startswith("sqlite:///") or not path or path.startswith(":"):
        form = "expected sqlite:///relative.db or sqlite:////absolute/path.db"
        raise InvalidValueError(where=_WHERE, name="url", problem=f"{url!r} names no file; {form}")
    durability = "full"
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key != "durability":
            raise UnknownKeyError(where=_WHERE, name=key, known=("durability",), kind="parameter")
        durability = value
    return SQLiteStore(path, durability=durability)


class SQLiteStore(JobStore):
    """A `JobStore` in an SQLite file in WAL mode.

    Args:
        path: the file. It and its folders are made, for the owner alone, if they do not exist.
        durability: "full": what was stored survives power loss; "process": it survives the death of any process, and
            the last moments may go with the power.

    Raises:
        InvalidValueError: there is no such durability.
        StoreError: the file cannot be used, or belongs to something else.
    """

    def __init__(self, path: str | Path, *, durability: str = "full") -> None:
        _check_durability(durability)
        self._path = Path(path).absolute()
        self._url = (
            "sqlite:///" + quote(str(self._path)) + ("" if durability == "full" else f"?durability={durability}")
        )
        self._claimed: WeakValueDictionary[str, JobRecord] = WeakValueDictionary()
        self._db = Connection(self._path, url=self._url, durability=durability)

    @property
    def url(self) -> str:
        """How to open it again, from any folder."""
        return self._url

    @property
    def path(self) -> Path | None:
        """The file."""
        return self._path

    # -- records ---------------------------------------------------------------------------------------------------

    def create(self, records: Sequence[JobRecord], *, then: Claim | None = None) -> JobRecord | None:
        """Add records, and claim one of them. See `JobStore.create`."""
        if then is not None and len(records) == 1 and steps.starts_at_once(records[0], then):
            return self._create_running(records[0], then)
        values = [rows.make_job_row(record, submitter=record.owner) for record in records]

        def work(transaction: Transaction) -> JobRecord | None:
            transaction.run_each(statements.INSERT, values)
            return None if then is None else steps.read_claim(transaction.run(*steps.make_claim_statement(then)))

        return self._keep(self._db.write(work, alone=then is None and len(values) == 1))

    def _create_running(self, record: JobRecord, claim: Claim) -> JobRecord:
        """Add a record as one that is claimed already: one statement instead of two."""
        owner, lease_until, now = claim.owner, claim.lease_until, claim.now
        job = StoredJob(record)
        job.change_status(JobStatus.RUNNING, now, attempt=1, owner=owner, lease_until=lease_until, started_at=now)
        values = rows.make_job_row(job.record, submitter=record.owner)
        job.update(seq=self._db.write(lambda transaction: transaction.insert(statements.INSERT, values), alone=True))
        return self._keep(job.record)

    def get(self, job_id: str) -> JobRecord:
        """Return one record. See `JobStore.get`."""
        found = self._db.look_up(statements.GET, (job_id,))
        if not found:
            raise UnknownJobError(id=job_id)
        try:
            return rows.read_record(found[0])
        except UnreadableRowError as error:
            raise self._unreadable_error(job_id, error) from None

    def ids(self, prefix: str, *, limit: int = 10) -> list[str]:
        """Return the ids that begin with `prefix`, sorted. See `JobStore.ids`."""
        # the highest character there is comes after all that may follow the prefix
        return [row[0] for row in self._db.look_up(statements.IDS, (prefix, prefix + "\U0010ffff", limit))]

    def select(self, query: JobQuery) -> list[JobRecord]:
        """Return the records that fit. See `JobStore.select`."""
        return self._read_pages(query, lambda page: self._db.read(*queries.select(page, self._read_kinds(page))))

    def unreadable(self, query: JobQuery) -> list[Unreadable]:
        """Return the records that fit and cannot be read. See `JobStore.unreadable`."""
        found = self._db.read(*queries.select(query, self._read_kinds(query)))
        return [bad for row in found if (bad := rows.read_unreadable(row)) is not None]

    def _unreadable_error(self, job_id: str, error: UnreadableRowError) -> UnreadableRecordError:
        return UnreadableRecordError(
            id=job_id,
            seq=error.seq,
            flaw=error.problem,
            url=self._url,
            problem=f"the record of job {job_id} cannot be read: {error.problem}",
            hint="the other jobs are not affected; restore a copy of the store if you need this one",
        )

    def fail_unreadable(self, unreadable: Unreadable, *, now: float) -> CompletionReceipt | None:
        """End a job that cannot be read. See `JobStore.fail_unreadable`."""
        return self._db.write(
            lambda transaction: steps.fail_unreadable(transaction, unreadable.seq, unreadable.problem, now)
        )

    def _read_pages(self, query: JobQuery, read: Callable[[JobQuery], list[Row]]) -> list[JobRecord]:
        """Return the records of a page and, for those that cannot be read, of the pages after it."""
        records: list[JobRecord] = []
        while True:
            found = read(query)
            good = rows.read_records(found)
            records += good
            if query.limit is None or len(found) < query.limit or len(good) == len(found):
                return records
            query = evolve(query, beyond=found[-1][rows.SEQ], limit=query.limit - len(good))

    def count(self, query: JobQuery) -> Counts:
        """Return how many records fit, by status. See `JobStore.count`."""
        found = self._db.read(*queries.count(query, self._read_kinds(query)))
        return Counts(**{status: number for status, number in found if status in _STATUSES})

    def _read_kinds(self, query: JobQuery) -> list[Row]:
        return self._db.read(queries.KINDS) if queries.is_by_kind(query) else []

    # -- the life of a job -----------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> JobRecord | None:
        """Make a pending job running, if it can be had. See `JobStore.claim`."""
        found = self._db.change(*steps.make_claim_statement(claim))
        # not within the transaction: an error there would undo the claim, and those that share its commit
        try:
            return self._keep(steps.read_claim(found))
        except UnreadableRowError as error:
            raise self._unreadable_error(claim.job_id, error) from None

    def finish(self, completion: Completion, *, then: Claim | None = None) -> CompletionReceipt | None:
        """End an attempt, settle its parents, and claim the next job. See `JobStore.finish`.

        Raises:
            TransitionError: a running job cannot come to the status that is asked for.
        """
        check_transition(completion.job_id, JobStatus.RUNNING, completion.status)
        lines = [rows.make_line_row(line) for line in completion.lines]
        before = self._find_claimed(completion)
        end = steps.make_end_statement(completion, before)

        def work(transaction: Transaction) -> CompletionReceipt | None:
            record = steps.read_end(transaction.run(*end), completion, before)
            if record is None:
                return None
            receipt = steps.settle_ancestors(transaction, record, completion)
            if lines:
                transaction.run_each(statements.ADD_LINE, lines)
            return receipt if then is None else steps.claim_next(transaction, then, receipt)

        alone = then is None and not lines and before is not None and before.job.parent_id is None
        receipt = self._db.write(work, alone=alone)
        if receipt is not None:
            self._keep(receipt.claimed)
        return receipt

    def _keep(self, record: T) -> T:
        """Remember a record that was claimed here, as long as the caller has it, so that its end need not read it."""
        if record is not None:
            self._claimed[record.id] = record
        return record

    def _find_claimed(self, completion: Completion) -> JobRecord | None:
        """Return the record of an attempt that ends for good, if it was claimed here."""
        before = None if completion.status is JobStatus.PENDING else self._claimed.get(completion.job_id)
        return before if before is not None and before.attempt == completion.attempt else None

    def cancel(self, job_id: str, *, now: float, reason: str) -> Cancelled:
        """Cancel a job and its descendants. See `JobStore.cancel`."""
        error, why = rows.make_error_row(cancellation(reason)), rows.escape_surrogates(reason)

        def work(transaction: Transaction) -> Cancelled:
            found = transaction.run(statements.STATUS, (job_id,))
            if not found:
                raise UnknownJobError(id=job_id)
            if found[0][0] not in _LIVE:
                return Cancelled()
            cancelled = sorted(transaction.run(statements.CANCEL_PENDING, (now, *error, job_id)))
            marked = sorted(transaction.run(statements.MARK_RUNNING, (now, why, job_id)))
            settled = settle_parents(steps.Parents(transaction), {parent_id for _, _, parent_id in cancelled}, now)
            return Cancelled(
                cancelled=tuple(row[1] for row in cancelled) + settled.cancelled,
                stopping=tuple(row[1] for row in marked if row[2] is None),
                closed=settled.closed,
            )

        return self._db.write(work)

    def adopt(self, job_ids: Sequence[str], *, owner: str, lease_until: float) -> None:
        """Make `owner` responsible for pending jobs and running parents. See `JobStore.adopt`."""
        values = [(owner, lease_until, job_id) for job_id in job_ids]
        if values:
            self._db.write(lambda transaction: transaction.run_each(statements.ADOPT, values))

    def heartbeat(self, owner: str, *, lease_until: float) -> list[Running]:
        """Extend an owner's leases; return the leaf jobs that it runs. See `JobStore.heartbeat`."""
        return _read_running(self._db.change(statements.HEARTBEAT, (lease_until, owner), relaxed=True))

    def running(self, owner: str) -> list[Running]:
        """Return the leaf jobs that an owner runs. See `JobStore.running`."""
        return _read_running(self._db.look_up(statements.RUNNING, (owner,)))

    def version(self) -> int:
        """Return a number that changes when another process has written. See `JobStore.version`."""
        return self._db.version()

    def progress(self, job_id: str, attempt: int, progress: Progress) -> None:
        """Note how far a job is. See `JobStore.progress`."""
        values = rows.dump_progress(progress), job_id, attempt
        self._db.change(statements.PROGRESS, values, relaxed=True)

    # -- what may start --------------------------------------------------------------------------------------------

    def ready(self, parent_id: str, *, now: float) -> list[str]:
        """Return the ids of the leaf jobs that may start. See `JobStore.ready`."""
        return [row[0] for row in self._db.look_up(statements.READY, (parent_id, now))]

    def waiting(self, resource: str, *, limit: int = 10) -> list[JobRecord]:
        """Return pending jobs that need a resource. See `JobStore.waiting`."""
        query = JobQuery(resource=resource, statuses=(JobStatus.PENDING,), oldest_first=True, limit=limit)

        def read(page: JobQuery) -> list[Row]:
            return self._db.look_up(
                statements.WAITING, (resource, -1 if page.beyond is None else page.beyond, page.limit)
            )

        return self._read_pages(query, read)

    # -- logs ------------------------------------------------------------------------------------------------------

    def add_lines(self, lines: Sequence[LogLine]) -> None:
        """Store log lines. See `JobStore.add_lines`."""
        values = [rows.make_line_row(line) for line in lines]
        if values:
            self._db.write(lambda transaction: transaction.run_each(statements.ADD_LINE, values))

    def lines(self, job_id: str, *, tree: bool = False) -> Iterable[LogLine]:
        """Return the lines of a job or of a tree, in order of time. See `JobStore.lines`.

        They are read while they are consumed, a thousand at once, so that a long log needs little memory.
        """
        return self._lines(job_id, tree=tree)

    def _lines(self, key: str, *, tree: bool) -> Iterator[LogLine]:
        sql, times = (statements.LINES_OF_TREE, 2) if tree else (statements.LINES_OF_JOB, 1)
        at, line_id = float("-inf"), 0
        while True:
            found = self._db.read(sql, (*(key, at, line_id) * times, LINES_AT_ONCE))
            yield from map(rows.read_log_line, found)
            if len(found) < LINES_AT_ONCE:
                return
            at, line_id = found[-1][2], found[-1][-1]

    def history(self, job_id: str, *, tree: bool = False) -> Iterable[StatusChange]:
        """Return the changes of a job's status, or of a tree's, in order. See `JobStore.history`."""
        sql = statements.HISTORY_OF_TREE if tree else statements.HISTORY_OF_JOB
        return iter(merge_histories(rows.read_histories(self._db.read(sql, (job_id,) * sql.count("?")))))

    # -- the end ---------------------------------------------------------------------------------------------------

    def purge(self, *, before: float, statuses: Sequence[JobStatus]) -> int:
        """Remove whole trees that ended before a time. See `JobStore.purge`.

        Each tree goes whole; between trees others may write, so that no transaction is huge.
        """
        ended = tuple(status for status in dict.fromkeys(statuses) if status.terminal)
        removed, last = 0, 0
        while ended:
            roots = self._db.read(statements.select_ended_roots(ended), (last, before, steps.PURGED_AT_ONCE))
            if not roots:
                break
            last = roots[-1][0]
            while roots:
                number, roots = self._db.write(partial(steps.purge_some, roots=roots, before=before))
                removed += number
        return removed

    def close(self) -> None:
        """Close the file; does nothing the second time."""
        self._db.close()


def _read_running(found: list[Row]) -> list[Running]:
    return [rows.read_running(row) for row in sorted(found) if row[4] is None]


def _check_durability(durability: str) -> None:
    if durability == "none":
        problem = "'none' is what needs no file; open the store 'none' (or 'memory:') instead"
        raise InvalidValueError(where=_WHERE, name="durability", problem=problem)
    if durability not in SYNCHRONOUS:
        meant = suggest(durability, SYNCHRONOUS)
        problem = (
            f"{durability!r} is not a durability; {meant + ' ' if meant else ''}it is one of: {', '.join(SYNCHRONOUS)}"
        )
        raise InvalidValueError(where=_WHERE, name="durability", problem=problem)
