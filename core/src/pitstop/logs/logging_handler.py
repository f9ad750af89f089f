"""The lines that a job's code writes with stdlib `logging`, and the output of a process that is Pitstop's own."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from pitstop.logs import job_log
from pitstop.logs.job_log import current, level_name, safe_text
from pitstop.logs.output import forwarding


class JobLogHandler(logging.Handler):
    """Stores what a job's code writes with `logging` in the job's log. Add it to the root logger.

    It gets what the application's levels let pass. Lines from loguru are in the job's log already, and so are those
    that an application sends to loguru: with loguru's "InterceptHandler" this one is not needed. As the only handler of
    the root logger it gives what no job wrote to `logging.lastResort`.

    Args:
        level: the lowest level to store.
    """

    def __init__(self, level: int | str = logging.INFO) -> None:
        super().__init__(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Store a record, if a job wrote it."""
        log = current.get()
        if log is None:
            if logging.root.handlers == [self] and logging.lastResort and record.levelno >= logging.lastResort.level:
                logging.lastResort.handle(record)
        elif not forwarding.get() and not _is_from_loguru(record):
            log.write(level_name(record.levelno), _text(record), source=record.name, own=False)


def add_job_ids(record: logging.LogRecord) -> bool:
    """Give a record the `job_id` and `correlation_id` of the job that wrote it: a filter for `logging` handlers.

    Returns:
        True, so that each record passes.
    """
    log = current.get()
    if log is not None:
        # the application may have put an id of its own there
        record.__dict__.setdefault("job_id", log.job_id)
        record.__dict__.setdefault("correlation_id", log.correlation_id)
    return True


@contextmanager
def exclusive_output() -> Iterator[None]:
    """Let Pitstop alone show a job's lines until the end of the block, in a process that is Pitstop's own.

    What a job writes with `logging` from INFO on is stored. loguru's own default output is off; warnings that no job
    has written go to `logging.lastResort`, whichever of the two they were written with.
    """
    handler, level = JobLogHandler(), logging.root.level
    logging.root.addHandler(handler)
    logging.root.setLevel(min(level, handler.level))
    job_log.exclusive = handler
    try:
        yield
    finally:
        job_log.exclusive = None
        logging.root.removeHandler(handler)
        logging.root.setLevel(level)


def _is_from_loguru(record: logging.LogRecord) -> bool:
    # a handler that is a sink of loguru's gets records with loguru's extra, and our sink has had those
    # anybody else may have given a record an attribute of this name, with any value
    extra = getattr(record, "extra", None)
    return isinstance(extra, dict) and "job_id" in extra


def _text(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception as error:
        # a handler of the application's reports it and goes on, and so do we
        text = f"{safe_text(record.msg)} {safe_text(record.args)} ({type(error).__name__} in the message: {error})"
    if record.exc_info:
        text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return text
