"""A connection on which what the application registers may raise. Owns that nothing is written with an answer it lacks.

Python's sqlite3 cannot tell SQLite that a collation has raised: SQLite takes the two texts for equal, goes on, and may
write an index in which entries are missing; the exception comes up later, as a SystemError, when all is committed. So
the first exception of a callback is kept, the statement is interrupted, and whoever asked for it is told.
"""

from __future__ import annotations

import operator
import sqlite3
from collections.abc import Callable
from typing import Any, SupportsIndex

from attrs import frozen

from pitstop.errors import OperationError


@frozen
class CallbackFailure:
    """What a collation or a function of the application raised.

    Args:
        kind: "collation" or "function".
        name: what it is called in SQL.
        error: the exception.
    """

    kind: str
    name: str
    error: BaseException

    def explain(self, path: str) -> BaseException:
        """Return what to raise for a statement on a file; an exception that ends the process is passed on."""
        if not isinstance(self.error, Exception):
            return self.error
        raised = f"{type(self.error).__name__}: {self.error}" if str(self.error) else type(self.error).__name__
        return OperationError(
            reason=f"{path}: the {self.kind} {self.name!r} that on_connect registers raised {raised}",
            hint="the statement was undone; the application has to mend it, or to register another one",
        )


class CallbackConnection(sqlite3.Connection):
    """A connection that remembers, in `failure`, the first exception of a collation or function since it was taken."""

    failure: CallbackFailure | None = None

    def take_failure(self) -> CallbackFailure | None:
        """Return the failure, and forget it."""
        failure, self.failure = self.failure, None
        return failure

    def create_collation(self, name: str, callback: Callable[[str, str], SupportsIndex] | None, /) -> None:
        """As of `sqlite3.Connection`; what it returns must be a whole number."""
        if callback is None:
            super().create_collation(name, None)
            return

        def compare(one: str, other: str) -> int:
            try:
                order = operator.index(callback(one, other))
            except BaseException as error:
                self._note("collation", name, error)
                self.interrupt()
                return 0
            return (order > 0) - (order < 0)

        super().create_collation(name, compare)

    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, *, deterministic: bool = False
    ) -> None:
        """As of `sqlite3.Connection`."""
        if func is None:
            super().create_function(name, narg, None, deterministic=deterministic)
            return

        def call(*given: Any) -> Any:
            try:
                return func(*given)
            except BaseException as error:
                self._note("function", name, error)
                raise

        super().create_function(name, narg, call, deterministic=deterministic)

    def _note(self, kind: str, name: str, error: BaseException) -> None:
        if self.failure is None:
            self.failure = CallbackFailure(kind, name, error)
