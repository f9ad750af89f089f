"""What a process and its child say to each other: JSON objects, one a line, over a socket. Data only, never pickle.

Owns the form of each message and the way to it and back. Who says what and when is in `remote` and `program`.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from pitstop.errors import DeadlineExceededError, JobCancelledError
from pitstop.jobs import Conclusion, ErrorRecord, Job, JobRecord, JobStatus, Progress, Result
from pitstop.logs import LogLine

Message = dict[str, Any]

#: The exit code of a child that cannot speak to its parent any more: that is dead, or a job has closed the connection.
ALONE = 113
#: So many bytes are taken from a socket at a time.
CHUNK = 65536


class Link:
    """One end of the connection. Any thread may send; one receives.

    Args:
        connection: a connected stream socket. Always a socket, and never a bare descriptor: a job may close what is not
            its own and open a database, which then has the same number, and only a socket's calls refuse a file.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._received = bytearray()

    def send(self, message: Mapping[str, Any], *, descriptor: int | None = None) -> None:
        """Send a message, and with it an open file for the other end to hold.

        Raises:
            OSError: the other end is gone.
            ValueError, TypeError: it is no JSON.
        """
        data = _encoded(message)
        with self._lock:
            if descriptor is not None:
                sent = socket.send_fds(self.connection, [data], [descriptor])
                data = data[sent:]
            if data:
                self.connection.sendall(data)

    def send_now(self, message: Mapping[str, Any]) -> bool:
        """Send a short message if that is possible at once. Returns whether it was.

        Raises:
            OSError: the other end is gone.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            # one as short as this is taken whole or not at all
            self.connection.send(_encoded(message), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        finally:
            self._lock.release()
        return True

    def take(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that are complete with these bytes.

        Raises:
            ValueError: one is none.
        """
        self._received += data
        if b"\n" not in data:
            return
        *complete, rest = bytes(self._received).split(b"\n")
        self._received = bytearray(rest)
        for line in complete:
            message = json.loads(line)
            if not isinstance(message, dict):
                raise ValueError("a message is an object")
            yield message


def _encoded(message: Mapping[str, Any]) -> bytes:
    # escaped to ASCII, so that a name that is no UTF-8 passes too, and no line break stands inside
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


# -- from the parent -----------------------------------------------------------------------------------------------


def job_message(record: JobRecord, *, number: int, environment: Mapping[str, str], folder: str | None) -> Message:
    """Return what starts an attempt.

    Args:
        record: the claimed record.
        number: which of this child's jobs it is; every message about it carries it.
        environment: the variables that its config mentions, as far as they are set.
        folder: the working folder, for relative paths in the config; None if it is gone.
    """
    job = record.job
    fields = {name: getattr(job, name) for name in _JOB_FIELDS}
    return {
        "job": fields,
        "number": number,
        "attempt": record.attempt,
        "started_at": record.started_at,
        "environment": dict(environment),
        "folder": folder,
    }


def record_of(message: Message) -> JobRecord:
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


def error_of(message: Message) -> JobCancelledError:
    """Return the error that `stop_message` was made from."""
    kind = DeadlineExceededError if message["deadline"] else JobCancelledError
    return kind(reason=message["stop"])


# -- from the child ------------------------------------------------------------------------------------------------


def line_message(line: LogLine, *, own: bool, number: int) -> Message:
    """Return what carries a line of the job's log."""
    told = [line.at, line.level, line.message, line.source, line.extra]
    return {"line": told, "own": own, "number": number}


def line_of(message: Message, job: Job) -> LogLine:
    """Return the line that `line_message` was made from."""
    at, level, text, source, extra = message["line"]
    return LogLine(
        job_id=job.id,
        correlation_id=job.correlation_id,
        at=at,
        level=level,
        message=text,
        source=source,
        extra=extra,
    )


def progress_message(progress: Progress, *, number: int) -> Message:
    """Return what tells how far the job is."""
    told = {"done": progress.done, "total": progress.total, "unit": progress.unit, "message": progress.message}
    return {"progress": told, "number": number}


def progress_of(message: Message) -> Progress:
    """Return the progress that `progress_message` was made from."""
    return Progress(**message["progress"])


def end_message(conclusion: Conclusion, *, number: int) -> Message:
    """Return what tells how the attempt ended."""
    result, error = conclusion.result, conclusion.error
    return {
        "end": conclusion.kind,
        "result": None if result is None else {name: getattr(result, name) for name in _RESULT_FIELDS},
        "error": None if error is None else {name: getattr(error, name) for name in _ERROR_FIELDS},
        "interrupted": conclusion.interrupted,
        "number": number,
    }


def conclusion_of(message: Message) -> Conclusion:
    """Return the conclusion that `end_message` was made from."""
    result, error = message["result"], message["error"]
    return Conclusion(
        kind=message["end"],
        result=None if result is None else Result(**result),
        error=None if error is None else ErrorRecord(**error),
        interrupted=message["interrupted"],
    )


_JOB_FIELDS = (
    "type",
    "config",
    "name",
    "id",
    "parent_id",
    "correlation_id",
    "resource",
    "metadata",
    "timeout",
    "max_attempts",
)
_RESULT_FIELDS = ("outcome", "summary", "data", "warnings")
_ERROR_FIELDS = ("type", "message", "traceback")
