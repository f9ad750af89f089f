"""Job records and log lines as rows, and rows as records. Owns the columns' order; runs no SQL."""

from __future__ import annotations

import json.encoder
from collections.abc import Callable
from json import JSONDecoder, JSONEncoder
from typing import Any

from pitstop.contracts import Claim, Ending, Running
from pitstop.jobs import (
    Counts,
    ErrorRecord,
    Job,
    JobRecord,
    JobStatus,
    LogLine,
    Outcome,
    Progress,
    Result,
)
from pitstop.stores.family import NO_COUNTS, Standing, tolerance_of
from pitstop.stores.history import Creation, End, Past, unfold

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
_loads = JSONDecoder().decode
_STATUS = {status.value: status for status in JobStatus}
_OUTCOME = {outcome.value: outcome for outcome in Outcome}

#: The columns of a job in the order that `job_row` gives and `record` takes them.
COLUMNS = (
    "seq, id, parent_id, correlation_id, type, name, resource, config, metadata, timeout, max_attempts, on_error, "
    "max_failures, status, attempt, created_at, not_before, started_at, finished_at, owner, lease_until, "
    "cancel_requested_at, progress, result, error_type, error_message, error_traceback, pending, running, completed, "
    "failed, cancelled"
)
#: The columns of a new job that is nobody's parent, in the order that `plain_row` gives them; all others are NULL or 0.
PLAIN_COLUMNS = (
    "id, parent_id, correlation_id, type, name, resource, config, metadata, timeout, max_attempts, created_at, "
    "not_before, submitter, is_root, status, attempt, started_at, owner, lease_until"
)
#: The columns that `claimed` takes, and those that `ended` takes.
CLAIMED_COLUMNS = (
    "seq, attempt, created_at, not_before, cancel_requested_at, progress, result, error_type, error_message, "
    "error_traceback"
)
ENDED_COLUMNS = "cancel_requested_at, progress"
#: The columns that `pasts` takes, of a job and of what is kept of its past.
PAST_COLUMNS = (
    "job.seq, job.id, job.on_error, job.created_at, job.submitter, job.status, job.attempt, job.started_at, job.owner, "
    "past.attempt, past.old, past.new, past.at, past.began, past.owner, past.reason"
)
#: The columns of a parent in the order that `standing` takes them.
STANDING_COLUMNS = (
    "id, seq, parent_id, name, status, pending, running, completed, failed, cancelled, on_error, max_failures, "
    "cancel_requested_at IS NOT NULL"
)
#: The columns of a log line in the order that `line_row` gives and `log_line` takes them.
LINE_COLUMNS = "job_id, correlation_id, at, level, message, source, extra"


def job_row(record: JobRecord) -> Row:
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
        progress_json(record.progress) if record.progress else None,
        result_json(record.result),
        *error_row(record.error),
        counts.pending,
        counts.running,
        counts.completed,
        counts.failed,
        counts.cancelled,
        record.owner,
        job.parent_id is None,
    )


def is_plain(record: JobRecord) -> bool:
    """Return whether `plain_row` says all that there is to say of a record: a new job that nobody has touched."""
    return (
        record.status is JobStatus.PENDING
        and record.job.tolerance is None
        and record.attempt == 0
        and (record.started_at is record.lease_until is record.finished_at is record.cancel_requested_at is None)
        and record.progress is None
        and record.result is None
        and record.error is None
    )


def plain_row(record: JobRecord, claim: Claim | None) -> Row:
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
        record.owner,
        job.parent_id is None,
        *(
            ("pending", 0, None, record.owner, None)
            if claim is None
            else ("running", 1, claim.now, claim.owner, claim.lease_until)
        ),
    )


def created(record: JobRecord, claim: Claim, seq: int) -> JobRecord:
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


def record(row: Row) -> JobRecord:
    """Return the record of a row of `COLUMNS`."""
    on_error, error_type = row[11], row[24]
    return JobRecord(
        job=_job(row),
        status=_STATUS[row[13]],
        attempt=row[14],
        seq=row[0],
        created_at=row[15],
        not_before=row[16],
        started_at=row[17],
        finished_at=row[18],
        owner=row[19],
        lease_until=row[20],
        cancel_requested_at=row[21],
        progress=_progress(row[22]) if row[22] else None,
        result=_result(row[23]) if row[23] else None,
        error=ErrorRecord(type=error_type, message=row[25], traceback=row[26]) if error_type is not None else None,
        counts=NO_COUNTS if on_error is None else _counts(row[27:32]),
    )


def claimed(row: Row, claim: Claim, job: Job) -> JobRecord:
    """Return the record of a claim of a known job, from a row of `CLAIMED_COLUMNS`."""
    return JobRecord(
        job=job,
        status=JobStatus.RUNNING,
        attempt=row[1],
        seq=row[0],
        created_at=row[2],
        not_before=row[3],
        started_at=claim.now,
        owner=claim.owner,
        lease_until=claim.lease_until,
        cancel_requested_at=row[4],
        progress=_progress(row[5]) if row[5] else None,
        result=_result(row[6]) if row[6] else None,
        error=ErrorRecord(type=row[7], message=row[8], traceback=row[9]) if row[7] is not None else None,
        counts=NO_COUNTS,
    )


def ended(row: Row, ending: Ending, before: JobRecord) -> JobRecord:
    """Return the record of a job that has ended for good, from what it was and a row of `ENDED_COLUMNS`."""
    return JobRecord(
        job=before.job,
        status=ending.status,
        attempt=before.attempt,
        seq=before.seq,
        created_at=before.created_at,
        started_at=before.started_at,
        finished_at=ending.now,
        owner=before.owner,
        cancel_requested_at=row[0],
        progress=_progress(row[1]) if row[1] else None,
        result=ending.result,
        error=ending.error,
        counts=NO_COUNTS,
    )


def _job(row: Row) -> Job:
    # As unpickling does: what was checked when it was made is not checked again, which would cost ten times as much.
    job: Any = Job.__new__(Job)
    on_error = row[11]
    job.__dict__.update(
        {
            "id": row[1],
            "parent_id": row[2],
            "correlation_id": row[3],
            "type": row[4],
            "name": row[5],
            "resource": row[6],
            "config": _object(row[7]),
            "metadata": _object(row[8]),
            "timeout": row[9],
            "max_attempts": row[10],
            "tolerance": None if on_error is None else tolerance_of(on_error, row[12]),
        }
    )
    restored: Job = job
    return restored


def standing(row: Row) -> Standing:
    """Return how the parent of a row of `STANDING_COLUMNS` stands."""
    return Standing(
        id=row[0],
        seq=row[1],
        parent_id=row[2],
        name=row[3],
        status=_STATUS[row[4]],
        counts=_counts(row[5:10]),
        tolerance=tolerance_of(row[10], row[11]),
        cancel_requested=bool(row[12]),
    )


def progress_json(progress: Progress) -> str:
    """Return progress as JSON."""
    return _dumps([progress.done, progress.total, progress.unit, progress.message])


def result_json(result: Result | None) -> str | None:
    """Return a result as JSON, or None if there is none."""
    if result is None:
        return None
    data = result.data if type(result.data) is dict else dict(result.data)
    return _dumps([result.outcome.value, result.summary, data, result.warnings])


def error_row(error: ErrorRecord | None) -> tuple[str | None, str | None, str | None]:
    """Return the values of `error_type`, `error_message` and `error_traceback`."""
    if error is None:
        return None, None, None
    return error.type, storable(error.message), storable(error.traceback)


def line_row(line: LogLine) -> Row:
    """Return the values of `LINE_COLUMNS`."""
    extra = _dumps_any(dict(line.extra)) if line.extra else "{}"
    message = storable(line.message)
    return line.job_id, line.correlation_id, line.at, line.level, message, line.source, extra


def running(row: Row) -> Running:
    """Return the job of a row of `seq, id, attempt, cancel_reason`, as its owner sees it."""
    return Running(job_id=row[1], attempt=row[2], stop=row[3])


def pasts(found: list[Row]) -> list[Past]:
    """Return the histories of the jobs of rows of `PAST_COLUMNS`, of which a job has one or more."""
    ends: dict[Creation, list[End]] = {}
    for row in found:
        seq, job_id, on_error, created_at, submitter, status, *last = row[:9]
        job = Creation(seq, job_id, on_error is not None, created_at, submitter, _STATUS[status], *last)
        own = ends.setdefault(job, [])
        if row[9] is not None:
            own.append(End(row[9], _STATUS[row[10]], _STATUS[row[11]], *row[12:]))
    return [unfold(job, own) for job, own in ends.items()]


def log_line(row: Row) -> LogLine:
    """Return the line of a row that begins with `LINE_COLUMNS`."""
    job_id, correlation_id, at, level, message, source, extra = row[:7]
    return LogLine(
        job_id=job_id,
        correlation_id=correlation_id,
        at=at,
        level=level,
        message=message,
        source=source,
        extra=_object(extra),
    )


def storable(text: str) -> str:
    """Return a text in which what is no Unicode is escaped."""
    # a file name may hold bytes that are no UTF-8; such a name in a message must not cost a job its end
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _object(text: str) -> dict[str, Any]:
    value: dict[str, Any] = {} if text == "{}" else _loads(text)
    return value


def _progress(text: str) -> Progress:
    done, total, unit, message = _loads(text)
    return Progress(done=done, total=total, unit=unit, message=message)


def _result(text: str) -> Result:
    outcome, summary, data, warnings = _loads(text)
    return Result(outcome=_OUTCOME[outcome], summary=summary, data=data, warnings=warnings)


def _counts(row: Row) -> Counts:
    pending, running, completed, failed, cancelled = row
    return Counts(pending=pending, running=running, completed=completed, failed=failed, cancelled=cancelled)
