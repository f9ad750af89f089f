"""Fixtures that the tests here share."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Iterator

import pytest

from pitstop import logs
from pitstop.logs import JobLog, JobLogHandler

from .helpers import make_log


@pytest.fixture(autouse=True)
def _silent_again() -> Iterator[None]:
    """Undo `enable`, and every change of a test to `logging` and loguru."""
    root, manager = logging.getLogger(), logging.root.manager
    level, handlers, disabled = root.level, list(root.handlers), manager.disable
    yield
    logs.disable()
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.disable(disabled)


@pytest.fixture
def log() -> JobLog:
    """Return the log of a job, with a clock that stands still."""
    return make_log()


@pytest.fixture
def handler() -> JobLogHandler:
    """Store what jobs write with `logging`, from INFO on; `_silent_again` undoes it."""
    handler = JobLogHandler()
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    return handler
