"""`HelperProcess`: a child process that does something for an operation, whose job may be stopped meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from pitstop.children import ChildProcess, Message, wait
from pitstop.errors import OperationError

if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection

#: Seconds between two looks at whether to stop.
_INTERVAL: Final = 0.05


class HelperProcess(ChildProcess):
    """A child process that answers to an operation.

    Args:
        db: tells whether the job is to stop.
        command, descriptors: as for `ChildProcess`.
        problem: what cannot be done without it.
        hint: what to do then.

    Raises:
        OperationError: it cannot be started.
    """

    def __init__(
        self,
        db: SQLiteConnection,
        command: Sequence[str],
        *,
        problem: str,
        hint: str,
        descriptors: Collection[int] = (),
    ) -> None:
        self._db = db
        self._problem = problem
        self._hint = hint
        try:
            super().__init__(command, descriptors=descriptors)
        except OSError as error:
            raise self._failure(str(error)) from error

    def answer(self) -> Message:
        """Return its next message.

        Raises:
            OperationError: it died.
            JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop.
        """
        while not wait([self], timeout=_INTERVAL):
            self._db.check_stop()
        message = self.receive()
        if message is None:
            raise self._failure(self.last_words() or f"its process {self.ending}")
        return message

    def _failure(self, cause: str) -> OperationError:
        return OperationError(reason=f"{self._problem}: {cause}", hint=self._hint)
