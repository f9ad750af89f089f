"""The lines of one attempt of one job, until they are stored, and the sink that catches them from loguru.

Which job a line belongs to is known from a context variable, and not from the `job_id` in the extra of loguru's record:
that is there for the application's sinks, and a plugin may bind one of its own.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pitstop.jobs import LogLine
from pitstop.logs.output import LEVELS, forward, forwarding
from pitstop.secrets.masking import mask, mask_value, replace

if TYPE_CHECKING:
    from loguru import Logger, Message, Record

#: A job that logs more lines than this in one attempt loses the rest, and its log says how many.
MAX_LINES = 10_000
#: A longer message is cut, and says so.
MAX_MESSAGE = 10_000

_PLACE = ("name", "module", "function", "line", "file")


class JobLog:
    """The lines of one attempt of one job. Safe to use from any thread.

    Args:
        job_id, correlation_id: whose log it is.
        bound: what every line carries: the worker type and the operation.
        now: returns the time in seconds since 1970.
        secrets: what to mask, see `pitstop.secrets.masking.mask`.
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
        self.ids = {"job_id": job_id, "correlation_id": correlation_id}
        self.secrets = secrets
        self._now = now
        self._lines: list[LogLine] = []
        self._written = 0
        self._lock = threading.Lock()

    @property
    def logger(self) -> Logger:
        """What a worker writes with: loguru's logger, bound to the job. Its lines are shown only after `enable()`."""
        from pitstop.logs.loguru_logger import logger

        _ensure_sink()
        return logger.bind(**{**self.bound, **self.ids}).patch(self._take_own)

    def _take_own(self, record: Record) -> None:
        self.take(record, own=True)
        # Below the level of every sink, so that none gets it: what may be shown is shown by `forward`, and masked.
        record["level"].no = -1

    def take(self, record: Record, *, own: bool) -> None:
        """Keep a record of loguru's as a line, and show it; `own` as for `forward`."""
        message, exception = record["message"], record["exception"]
        if exception is not None and exception.type is not None:
            message += "\n" + "".join(traceback.format_exception(*exception)).rstrip()
        known = {**self.bound, **self.ids}
        self.write(
            level_name(record["level"].no),
            message,
            source="pitstop" if own else record["name"] or "loguru",
            extra={key: value for key, value in record["extra"].items() if key not in known or known[key] is not value},
            own=own,
            place={key: record[key] for key in _PLACE},  # type: ignore[literal-required]
        )

    def write(
        self,
        level: str,
        message: object,
        *,
        source: str = "pitstop",
        extra: Mapping[str, Any] | None = None,
        own: bool = True,
        place: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a line, and show it.

        Args:
            level, message, source, extra: see `LogLine`.
            own, place: as for `forward`.
        """
        message = str(message)
        length = len(message)
        if length > 2 * MAX_MESSAGE:
            # masked before it is cut, because half a password is not recognised; and cut between two words
            message = replace(message, self.secrets)[: 2 * MAX_MESSAGE]
            message = message[: max(message.rfind(" "), message.rfind("\n")) + 1] or message
        message = mask(message, self.secrets)
        if length > MAX_MESSAGE:
            message = f"{message[:MAX_MESSAGE]}... ({length - MAX_MESSAGE} more characters)"
        everything = _plain({**self.bound, **extra}, self.secrets) if extra else self.bound
        self.keep(self._line(level, message, source=source, extra=everything), own=own, place=place)

    def keep(self, line: LogLine, *, own: bool, place: Mapping[str, Any] | None = None) -> None:
        """Keep a line just as it is, and show it; `own` and `place` as for `forward`."""
        with self._lock:
            self._written += 1
            if self._written <= MAX_LINES:
                self._lines.append(line)
        forward(line, own=own, place=place)

    def drain(self, *, last: bool = False) -> tuple[LogLine, ...]:
        """Return the lines since the last call, to be stored. With `last`, also a line that says how many were lost."""
        with self._lock:
            lines, self._lines = tuple(self._lines), []
            lost = self._written - MAX_LINES
        if last and lost > 0:
            were = "line was" if lost == 1 else "lines were"
            message = f"{lost} more {were} written and not stored; a job's log holds {MAX_LINES}"
            lines += (self._line("WARNING", message, source="pitstop", extra={}),)
        return lines

    def put_back(self, lines: tuple[LogLine, ...]) -> None:
        """Take lines back that `drain` gave and that could not be stored."""
        with self._lock:
            self._lines = [*lines, *self._lines]

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Catch every line of this thread, and of tasks started from it."""
        from pitstop.logs.loguru_logger import logger

        _ensure_sink()
        _ensure_handler()
        with logger.contextualize(**{**self.bound, **self.ids}):  # for the application's own sinks
            token = current.set(self)
            _running.add(self)
            try:
                yield
            finally:
                _running.discard(self)
                current.reset(token)

    def _line(self, level: str, message: str, *, source: str, extra: Mapping[str, Any]) -> LogLine:
        return LogLine(
            job_id=self.job_id,
            correlation_id=self.correlation_id,
            at=self._now(),
            level=level,
            message=message,
            source=source,
            extra=extra,
        )


#: The log of the job that runs in this thread or task.
current: ContextVar[JobLog | None] = ContextVar("pitstop_job_log", default=None)
#: The root logger's handler in a process that shows nothing of a job but what Pitstop shows.
exclusive: logging.Handler | None = None

_running: set[JobLog] = set()


def warn(text: str) -> None:
    """Write a warning of Pitstop's own: into the log of the job that runs in this thread, if one does."""
    log = current.get()
    if log is not None:
        log.write("WARNING", text)
    else:
        forward(LogLine(job_id="", correlation_id="", at=time.time(), level="WARNING", message=mask(text)), own=True)


def _plain(extra: Mapping[str, Any], secrets: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    plain = {}
    for key, value in extra.items():
        try:
            json.dumps(value, allow_nan=False)
            plain[key] = value
        except (TypeError, ValueError, RecursionError):
            plain[key] = safe_text(value)
    masked: dict[str, Any] = mask_value(plain, secrets)
    return masked


def safe_text(value: object) -> str:
    """Return a value's text, whatever its own `__str__` does."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} whose text cannot be read: {type(error).__name__}>"


def level_name(number: int) -> str:
    """Return the name of the highest level that is not above a number of `logging` or loguru."""
    return max((name for name in LEVELS if LEVELS[name] <= max(number, 10)), key=LEVELS.__getitem__)


# -- catching what is written with loguru --------------------------------------------------------------------------


class _Sink:
    """Takes what a job's code writes with loguru itself."""

    removed = False

    def write(self, message: Message) -> None:
        """Take a line."""
        log = current.get()
        if log is not None:
            log.take(message.record, own=False)

    def stop(self) -> None:
        """Note that the application has removed all sinks. Lines are lost until `_ensure_sink` is called again."""
        self.removed = True
        for log in list(_running) if threading.main_thread().is_alive() else ():  # else loguru does it, at the end
            log.write("WARNING", "loguru's sinks were removed while this job ran; its log may lack lines from here on")


_sink: _Sink | None = None
_sink_lock = threading.Lock()


def _ensure_sink() -> None:
    # called wherever lines may follow, because `logger.remove()` removes this one too; cheap when it is there
    global _sink
    if _sink is not None and not _sink.removed:
        return
    from pitstop.logs.loguru_logger import logger

    with _sink_lock:
        if _sink is None or _sink.removed:
            if exclusive is not None:
                with suppress(ValueError):
                    logger.remove(0)  # the one that loguru adds by itself
                    logger.add(_show, level=logging.WARNING, format="{message}", filter=_is_of_no_job, diagnose=False)
            sink = _Sink()
            logger.add(sink, level=0, format="", filter=_is_caught, diagnose=False)
            _sink = sink


def _ensure_handler() -> None:
    # a plugin's own set-up of `logging` removes it, and is not meant for this process
    if exclusive is not None and exclusive not in logging.root.handlers:
        logging.root.addHandler(exclusive)
        logging.root.setLevel(min(logging.root.level, exclusive.level))


def _show(message: Message) -> None:
    # as what is written with `logging` where nobody has a handler
    if logging.lastResort is not None:
        logging.lastResort.handle(logging.makeLogRecord({"msg": message.rstrip("\n")}))


def _is_of_no_job(_: Record) -> bool:
    return current.get() is None


def _is_caught(_: Record) -> bool:
    return current.get() is not None and not forwarding.get()
