"""The application that has a database open: a process of its own that does as it is told. Knows nothing of Pitstop."""

from __future__ import annotations

import os
import sqlite3
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

#: Seconds in which it must answer.
_PATIENCE = 30.0


class Application:
    """A process with a connection to a database, which stays open until `close`.

    Args:
        path: the database.
        timeout: seconds for which it waits for a lock.
    """

    def __init__(self, path: Path, *, timeout: float = 5.0) -> None:
        context = get_context("fork")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(path, timeout, other, self._pipe), daemon=True)
        self._process.start()
        other.close()
        self.id = self._process.pid

    def __call__(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows.

        Raises:
            sqlite3.Error: as it fails there.
        """
        self._pipe.send(sql)
        assert self._pipe.poll(_PATIENCE), f"the application did not answer to {sql!r}"
        answer = self._pipe.recv()
        if isinstance(answer, str):
            raise sqlite3.OperationalError(answer)
        rows: list[tuple[Any, ...]] = answer
        return rows

    def attempt(self, sql: str) -> str:
        """Run a statement; return why it failed, or "" if it did not."""
        try:
            self(sql)
        except sqlite3.Error as error:
            return str(error)
        return ""

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._process.kill()
        self._process.join()

    def close(self) -> None:
        """Let it close its connection and end, if it was not killed."""
        if not self._process.is_alive():
            self._pipe.close()
            return
        self._pipe.send(None)
        self._process.join(_PATIENCE)
        self._pipe.close()


def _serve(path: Path, timeout: float, pipe: Connection, others: Connection) -> None:
    others.close()
    os.setsid()
    connection = sqlite3.connect(path, isolation_level=None, timeout=timeout)
    while True:
        try:
            sql = pipe.recv()
        except EOFError:
            break
        if sql is None:
            break
        try:
            pipe.send(connection.execute(sql).fetchall())
        except sqlite3.Error as error:
            pipe.send(str(error))
    connection.close()
