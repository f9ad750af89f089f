"""The program of a child process that checks parts of a database, one after the other, until nobody asks any more.

Owns the child's side of `pitstop_database_maintenance.sqlite.checks.workers`, and knows nothing of jobs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from attrs import asdict

from pitstop.children import Channel, Message
from pitstop.errors import JobCancelledError, PitstopError
from pitstop_database_maintenance.databases.limits import Limits
from pitstop_database_maintenance.sqlite.checks.parts import CheckPart, check_part
from pitstop_database_maintenance.sqlite.checks.protocol import error_message
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase


class _Context:
    """As much of a job's context as a connection needs: cancelled when the parent is gone."""

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
        """Call nothing."""
        yield


def main(parent: str) -> None:
    """Open the database that the first message names, and check the part that each further one asks for.

    Args:
        parent: the process id of the one that asks.
    """
    channel = Channel.to_parent()
    messages = iter(channel)
    context: Any = _Context(int(parent))
    # a parent that was killed waits for no answer
    with suppress(OSError, StopIteration):
        settings = next(messages)
        options = {"on_connect": settings["on_connect"], "force": True}
        try:
            with SQLiteDatabase.connect(settings["path"], context, **options) as database:
                database.limits = Limits(lock_wait=settings["lock_wait"])
                channel.send({"ready": True})
                for message in messages:
                    channel.send(_check(database, message, settings["mapped"]))
        except PitstopError as problem:
            channel.send(error_message(problem))


def _check(database: SQLiteDatabase, message: Message, mapped: int) -> Message:
    try:
        return {"result": asdict(check_part(database, CheckPart(**message), mapped=mapped))}
    except PitstopError as problem:
        return error_message(problem)
