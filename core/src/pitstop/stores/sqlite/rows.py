"""Job records and log lines as rows, and rows as records. Owns the columns' order; runs no SQL.

What a row may hold is in `row_checks`.
"""

from __future__ import annotations

import json.encoder
from collections.abc import Callable, Sequence
from json import JSONEncoder
from typing import Any

from pitstop.contracts import Claim, Completion, Running, Unreadable
from pitstop.contracts.job_history import AttemptEnd, CurrentState, JobHistory, expand_history
from pitstop.contracts.parent_rules import NO_COUNTS, ParentState, make_tolerance
from pitstop.jobs import (
    Counts,
    ErrorRecord,
    Job,
    JobRecord,
    JobStatus,
    LogLine,
    Progress,
    Result,
)
from pitstop.stores.sqlite.row_checks import (
    JOB,
    UnreadableRowError,
    as_text,
    check_columns,
    check_job,
    check_job_thoroughly,
    is_number_from,
    is_text,
    is_time,
    name_columns,
    parse_object,
    parse_progress,
    parse_result,
    repair,
    repair_columns,
)

Row = tuple[Any, ...]


def _make_dumps() -> Callable[[Any], str]:
    encoder = JSONEncoder(separators=(",", ":"))
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # not CPython
        return encoder.encode
    # `JSONEncoder.encode` makes this for every call, which takes as long as encoding what a job has. What is encoded
    # is known to be JSON and no circle (`jobs.json_object`).
    quick = make(None, encoder.default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
    return lambda value: "".join(quick(value, 0))


_dumps = _make_dumps()
# a line's extra is whatever somebody bound to a logger, which must not cost a job its end
_dumps_any = JSONEncoder(separators=(",", ":"), default=str, skipkeys=True).encode
_STATUS = {status.value: status for status in JobStatus}

#: The columns of a job in the order that `make_job_row` gives and `read_record` takes them.
COLUMNS = ", ".join(column.name for column in JOB)
#: The columns of a new job that is not a parent, in the order of `make_plain_row`; all others are NULL or 0.
PLAIN_COLUMNS = (
    "id, parent_id, correlation_id, type, name, resource, config, metadata, timeout, max_attempts, created_at, "
    "not_before, on_crash, submitter, is_root, status, attempt, started_at, owner, lease_until"
)
#: The columns that `read_claimed_record` takes, and those that `read_ended_record` takes.
CLAIMED_COLUMNS = (
    "seq, attempt, created_at, not_before, cancel_requested_at, progress, result, error_type, error_message, "
    "error_traceback"
)
ENDED_COLUMNS = "cancel_requested_at, progress"
#: The columns that `read_histories` takes, of a job and of what is kept of its past.
PAST_COLUMNS = (
    "job.seq, job.id, job.on_error, job.created_at, job.submitter, job.status, job.attempt, job.started_at, job.owner, "
    "past.attempt, past.old, past.new, past.at, past.began, past.owner, past.reason"
)
#: The columns of a parent in the order that `standing` takes them.
PARENT_COLUMNS = (
    "id, seq, parent_id, name, status, on_error, max_failures, cancel_requested_at IS NOT NULL, pending, running, "
    "completed, failed, cancelled"
)
#: The columns of a log line in the order that `make_line_row` gives and `read_log_line` takes them.
LINE_COLUMNS = "job_id, correlation_id, at, level, message, source, extra"


_ENDED = tuple(column for column in JOB if column.name in ENDED_COLUMNS.split(", "))


def make_job_row(record: JobRecord) -> Row:
    """Return the values of `COLUMNS`, `submitter` and `is_root`, with NULL for `seq`, which the database gives."""
    job, counts, tolerance = record.job, record.counts, record.job.tolerance
    return (
        None,
        job.id,
        job.parent_id,
        job.correlation_id,
        job.type,
        job.name,
        job.resource,
        _dumps(job.config) if job.config else "{}",
        _dumps(job.metadata) if job.metadata else "{}",
        job.timeout,
        job.max_attempts,
        tolerance.on_error if tolerance else None,
        tolerance.max_failures if tolerance else None,
        record.status.value,
        record.attempt,
        record.created_at,
        record.not_before,
        record.started_at,
        record.finished_at,
        record.owner,
        record.lease_until,
        record.cancel_requested_at,
        dump_progress(record.progress) if record.progress else None,
        dump_result(record.result),
        *make_error_row(record.error),
        counts.pending,
        counts.running,
        counts.completed,
        counts.failed,
        counts.cancelled,
        job.on_crash,
        record.owner,
        job.parent_id is None,
    )


def is_plain(record: JobRecord) -> bool:
    """Return whether `make_plain_row` says all that there is to say of a record: a new job that nobody has touched."""
    return (
        record.status is JobStatus.PENDING
        and record.job.tolerance is None
        and record.attempt == 0
        and (record.started_at is record.lease_until is record.finished_at is record.cancel_requested_at is None)
        and record.progress is None
        and record.result is None
        and record.error is None
    )


def make_plain_row(record: JobRecord, claim: Claim | None) -> Row:
    """Return the values of `PLAIN_COLUMNS` of a plain record, claimed already if there is a claim."""
    job = record.job
    return (
        job.id,
        job.parent_id,
        job.correlation_id,
        job.type,
        job.name,
        job.resource,
        _dumps(job.config) if job.config else "{}",
        _dumps(job.metadata) if job.metadata else "{}",
        job.timeout,
        job.max_attempts,
        record.created_at,
        record.not_before,
        job.on_crash,
        record.owner,
        job.parent_id is None,
        *(
            ("pending", 0, None, record.owner, None)
            if claim is None
            else ("running", 1, claim.now, claim.owner, claim.lease_until)
        ),
    )


def make_created_record(record: JobRecord, claim: Claim, seq: int) -> JobRecord:
    """Return the record of a plain one that was stored claimed."""
    return JobRecord(
        job=record.job,
        status=JobStatus.RUNNING,
        attempt=1,
        seq=seq,
        created_at=record.created_at,
        not_before=record.not_before,
        started_at=claim.now,
        owner=claim.owner,
        lease_until=claim.lease_until,
    )


def read_record(row: Row) -> JobRecord:
    """Return the record of a row of `COLUMNS`.

    Raises:
        UnreadableRowError: a column holds what it cannot hold.
    """
    named = name_columns(row)
    try:
        check_job(named)
        return _record(named)
    except UnreadableRowError:
        check_job_thoroughly(named)  # names the column
        raise


def read_record_or_none(row: Row) -> JobRecord | None:
    """Return the record of a row of `COLUMNS`, or None if it is none."""
    try:
        return read_record(row)
    except UnreadableRowError:
        return None


def read_unreadable(row: Row) -> Unreadable | None:
    """Return what is wrong with a row of `COLUMNS`, or None if it is a record."""
    try:
        read_record(row)
    except UnreadableRowError as error:
        kept = read_repaired_record(row)
        owner, lease = kept.owner, kept.lease_until
        return Unreadable(id=error.job_id, seq=error.seq, problem=error.problem, owner=owner, lease_until=lease)
    return None


def read_repaired_record(row: Row) -> JobRecord:
    """Return a record of a row of `COLUMNS` in which defaults replace everything that cannot be read."""
    return _record(repair(row))


def _record(row: Any) -> JobRecord:
    # As unpickling does: what was checked when it was made is not checked again, which would cost ten times as much.
    job = Job.__new__(Job)
    fields = {
        "id": row.id,
        "parent_id": row.parent_id,
        "correlation_id": row.correlation_id,
        "type": row.type,
        "name": row.name,
        "resource": row.resource,
        "config": parse_object(row.config),
        "metadata": parse_object(row.metadata),
        "timeout": row.timeout,
        "max_attempts": row.max_attempts,
        "tolerance": None if row.on_error is None else make_tolerance(row.on_error, row.max_failures),
        "on_crash": row.on_crash,
    }
    object.__setattr__(job, "__dict__", fields)
    return JobRecord(
        job=job,
        status=_STATUS[row.status],
        attempt=row.attempt,
        seq=row.seq,
        created_at=row.created_at,
        not_before=row.not_before,
        started_at=row.started_at,
        finished_at=row.finished_at,
        owner=row.owner,
        lease_until=row.lease_until,
        cancel_requested_at=row.cancel_requested_at,
        progress=parse_progress(row.progress) if row.progress else None,
        result=parse_result(row.result) if row.result else None,
        error=None if row.error_type is None else _error(row.error_type, row.error_message, row.error_traceback),
        counts=NO_COUNTS if row.on_error is None else _counts([getattr(row, status) for status in _STATUS]),
    )


def _error(error_type: str | None, message: str, traceback: str) -> ErrorRecord | None:
    return None if error_type is None else ErrorRecord(type=error_type, message=message, traceback=traceback)


def read_claimed_record(row: Row, claim: Claim, job: Job) -> JobRecord:
    """Return the record of a claim of a known job, from a row of `CLAIMED_COLUMNS`.

    Raises:
        UnreadableRowError: a column holds what it cannot hold.
    """
    try:
        check_columns(CLAIMED_COLUMNS, row)
    except UnreadableRowError as error:
        raise UnreadableRowError(error.problem, seq=row[0], job_id=job.id) from None
    seq, attempt, created_at, not_before, cancel_requested_at, progress, result, *failure = row
    return JobRecord(
        job=job,
        status=JobStatus.RUNNING,
        attempt=attempt,
        seq=seq,
        created_at=created_at,
        not_before=not_before,
        started_at=claim.now,
        owner=claim.owner,
        lease_until=claim.lease_until,
        cancel_requested_at=cancel_requested_at,
        progress=parse_progress(progress) if progress else None,
        result=parse_result(result) if result else None,
        error=_error(*failure),
        counts=NO_COUNTS,
    )


def read_ended_record(row: Row, completion: Completion, before: JobRecord) -> JobRecord:
    """Return the record of a job that has ended for good, from what it was and a row of `ENDED_COLUMNS`."""
    asked, progress = (
        column.default if not column.fits(value) else value for column, value in zip(_ENDED, row, strict=True)
    )
    return JobRecord(
        job=before.job,
        status=completion.status,
        attempt=before.attempt,
        seq=before.seq,
        created_at=before.created_at,
        started_at=before.started_at,
        finished_at=completion.now,
        owner=before.owner,
        cancel_requested_at=asked,
        progress=parse_progress(progress) if progress else None,
        result=completion.result,
        error=completion.error,
        counts=NO_COUNTS,
    )


def read_parent_state(row: Row) -> ParentState:
    """Return the state of a parent from a row of `PARENT_COLUMNS`.

    Raises:
        UnreadableRowError: a column holds what it cannot hold.
    """
    check_columns(PARENT_COLUMNS, row)
    return _parent_state(row)


def read_repaired_parent_state(row: Row) -> ParentState:
    """Return the state of a parent from a row of `PARENT_COLUMNS`, with defaults for what cannot be read."""
    return _parent_state(repair_columns(PARENT_COLUMNS, row))


def _parent_state(row: Row) -> ParentState:
    job_id, seq, parent_id, name, status, on_error, max_failures, cancel_requested, *counts = row
    if max_failures is None:
        raise UnreadableRowError("max_failures is no number from 0", seq=seq, job_id=job_id)
    return ParentState(
        id=job_id,
        seq=seq,
        parent_id=parent_id,
        name=name,
        status=_STATUS[status],
        counts=_counts(counts),
        tolerance=make_tolerance(on_error, max_failures),
        cancel_requested=bool(cancel_requested),
    )


def dump_progress(progress: Progress) -> str:
    """Return progress as JSON."""
    values: list[Any] = [progress.done, progress.total, progress.unit, progress.message]
    if (waiting := progress.waiting) is not None:
        values.append([waiting.what, waiting.since, waiting.holder])
    return _dumps(values)


def dump_result(result: Result | None) -> str | None:
    """Return a result as JSON, or None if there is none."""
    if result is None:
        return None
    data = result.data if type(result.data) is dict else dict(result.data)
    return _dumps([result.outcome.value, result.summary, data, result.warnings])


def make_error_row(error: ErrorRecord | None) -> tuple[str | None, str | None, str | None]:
    """Return the values of `error_type`, `error_message` and `error_traceback`."""
    if error is None:
        return None, None, None
    return error.type, escape_surrogates(error.message), escape_surrogates(error.traceback)


def make_line_row(line: LogLine) -> Row:
    """Return the values of `LINE_COLUMNS`."""
    extra = _dumps_any(dict(line.extra)) if line.extra else "{}"
    message = escape_surrogates(line.message)
    return line.job_id, line.correlation_id, line.at, line.level, message, line.source, extra


def read_running(row: Row) -> Running:
    """Return the job of a row of `seq, id, attempt, cancel_reason`, as its owner sees it."""
    _, job_id, attempt, reason, *_ = row
    return Running(
        job_id=job_id, attempt=attempt, stop=reason if reason is None or is_text(reason) else as_text(reason)
    )


def read_histories(found: list[Row]) -> list[JobHistory]:
    """Return the histories of the jobs of rows of `PAST_COLUMNS`, of which a job has one or more.

    Rows that are no history are left out: what the others say is still true.
    """
    ends: dict[CurrentState, list[AttemptEnd]] = {}
    for row in found:
        try:
            check_columns(_PAST_OF_JOB, row[:9])
        except UnreadableRowError:
            continue
        seq, job_id, on_error, created_at, submitter, status, *last = row[:9]
        job = CurrentState(seq, job_id, on_error is not None, created_at, submitter, _STATUS[status], *last)
        own = ends.setdefault(job, [])
        if row[9] is not None and _is_end(row[9:]):
            own.append(AttemptEnd(row[9], _STATUS[row[10]], _STATUS[row[11]], *row[12:]))
    return [expand_history(job, own) for job, own in ends.items()]


_PAST_OF_JOB = "seq, id, on_error, created_at, owner, status, attempt, started_at, owner"


def _is_end(row: Row) -> bool:
    attempt, old, new, at, began, owner, reason = row
    return (
        is_number_from(0)(attempt)
        and all(isinstance(status, str) and status in _STATUS for status in (old, new))
        and is_time(at)
        and (began is None or is_time(began))
        and (owner is None or is_text(owner))
        and is_text(reason)
    )


def read_log_line(row: Row) -> LogLine:
    """Return the line of a row that begins with `LINE_COLUMNS`.

    One that cannot be read says so in its place, so that nobody takes the log for whole.
    """
    job_id, correlation_id, at, level, message, source, extra = row[:7]
    try:
        parsed = parse_object(extra)
        texts = all(map(is_text, (job_id, correlation_id, level, message, source)))
        fault = "" if texts and is_time(at) else "a column holds what it cannot hold"
    except UnreadableRowError as error:
        parsed, fault = {}, f"its extra {error.problem}"
    if fault:
        return LogLine(
            job_id=as_text(job_id),
            correlation_id=as_text(correlation_id),
            at=at if is_time(at) else 0.0,
            level="WARNING",
            message=f"this line of the log cannot be read: {fault}",
        )
    return LogLine(
        job_id=job_id,
        correlation_id=correlation_id,
        at=at,
        level=level,
        message=message,
        source=source,
        extra=parsed,
    )


def escape_surrogates(text: str) -> str:
    """Return a text in which what is no Unicode is escaped."""
    # a file name may hold bytes that are no UTF-8; such a name in a message must not cost a job its end
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _counts(numbers: Sequence[int]) -> Counts:
    pending, running, completed, failed, cancelled = numbers
    return Counts(pending=pending, running=running, completed=completed, failed=failed, cancelled=cancelled)
