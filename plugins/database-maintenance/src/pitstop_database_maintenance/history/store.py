"""What past runs leave for the next ones: steps, checks, kept statistics, what was not reached, what was looked at.

It is no record of jobs (that is the job store), and holds no row of anybody's data but the figures of the statistics
that `rollback_stats` needs. Nothing gets in but through `mask`, and nothing comes out but what is sound.

A database is named by its resource, the same text for every spelling of it (`Database.resource`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from attrs import frozen

from pitstop.logs import warn
from pitstop.secrets.masking import mask_value
from pitstop_database_maintenance.history.file import HistoryFile, storable
from pitstop_database_maintenance.history.records import UNFINISHED, CheckRecord, PastStep, Snapshot, UnfinishedStep
from pitstop_database_maintenance.history.rows import (
    UnsoundRowError,
    check_row,
    is_rate,
    parse_check,
    parse_snapshot,
    parse_step,
    parse_unchanged,
    parse_unfinished,
    step_row,
    unfinished_row,
)

#: Returns a JSON value without secrets: `JobContext.mask`, or, where there is no job, what knows their places only.
Mask = Callable[[Any], Any]

#: Of how many past runs a throughput is the median.
_RUNS: Final = 20
#: So many steps of a database are looked through for those of one run.
_STEPS: Final = 50


class _Table(NamedTuple):
    """How rows of a table are read.

    Args:
        columns: in the order in which `parse` takes them; those that tell a row from every other come first.
        keys: how many these are.
        parse: makes a record of a row, or raises UnsoundRowError.
    """

    columns: tuple[str, ...]
    keys: int
    parse: Callable[[Sequence[Any]], Any]


_STEP: Final = ("database", "operation", "at", "seconds", "bytes", "outcome", "summary", "run", "predicted", "data")
_TABLES: Final[Mapping[str, _Table]] = {
    "step": _Table(("id", *_STEP), 1, lambda row: parse_step(row[1:])),
    "checked": _Table(
        ("database", "object", "kind", "at", "seconds", "problems", "state", "findings"),
        3,
        lambda row: parse_check(row[1:]),
    ),
    "kept": _Table(("id", "at", "data"), 1, parse_snapshot),
    "remainder": _Table(("database", "operation", "at", "reason", "parameters", "asked"), 2, parse_unfinished),
    "seen": _Table(("database", "state", "at"), 1, parse_unchanged),
}
_ADD_STEP: Final = (
    "INSERT INTO step (database, operation, at, seconds, bytes, outcome, summary, run, predicted, data)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_LEAVE: Final = (
    "INSERT OR REPLACE INTO remainder (database, operation, at, reason, parameters, asked) VALUES (?, ?, ?, ?, ?, ?)"
)
_TAKE_UP: Final = "DELETE FROM remainder WHERE database = ? AND operation = ?"


class History:
    """The history. Safe to use from several threads and processes; close it, or use it as a context manager.

    Once it is open, nothing about its file is a reason for an error: what cannot be read is not there, what cannot be
    written is not kept, and either is told once.
    """

    def __init__(self, path: Path | str | HistoryFile | None = None, *, tell: Callable[[str], object] = warn) -> None:
        """Open the history, and make it if it is not there. A damaged one is set aside, and a new one begun.

        Args:
            path: the file; by default as `history_path` says. ":memory:" keeps nothing. Or a file that is open.
            tell: is called with what is wrong with it, once for each thing; by default it goes to the log.

        Raises:
            OSError, sqlite3.Error: it cannot be opened or made, or is another application's.
        """
        self._file = path if isinstance(path, HistoryFile) else HistoryFile(path, tell=tell)
        self._rates: dict[str, float | None] = {}

    def of(self, database: str, *, mask: Mask = mask_value) -> DatabaseHistory:
        """Return what concerns one database.

        Args:
            database: its resource.
            mask: takes the secrets out of what is kept of it, as `JobContext.mask` does.
        """
        return DatabaseHistory(self, database, mask)

    def add_step(self, step: PastStep) -> None:
        """Keep how one step went."""
        self.add_steps([step])

    def add_steps(
        self, steps: Sequence[PastStep], *, left: Sequence[UnfinishedStep] = (), mask: Mask = mask_value
    ) -> None:
        """Keep how steps of one run went, in one transaction.

        Args:
            steps: what an earlier run left of their operations is forgotten, unless they were skipped or unfinished.
            left: what this run leaves of them for the next one.
            mask: as for `of`.
        """
        done = [(step.database, step.operation) for step in steps if step.outcome not in ("skipped", *UNFINISHED)]
        self._file.write(
            (_ADD_STEP, [step_row(step, mask) for step in steps]),
            (_TAKE_UP, done),
            (_LEAVE, [unfinished_row(one, mask) for one in left]),
        )

    def steps(
        self,
        *,
        database: str | None = None,
        operation: str | None = None,
        limit: int = 100,
        unfinished: bool = False,
    ) -> list[PastStep]:
        """Return past steps, the newest first.

        Args:
            database, operation: only of these.
            limit: so many at most.
            unfinished: with those that failed or were cancelled, from which nothing is to be learned.
        """
        sql = (
            "SELECT id, database, operation, at, seconds, bytes, outcome, summary, run, predicted, data FROM step"
            " WHERE FILTER AND (? OR outcome NOT IN ('failed', 'cancelled')) ORDER BY id DESC LIMIT ?"
        )
        sql, values = _add_filter(sql, database=database, operation=operation)
        rows = self._read(sql, (*values, unfinished, limit))
        return self._sound("step", rows)

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
        sql, values = _add_filter(sql, database=database, operation=operation)
        rows = self._read(sql, (*values, _RUNS))
        return _median([rate for (rate,) in rows if is_rate(rate)])

    def add_checks(self, database: str, checks: Iterable[CheckRecord], *, mask: Mask = mask_value) -> None:
        """Keep when objects were checked, and what was found."""
        self._file.write(
            (
                "INSERT OR REPLACE INTO checked (database, object, kind, at, seconds, problems, state, findings)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(database, *check_row(checked, mask)) for checked in checks],
            )
        )

    def seconds_waited(self, database: str, runs: Container[str]) -> float:
        """Return for how many seconds the steps of runs on a database, and their attempts, have waited for locks."""
        steps = self.steps(database=database, limit=_STEPS, unfinished=True)
        return sum(step.figure("waited") or 0.0 for step in steps if step.run in runs)

    def latest_checks(self, database: str, kind: str) -> dict[str, CheckRecord]:
        """Return the last check of each object."""
        return {found.object: found for found in self.checks(database) if found.kind == kind}

    def checks(self, database: str) -> list[CheckRecord]:
        """Return the last check of each object, of all kinds."""
        rows = self._read(
            "SELECT database, object, kind, at, seconds, problems, state, findings FROM checked WHERE database = ?",
            (database,),
        )
        return self._sound("checked", rows)

    def remove_checks(self, database: str, checks: Iterable[CheckRecord]) -> None:
        """Forget checks, such as those of another file that was in its place."""
        forget = "DELETE FROM checked WHERE database = ? AND object = ? AND kind = ?"
        self._file.write((forget, [(database, checked.object, checked.kind) for checked in checks]))

    def add_snapshot(self, database: str, kind: str, data: Any, *, at_most: int = 10, mask: Mask = mask_value) -> None:
        """Keep something that may be restored, and forget all of this kind but the newest `at_most`.

        What holds a secret is not kept, and that is told: without it it would be something else that is restored.
        """
        if _holds_secret(data, mask):
            self._file.tell_once(f"what is kept of {kind!r} would hold a secret of the job's, and is not kept")
            return
        forget = (
            "DELETE FROM kept WHERE database = ? AND kind = ? AND id NOT IN"
            " (SELECT id FROM kept WHERE database = ? AND kind = ? ORDER BY id DESC LIMIT ?)"
        )
        self._file.write(
            (
                "INSERT INTO kept (database, kind, at, data) VALUES (?, ?, ?, ?)",
                [(database, kind, time.time(), json.dumps(data))],
            ),
            (forget, [(database, kind, database, kind, at_most)]),
        )

    def snapshots(self, database: str, kind: str) -> list[Snapshot]:
        """Return what was kept, the newest first."""
        rows = self._read(
            "SELECT id, at, data FROM kept WHERE database = ? AND kind = ? ORDER BY id DESC", (database, kind)
        )
        return self._sound("kept", rows)

    def all_snapshots(self, kind: str) -> list[Snapshot]:
        """Return what was kept of all databases, the newest first."""
        rows = self._read("SELECT id, at, data FROM kept WHERE kind = ? ORDER BY id DESC", (kind,))
        return self._sound("kept", rows)

    def defer(self, left: UnfinishedStep, *, mask: Mask = mask_value) -> None:
        """Note a step for the next run."""
        self._file.write((_LEAVE, [unfinished_row(left, mask)]))

    def resume(self, database: str, operation: str) -> None:
        """Forget what was left of an operation, because it has been finished now."""
        self._file.write((_TAKE_UP, [(database, operation)]))

    def deferred_steps(self, databases: Sequence[str] | None = None) -> list[UnfinishedStep]:
        """Return what earlier runs left, the oldest first; of all databases, or of these."""
        one = databases[0] if databases is not None and len(databases) == 1 else None
        sql = "SELECT database, operation, at, reason, parameters, asked FROM remainder WHERE FILTER ORDER BY at"
        rows = self._read(*_add_filter(sql, database=one, operation=None))
        wanted = None if databases is None else set(storable(databases))
        return self._sound("remainder", [row for row in rows if wanted is None or row[0] in wanted])

    def add_unchanged(self, seen: Iterable[tuple[str, str]], *, rules: str) -> None:
        """Note databases on which nothing is due.

        Args:
            seen: each one's resource, and a text that changes when its files do.
            rules: a text that changes with the rules by which nothing was due.
        """
        now = time.time()
        self._file.write(
            (
                "INSERT OR REPLACE INTO seen (database, state, policy, at) VALUES (?, ?, ?, ?)",
                [(database, state, rules, now) for database, state in seen],
            )
        )

    def find_unchanged(self, *, rules: str) -> dict[str, tuple[str, float]]:
        """Return the databases on which nothing was due by these rules: (state, when) by resource."""
        rows = self._read("SELECT database, state, at FROM seen WHERE policy = ?", (rules,))
        return dict(self._sound("seen", rows))

    def refresh(self) -> None:
        """Go on with the file that is at the path now, if that is another one than was opened.

        Raises:
            OSError, sqlite3.Error: it cannot be opened or made.
        """
        self._file.refresh()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._file.read(sql, parameters)

    def _sound(self, table: str, rows: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Return rows as records. Those that make no sense are left out, and with all others like them removed.

        Args:
            table: their table.
            rows: its columns as `_TABLES` names them.
        """
        parse = _TABLES[table].parse
        sound, all_sound = [], True
        for row in rows:
            try:
                sound.append(parse(row))
            except UnsoundRowError:
                all_sound = False
        if not all_sound:
            self._file.remove(self._unsound)
        return sound

    def _unsound(self) -> list[tuple[str, list[tuple[Any, ...]]]]:
        """Return a statement for each table that removes a row, and those rows of it that make no sense."""
        found = []
        for name, table in _TABLES.items():
            where = " AND ".join(f"{key} IS ?" for key in table.columns[: table.keys])
            rows = self._read(f"SELECT {', '.join(table.columns)} FROM {name}")  # noqa: S608 - our own names
            unsound = [row[: table.keys] for row in rows if not _is_sound(row, table.parse)]
            found.append((f"DELETE FROM {name} WHERE {where}", unsound))  # noqa: S608 - our own names
        return found


@frozen
class DatabaseHistory:
    """What the history says of one database, and adds to it. Open as long as its `History` is."""

    history: History
    database: str
    #: Takes the secrets out of what is kept.
    mask: Mask = mask_value

    def add_step(self, step: PastStep, *, left: Sequence[UnfinishedStep] = ()) -> None:
        """Keep how a step went, and what it leaves for the next run."""
        self.history.add_steps([step], left=left, mask=self.mask)

    def throughput(self, operation: str) -> float | None:
        """Return bytes a second; see `History.throughput`."""
        return self.history.throughput(operation, self.database)

    def steps(self, operation: str | None = None, *, limit: int = 100, unfinished: bool = False) -> list[PastStep]:
        """Return past steps, the newest first; see `History.steps`."""
        return self.history.steps(database=self.database, operation=operation, limit=limit, unfinished=unfinished)

    def latest_checks(self, kind: str) -> dict[str, CheckRecord]:
        """Return the last check of each object."""
        return self.history.latest_checks(self.database, kind)

    def add_checks(self, checks: Iterable[CheckRecord]) -> None:
        """Keep when objects were checked."""
        self.history.add_checks(self.database, checks)

    def add_snapshot(self, kind: str, data: Any, *, at_most: int = 10) -> None:
        """Keep something that may be restored."""
        self.history.add_snapshot(self.database, kind, data, at_most=at_most, mask=self.mask)

    def snapshots(self, kind: str) -> list[Snapshot]:
        """Return what was kept, the newest first."""
        return self.history.snapshots(self.database, kind)

    def deferred_steps(self) -> list[UnfinishedStep]:
        """Return what earlier runs left of this database."""
        return self.history.deferred_steps([self.database])


def _median(values: list[float]) -> float | None:
    # not statistics.median, whose module takes longer to import than a run takes in which nothing is due
    if not values:
        return None
    middle = sorted(values)[(len(values) - 1) // 2 : len(values) // 2 + 1]
    return sum(middle) / len(middle)


def _add_filter(sql: str, *, database: str | None, operation: str | None) -> tuple[str, tuple[str, ...]]:
    """Return a statement with what is asked for in the place of WHERE, and its values.

    Written out, because "? IS NULL OR database = ?" would keep SQLite from using an index.
    """
    asked = (("database", database), ("operation", operation))
    given = {name: value for name, value in asked if value is not None}
    return sql.replace("FILTER", " AND ".join(f"{name} = ?" for name in given) or "TRUE"), tuple(given.values())


def _is_sound(row: Sequence[Any], parse: Callable[[Sequence[Any]], Any]) -> bool:
    try:
        parse(row)
    except UnsoundRowError:
        return False
    return True


def _holds_secret(value: Any, mask: Mask) -> bool:
    # text by text: a table that is called "token" hides nothing
    if isinstance(value, str):
        return bool(mask(value) != value)
    if isinstance(value, Mapping):
        return any(_holds_secret(key, mask) or _holds_secret(entry, mask) for key, entry in value.items())
    return isinstance(value, (list, tuple)) and any(_holds_secret(entry, mask) for entry in value)
