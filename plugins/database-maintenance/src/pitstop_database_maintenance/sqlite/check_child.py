"""The program of a child process that checks: it answers questions through a pipe until the pipe is closed.

Owns the child's side of `pitstop_database_maintenance.sqlite.checkers`, and knows nothing of jobs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from pitstop.errors import JobCancelledError, PitstopError
from pitstop_database_maintenance.sqlite.checking import Question, examine
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase


class _Context:
    """As much of a job's context as a connection needs: told to stop when the parent is gone."""

    deadline = None
    attempt = 1

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def check_cancelled(self) -> None:
        """Raise if nobody waits for the answer any more."""
        if os.getppid() != self._parent:
            raise JobCancelledError(reason="the process that asked is gone")

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """Tell nobody."""
        yield


def main(arguments: Sequence[str]) -> None:
    """Answer until the pipe is closed.

    Args:
        arguments: the number of the pipe's end, and the parent's process id.
    """
    # whoever presses Ctrl-C means the parent, which ends this one when it has understood
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number, parent = map(int, arguments)
    # a parent that was killed closes the pipe, and waits for no answer
    with Connection(number) as connection, suppress(OSError, EOFError):
        told = connection.recv()
        context: Any = _Context(parent)
        options = {"on_connect": told["on_connect"], "force": True}
        try:
            with SQLiteDatabase.connect(told["path"], context, **options) as database:
                connection.send(None)
                _answer(connection, database, told["mapped"])
        except PitstopError as problem:
            connection.send(str(problem))


def _answer(connection: Connection, database: SQLiteDatabase, mapped: int) -> None:
    while True:
        question: Question = connection.recv()
        try:
            connection.send(examine(database, question, mapped=mapped))
        except PitstopError as problem:
            connection.send(problem)
