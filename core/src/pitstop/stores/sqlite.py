"""`SQLiteStore`: job records in one file, for many threads and processes. No server, nothing to set up.

Owns which statements make up each method. The texts are in `statements`, the tables in `schema`, what a connection does
in `connection`, and the rules about parents in `family`. A trigger moves a parent's counts with every change of a
child's status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from pitstop.contracts import Cancelled, Claim, Ending, Finished, JobQuery
from pitstop.errors import InvalidValueError, UnknownJobError, UnknownKeyError, nearest
from pitstop.jobs import Counts, JobRecord, JobStatus, LogLine, Progress
from pitstop.stores import rows, statements
from pitstop.stores.connection import SYNCHRONOUS, Connection, Row, Transaction
from pitstop.stores.family import Settled, Standing, Stopped, cancellation, check_move, settle

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

    def create(self, records: Sequence[JobRecord]) -> None:
        """Add records. See `JobStore.create`."""
        values = [rows.job_row(record) for record in records]
        if len(values) == 1:
            self._db.query(statements.INSERT, values[0])
        elif values:
            with self._db.transaction() as transaction:
                transaction.run_each(statements.INSERT, values)

    def get(self, job_id: str) -> JobRecord:
        """Return one record. See `JobStore.get`."""
        found = self._db.query(statements.GET, (job_id,))
        if not found:
            raise UnknownJobError(id=job_id)
        return rows.record(found[0])

    def ids(self, prefix: str, *, limit: int = 10) -> list[str]:
        """Return the ids that begin with `prefix`, sorted. See `JobStore.ids`."""
        # the highest character there is comes after all that may follow the prefix
        return [row[0] for row in self._db.query(statements.IDS, (prefix, prefix + "\U0010ffff", limit))]

    def select(self, query: JobQuery) -> list[JobRecord]:
        """Return the records that fit. See `JobStore.select`."""
        return [rows.record(row) for row in self._db.query(*statements.select(query))]

    def count(self, query: JobQuery) -> Counts:
        """Return how many records fit, by status. See `JobStore.count`."""
        return Counts(**dict(self._db.query(*statements.count(query))))

    # -- the life of a job -----------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> JobRecord | None:
        """Make a pending job running, if it can be had. See `JobStore.claim`."""
        return _claimed(self._db.query(_claim_statement(claim), _claim_values(claim)), claim)

    def finish(self, ending: Ending, *, then: Claim | None = None) -> Finished | None:
        """End an attempt, settle its parents, and claim the next job. See `JobStore.finish`.

        Raises:
            TransitionError: a running job cannot come to the status that is asked for.
        """
        check_move(ending.job_id, JobStatus.RUNNING, ending.status)
        retry = ending.status is JobStatus.PENDING
        lines = [rows.line_row(line) for line in ending.lines]
        with self._db.transaction() as transaction:
            record = _end(transaction, ending)
            if record is None:
                return None
            settled = Settled((), ())
            if record.job.parent_id is not None:
                family = _Family(transaction)
                settled = settle(family, (record.job.parent_id,), ending.now, climb=retry)
                if retry and record.id in settled.cancelled:
                    record = _only(transaction.run(statements.GET, (record.id,))) or record
            if lines:
                transaction.run_each(statements.ADD_LINE, lines)
            claimed = None
            if then is not None:
                claimed = _claimed(transaction.run(_claim_statement(then), _claim_values(then)), then)
        return Finished(record=record, closed=settled.closed, cancelled=settled.cancelled, claimed=claimed)

    def cancel(self, job_id: str, *, now: float, reason: str) -> Cancelled:
        """Cancel a job and its descendants. See `JobStore.cancel`."""
        error = rows.error_row(cancellation(reason))
        with self._db.transaction() as transaction:
            found = transaction.run(statements.STATUS, (job_id,))
            if not found:
                raise UnknownJobError(id=job_id)
            if JobStatus(found[0][0]).terminal:
                return Cancelled()
            cancelled = sorted(transaction.run(statements.CANCEL_PENDING, (now, *error, job_id)))
            marked = sorted(transaction.run(statements.MARK_RUNNING, (now, job_id)))
            settled = settle(_Family(transaction), {parent_id for _, _, parent_id in cancelled}, now)
        return Cancelled(
            cancelled=tuple(row[1] for row in cancelled) + settled.cancelled,
            told=tuple(row[1] for row in marked if row[2] is None),
            closed=settled.closed,
        )

    def adopt(self, job_ids: Sequence[str], *, owner: str, lease_until: float) -> None:
        """Make `owner` look after pending jobs and running parents. See `JobStore.adopt`."""
        values = [(owner, lease_until, job_id) for job_id in job_ids]
        if values:
            with self._db.transaction() as transaction:
                transaction.run_each(statements.ADOPT, values)

    def heartbeat(self, owner: str, *, lease_until: float) -> list[str]:
        """Extend an owner's leases; return the jobs that are marked to stop. See `JobStore.heartbeat`."""
        running = sorted(self._db.relaxed(statements.HEARTBEAT, (lease_until, owner)))
        return [job_id for _, job_id, marked in running if marked]

    def progress(self, job_id: str, attempt: int, progress: Progress) -> None:
        """Note how far a job is. See `JobStore.progress`."""
        self._db.relaxed(statements.PROGRESS, (rows.progress_json(progress), job_id, attempt))

    # -- what may start --------------------------------------------------------------------------------------------

    def ready(self, parent_id: str, *, now: float) -> list[str]:
        """Return the ids of the leaf jobs that may start. See `JobStore.ready`."""
        return [row[0] for row in self._db.query(statements.READY, (parent_id, now))]

    def waiting(self, resource: str, *, limit: int = 10) -> list[JobRecord]:
        """Return pending jobs that need a resource. See `JobStore.waiting`."""
        return [rows.record(row) for row in self._db.query(statements.WAITING, (resource, limit))]

    # -- logs ------------------------------------------------------------------------------------------------------

    def add_lines(self, lines: Sequence[LogLine]) -> None:
        """Store log lines. See `JobStore.add_lines`."""
        values = [rows.line_row(line) for line in lines]
        if values:
            with self._db.transaction() as transaction:
                transaction.run_each(statements.ADD_LINE, values)

    def lines(self, job_id: str, *, tree: bool = False) -> Iterable[LogLine]:
        """Return the lines of a job or of a tree, in order of time. See `JobStore.lines`.

        They are read while they are consumed, a thousand at once, so that a long log needs little memory.
        """
        return self._lines(statements.LINES_OF_TREE if tree else statements.LINES_OF_JOB, job_id)

    def _lines(self, sql: str, key: str) -> Iterator[LogLine]:
        at, line_id = float("-inf"), 0
        while True:
            found = self._db.query(sql, (key, at, line_id, LINES_AT_ONCE))
            yield from map(rows.log_line, found)
            if len(found) < LINES_AT_ONCE:
                return
            at, line_id = found[-1][2], found[-1][-1]

    # -- the end ---------------------------------------------------------------------------------------------------

    def purge(self, *, before: float, statuses: Sequence[JobStatus]) -> int:
        """Remove whole trees that ended before a time. See `JobStore.purge`.

        Each tree goes whole; between trees others may write, so that no transaction is huge.
        """
        ended = tuple(status for status in dict.fromkeys(statuses) if status.terminal)
        removed, last = 0, 0
        while ended:
            with self._db.transaction() as transaction:
                number, last = _purge_some(transaction, statements.ended_roots(ended), before=before, beyond=last)
            if not number:
                break
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
            self._transaction.run(statements.MARK_PARENTS, (now, parent_id))
        return sorted(Stopped(*row) for row in stopped)


def _purge_some(transaction: Transaction, roots_sql: str, *, before: float, beyond: int) -> tuple[int, int]:
    """Remove trees until enough jobs are gone. Returns how many there were, and the last root's `seq`."""
    removed = 0
    for seq, root_id in transaction.run(roots_sql, (beyond, before, PURGED_AT_ONCE)):
        transaction.change(statements.PURGE_LINES, (root_id,))
        removed += transaction.change(statements.PURGE_JOBS, (root_id,))
        beyond = seq
        if removed >= PURGED_AT_ONCE:
            break
    return removed, beyond


def _only(found: list[Row]) -> JobRecord | None:
    return rows.record(found[0]) if found else None


def _end(transaction: Transaction, ending: Ending) -> JobRecord | None:
    """End or give back an attempt. Returns the job afterwards, or None if it is not running this attempt."""
    if ending.status is JobStatus.PENDING:
        return _only(transaction.run(statements.RETRY, _retry_values(ending)))
    if ending.record is None:
        return _only(transaction.run(statements.END, _end_values(ending)))
    found = transaction.run(statements.END_KNOWN, _end_values(ending))
    return rows.ended(found[0], ending, ending.record) if found else None


def _claim_statement(claim: Claim) -> str:
    return statements.CLAIM if claim.job is None else statements.CLAIM_KNOWN


def _claimed(found: list[Row], claim: Claim) -> JobRecord | None:
    if claim.job is None or not found:
        return _only(found)
    return rows.claimed(found[0], claim, claim.job)


def _claim_values(claim: Claim) -> Row:
    return claim.owner, claim.lease_until, claim.now, claim.job_id, claim.now


def _end_values(ending: Ending) -> Row:
    result, error = rows.result_json(ending.result), rows.error_row(ending.error)
    return ending.status.value, ending.now, result, *error, ending.job_id, ending.attempt


def _retry_values(ending: Ending) -> Row:
    result, error = rows.result_json(ending.result), rows.error_row(ending.error)
    return ending.now, ending.not_before, ending.owner, result, *error, ending.job_id, ending.attempt


def _check_durability(durability: str) -> None:
    if durability not in SYNCHRONOUS:
        close = nearest(durability, SYNCHRONOUS)
        meant = f"did you mean {close!r}? " if close else ""
        problem = f"{durability!r} is not a durability; {meant}it is one of: {', '.join(SYNCHRONOUS)}"
        raise InvalidValueError(where=_WHERE, name="durability", problem=problem)
