"""A log line as text for a person, and as JSON for a program."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Literal

from pitstop.jobs import LogLine
from pitstop.text.escaping import indent_lines, json_text, one_line, printable

Format = Literal["text", "json"]


def as_text(line: LogLine) -> str:
    """Return a line for a person: time, level, the job's id, the text."""
    at = datetime.fromtimestamp(line.at, UTC).astimezone()
    operation = line.extra.get("operation") or line.extra.get("worker_type") or ""
    time_of_day = f"{at:%H:%M:%S}.{int(line.at * 1000) % 1000:03}"
    message = indent_lines(printable(line.message))  # a second line that began like a first one would be a forged one
    return f"{time_of_day} {line.level:<7} {line.job_id[:8]} {one_line(str(operation))}: {message}"


def as_json(line: LogLine) -> str:
    """Return a line for a program: one JSON object, its time in ISO 8601 and UTC."""
    own = {
        "at": datetime.fromtimestamp(line.at, UTC).isoformat(),
        "level": line.level,
        "message": line.message,
        "job_id": line.job_id,
        "correlation_id": line.correlation_id,
        "source": line.source,
    }
    return json_text(json.dumps({**own, **line.extra, **own}, ensure_ascii=False, default=str))
