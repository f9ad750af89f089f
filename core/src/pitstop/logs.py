"""A job's log: every line that is written while it runs, from Pitstop, stdlib `logging` and loguru alike.

Owns the lines, and where they go besides the store: nowhere, until the application asks with `enable()`. It does not
store lines (the manager does) and configures no logger of the application: what the application's own handlers show
is the same with and without Pitstop. How lines are caught is in `capture`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from attrs import Factory, frozen

from pitstop.capture import LEVELS, be_exclusive, catch, current, forwarding, shown
from pitstop.errors import InvalidValueError
from pitstop.masking import mask, mask_value, replace

Format = Literal["text", "json"]

#: A job that logs more lines than this in one attempt loses the rest, and its log says how many.
MAX_LINES = 10_000
#: A longer message is cut, and says so.
MAX_MESSAGE = 10_000


@frozen(kw_only=True)
class LogLine:
    """One line of a job's log.

    Args:
        job_id, correlation_id: whose line it is, and of which tree.
        at: when, in seconds since 1970, UTC.
        level: "DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL".
        message: the text, secrets masked.
        source: the logger's name: "pitstop", or the module that logged.
        extra: what the caller bound to it, and the job's worker type and operation; a JSON object.
    """

    job_id: str
    correlation_id: str
    at: float
    level: str
    message: str
    source: str = "pitstop"
    extra: Mapping[str, Any] = Factory(dict)


class Stream(Protocol):
    """What lines can be written to: a text file, or whatever behaves like one."""

    def write(self, text: str, /) -> int:
        """Take a text."""

    def flush(self) -> None:
        """See to it that it is out."""


class JobLog:
    """The lines of one attempt of one job. Safe to use from any thread.

    Args:
        job_id, correlation_id: whose log it is.
        bound: what every line carries: the worker type and the operation.
        now: returns the time in seconds since 1970.
        secrets: what to mask, see `pitstop.masking.mask`.
    """

    def __init__(
        self,
        *,
        job_id: str,
        correlation_id: str,
        bound: Mapping[str, Any] | None = None,
        now: Callable[[], float] = time.time,
        secrets: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.job_id = job_id
        self.correlation_id = correlation_id
        self.bound = dict(bound or {})
        self.secrets = secrets
        self._now = now
        self._lines: list[LogLine] = []
        self._written = 0
        self._lock = threading.Lock()

    @property
    def logger(self) -> Logger:
        """The logger that a worker gets."""
        return Logger(self)

    def add(self, level: str, message: str, *, source: str, extra: Mapping[str, Any], own: bool) -> None:
        """Keep a line and send it on.

        Args:
            level, message, source, extra: see `LogLine`.
            own: whether Pitstop wrote it, or a worker through its context, and not a logger that the application
                has handlers of its own for.
        """
        length = len(message)
        if length > 2 * MAX_MESSAGE:
            # masked before it is cut, because half a password is not recognised; and cut between two words
            message = replace(message, self.secrets)[: 2 * MAX_MESSAGE]
            message = message[: max(message.rfind(" "), message.rfind("\n")) + 1] or message
        message = mask(message, self.secrets)
        if length > MAX_MESSAGE:
            message = f"{message[:MAX_MESSAGE]}... ({length - MAX_MESSAGE} more characters)"
        line = LogLine(
            job_id=self.job_id,
            correlation_id=self.correlation_id,
            at=self._now(),
            level=level,
            message=message,
            source=source,
            extra=_plain({**self.bound, **extra}, self.secrets) if extra else self.bound,
        )
        self.keep(line, own=own)

    def keep(self, line: LogLine, *, own: bool) -> None:
        """Keep a line just as it is, and send it on; `own` as for `add`."""
        with self._lock:
            self._written += 1
            if self._written <= MAX_LINES:
                self._lines.append(line)
        forward(line, own=own)

    def drain(self, *, last: bool = False) -> tuple[LogLine, ...]:
        """Return the lines since the last call, to be stored. With `last`, also a line that says how many were lost."""
        with self._lock:
            lines, self._lines = tuple(self._lines), []
            lost = self._written - MAX_LINES
        if last and lost > 0:
            message = f"{lost} more lines were written and not stored; a job's log holds {MAX_LINES}"
            lines += (
                LogLine(
                    job_id=self.job_id,
                    correlation_id=self.correlation_id,
                    at=self._now(),
                    level="WARNING",
                    message=message,
                ),
            )
        return lines

    def put_back(self, lines: tuple[LogLine, ...]) -> None:
        """Take lines back that `drain` gave and that could not be stored."""
        with self._lock:
            self._lines = [*lines, *self._lines]

    def capture(self) -> AbstractContextManager[None]:
        """Return a context manager that catches every line of this thread, and of tasks started from it."""
        return catch(self)


class Logger:
    """What a worker gets as `context.logger`; see `pitstop.contracts.JobLogger`."""

    __slots__ = ("_extra", "_log")

    def __init__(self, log: JobLog, extra: Mapping[str, Any] | None = None) -> None:
        self._log = log
        self._extra = dict(extra or {})

    def bind(self, **extra: object) -> Logger:
        """Return a logger whose lines all carry `extra`."""
        return Logger(self._log, {**self._extra, **extra})

    def debug(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what only somebody who looks for a fault wants to read."""
        self._write("DEBUG", message, args, extra)

    def info(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what was done."""
        self._write("INFO", message, args, extra)

    def warning(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what went wrong without making the job fail."""
        self._write("WARNING", message, args, extra)

    def error(self, message: str, /, *args: object, **extra: object) -> None:
        """Write what makes the job fail."""
        self._write("ERROR", message, args, extra)

    def exception(self, message: str, /, *args: object, **extra: object) -> None:
        """Write an error with the traceback of the exception that is being handled."""
        self._write("ERROR", message, args, extra, trace=f"\n{traceback.format_exc().rstrip()}")

    def _write(
        self, level: str, message: str, args: tuple[object, ...], extra: dict[str, Any], *, trace: str = ""
    ) -> None:
        text = str(message)
        if args or extra:
            try:
                text = _filled_in(text, args, extra)
            except Exception as error:
                # a line with a wrong template is still worth more than a job that fails for it
                text = f"{text} {shown(args)} ({type(error).__name__} in the message: {error})"
        self._log.add(level, text + trace, source="pitstop", extra={**self._extra, **extra}, own=True)


#: A field that reaches into its argument ({0.__class__}, {user[password]}), or one padded to a huge width.
_REACHING = re.compile(r"\{[^{}:!]*[.\[]|\{[^{}]*:[^{}]*\d{5}")


def _filled_in(template: str, args: tuple[object, ...], extra: Mapping[str, Any]) -> str:
    # Part of a template may come from a user, such as the name of a table in an f-string: it must not be able to read
    # what an argument is made of, as `str.format` would let it.
    if _REACHING.search(template.replace("{{", "")):
        raise ValueError("a field of a message is a name or a number, and nothing of what that is made of")
    return template.format(*args, **extra)


#: What terminals obey, and what turns the direction of a text: each written out.
_COMMANDS = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


# -- where lines go besides the store ------------------------------------------------------------------------------

_forward_own: Callable[[LogLine], None] | None = None
_forward_all: Callable[[LogLine], None] | None = None


def enable(
    to: Literal["logging", "loguru"] | Stream | None = None,
    *,
    level: str = "INFO",
    format: Format = "text",  # noqa: A002 - the name that `logging` and loguru give it
    exclusive: bool = False,
) -> None:
    """Show job logs outside the store. Without this call Pitstop writes nothing anywhere else.

    Args:
        to: "logging" sends Pitstop's lines to the stdlib logger "pitstop", with `job_id` and `correlation_id` on each
            record; "loguru" sends them to loguru with the same as extra. A text stream (default: stderr) gets every
            line of a job, also those that plugins wrote with `logging` or loguru.
        level: the lowest level to show.
        format: on a stream: "text", or "json" for one JSON object a line.
        exclusive: whether this process shows nothing but Pitstop's output; for command lines. Then loguru's own
            default output is off, and so are handlers of `logging` for lines of a job, which would show them a second
            time and with their secrets.

    Raises:
        InvalidValueError: `to`, `level` or `format` is none of these.
    """
    global _forward_own, _forward_all
    lowest = LEVELS.get(str(level).upper())
    if lowest is None:
        raise InvalidValueError(where="logs.enable", name="level", problem=f"{level!r} is none of {', '.join(LEVELS)}")
    if format not in ("text", "json"):
        raise InvalidValueError(where="logs.enable", name="format", problem=f"{format!r} is not 'text' or 'json'")
    if to not in ("logging", "loguru", None) and not hasattr(to, "write"):
        raise InvalidValueError(where="logs.enable", name="to", problem=f"{to!r} is no 'logging', 'loguru' or stream")
    disable()
    if to == "logging":
        _forward_own = _from_level(lowest, _to_logging)
    elif to == "loguru":
        _forward_own = _from_level(lowest, _to_loguru)
    elif not isinstance(to, str):
        render = as_json if format == "json" else as_text
        _forward_all = _from_level(lowest, _to_stream(to, render))
    be_exclusive(exclusive)


def disable() -> None:
    """Show job logs nowhere but in the store again."""
    global _forward_own, _forward_all
    _forward_own = _forward_all = None
    be_exclusive(False)


def forward(line: LogLine, *, own: bool) -> None:
    """Send a line to where `enable` said; `own` as in `JobLog.add`. A target that raises costs the line, no job."""
    target = _forward_all or (_forward_own if own else None)
    if target is None or forwarding.get():
        return
    token = forwarding.set(True)
    try:
        target(line)
    except Exception:  # noqa: S110 - it stands in the store; a closed stderr must not make a job fail
        pass
    finally:
        forwarding.reset(token)


def report(text: str) -> None:
    """Write a warning of Pitstop's own: into the log of the job that runs in this thread, if one does."""
    log = current.get()
    if log is not None:
        log.add("WARNING", text, source="pitstop", extra={}, own=True)
    else:
        line = LogLine(job_id="", correlation_id="", at=time.time(), level="WARNING", message=mask(text))
        forward(line, own=True)


def as_text(line: LogLine) -> str:
    """Return a line for a person: time, level, the job's id, the text."""
    at = datetime.fromtimestamp(line.at, UTC).astimezone()
    operation = line.extra.get("operation") or line.extra.get("worker_type") or ""
    time_of_day = f"{at:%H:%M:%S}.{int(line.at * 1000) % 1000:03}"
    return f"{time_of_day} {line.level:<7} {line.job_id[:8]} {printable(str(operation))}: {printable(line.message)}"


def printable(text: str) -> str:
    """Return a text in which what could command a terminal is written out, such as `\\x1b`; line breaks and tabs stay.

    A name in a database of a stranger's must not clear the screen of whoever looks at it, or write what was never said.
    """
    return text if text.isprintable() else text.translate(_COMMANDS)


def as_json(line: LogLine) -> str:
    """Return a line for a program: one JSON object, its time in ISO 8601 and UTC."""
    return json.dumps(line_document(line), ensure_ascii=False, default=str)


def line_document(line: LogLine) -> dict[str, Any]:
    """Return a line as a JSON object."""
    own = {
        "at": datetime.fromtimestamp(line.at, UTC).isoformat(),
        "level": line.level,
        "message": line.message,
        "job_id": line.job_id,
        "correlation_id": line.correlation_id,
        "source": line.source,
    }
    return {**own, **line.extra, **own}


def _from_level(lowest: int, target: Callable[[LogLine], None]) -> Callable[[LogLine], None]:
    def send(line: LogLine) -> None:
        if LEVELS.get(line.level, 20) >= lowest:
            target(line)

    return send


def _to_stream(stream: Stream | None, render: Callable[[LogLine], str]) -> Callable[[LogLine], None]:
    lock = threading.Lock()

    def write(line: LogLine) -> None:
        with lock:
            print(render(line), file=sys.stderr if stream is None else stream, flush=True)

    return write


def _to_logging(line: LogLine) -> None:
    extra = {f"job_{key}": value for key, value in line.extra.items()}
    extra.update(job_id=line.job_id, correlation_id=line.correlation_id)
    logging.getLogger("pitstop").log(LEVELS.get(line.level, 20), "%s", line.message, extra=extra)


def _to_loguru(line: LogLine) -> None:
    from loguru import logger

    ids = {"job_id": line.job_id, "correlation_id": line.correlation_id}
    logger.bind(**{**line.extra, **ids}).log(line.level, "{}", line.message)


def _plain(extra: Mapping[str, Any], secrets: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    plain = {}
    for key, value in extra.items():
        try:
            json.dumps(value, allow_nan=False)
            plain[key] = value
        except (TypeError, ValueError, RecursionError):
            plain[key] = shown(value)
    masked: dict[str, Any] = mask_value(plain, secrets)
    return masked
