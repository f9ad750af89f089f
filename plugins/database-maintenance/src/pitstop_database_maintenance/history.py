"""What past runs leave for the next ones: steps, checks, kept statistics, what was not reached, what was looked at.

Owns a small SQLite file in the user's state folder, which nothing depends on: if it is lost, predictions are less good,
and everything is looked at again. It is no record of jobs (that is the job store), and holds no row of anybody's data
but the figures of the statistics that `rollback_stats` needs.

A database is named by its resource, the same text for every spelling of it (`Database.resource`).
"""

from __future__ import annotations

import atexit
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from attrs import Factory, frozen
from platformdirs import user_state_path

#: Names the file; child processes get it too.
VARIABLE: Final = "PITSTOP_HISTORY"
#: What tells the file from every other: "PITH" (sqlite.org/pragma.html#pragma_application_id).
_APPLICATION: Final = 0x50495448
#: The outcomes of steps that did not come to their end.
UNFINISHED: Final = ("failed", "cancelled")
#: Of how many past runs a throughput is the median.
_RUNS: Final = 20
#: How long another process's write is waited for, in seconds.
_PATIENCE: Final = 5.0
#: For how long, in seconds, a process believes that the file which it has open is still the one at its path.
_BELIEVED: Final = 0.25
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS step (
    id INTEGER PRIMARY KEY, database TEXT NOT NULL, operation TEXT NOT NULL, at REAL NOT NULL, seconds REAL,
    bytes INTEGER, outcome TEXT NOT NULL, summary TEXT NOT NULL, run TEXT NOT NULL, predicted TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS step_by_database ON step (database, operation, id);
CREATE INDEX IF NOT EXISTS step_by_operation ON step (operation, id);
CREATE TABLE IF NOT EXISTS checked (
    database TEXT NOT NULL, object TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, seconds REAL NOT NULL,
    problems INTEGER NOT NULL, PRIMARY KEY (database, object, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (
    id INTEGER PRIMARY KEY, database TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS kept_by_database ON kept (database, kind, id);
CREATE TABLE IF NOT EXISTS remainder (
    database TEXT NOT NULL, operation TEXT NOT NULL, at REAL NOT NULL, reason TEXT NOT NULL, parameters TEXT NOT NULL,
    PRIMARY KEY (database, operation)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
    database TEXT PRIMARY KEY, state TEXT NOT NULL, policy TEXT NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
"""
_LEAVE: Final = "INSERT OR REPLACE INTO remainder (database, operation, at, reason, parameters) VALUES (?, ?, ?, ?, ?)"


@frozen(kw_only=True)
class Step:
    """One operation on one database, as it went.

    Args:
        database: the resource.
        operation: the short name, such as "vacuum".
        at: when it ended, in seconds since 1970, UTC.
        seconds: how long it took; None if it was skipped.
        bytes: how big the database was before; None if that is not known.
        outcome: "changed", "unchanged" or "skipped"; "failed" or "cancelled" of one that did not come to its end.
        summary: one line, or its error.
        run: the correlation id of its tree.
        predicted: what the plan said of it, as JSON; empty if there was no plan.
        data: the result's figures.
    """

    database: str
    operation: str
    at: float = Factory(time.time)
    seconds: float | None = None
    bytes: int | None = None
    outcome: str = "changed"
    summary: str = ""
    run: str = ""
    predicted: Mapping[str, Any] = Factory(dict)
    data: Mapping[str, Any] = Factory(dict)


@frozen(kw_only=True)
class Checked:
    """When an object of a database was last checked.

    Args:
        object: a table's name, or "" for the whole.
        kind: the check, such as "integrity_check".
        at: when, in seconds since 1970, UTC.
        seconds: how long it took.
        problems: how many it found.
    """

    object: str
    kind: str
    at: float
    seconds: float
    problems: int


@frozen(kw_only=True)
class Kept:
    """What an operation kept so that it can be restored; `id` is larger the newer it is."""

    id: int
    at: float
    data: Any


@frozen(kw_only=True)
class Left:
    """A step that a run did not reach or did not finish."""

    database: str
    operation: str
    at: float
    reason: str
    parameters: Mapping[str, Any]


def history_path() -> Path:
    """Return where the history is: `PITSTOP_HISTORY`, or a file in the user's state folder."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else _usual_path(os.environ.get("XDG_STATE_HOME"), os.environ.get("HOME"))


@lru_cache(maxsize=1)
def _usual_path(*_: str | None) -> Path:
    return user_state_path("pitstop", appauthor=False) / "maintenance.db"


class History:
    """The file. Safe to use from several threads and processes; close it, or use it as a context manager."""

    def __init__(self, path: Path | str | None = None) -> None:
        """Open the history, and make it if it is not there.

        Args:
            path: the file; by default as `history_path` says. ":memory:" keeps nothing.

        Raises:
            OSError, sqlite3.Error: it cannot be opened or made.
        """
        target = history_path() if path is None else path
        if str(target) != ":memory:":
            Path(target).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # for its owner only: kept statistics may hold values of indexed columns
            with suppress(FileExistsError):
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._lock = threading.Lock()
        self._rates: dict[str, float | None] = {}
        self._connection = sqlite3.connect(target, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._require_own()
            # NORMAL: the last runs may go with the power; they are hints, and a sync would cost more than a small step
            settings = f"application_id = {_APPLICATION}", "journal_mode = WAL", "synchronous = NORMAL"
            self._connection.executescript("".join(f"PRAGMA {each};" for each in settings) + _SCHEMA)
        except sqlite3.Error:
            self._connection.close()
            raise

    def _require_own(self) -> None:
        """Refuse the database of somebody else, before anything is written to it. An empty file is nobody's."""
        [(application,)] = self._connection.execute("PRAGMA application_id")
        if application != _APPLICATION and self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
            raise sqlite3.DatabaseError(
                f"it is a SQLite database of another application; name another file by {VARIABLE}"
            )

    def of(self, database: str) -> DatabaseHistory:
        """Return what concerns one database, named by its resource."""
        return DatabaseHistory(self, database)

    def add_step(self, step: Step) -> None:
        """Keep how one step went."""
        self.add_steps([step])

    def add_steps(self, steps: Sequence[Step], *, left: Sequence[Left] = ()) -> None:
        """Keep how steps of one run went, in one transaction.

        Args:
            steps: what an earlier run left of their operations is forgotten, unless they were skipped or unfinished.
            left: what this run leaves of them for the next one.
        """
        done = [(step.database, step.operation) for step in steps if step.outcome not in ("skipped", *UNFINISHED)]
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO step (database, operation, at, seconds, bytes, outcome, summary, run, predicted, data)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_storable(_step_row(step)) for step in steps],
            )
            forget = "DELETE FROM remainder WHERE database = ? AND operation = ?"
            connection.executemany(forget, map(_storable, done))
            connection.executemany(_LEAVE, [_storable(_left_row(one)) for one in left])

    def steps(
        self,
        *,
        database: str | None = None,
        operation: str | None = None,
        limit: int = 100,
        unfinished: bool = False,
    ) -> list[Step]:
        """Return past steps, the newest first.

        Args:
            database, operation: only of these.
            limit: so many at most.
            unfinished: with those that failed or were cancelled, from which nothing is to be learned.
        """
        sql = (
            "SELECT database, operation, at, seconds, bytes, outcome, summary, run, predicted, data FROM step"
            " WHERE FILTER AND (? OR outcome NOT IN ('failed', 'cancelled')) ORDER BY id DESC LIMIT ?"
        )
        sql, values = _filtered(sql, database=database, operation=operation)
        rows = self._read(sql, (*values, unfinished, limit))
        return [
            Step(
                database=row[0],
                operation=row[1],
                at=row[2],
                seconds=row[3],
                bytes=row[4],
                outcome=row[5],
                summary=row[6],
                run=row[7],
                predicted=json.loads(row[8]),
                data=json.loads(row[9]),
            )
            for row in rows
        ]

    def throughput(self, operation: str, database: str | None = None) -> float | None:
        """Return how many bytes of database an operation does in a second, learned from past runs.

        Args:
            operation: the short name.
            database: look at runs on this one first, and at all of this machine only if there are none.

        Returns:
            The median of the last 20 runs that did something; None if there were none. That of the whole machine is
            looked up once while the history is open: whoever plans for a thousand databases asks a thousand times.
        """
        own = None if database is None else self._median_rate(operation, database)
        if own is not None:
            return own
        if operation not in self._rates:
            self._rates[operation] = self._median_rate(operation, None)
        return self._rates[operation]

    def _median_rate(self, operation: str, database: str | None) -> float | None:
        sql = (
            "SELECT bytes / seconds FROM step WHERE FILTER"
            " AND seconds > 0 AND bytes > 0 AND outcome = 'changed' ORDER BY id DESC LIMIT ?"
        )
        sql, values = _filtered(sql, database=database, operation=operation)
        rows = self._read(sql, (*values, _RUNS))
        return _median([rate for (rate,) in rows])

    def remember_checked(self, database: str, checks: Iterable[Checked]) -> None:
        """Keep when objects were checked."""
        self._write_many(
            "INSERT OR REPLACE INTO checked (database, object, kind, at, seconds, problems) VALUES (?, ?, ?, ?, ?, ?)",
            [(database, c.object, c.kind, c.at, c.seconds, c.problems) for c in checks],
        )

    def checked(self, database: str, kind: str) -> dict[str, Checked]:
        """Return the last check of each object."""
        rows = self._read(
            "SELECT object, kind, at, seconds, problems FROM checked WHERE database = ? AND kind = ?", (database, kind)
        )
        return {row[0]: Checked(object=row[0], kind=row[1], at=row[2], seconds=row[3], problems=row[4]) for row in rows}

    def keep(self, database: str, kind: str, data: Any, *, at_most: int = 10) -> None:
        """Keep something that may be restored, and forget all of this kind but the newest `at_most`."""
        self._write(
            "INSERT INTO kept (database, kind, at, data) VALUES (?, ?, ?, ?)",
            (database, kind, time.time(), json.dumps(data)),
        )
        self._write(
            "DELETE FROM kept WHERE database = ? AND kind = ? AND id NOT IN"
            " (SELECT id FROM kept WHERE database = ? AND kind = ? ORDER BY id DESC LIMIT ?)",
            (database, kind, database, kind, at_most),
        )

    def kept(self, database: str, kind: str) -> list[Kept]:
        """Return what was kept, the newest first."""
        rows = self._read(
            "SELECT id, at, data FROM kept WHERE database = ? AND kind = ? ORDER BY id DESC", (database, kind)
        )
        return [Kept(id=row[0], at=row[1], data=json.loads(row[2])) for row in rows]

    def leave(self, left: Left) -> None:
        """Note a step for the next run."""
        self._write(_LEAVE, _left_row(left))

    def take_up(self, database: str, operation: str) -> None:
        """Forget what was left of an operation, because it has been finished now."""
        self._write("DELETE FROM remainder WHERE database = ? AND operation = ?", (database, operation))

    def left(self, databases: Sequence[str] | None = None) -> list[Left]:
        """Return what earlier runs left, the oldest first; of all databases, or of these."""
        one = databases[0] if databases is not None and len(databases) == 1 else None
        sql = "SELECT database, operation, at, reason, parameters FROM remainder WHERE FILTER ORDER BY at"
        rows = self._read(*_filtered(sql, database=one, operation=None))
        wanted = None if databases is None else set(_storable(databases))
        return [
            Left(database=row[0], operation=row[1], at=row[2], reason=row[3], parameters=json.loads(row[4]))
            for row in rows
            if wanted is None or row[0] in wanted
        ]

    def remember_seen(self, seen: Iterable[tuple[str, str]], *, policy: str) -> None:
        """Note databases on which nothing is due.

        Args:
            seen: each one's resource, and a text that changes when its files do.
            policy: a text that changes with the thresholds by which nothing was due.
        """
        now = time.time()
        self._write_many(
            "INSERT OR REPLACE INTO seen (database, state, policy, at) VALUES (?, ?, ?, ?)",
            [(database, state, policy, now) for database, state in seen],
        )

    def seen(self, *, policy: str) -> dict[str, tuple[str, float]]:
        """Return the databases on which nothing was due by a policy: (state, when) by resource."""
        rows = self._read("SELECT database, state, at FROM seen WHERE policy = ?", (policy,))
        return {row[0]: (row[1], row[2]) for row in rows}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, _storable(parameters)).fetchall()

    def _write(self, sql: str, parameters: Sequence[Any]) -> None:
        self._write_many(sql, [parameters])

    def _write_many(self, sql: str, rows: list[Sequence[Any]] | list[tuple[Any, ...]]) -> None:
        with self._transaction() as connection:
            connection.executemany(sql, map(_storable, rows))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _median(values: list[float]) -> float | None:
    # not statistics.median, whose module takes longer to import than a run takes in which nothing is due
    if not values:
        return None
    middle = sorted(values)[(len(values) - 1) // 2 : len(values) // 2 + 1]
    return sum(middle) / len(middle)


def shared_history() -> History:
    """Return the history that this process keeps open, so that a small job does not pay for opening it.

    Raises:
        OSError, sqlite3.Error: it cannot be opened or made.
    """
    path = history_path()
    now = time.monotonic()
    with _sharing:
        held = _shared.get(path)
        if held is not None and held.process == os.getpid() and now < held.checked + _BELIEVED:
            return held.history
        identity = _identity(path)
        if held is not None and held.identity == identity:
            _shared[path] = held._replace(checked=now)
            return held.history
        if held is not None and held.process == os.getpid():
            held.history.close()  # another file has taken its place
        history = History(path)
        _shared[path] = _Shared(history, os.getpid(), _identity(path), now)
        return history


@atexit.register
def _close_shared() -> None:
    """Close what this process has kept open to its end; what it was forked with is its parent's."""
    with _sharing:
        for held in _shared.values():
            if held.process == os.getpid():
                held.history.close()
        _shared.clear()


class _Shared(NamedTuple):
    history: History
    process: int
    identity: tuple[int, ...]
    checked: float


_sharing = threading.Lock()
_shared: dict[Path, _Shared] = {}


def _identity(path: Path) -> tuple[int, ...]:
    # a process that was forked must not use its parent's connection
    try:
        found = os.stat(path)
    except OSError:
        return (os.getpid(),)
    return os.getpid(), found.st_dev, found.st_ino


def _storable(values: Iterable[Any]) -> tuple[Any, ...]:
    # a file's name may hold bytes that are no UTF-8, which no database takes
    return tuple(
        value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) and not value.isascii() else value
        for value in values
    )


def _filtered(sql: str, *, database: str | None, operation: str | None) -> tuple[str, tuple[str, ...]]:
    """Return a statement with what is asked for in the place of WHERE, and its values.

    Written out, because "? IS NULL OR database = ?" would keep SQLite from using an index.
    """
    asked = (("database", database), ("operation", operation))
    given = {name: value for name, value in asked if value is not None}
    return sql.replace("FILTER", " AND ".join(f"{name} = ?" for name in given) or "TRUE"), tuple(given.values())


def _step_row(step: Step) -> tuple[Any, ...]:
    return (
        step.database,
        step.operation,
        step.at,
        step.seconds,
        step.bytes,
        step.outcome,
        step.summary,
        step.run,
        json.dumps(dict(step.predicted)),
        json.dumps(dict(step.data)),
    )


def _left_row(left: Left) -> tuple[Any, ...]:
    return left.database, left.operation, left.at, left.reason, json.dumps(dict(left.parameters))


@frozen
class DatabaseHistory:
    """What the history says of one database, and adds to it. Open as long as its `History` is."""

    history: History
    database: str

    def throughput(self, operation: str) -> float | None:
        """Return bytes a second; see `History.throughput`."""
        return self.history.throughput(operation, self.database)

    def steps(self, operation: str | None = None, *, limit: int = 100, unfinished: bool = False) -> list[Step]:
        """Return past steps, the newest first; see `History.steps`."""
        return self.history.steps(database=self.database, operation=operation, limit=limit, unfinished=unfinished)

    def checked(self, kind: str) -> dict[str, Checked]:
        """Return the last check of each object."""
        return self.history.checked(self.database, kind)

    def remember_checked(self, checks: Iterable[Checked]) -> None:
        """Keep when objects were checked."""
        self.history.remember_checked(self.database, checks)

    def keep(self, kind: str, data: Any, *, at_most: int = 10) -> None:
        """Keep something that may be restored."""
        self.history.keep(self.database, kind, data, at_most=at_most)

    def kept(self, kind: str) -> list[Kept]:
        """Return what was kept, the newest first."""
        return self.history.kept(self.database, kind)

    def left(self) -> list[Left]:
        """Return what earlier runs left of this database."""
        return self.history.left([self.database])
