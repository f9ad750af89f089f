"""How a log line is shown, and where besides the store: nowhere, until the application asks with `enable()`."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Literal, Protocol

from pitstop.errors import InvalidValueError
from pitstop.jobs import LogLine
from pitstop.text import iso_text, local_time
from pitstop.text.escaping import indent_lines, json_text, one_line, printable

Format = Literal["text", "json"]
LEVELS: Mapping[str, int] = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}

#: While a line is being shown nothing is caught, so that none comes back.
forwarding: ContextVar[bool] = ContextVar("pitstop_forwarding", default=False)


class Stream(Protocol):
    """What lines can be written to: a text file, or whatever behaves like one."""

    def write(self, text: str, /) -> int:
        """Take a text."""

    def flush(self) -> None:
        """Make sure that it is written."""


#: Shows a line; the second argument holds fields of a loguru record that say where in the code it was written.
_Target = Callable[[LogLine, Mapping[str, Any]], None]


def as_text(line: LogLine) -> str:
    """Return a line for a person: time, level, the job's id, the text."""
    operation = line.extra.get("operation") or line.extra.get("worker_type") or ""
    time_of_day = f"{local_time(line.at):%H:%M:%S}.{int(line.at * 1000) % 1000:03}"
    message = indent_lines(printable(line.message))  # a second line that began like a first one would be a forged one
    return f"{time_of_day} {line.level:<7} {line.job_id[:8]} {one_line(str(operation))}: {message}"


def as_json(line: LogLine) -> str:
    """Return a line for a program: one JSON object, its time in ISO 8601 and UTC."""
    own = {
        "at": iso_text(line.at),
        "level": line.level,
        "message": line.message,
        "job_id": line.job_id,
        "correlation_id": line.correlation_id,
        "source": line.source,
    }
    return json_text(json.dumps({**own, **line.extra, **own}, ensure_ascii=False, default=str))


def enable(
    to: Literal["loguru", "logging"] | Stream = "loguru",
    *,
    level: str = "INFO",
    format: Format = "text",  # noqa: A002 - the name that `logging` and loguru give it
) -> None:
    """Show job logs outside the store. Without this call Pitstop writes nothing anywhere else.

    Args:
        to: "loguru" lets the sinks of the application's loguru, by default stderr, have what Pitstop and workers write
            with `context.logger`, with `job_id` and `correlation_id` as extra. "logging" sends the same to the stdlib
            logger "pitstop", with the ids on each record. A text stream gets every line that is stored, so also what
            plugins wrote with loguru or `logging`.
        level: the lowest level to show.
        format: on a stream: "text", or "json" for one JSON object a line.

    Raises:
        InvalidValueError: `to`, `level` or `format` is none of these.
    """
    global _target, _shows_all, _lowest
    lowest = LEVELS.get(str(level).upper())
    if lowest is None:
        raise InvalidValueError(where="logs.enable", name="level", problem=f"{level!r} is none of {', '.join(LEVELS)}")
    if format not in ("text", "json"):
        raise InvalidValueError(where="logs.enable", name="format", problem=f"{format!r} is not 'text' or 'json'")
    if to not in ("logging", "loguru") and not hasattr(to, "write"):
        raise InvalidValueError(where="logs.enable", name="to", problem=f"{to!r} is no 'logging', 'loguru' or stream")
    disable()
    _lowest = lowest
    if to == "loguru":
        from pitstop.logs.loguru_logger import logger

        logger.enable("pitstop")
    elif to == "logging":
        _target = _to_logging
    elif not isinstance(to, str):
        _target, _shows_all = _to_stream(to, as_json if format == "json" else as_text), True


def disable() -> None:
    """Show job logs nowhere but in the store again."""
    global _target, _shows_all, _lowest
    _target, _shows_all, _lowest = _to_loguru, False, 0
    if "pitstop.logs.loguru_logger" in sys.modules:
        from pitstop.logs.loguru_logger import logger

        logger.disable("pitstop")


def forward(line: LogLine, *, own: bool, place: Mapping[str, Any] | None = None) -> None:
    """Show a line where `enable` said. A target that raises costs the line, no job.

    Args:
        line: the line.
        own: whether Pitstop wrote it, or a worker through its context, and not a logger that the application has
            handlers of its own for.
        place: where in the code it was written, as fields of a loguru record.
    """
    if forwarding.get() or not (own or _shows_all) or LEVELS[line.level] < _lowest:
        return
    token = forwarding.set(True)
    try:
        _target(line, place or {"name": line.source, "function": line.extra.get("worker_type", "-"), "line": 0})
    except Exception:  # noqa: S110 - it is in the store; a closed stderr must not make a job fail
        pass
    finally:
        forwarding.reset(token)


def _to_loguru(line: LogLine, place: Mapping[str, Any]) -> None:
    if "loguru" not in sys.modules:
        return  # nobody has a sink
    from pitstop.logs.loguru_logger import logger

    # this module's name begins with "pitstop": `logger.disable("pitstop")` decides whether a sink sees it
    ids = {"job_id": line.job_id, "correlation_id": line.correlation_id}
    bound = logger.bind(**{**line.extra, **ids}).patch(lambda record: record.update(place))  # type: ignore[typeddict-item]
    bound.log(line.level, line.message)


def _to_logging(line: LogLine, _place: Mapping[str, Any]) -> None:
    extra = {f"job_{key}": value for key, value in line.extra.items()}
    extra.update(job_id=line.job_id, correlation_id=line.correlation_id)
    logging.getLogger("pitstop").log(LEVELS[line.level], "%s", line.message, extra=extra)


def _to_stream(stream: Stream, render: Callable[[LogLine], str]) -> _Target:
    lock = threading.Lock()

    def write(line: LogLine, _place: Mapping[str, Any]) -> None:
        with lock:
            print(render(line), file=stream, flush=True)

    return write


_target: _Target = _to_loguru
_shows_all = False
_lowest = 0
