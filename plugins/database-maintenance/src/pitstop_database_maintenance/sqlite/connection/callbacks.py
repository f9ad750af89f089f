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

from pitstop.errors import OperationError


class CallbackConnection(sqlite3.Connection):
    """A connection that remembers the first exception of a collation or function since `raise_failure`."""

    _failure: tuple[str, str, BaseException] | None = None

    def raise_failure(self, path: str) -> None:
        """Raise what a collation or a function of the application has raised in a statement on a file, once.

        An exception that ends the process is passed on.
        """
        if self._failure is None:
            return
        (kind, name, error), self._failure = self._failure, None
        if not isinstance(error, Exception):
            raise error
        raised = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise OperationError(
            reason=f"{path}: the {kind} {name!r} that on_connect registers raised {raised}",
            hint="the statement was undone; the application has to mend it, or to register another one",
        ) from error

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
        if self._failure is None:
            self._failure = kind, name, error
