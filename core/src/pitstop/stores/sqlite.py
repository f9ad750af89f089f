"""`SQLiteStore`: job records in one file, for many threads and processes. No server, nothing to set up.

Owns which statements make up each method. The texts are in `statements`, the tables in `schema`, what a connection does
in `connection`, and the rules about parents in `family`. A trigger moves a parent's counts with every change of a
child's status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from pitstop.contracts import Cancelled, Claim, Ending, Finished, JobQuery, Running
from pitstop.errors import InvalidValueError, UnknownJobError, UnknownKeyError, nearest
from pitstop.jobs import Counts, JobRecord, JobStatus, LogLine, Progress, StatusChange
from pitstop.stores import listings, rows, statements
from pitstop.stores.connection import SYNCHRONOUS, Connection, Row
from pitstop.stores.family import Settled, Standing, Stopped, cancellation, check_move, settle
from pitstop.stores.gathering import Transaction
from pitstop.stores.history import in_order

#: Rows that `lines` reads at once, and jobs after which `purge` ends a transaction.
LINES_AT_ONCE = 1000
PURGED_AT_ONCE = 500
_WHERE = "sqlite job store"


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


class SQLiteStore:
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
        if len(records) == 1 and rows.is_plain(records[0]) and (then is None or _is_free(records[0], then)):
            seq = self._db.insert(statements.INSERT_PLAIN, rows.plain_row(records[0], then))
            return None if then is None else rows.created(records[0], then, seq)
        values = [rows.job_row(record) for record in records]

        def work(transaction: Transaction) -> list[Row]:
            transaction.run_each(statements.INSERT, values)
            return transaction.run(*_claiming(then)) if then is not None else []

        found = self._db.write(work) if values or then is not None else []
        return None if then is None else _claimed(found, then)

    def get(self, job_id: str) -> JobRecord:
        """Return one record. See `JobStore.get`."""
        found = self._db.look_up(statements.GET, (job_id,))
        if not found:
            raise UnknownJobError(id=job_id)
        return rows.record(found[0])

    def ids(self, prefix: str, *, limit: int = 10) -> list[str]:
        """Return the ids that begin with `prefix`, sorted. See `JobStore.ids`."""
        # the highest character there is comes after all that may follow the prefix
        return [row[0] for row in self._db.look_up(statements.IDS, (prefix, prefix + "\U0010ffff", limit))]

    def select(self, query: JobQuery) -> list[JobRecord]:
        """Return the records that fit. See `JobStore.select`."""
        return [rows.record(row) for row in self._db.read(*listings.select(query, self._kinds(query)))]

    def count(self, query: JobQuery) -> Counts:
        """Return how many records fit, by status. See `JobStore.count`."""
        return Counts(**dict(self._db.read(*listings.count(query, self._kinds(query)))))

    def _kinds(self, query: JobQuery) -> list[Row]:
        return self._db.read(listings.KINDS) if listings.by_kind(query) else []

    # -- the life of a job -----------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> JobRecord | None:
        """Make a pending job running, if it can be had. See `JobStore.claim`."""
        return _claimed(self._db.change(*_claiming(claim)), claim)

    def finish(self, ending: Ending, *, then: Claim | None = None) -> Finished | None:
        """End an attempt, settle its parents, and claim the next job. See `JobStore.finish`.

        Raises:
            TransitionError: a running job cannot come to the status that is asked for.
        """
        check_move(ending.job_id, JobStatus.RUNNING, ending.status)
        lines = [rows.line_row(line) for line in ending.lines]
        if then is None and not lines and ending.record is not None and ending.record.job.parent_id is None:
            return _alone(_ended(self._db.change(*_ending(ending)), ending))

        def work(transaction: Transaction) -> Finished | None:
            record = _ended(transaction.run(*_ending(ending)), ending)
            if record is None:
                return None
            record, settled = _settle_above(transaction, record, ending)
            if lines:
                transaction.run_each(statements.ADD_LINE, lines)
            claimed = None if then is None else _claimed(transaction.run(*_claiming(then)), then)
            return Finished(record=record, closed=settled.closed, cancelled=settled.cancelled, claimed=claimed)

        return self._db.write(work)

    def cancel(self, job_id: str, *, now: float, reason: str) -> Cancelled:
        """Cancel a job and its descendants. See `JobStore.cancel`."""
        error, why = rows.error_row(cancellation(reason)), rows.storable(reason)

        def work(transaction: Transaction) -> Cancelled:
            found = transaction.run(statements.STATUS, (job_id,))
            if not found:
                raise UnknownJobError(id=job_id)
            if JobStatus(found[0][0]).terminal:
                return Cancelled()
            cancelled = sorted(transaction.run(statements.CANCEL_PENDING, (now, *error, job_id)))
            marked = sorted(transaction.run(statements.MARK_RUNNING, (now, why, job_id)))
            settled = settle(_Family(transaction), {parent_id for _, _, parent_id in cancelled}, now)
            return Cancelled(
                cancelled=tuple(row[1] for row in cancelled) + settled.cancelled,
                told=tuple(row[1] for row in marked if row[2] is None),
                closed=settled.closed,
            )

        return self._db.write(work)

    def adopt(self, job_ids: Sequence[str], *, owner: str, lease_until: float) -> None:
        """Make `owner` look after pending jobs and running parents. See `JobStore.adopt`."""
        values = [(owner, lease_until, job_id) for job_id in job_ids]
        if values:
            self._db.write(lambda transaction: transaction.run_each(statements.ADOPT, values))

    def heartbeat(self, owner: str, *, lease_until: float) -> list[Running]:
        """Extend an owner's leases; return the leaf jobs that it runs. See `JobStore.heartbeat`."""
        return _running(self._db.change(statements.HEARTBEAT, (lease_until, owner), relaxed=True))

    def running(self, owner: str) -> list[Running]:
        """Return the leaf jobs that an owner runs. See `JobStore.running`."""
        return _running(self._db.look_up(statements.RUNNING, (owner,)))

    def version(self) -> int:
        """Return a number that changes when another process has written. See `JobStore.version`."""
        return self._db.version()

    def progress(self, job_id: str, attempt: int, progress: Progress) -> None:
        """Note how far a job is. See `JobStore.progress`."""
        values = rows.progress_json(progress), job_id, attempt
        self._db.change(statements.PROGRESS, values, relaxed=True)

    # -- what may start --------------------------------------------------------------------------------------------

    def ready(self, parent_id: str, *, now: float) -> list[str]:
        """Return the ids of the leaf jobs that may start. See `JobStore.ready`."""
        return [row[0] for row in self._db.look_up(statements.READY, (parent_id, now))]

    def waiting(self, resource: str, *, limit: int = 10) -> list[JobRecord]:
        """Return pending jobs that need a resource. See `JobStore.waiting`."""
        return [rows.record(row) for row in self._db.look_up(statements.WAITING, (resource, limit))]

    # -- logs ------------------------------------------------------------------------------------------------------

    def add_lines(self, lines: Sequence[LogLine]) -> None:
        """Store log lines. See `JobStore.add_lines`."""
        values = [rows.line_row(line) for line in lines]
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
            yield from map(rows.log_line, found)
            if len(found) < LINES_AT_ONCE:
                return
            at, line_id = found[-1][2], found[-1][-1]

    def history(self, job_id: str, *, tree: bool = False) -> Iterable[StatusChange]:
        """Return the changes of a job's status, or of a tree's, in order. See `JobStore.history`."""
        sql = statements.HISTORY_OF_TREE if tree else statements.HISTORY_OF_JOB
        return iter(in_order(rows.pasts(self._db.read(sql, (job_id,) * sql.count("?")))))

    # -- the end ---------------------------------------------------------------------------------------------------

    def purge(self, *, before: float, statuses: Sequence[JobStatus]) -> int:
        """Remove whole trees that ended before a time. See `JobStore.purge`.

        Each tree goes whole; between trees others may write, so that no transaction is huge.
        """
        ended = tuple(status for status in dict.fromkeys(statuses) if status.terminal)
        removed, last = 0, 0
        while ended:
            roots = self._db.read(statements.ended_roots(ended), (last, before, PURGED_AT_ONCE))
            if not roots:
                break
            last = roots[-1][0]
            while roots:
                number, roots = self._db.write(partial(_purge_some, roots=roots, before=before))
                removed += number
        return removed

    def close(self) -> None:
        """Close the file; does nothing the second time."""
        self._db.close()


class _Family:
    """A job's relatives, as `settle` asks for them, within one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def standing(self, parent_id: str) -> Standing | None:
        found = self._transaction.run(statements.STANDING, (parent_id,))
        return rows.standing(found[0]) if found else None

    def close_parent(self, parent_id: str, status: JobStatus, now: float) -> JobRecord:
        return rows.record(self._transaction.run(statements.CLOSE_PARENT, (status.value, now, parent_id))[0])

    def stop_below(self, parent_id: str, now: float, reason: str) -> list[Stopped]:
        error = rows.error_row(cancellation(reason))
        stopped = self._transaction.run(statements.STOP_PENDING, (now, *error, parent_id))
        if stopped:
            self._transaction.run(statements.MARK_PARENTS, (now, rows.storable(reason), parent_id))
        return sorted(Stopped(*row) for row in stopped)


def _purge_some(transaction: Transaction, *, roots: list[Row], before: float) -> tuple[int, list[Row]]:
    """Remove trees until enough jobs are gone. Returns how many there were, and the roots that are left."""
    removed = 0
    for done, (seq, root_id) in enumerate(roots, start=1):
        # they were looked for outside of this transaction, in which no other may write
        if transaction.run(statements.STILL_ENDED, (seq, root_id, before)):
            transaction.change(statements.PURGE_LINES, (root_id,))
            transaction.change(statements.PURGE_PAST, (root_id,))
            removed += transaction.change(statements.PURGE_JOBS, (root_id,))
        if removed >= PURGED_AT_ONCE:
            return removed, roots[done:]
    return removed, []


def _only(found: list[Row]) -> JobRecord | None:
    return rows.record(found[0]) if found else None


def _is_free(record: JobRecord, claim: Claim) -> bool:
    """Return whether nothing but the record itself says if it can be had, and it can."""
    job = record.job
    free = job.resource is None and job.parent_id is None and job.id == claim.job_id
    return free and (record.not_before is None or record.not_before <= claim.now)


def _claiming(claim: Claim) -> tuple[str, Row]:
    """Return the statement of a claim, and its values."""
    sql = statements.CLAIM if claim.job is None else statements.CLAIM_KNOWN
    return sql, (claim.owner, claim.lease_until, claim.now, claim.job_id, claim.now)


def _claimed(found: list[Row], claim: Claim) -> JobRecord | None:
    if claim.job is None or not found:
        return _only(found)
    return rows.claimed(found[0], claim, claim.job)


def _ending(ending: Ending) -> tuple[str, Row]:
    """Return the statement that ends or gives back an attempt, and its values."""
    what = rows.result_json(ending.result), *rows.error_row(ending.error)
    which = ending.job_id, ending.attempt
    if ending.status is JobStatus.PENDING:
        return statements.RETRY, (ending.now, ending.not_before, ending.now, ending.owner, *what, *which)
    if ending.record is None:
        return statements.END, (ending.status.value, ending.now, *what, *which)
    return statements.END_KNOWN, (ending.status.value, ending.now, *what, ending.record.seq, *which)


def _ended(found: list[Row], ending: Ending) -> JobRecord | None:
    if ending.record is None or ending.status is JobStatus.PENDING or not found:
        return _only(found)
    return rows.ended(found[0], ending, ending.record)


def _alone(record: JobRecord | None) -> Finished | None:
    return None if record is None else Finished(record=record)


def _settle_above(transaction: Transaction, record: JobRecord, ending: Ending) -> tuple[JobRecord, Settled]:
    """Settle the parents of a job that has ended or been given back. Returns the job afterwards, and what it led to."""
    if record.job.parent_id is None:
        return record, Settled((), ())
    retry = ending.status is JobStatus.PENDING
    settled = settle(_Family(transaction), (record.job.parent_id,), ending.now, climb=retry)
    if retry and record.id in settled.cancelled:
        record = _only(transaction.run(statements.GET, (record.id,))) or record
    return record, settled


def _running(found: list[Row]) -> list[Running]:
    return [rows.running(row) for row in sorted(found) if row[4] is None]


def _check_durability(durability: str) -> None:
    if durability == "none":
        problem = "'none' is what needs no file; open the store 'none' (or 'memory:') instead"
        raise InvalidValueError(where=_WHERE, name="durability", problem=problem)
    if durability not in SYNCHRONOUS:
        close = nearest(durability, SYNCHRONOUS)
        meant = f"did you mean {close!r}? " if close else ""
        problem = f"{durability!r} is not a durability; {meant}it is one of: {', '.join(SYNCHRONOUS)}"
        raise InvalidValueError(where=_WHERE, name="durability", problem=problem)
