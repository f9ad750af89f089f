"""Catching what is written with stdlib `logging` and loguru while a job runs; owns no line, a `Catcher` takes each.

stdlib `logging` is caught by wrapping two methods of `logging.Logger`, because a handler on the root logger would
switch off `logging.lastResort` and `basicConfig`, and could not see an INFO line while the root's level is WARNING.
loguru is caught by a sink of ours that lets pass only what is written inside a job; it costs 100 ms to import, so that
it is not imported for this: an import hook adds the sink when somebody else does (docs/decisions/log-capture.md).
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from loguru import Message

LEVELS: Mapping[str, int] = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
#: Below this, a plugin's stdlib lines are not caught: libraries write a lot of DEBUG that nobody asked for.
CAPTURED_LOGGING_LEVEL = logging.INFO


class Catcher(Protocol):
    """Whom the lines of one job go to: its log."""

    job_id: str
    correlation_id: str
    bound: dict[str, Any]

    def add(self, level: str, message: str, *, source: str, extra: Mapping[str, Any], own: bool) -> None:
        """Take a line."""


current: ContextVar[Catcher | None] = ContextVar("pitstop_job_log", default=None)
#: While lines are sent on to the application's loggers nothing is caught, so that none comes back.
forwarding: ContextVar[bool] = ContextVar("pitstop_forwarding", default=False)

_exclusive = False


def be_exclusive(exclusive: bool) -> None:
    """Choose whether lines of a job reach the application's own handlers and loguru's default output at all."""
    global _exclusive
    _exclusive = exclusive


class catch:  # noqa: N801 - reads as what it does in a `with`, and costs half of a generator
    """Hand every line of this thread, and of tasks started from it, to a catcher until the end of the block."""

    __slots__ = ("_catcher", "_contextualized", "_token")

    def __init__(self, catcher: Catcher) -> None:
        self._catcher = catcher
        self._contextualized: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        prepare()
        catcher = self._catcher
        if "loguru" in sys.modules:
            from loguru import logger

            ids = {"job_id": catcher.job_id, "correlation_id": catcher.correlation_id}
            self._contextualized = logger.contextualize(**{**catcher.bound, **ids})
            self._contextualized.__enter__()
        self._token = current.set(catcher)

    def __exit__(self, *error: Any) -> None:
        current.reset(self._token)
        if self._contextualized is not None:
            self._contextualized.__exit__(*error)


_logging_caught = False
_sink: int | None = None
_install_lock = threading.Lock()


def prepare() -> None:
    """See to it that lines can be caught from now on. Cheap when that is so already."""
    global _logging_caught
    if _logging_caught and ("loguru" not in sys.modules or _sink_is_there()):
        return
    with _install_lock:
        if not _logging_caught:
            _catch_logging()
            _logging_caught = True
            if "loguru" not in sys.modules:
                sys.meta_path.insert(0, _WhenLoguruComes())
        if "loguru" in sys.modules and not _sink_is_there():
            _catch_loguru()


class _WhenLoguruComes(MetaPathFinder):
    """Adds our sink to loguru as soon as it has been imported, by whoever needs it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "loguru":
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Catching(spec.loader)
        return spec


class _Catching(Loader):
    """loguru's own loader, and then our sink."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
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
        inside = current.get() is not None and not forwarding.get()
        return inside and level >= CAPTURED_LOGGING_LEVEL and self.manager.disable < level and not self.disabled

    def handle(self: logging.Logger, record: logging.LogRecord) -> None:
        log = current.get()
        if log is None or forwarding.get():
            call_handlers(self, record)
            return
        # the application may have put an id of its own there, which its handlers must see
        record.__dict__.setdefault("job_id", log.job_id)
        record.__dict__.setdefault("correlation_id", log.correlation_id)
        if not _written_by_loguru():
            log.add(level_of(record.levelno), _text_of(record), source=record.name, extra={}, own=False)
        if not _exclusive and (enabled_for(self, record.levelno) or not _passed_the_level()):
            # a handler may hand the record to loguru, which must not bring it here a second time
            token = forwarding.set(True)
            try:
                call_handlers(self, record)
            finally:
                forwarding.reset(token)

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
    return current.get() is not None and not forwarding.get()


def _loguru_sink(message: Message) -> None:
    log = current.get()
    if log is None:
        return
    record = message.record
    ours = {"job_id", "correlation_id", *log.bound}
    extra = {key: value for key, value in record["extra"].items() if key not in ours}
    text = str(message).rstrip("\n")
    log.add(level_of(record["level"].no), text, source=record["name"] or "loguru", extra=extra, own=False)


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
        text = f"{shown(record.msg)} {shown(record.args)} ({type(error).__name__} in the message: {error})"
    if record.exc_info:
        text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return text


def shown(value: object) -> str:
    """Return a value's text, whatever its own `__str__` does."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} whose text cannot be read: {type(error).__name__}>"


def level_of(number: int) -> str:
    """Return the name of the highest level that is not above a number of `logging` or loguru."""
    return max((name for name in LEVELS if LEVELS[name] <= max(number, 10)), key=LEVELS.__getitem__)
