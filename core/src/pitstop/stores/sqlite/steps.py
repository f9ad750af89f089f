"""The steps that a transaction of the SQLite store is made of: claims, ends, what settles parents, and removal.

Each runs its statements in a transaction that is open. Which of them make up a call is in `store`.
"""

from __future__ import annotations

from pitstop.contracts import Claim, Completion, CompletionReceipt, StoredJob, Unreadable
from pitstop.contracts.parent_rules import CancelledJob, settle_parents
from pitstop.jobs import ErrorRecord, JobRecord, JobStatus, cancellation
from pitstop.stores.sqlite import rows, statements
from pitstop.stores.sqlite.columns import UnreadableRowError
from pitstop.stores.sqlite.connection import Row
from pitstop.stores.sqlite.group_commit import Transaction

#: Jobs after which `purge` ends a transaction.
PURGED_AT_ONCE = 500


class Parents:
    """A job's relatives, as `settle_parents` asks for them, within one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def load_parent(self, parent_id: str) -> JobRecord | None:
        """Return the record of a parent. See `ParentStore.load_parent`."""
        found = self._transaction.run(statements.PARENT_STATE, (parent_id,))
        try:
            parent = rows.read_record(found[0]) if found else None
        except UnreadableRowError:
            return self.recount(parent_id)
        if parent is None or parent.status is not JobStatus.RUNNING or parent.counts.pending:
            return parent
        # SQLite adds 1 to whatever somebody wrote, so that a count may look like one by now: a parent that has a live
        # child must not close
        hides = not parent.counts.running and self._transaction.run(statements.LIVE_CHILD, (parent_id, parent.seq))
        return self.recount(parent_id) if hides else parent

    def recount(self, parent_id: str) -> JobRecord | None:
        """Count a parent's children again, and return its record."""
        counted = self._transaction.run(statements.RECOUNT, (parent_id,))
        return rows.read_repaired_record(counted[0]) if counted else None

    def close_parent(self, parent_id: str, status: JobStatus, now: float) -> JobRecord:
        """End a running parent. See `ParentStore.close_parent`."""
        return rows.read_repaired_record(
            self._transaction.run(statements.CLOSE_PARENT, (status.value, now, parent_id))[0]
        )

    def cancel_descendants(self, parent_id: str, now: float, reason: str) -> list[CancelledJob]:
        """Cancel the pending jobs below a parent. See `ParentStore.cancel_descendants`."""
        error = rows.make_error_row(cancellation(reason))
        stopped = self._transaction.run(statements.STOP_PENDING, (now, *error, parent_id))
        if stopped:
            self._transaction.run(statements.MARK_PARENTS, (now, rows.escape_surrogates(reason), parent_id))
        return sorted(CancelledJob(*row) for row in stopped)


def purge_some(transaction: Transaction, *, roots: list[Row], before: float) -> tuple[int, list[Row]]:
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


def fail_unreadable(transaction: Transaction, seq: int, problem: str, now: float) -> CompletionReceipt | None:
    """End a job that cannot be read as failed, if it is live; a parent, as its children would."""
    error = ErrorRecord(type="UnreadableRecordError", message=f"its record cannot be read: {problem}")
    transaction.run(statements.START_UNREADABLE, (now, seq))
    found = transaction.run(statements.FAIL_UNREADABLE, (now, *rows.make_error_row(error), seq))
    if not found:
        parents, relatives = [row[0] for row in transaction.run(statements.PARENT_AT, (seq,))], Parents(transaction)
        for parent_id in parents:
            relatives.recount(parent_id)
        settled = settle_parents(relatives, parents, now)
        return CompletionReceipt(settled.closed[0], settled.closed[1:], settled.cancelled) if settled.closed else None
    record = rows.read_repaired_record(found[0])
    settled = settle_parents(Parents(transaction), (record.job.parent_id,), now)
    return CompletionReceipt(record, *settled)


def make_claim_statement(claim: Claim) -> tuple[str, Row]:
    """Return the statement that makes a pending job running, if it can be had, and its values."""
    return statements.CLAIM, (claim.owner, claim.lease_until, claim.now, claim.job_id, claim.now)


def read_claim(found: list[Row]) -> JobRecord | None:
    """Return the record of a job that is running, from what `make_claim_statement` found; None if it is not to be had.

    Raises:
        UnreadableRowError: it is running, and cannot be read.
    """
    return rows.read_record(found[0]) if found else None


def claim_next(transaction: Transaction, claim: Claim, receipt: CompletionReceipt) -> CompletionReceipt:
    """Claim a job in the transaction that ended another. One that cannot be read costs that one nothing."""
    try:
        return receipt._replace(claimed=read_claim(transaction.run(*make_claim_statement(claim))))
    except UnreadableRowError as bad:
        return receipt._replace(unreadable=Unreadable(id=claim.job_id, seq=bad.seq, problem=bad.problem))


def starts_at_once(record: JobRecord, claim: Claim) -> bool:
    """Return whether nothing but the record itself says whether it can be had, and it can."""
    job = record.job
    alone = job.id == claim.job_id and job.parent_id is None and job.resource is None and not record.attempt
    return alone and StoredJob(record).may_start(claim.now)


def make_end_statement(completion: Completion, before: JobRecord | None) -> tuple[str, Row]:
    """Return the statement that ends or gives back an attempt, and its values."""
    what = rows.dump_result(completion.result), *rows.make_error_row(completion.error)
    which, now = (completion.job_id, completion.attempt), completion.now
    if completion.status is JobStatus.PENDING:
        return statements.RETRY, (now, completion.not_before, now, completion.owner, *what, *which)
    sql = statements.END if before is None else statements.END_KNOWN
    return sql, (completion.status.value, now, *what, *which)


def read_end(found: list[Row], completion: Completion, before: JobRecord | None) -> JobRecord | None:
    """Return the record of a job that has ended, from what `make_end_statement` found; None if nothing ended."""
    if not found:
        return None
    if before is None:
        return rows.read_repaired_record(found[0])
    return rows.read_ended_record(found[0], completion, before)


def settle_ancestors(transaction: Transaction, record: JobRecord, completion: Completion) -> CompletionReceipt:
    """Settle the parents of a job that has ended or been given back."""
    if record.job.parent_id is None:
        return CompletionReceipt(record)
    retry = completion.status is JobStatus.PENDING
    settled = settle_parents(Parents(transaction), (record.job.parent_id,), completion.now, climb=retry)
    if retry and record.id in settled.cancelled:
        record = rows.read_repaired_record(transaction.run(statements.GET, (record.id,))[0])
    return CompletionReceipt(record, *settled)
