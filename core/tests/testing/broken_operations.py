"""Operations that break their promises."""

from __future__ import annotations

import os
import signal
from typing import ClassVar

from pitstop.testing import OperationContract

from .broken_workers import COMPLETES


class Operations(OperationContract):
    __test__ = False
    breaks: ClassVar[set[str]] = set()


def silent(context, *, name: str):
    context.check_cancelled()


class TestSilent(Operations):
    operation = silent
    parameters = {"name": "x"}
    breaks = {"test_operation_says_what_it_does", "test_parameters_say_what_they_mean"}


def untyped(context, *, name, other: int | object = 3):
    """Take anything.

    Args:
        name: of it.
        other: too.
    """
    context.check_cancelled()


class TestUntyped(Operations):
    operation = untyped
    parameters = {"name": "x"}
    breaks = {"test_parameters_have_types"}


def wrong_default(context, *, limit: int = None, mode: str = 5):  # noqa: RUF013 - that is the point
    """Have defaults that nobody could give.

    Args:
        limit: how many.
        mode: how.
    """
    context.check_cancelled()


class TestWrongDefault(Operations):
    operation = wrong_default
    breaks = {"test_defaults_are_of_their_types"}


def fails(context, *, name: str):
    """Fail.

    Args:
        name: of it.
    """
    raise OSError(28, "No space left on device")


class TestFails(Operations):
    operation = fails
    parameters = {"name": "x"}
    breaks = COMPLETES


def handles_signals(context, *, name: str):
    """Take a signal for itself.

    Args:
        name: of it.
    """
    context.check_cancelled()
    os.chdir(os.pardir)
    signal.raise_signal(signal.SIGCHLD)


class TestHandlesSignals(Operations):
    operation = handles_signals
    parameters = {"name": "x"}
    breaks = {"test_execute_leaves_the_process_as_it_was"}
