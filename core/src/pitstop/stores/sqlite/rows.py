"""Job records and log lines as rows, and rows as records. Runs no SQL.

What a row may hold is in `columns`.
"""

from __future__ import annotations

import json.encoder
from collections.abc import Callable, Iterable
from json import JSONEncoder
from operator import itemgetter
from typing import Any

from pitstop.contracts import Completion, Running, StoredJob, Unreadable
from pitstop.contracts.job_history import AttemptEnd, CurrentState, JobHistory, expand_history
from pitstop.contracts.parent_rules import NO_COUNTS, make_tolerance
from pitstop.jobs import Counts, ErrorRecord, Job, JobRecord, JobStatus, LogLine, Progress, Result
from pitstop.stores.sqlite.columns import ENDED, JOB, LINE, OF_JOB, OF_RECORD, PAST, STATE, UnreadableRowError, show

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
_STATUSES = tuple(status.value for status in JobStatus)

#: The columns of a job that `read_record` takes, and those that `make_job_row` gives.
COLUMNS = ", ".join(JOB.names)
NEW_COLUMNS = (*(name for name in JOB.names if name != "seq"), "submitter", "is_root")
_new_values: Callable[[dict[str, Any]], Row] = itemgetter(*NEW_COLUMNS)
_NO_CHILDREN = dict.fromkeys(_STATUSES, 0)
#: The columns of a job that `read_ended_record` takes.
ENDED_COLUMNS = ", ".join(ENDED.names)
#: The columns of a job and of what is kept of its past that `read_histories` takes.
PAST_COLUMNS = ", ".join((*(f"job.{name}" for name in STATE.names), *(f"past.{name}" for name in PAST.names)))
#: The columns of a log line that `read_log_line` takes and `make_line_row` gives.
LINE_COLUMNS = ", ".join(LINE.names)
#: Where a row of `COLUMNS` has the place of the job in the order of creation.
SEQ = JOB.names.index("seq")
_JOB_END, _RECORD_END = len(OF_JOB.names), len(OF_JOB.names) + len(OF_RECORD.names)


# -- records as rows -----------------------------------------------------------------------------------------------


def make_job_row(record: JobRecord, *, submitter: str | None) -> Row:
    """Return the values of `NEW_COLUMNS`.

    Args:
        record: a new record.
        submitter: who submitted it.
    """
    job, tolerance = record.job, record.job.tolerance
    error_type, error_message, error_traceback = make_error_row(record.error)
    values = {
        **vars(job),
        **vars(record),
        "config": _dumps(job.config) if job.config else "{}",
        "metadata": _dumps(job.metadata) if job.metadata else "{}",
        "on_error": tolerance and tolerance.on_error,
        "max_failures": tolerance and tolerance.max_failures,
        "status": record.status.value,
        "progress": record.progress and dump_progress(record.progress),
        "result": dump_result(record.result),
        "error_type": error_type,
        "error_message": error_message,
        "error_traceback": error_traceback,
        "submitter": submitter,
        "is_root": job.parent_id is None,
    }
    if tolerance is None:
        return _new_values(values | _NO_CHILDREN)
    return _new_values(values | {status: getattr(record.counts, status) for status in _STATUSES})


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


def escape_surrogates(text: str) -> str:
    """Return a text in which what is no Unicode is escaped."""
    # a file name may hold bytes that are no UTF-8; such a name in a message must not cost a job its end
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


# -- rows as records -----------------------------------------------------------------------------------------------


def read_record(row: Row) -> JobRecord:
    """Return the record of a row of `COLUMNS`.

    Raises:
        UnreadableRowError: a column holds what it cannot hold.
    """
    try:
        return _make_record(JOB.read(row))
    except UnreadableRowError as error:
        job_id, seq = row[0], row[SEQ]
        shown = show(job_id) if isinstance(job_id, str) and job_id else f"number {seq}"
        raise UnreadableRowError(error.problem, seq=seq, job_id=shown) from None


def read_records(found: Iterable[Row]) -> list[JobRecord]:
    """Return the records of rows of `COLUMNS`, as far as they can be read."""
    records = []
    for row in found:
        try:
            records.append(read_record(row))
        except UnreadableRowError:
            continue
    return records


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
    try:
        return read_record(row)
    except UnreadableRowError:
        return _make_record(JOB.repair(row), repair=True)


def read_ended_record(row: Row, completion: Completion, before: JobRecord) -> JobRecord:
    """Return the record of a job that has ended for good, from what it was and a row of `ENDED_COLUMNS`."""
    cancel_requested_at, progress = ENDED.repair(row)
    job = StoredJob(before)
    job.update(
        status=completion.status,
        not_before=None,
        finished_at=completion.now,
        lease_until=None,
        cancel_requested_at=cancel_requested_at,
        progress=progress,
        result=completion.result,
        error=completion.error,
    )
    return job.record


def _make_record(values: list[Any], *, repair: bool = False) -> JobRecord:
    """Return the record of what the values of a row mean.

    Raises:
        UnreadableRowError: they do not fit together, and are not to be repaired.
    """
    # As unpickling does: what was checked when it was made is not checked again, which would cost ten times as much.
    job, record = Job.__new__(Job), JobRecord.__new__(JobRecord)
    vars(job).update(zip(OF_JOB.names, values[:_JOB_END], strict=True))
    vars(record).update(zip(OF_RECORD.names, values[_JOB_END:_RECORD_END], strict=True))
    on_error, max_failures, error_type, message, traceback, *counts = values[_RECORD_END:]
    tolerance = error = None
    if on_error is not None:
        if max_failures is None and not repair:
            raise UnreadableRowError("max_failures is no number from 0")
        tolerance = make_tolerance(on_error, max_failures or 0)
    if error_type is not None:
        if (message is None or traceback is None) and not repair:
            raise UnreadableRowError("error_message is no text")
        error = ErrorRecord(type=error_type, message=message or "", traceback=traceback or "")
    vars(job).update(tolerance=tolerance)
    vars(record).update(job=job, error=error, counts=NO_COUNTS if tolerance is None else _counts(counts))
    if record.cancel_requested_at is not None and record.status is JobStatus.PENDING and not repair:
        # what is pending is cancelled at once; this one would wait for ever, and others behind it
        raise UnreadableRowError("cancel_requested_at is no request that a pending job can have")
    return record


def _counts(numbers: list[int]) -> Counts:
    return Counts(**dict(zip(_STATUSES, numbers, strict=True)))


def read_running(row: Row) -> Running:
    """Return the job of a row of `seq, id, attempt, cancel_reason`, as its owner sees it."""
    _, job_id, attempt, reason, *_ = row
    return Running(
        job_id=job_id, attempt=attempt, stop=reason if reason is None or type(reason) is str else show(reason)
    )


def read_histories(found: list[Row]) -> list[JobHistory]:
    """Return the histories of the jobs of rows of `PAST_COLUMNS`, of which a job has one or more.

    Rows that are no history are left out: what the others say is still true.
    """
    ends: dict[CurrentState, list[AttemptEnd]] = {}
    for row in found:
        try:
            seq, job_id, on_error, *state = STATE.read(row[: len(STATE.names)])
            own = ends.setdefault(CurrentState(seq, job_id, on_error is not None, *state), [])
            if row[len(STATE.names)] is not None:
                own.append(AttemptEnd(*PAST.read(row[len(STATE.names) :])))
        except UnreadableRowError:
            continue
    return [expand_history(job, own) for job, own in ends.items()]


def read_log_line(row: Row) -> LogLine:
    """Return the line of a row that begins with `LINE_COLUMNS`.

    One that cannot be read says so in its place, so that nobody takes the log for whole.
    """
    row = row[: len(LINE.names)]
    try:
        return LogLine(**dict(zip(LINE.names, LINE.read(row), strict=True)))
    except UnreadableRowError as error:
        return LogLine(
            job_id=show(row[0]),
            correlation_id=show(row[1]),
            at=LINE.repair(row)[2],
            level="WARNING",
            message=f"this line of the log cannot be read: its {error.problem}",
        )
