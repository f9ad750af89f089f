"""A job's log: every line that is written while it runs, from Pitstop, stdlib `logging` and loguru alike.

Owns the capture and where lines go besides the store: nowhere, until the application asks with `enable()`. It does not
store lines (the manager does) and configures no logger of the application: what the application's own handlers show
is the same with and without Pitstop.

How lines are caught: loguru by a sink of ours that lets pass only what is written inside a job; stdlib `logging` by
wrapping two methods of `logging.Logger`, because a handler on the root logger would switch off `logging.lastResort`
and `basicConfig`, and could not see an INFO line while the root's level is WARNING (docs/decisions/log-capture.md).
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from attrs import Factory, frozen

from pitstop.errors import InvalidValueError
from pitstop.masking import mask, mask_value

if TYPE_CHECKING:
    from loguru import Message

Format = Literal["text", "json"]

LEVELS: Mapping[str, int] = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
#: Below this, a plugin's stdlib lines are not stored: libraries write a lot of DEBUG that nobody asked for.
CAPTURED_LOGGING_LEVEL = logging.INFO
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


_current: ContextVar[JobLog | None] = ContextVar("pitstop_job_log", default=None)
_forwarding: ContextVar[bool] = ContextVar("pitstop_forwarding", default=False)


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
        # masked before it is cut, because half a password is not recognised
        message = mask(message[: 2 * MAX_MESSAGE], self.secrets)
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

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Catch every line that is written in this thread (and tasks started from it) until the end of the block."""
        _install()
        from loguru import logger as loguru_logger

        token = _current.set(self)
        try:
            ids = {"job_id": self.job_id, "correlation_id": self.correlation_id}
            with loguru_logger.contextualize(**ids, **self.bound):
                yield
        finally:
            _current.reset(token)


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
                text = text.format(*args, **extra)
            except Exception as error:
                # a line with a wrong template is still worth more than a job that fails for it
                text = f"{text} {_shown(args)} ({type(error).__name__} in the message: {error})"
        self._log.add(level, text + trace, source="pitstop", extra={**self._extra, **extra}, own=True)


# -- where lines go besides the store ------------------------------------------------------------------------------

_forward_own: Callable[[LogLine], None] | None = None
_forward_all: Callable[[LogLine], None] | None = None
_exclusive = False


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
    global _forward_own, _forward_all, _exclusive
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
    _exclusive = exclusive


def disable() -> None:
    """Show job logs nowhere but in the store again."""
    global _forward_own, _forward_all, _exclusive
    _forward_own = _forward_all = None
    _exclusive = False


def forward(line: LogLine, *, own: bool) -> None:
    """Send a line to where `enable` said; `own` as in `JobLog.add`. A target that raises costs the line, no job."""
    target = _forward_all or (_forward_own if own else None)
    if target is None or _forwarding.get():
        return
    token = _forwarding.set(True)
    try:
        target(line)
    except Exception:  # noqa: S110 - it stands in the store; a closed stderr must not make a job fail
        pass
    finally:
        _forwarding.reset(token)


def report(text: str) -> None:
    """Write a warning of Pitstop's own: into the log of the job that runs in this thread, if one does."""
    log = _current.get()
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
    return f"{time_of_day} {line.level:<7} {line.job_id[:8]} {operation}: {line.message}"


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


# -- how lines are caught ------------------------------------------------------------------------------------------

_logging_caught = False
_sink: int | None = None
_install_lock = threading.Lock()


def _install() -> None:
    global _logging_caught
    if _logging_caught and _sink_is_there():
        return
    with _install_lock:
        if not _logging_caught:
            _catch_logging()
            _logging_caught = True
        if not _sink_is_there():
            _catch_loguru()


def _sink_is_there() -> bool:
    # loguru's own first advice is `logger.remove()`, which takes ours away too
    from loguru import logger

    return _sink is not None and _sink in logger._core.handlers  # type: ignore[attr-defined]


def _catch_logging() -> None:
    enabled_for, call_handlers = logging.Logger.isEnabledFor, logging.Logger.callHandlers

    def is_enabled_for(self: logging.Logger, level: int) -> bool:
        if enabled_for(self, level):
            return True
        inside = _current.get() is not None and not _forwarding.get()
        return inside and level >= CAPTURED_LOGGING_LEVEL and self.manager.disable < level and not self.disabled

    def handle(self: logging.Logger, record: logging.LogRecord) -> None:
        log = _current.get()
        if log is None or _forwarding.get():
            call_handlers(self, record)
            return
        # the application may have put an id of its own there, which its handlers must see
        record.__dict__.setdefault("job_id", log.job_id)
        record.__dict__.setdefault("correlation_id", log.correlation_id)
        if not _written_by_loguru():
            log.add(_level_of(record.levelno), _text_of(record), source=record.name, extra={}, own=False)
        if not _exclusive and (enabled_for(self, record.levelno) or not _passed_the_level()):
            # a handler may hand the record to loguru, which must not bring it here a second time
            token = _forwarding.set(True)
            try:
                call_handlers(self, record)
            finally:
                _forwarding.reset(token)

    logging.Logger.isEnabledFor = is_enabled_for  # type: ignore[method-assign]
    logging.Logger.callHandlers = handle  # type: ignore[method-assign]


def _catch_loguru() -> None:
    from loguru import logger

    global _sink
    if _exclusive and _sink is None:
        logger.remove()
    # without `diagnose`, which would write the values of variables, passwords among them, into tracebacks
    _sink = logger.add(_loguru_sink, level=0, format="{message}", filter=_is_caught, catch=False, diagnose=False)


def _is_caught(_: object) -> bool:
    return _current.get() is not None and not _forwarding.get()


def _loguru_sink(message: Message) -> None:
    log = _current.get()
    if log is None:
        return
    record = message.record
    ours = {"job_id", "correlation_id", *log.bound}
    extra = {key: value for key, value in record["extra"].items() if key not in ours}
    text = str(message).rstrip("\n")
    log.add(_level_of(record["level"].no), text, source=record["name"] or "loguru", extra=extra, own=False)


def _written_by_loguru() -> bool:
    # loguru's documented way to pass lines on to `logging` is a sink, which we have seen before or will see after
    frame = sys._getframe(2)
    for _ in range(12):
        # not `loguru._logger`, which stands on the stack of everything inside a `@logger.catch`
        if frame.f_globals.get("__name__") == "loguru._handler":
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def _passed_the_level() -> bool:
    # a record that somebody gives to `Logger.handle`, as loguru's PropagateHandler does, is shown whatever its level
    method, frame = logging.Logger._log.__code__, sys._getframe(2)
    for _ in range(4):
        if frame.f_code is method:
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def _text_of(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception as error:
        # a handler of the application's reports it and goes on, and so do we
        text = f"{_shown(record.msg)} {_shown(record.args)} ({type(error).__name__} in the message: {error})"
    if record.exc_info:
        text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return text


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} whose text cannot be read: {type(error).__name__}>"


def _level_of(number: int) -> str:
    return max((name for name in LEVELS if LEVELS[name] <= max(number, 10)), key=LEVELS.__getitem__)


def _plain(extra: Mapping[str, Any], secrets: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    plain = {}
    for key, value in extra.items():
        try:
            json.dumps(value, allow_nan=False)
            plain[key] = value
        except (TypeError, ValueError, RecursionError):
            plain[key] = _shown(value)
    masked: dict[str, Any] = mask_value(plain, secrets)
    return masked
