"""How the statistics of one table are gathered, and when a limited look at it is not to be believed. Owns both.

With a limit SQLite looks at so many entries at the beginning of each index. Of an index with few distinct values it
then sees one or two, and takes what it saw of them for all that there are: an index that tells half of a million rows
from the other half is said to leave 1001 of them, and queries choose it that should not (navidrome's pull request 5740
on GitHub; measured with 3.40.1 and 3.51.1). Such figures never reach the file: these indexes are looked at in full.

Nor is what it says of the number of rows, which it tells from the cells on one way through a b-tree
(sqlite3BtreeRowCountEst): after a VACUUM it was off by 1.8 times (3.40.1). That number is counted.

Samples of a library that was compiled with STAT4 (`sqlite_stat4`) are kept: one that was not would delete them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import takewhile
from typing import Any, Final

from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection
from pitstop_database_maintenance.sqlite.connection.schema import count_rows, has_table

#: An index of which at least so many of the entries that were looked at had one value was seen in too few values.
_RUNS: Final = 10
#: By how much the share of rows that one value has may differ from what it was before.
_FACTOR: Final = 10
#: Seconds that a row of an index takes to be looked at. Measured: 0.06 microseconds where all is in memory.
_SECONDS_PER_ROW: Final = 1e-7
#: So many rows are counted within the transaction in which the rest is gathered: some milliseconds at most.
_COUNTED_AT_ONCE: Final = 50_000


def gather(db: SQLiteConnection, table: str, *, limit: int) -> tuple[list[str], list[str]]:
    """Gather the statistics of a table; writers wait for as long as it looks at one index.

    Args:
        db: the database.
        table: its name.
        limit: how many entries of each index to look at; 0 for all.

    Returns:
        The indexes that were looked at as a whole although there was a limit; and a warning for each that was not,
        because writers would have waited for too long.

    Raises:
        SQLiteFailure: it failed; the table's statistics are as before.
        JobCancelledError, DeadlineExceededError, TimeLimitReachedError: the job was asked to stop; they are as before,
            or those of single indexes are missing that would have been wrong.
    """
    doubtful = _gather_limited(db, table, limit)
    in_full, warnings = [], []
    for index, rows in doubtful.items():
        expected = rows * _SECONDS_PER_ROW
        if db.limits.max_stall is not None and expected > db.limits.max_stall:
            warnings.append(
                f"index {index!r} has few distinct values and was not looked at in full, which would keep writers "
                f"waiting for about {expected:.2f} s; its statistics are as before"
            )
            continue
        db.check_stop()
        db.execute("PRAGMA analysis_limit = 0")
        with _preserve_samples(db, table):
            db.execute(f"ANALYZE main.{db.quote(index)}")
        in_full.append(index)
    if limit and _count_rows(_figures(db, table)) > _COUNTED_AT_ONCE:
        corrected = _correct_figures(db, table, limit)
        if corrected:
            with db.transaction():
                _write(db, table, corrected)
    return in_full, warnings


def _gather_limited(db: SQLiteConnection, table: str, limit: int) -> dict[str, int]:
    """Analyze a table and take back what is not to be believed; return these indexes, and how many rows they have."""
    # set in either case: the library may have been built with a limit of its own
    db.execute(f"PRAGMA analysis_limit = {limit}")
    with _preserve_samples(db, table):
        before = _figures(db, table)
        db.execute(f"ANALYZE main.{db.quote(table)}")
        if not limit:
            return {}
        after = _figures(db, table)
        doubtful = {
            index: numbers[0]
            for index, stat in after.items()
            if index is not None and is_doubtful(numbers := _numbers(stat), _numbers(before.get(index)), limit)
        }
        for index in doubtful:
            db.execute("DELETE FROM main.sqlite_stat1 WHERE tbl = ? AND idx = ?", (table, index))
            if index in before:
                db.execute("INSERT INTO main.sqlite_stat1 VALUES (?, ?, ?)", (table, index, before[index]))
        if _count_rows(after) <= _COUNTED_AT_ONCE:
            _write(db, table, _correct_figures(db, table, limit))
    return doubtful


def _correct_figures(db: SQLiteConnection, table: str, limit: int) -> dict[Any, str]:
    """Return the figures that say another number of rows than there are as they should be, by index.

    Nothing if all was looked at, or if the rows cannot be counted: in time, or without what the application has.
    """
    figures = _figures(db, table)
    estimated = _count_rows(figures)
    most = db.limits.max_stall
    waits = db.in_transaction or not db.has_wal
    if estimated <= limit or (waits and most is not None and estimated * _SECONDS_PER_ROW > most):
        return {}
    partial = {name for (name,) in db.execute("SELECT name FROM pragma_index_list(?, 'main') WHERE partial", (table,))}
    with nullcontext() if db.in_transaction else db.reading():
        rows = count_rows(db, table)
    if rows is None:
        return {}
    beginnings = {index: stat.partition(" ") for index, stat in figures.items() if _numbers(stat)}
    return {
        index: f"{rows}{space}{rest}"
        for index, (first, space, rest) in beginnings.items()
        if index not in partial and int(first) != rows
    }


def _write(db: SQLiteConnection, table: str, figures: dict[Any, str]) -> None:
    for index, stat in figures.items():
        db.execute("UPDATE main.sqlite_stat1 SET stat = ? WHERE tbl = ? AND idx IS ?", (stat, table, index))


def _count_rows(figures: dict[Any, Any]) -> int:
    """Return how many rows the figures of a table say that it has."""
    return max((numbers[0] for stat in figures.values() if (numbers := _numbers(stat))), default=0)


def is_doubtful(now: list[int], before: list[int], limit: int) -> bool:
    """Return whether limited figures of an index may be far from the truth.

    Args:
        now: the rows, and for each column of the key how many rows have the same value in it and in those before it.
        before: the same as it was; empty if nothing was known.
        limit: how many entries were looked at.
    """
    if len(now) < 2 or now[0] <= limit:
        return False  # it was looked at as a whole
    if any(same > limit / _RUNS for same in now[1:]):
        return True
    if len(before) != len(now) or not before[0]:
        return False
    shares = [(one / now[0], other / before[0]) for one, other in zip(now[1:], before[1:], strict=True)]
    # what one row alone has is no more than 1 of all, whatever their number has become
    return any(
        max(a, b) > _FACTOR * min(a, b) and max(one, other) > _FACTOR
        for (a, b), one, other in zip(shares, now[1:], before[1:], strict=True)
    )


@contextmanager
def _preserve_samples(db: SQLiteConnection, table: str) -> Iterator[None]:
    """Have a transaction within, at the end of which a table has its STAT4 samples again if new ones did not come."""
    with db.transaction():
        old = _samples(db, table)
        yield
        kept = {row[1] for row in _samples(db, table)}
        for row in old:
            if row[1] not in kept:
                places = ", ".join("?" * len(row))
                db.execute(f"INSERT INTO main.sqlite_stat4 VALUES ({places})", row)  # noqa: S608 - only question marks


def _samples(db: SQLiteConnection, table: str) -> list[tuple[Any, ...]]:
    if not has_table(db, "sqlite_stat4"):
        return []
    return db.execute("SELECT * FROM main.sqlite_stat4 WHERE tbl = ?", (table,))


def _figures(db: SQLiteConnection, table: str) -> dict[Any, Any]:
    if not has_table(db, "sqlite_stat1"):
        return {}
    return dict(db.execute("SELECT idx, stat FROM main.sqlite_stat1 WHERE tbl = ?", (table,)))


def _numbers(stat: object) -> list[int]:
    """Return the numbers with which a row of sqlite_stat1 begins; words may follow (sqlite.org/fileformat2.html)."""
    words = stat.split() if isinstance(stat, str) else []
    return [int(word) for word in takewhile(str.isdecimal, words)]
