"""Operations on SQLite that break what is promised of rows, leftovers, stopping, locks and the schema.

No file of tests by its name: `test_contracts_tell_operations.py` runs it, and compares what fails with `breaks`.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from typing import Any

from broken_operation import (
    BLOCKED,
    CLOSES,
    FREE,
    KEPT,
    KEPT_STOPPED,
    LOCKED,
    LOG_IS_LEFT,
    NAMES,
    READ,
    SCHEMA,
    SILENT,
    STOPS,
    STOPS_LOCKED,
    Contract,
    kept,
)

import pitstop
from pitstop_database_maintenance.sqlite.testing.databases import quote

# -- rows ------------------------------------------------------------------------------------------------------------


def changes_rows(db: Any) -> None:
    """Clean up more than it says."""
    db.execute("DELETE FROM event WHERE id > 40")


class TestChangesRows(Contract):
    operation = changes_rows
    breaks = {*KEPT, SCHEMA, READ}
    may_break = KEPT_STOPPED


def changes_others(db: Any, *, table: str = "event") -> None:
    """Delete from the table that it is given, and from another one."""
    db.execute(f"DELETE FROM {db.quote(table)}")
    db.execute("DELETE FROM kind WHERE id = 2")


class TestChangesOthers(Contract):
    operation = changes_others
    keeps_rows = False
    breaks = {*KEPT, NAMES, SCHEMA, READ}
    may_break = KEPT_STOPPED


def commits_half(db: Any) -> None:
    """Move rows out and in again, with nothing around the two."""
    db.execute("CREATE TEMP TABLE aside AS SELECT * FROM event")
    db.execute("DELETE FROM event")
    db.check_stop()
    db.execute("INSERT INTO event SELECT * FROM aside")
    db.execute("DROP TABLE aside")


class TestCommitsHalf(Contract):
    operation = commits_half
    breaks = {test for test in KEPT_STOPPED if "last" in test}
    may_break = KEPT_STOPPED


def damages(db: Any) -> None:
    """Mend the schema by hand."""
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_master SET sql = replace(sql, '(kind)', '(at)') WHERE name = 'event_by_kind'")


class TestDamages(Contract):
    operation = damages
    breaks = {*KEPT, SCHEMA}
    may_break = KEPT_STOPPED | {READ}


# -- what is left ----------------------------------------------------------------------------------------------------


def leaves_a_file(db: Any) -> None:
    """Forget a file beside the database."""
    open(f"{db.path}.old", "w").close()


class TestLeavesAFile(Contract):
    operation = leaves_a_file
    breaks = {*KEPT, *KEPT_STOPPED}


def cleans_up_only_when_all_is_well(db: Any) -> None:
    """Remove its file at the end, but not when it is stopped."""
    import os

    path = f"{db.path}.work"
    open(path, "w").close()
    db.check_stop()
    os.unlink(path)


class TestCleansUpOnlyWhenAllIsWell(Contract):
    operation = cleans_up_only_when_all_is_well
    breaks = {test for test in KEPT_STOPPED if "last" in test}
    may_break = KEPT_STOPPED


def keeps_a_connection(db: Any) -> None:
    """Look by a connection of its own, and leave it open."""
    connection = sqlite3.connect(db.path, check_same_thread=False, timeout=0)
    with suppress(sqlite3.OperationalError):
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    kept.append(connection)


class TestKeepsAConnection(Contract):
    operation = keeps_a_connection
    breaks = {CLOSES, *LOG_IS_LEFT}


def keeps_a_lock(db: Any) -> None:
    """Lock the database by a connection of its own, and never let go."""
    connection = sqlite3.connect(db.path, check_same_thread=False, isolation_level=None, timeout=0)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        connection.close()
        raise pitstop.TransientError("locked") from error
    kept.append(connection)


class TestKeepsALock(Contract):
    operation = keeps_a_lock
    repeatable = False
    breaks = {CLOSES, *FREE, *LOG_IS_LEFT}


# -- stopping and locks ----------------------------------------------------------------------------------------------


def never_asks(db: Any) -> None:
    """Work for a while, and never ask."""
    rows = db.execute("SELECT id FROM event")
    db.context.progress(0, len(rows), "rows")
    ends = time.thread_time() + 0.8  # of the processor: time for which it waits for one does not count against it
    while time.thread_time() < ends:
        sum(number for (number,) in rows)


class TestNeverAsks(Contract):
    operation = never_asks
    stops_within = 0.2
    breaks = {"test_execute_stops_when_it_is_told[cancelled-at its last sign]"}
    # told earlier, its one statement may be where it stops
    may_break = {*STOPS, SILENT, *STOPS_LOCKED}


def swallows(db: Any) -> pitstop.Result:
    """Take the end for another error."""
    for _ in range(3):
        try:
            db.check_stop()
            db.execute("SELECT 1")
        except pitstop.PitstopError:
            db.context.logger.debug("skipped")
    return pitstop.Result.changed("done")


class TestSwallows(Contract):
    operation = swallows
    breaks = STOPS
    may_break = {SILENT}


def hangs_on_a_lock(db: Any) -> None:
    """Try again and again."""
    with closing(sqlite3.connect(db.path, isolation_level=None, timeout=0)) as connection:
        db.context.progress(0)
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError:
                time.sleep(0.01)
        connection.execute("COMMIT")


class TestHangsOnALock(Contract):
    operation = hangs_on_a_lock
    stops_within = 0.5
    waits_within = 1.0
    breaks = {*LOCKED, *STOPS_LOCKED, BLOCKED}


def raises_the_drivers(db: Any) -> None:
    """Let the driver's own error out."""
    connection = sqlite3.connect(db.path, isolation_level=None, timeout=0)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
    finally:
        connection.close()


class TestRaisesTheDrivers(Contract):
    operation = raises_the_drivers
    breaks = {*LOCKED, BLOCKED}


def fails_for_good(db: Any) -> None:
    """Leave a mark when it fails, and never work again."""
    import os

    mark = f"{db.path}.failed"
    if os.path.exists(mark):
        raise pitstop.OperationError("it failed the last time")
    try:
        with db.transaction():
            db.execute("SELECT 1")
    except pitstop.TransientError:
        open(mark, "w").close()
        raise


class TestFailsForGood(Contract):
    operation = fails_for_good
    breaks = {*LOCKED, BLOCKED}


def undocumented(db: Any, *, table: str = "event") -> None:
    db.execute(f"SELECT count(*) FROM {db.quote(table)}")


class TestUndocumented(Contract):
    operation = undocumented
    breaks = {"test_operation_says_what_it_does"}


def reads_past_the_quotes(db: Any, *, table: str = "event") -> None:
    """Quote right, and look the table up by a text that it puts together."""
    [(found,)] = db.execute(f"SELECT count(*) FROM sqlite_master WHERE name = '{table}'")
    if not found:
        raise pitstop.InvalidValueError(where="reads", name="table", problem="there is none")
    db.execute(f"SELECT count(*) FROM {quote(table)}")


class TestReadsPastTheQuotes(Contract):
    operation = reads_past_the_quotes
    breaks = {NAMES}


# -- the schema ------------------------------------------------------------------------------------------------------


def drops_an_index(db: Any) -> None:
    """Take an index of the user's away."""
    db.check_stop()
    db.execute("DROP INDEX IF EXISTS event_by_kind")


class TestDropsAnIndex(Contract):
    operation = drops_an_index
    breaks = KEPT | {SCHEMA}
    may_break = KEPT_STOPPED | {READ}


def counts_its_runs(db: Any) -> None:
    """Keep a number where the application keeps its own."""
    db.check_stop()
    db.execute("PRAGMA user_version = 7")


class TestCountsItsRuns(Contract):
    operation = counts_its_runs
    breaks = KEPT | {SCHEMA}
    may_break = KEPT_STOPPED | {READ}


def forgets_to_commit(db: Any, *, table: str = "event") -> pitstop.Result:
    """Say that rows are gone, which come back when the connection closes."""
    db.check_stop()
    db.execute("BEGIN")
    db.execute(f"DELETE FROM {db.quote(table)}")
    return pitstop.Result.changed("all deleted")


class TestForgetsToCommit(Contract):
    operation = forgets_to_commit
    keeps_rows = False
    breaks = {"test_execute_completes", "test_execute_returns_what_can_be_stored", "test_execute_twice_in_a_row"}
    may_break = (
        KEPT
        | KEPT_STOPPED
        | LOCKED
        | {
            SCHEMA,
            NAMES,
            READ,
            BLOCKED,
            SILENT,
            "test_jobs_run_side_by_side",
            "test_nothing_is_locked_afterwards",
            *STOPS_LOCKED,
        }
    )
