"""What a process and its child say to each other about jobs. Owns the form of each message.

Who says what and when is in `remote_execution` and `child_main`; how it gets there, in `pitstop.children`.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import asdict

from pitstop.children import Message
from pitstop.errors import DeadlineExceededError, JobCancelledError
from pitstop.jobs import AttemptResult, ErrorRecord, Job, JobRecord, JobStatus, LogLine, Progress, Result, Waiting

#: The exit code of a child that cannot speak to its parent any more: that is dead, or a job has closed the connection.
ALONE = 113

# -- from the parent -----------------------------------------------------------------------------------------------


def job_message(record: JobRecord, *, number: int, environment: Mapping[str, str], folder: str | None) -> Message:
    """Return what starts an attempt.

    Args:
        record: the claimed record.
        number: which of this child's jobs it is; every message about it carries it.
        environment: the variables that its config mentions, as far as they are set.
        folder: the working folder, for relative paths in the config; None if it is gone.
    """
    return {
        "job": asdict(record.job, recurse=False),  # a child has no parents, which alone have a tolerance
        "number": number,
        "attempt": record.attempt,
        "started_at": record.started_at,
        "environment": dict(environment),
        "folder": folder,
    }


def read_record(message: Message) -> JobRecord:
    """Return the record that `job_message` was made from, as far as an execution needs it."""
    return JobRecord(
        job=Job(**message["job"]),
        status=JobStatus.RUNNING,
        attempt=message["attempt"],
        started_at=message["started_at"],
    )


def stop_message(error: JobCancelledError, *, number: int) -> Message:
    """Return what tells a job to stop."""
    return {"stop": error.reason, "deadline": isinstance(error, DeadlineExceededError), "number": number}


def read_error(message: Message) -> JobCancelledError:
    """Return the error that `stop_message` was made from."""
    kind = DeadlineExceededError if message["deadline"] else JobCancelledError
    return kind(reason=message["stop"])


# -- from the child ------------------------------------------------------------------------------------------------


def line_message(line: LogLine, *, own: bool, number: int) -> Message:
    """Return what carries a line of the job's log."""
    return {"line": asdict(line, recurse=False), "own": own, "number": number}


def read_line(message: Message, job: Job) -> LogLine:
    """Return the line that `line_message` was made from: one of this job, whatever a child says that it is of."""
    return LogLine(**{**message["line"], "job_id": job.id, "correlation_id": job.correlation_id})


def progress_message(progress: Progress, *, number: int) -> Message:
    """Return what tells how far the job is."""
    return {"progress": asdict(progress), "number": number}


def read_progress(message: Message) -> Progress:
    """Return the progress that `progress_message` was made from."""
    waiting = message["progress"]["waiting"]
    return Progress(**{**message["progress"], "waiting": None if waiting is None else Waiting(**waiting)})


def end_message(attempt_result: AttemptResult, *, number: int) -> Message:
    """Return what tells how the attempt ended."""
    return {"end": asdict(attempt_result), "number": number}


def read_attempt_result(message: Message) -> AttemptResult:
    """Return the result that `end_message` was made from."""
    end: Message = message["end"]
    result, error = end["result"], end["error"]
    return AttemptResult(
        kind=end["kind"],
        result=None if result is None else Result(**result),
        error=None if error is None else ErrorRecord(**error),
        interrupted=end["interrupted"],
    )
