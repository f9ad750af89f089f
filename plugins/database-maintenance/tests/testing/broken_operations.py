"""Operations on SQLite that break their promises, each with the tests that must tell.

No file of tests by its name: `test_contracts_tell_operations.py` runs it, and compares what fails with `breaks`.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from typing import Any, ClassVar

import pytest

import pitstop
from pitstop_database_maintenance.sqlite.testing import SQLiteOperationContract
from pitstop_database_maintenance.sqlite.testing.databases import quoted

MOMENTS = ("at its first sign", "in the middle", "at its last sign")
MODES = ("delete", "wal")
KEPT = {f"test_rows_are_kept[{mode}]" for mode in MODES}
KEPT_STOPPED = {f"test_rows_are_kept_when_it_is_stopped[{mode}-{moment}]" for mode in MODES for moment in MOMENTS}
LOG_IS_LEFT = {test for test in KEPT | KEPT_STOPPED if "[wal" in test}
LOCKED = {f"test_a_lock_of_somebody_else_makes_it_fail_in_words[{mode}]" for mode in MODES}
STOPS_LOCKED = {f"test_it_stops_while_it_waits_for_a_lock[{mode}]" for mode in MODES}
BLOCKED = "test_a_reader_beside_it_does_no_harm[delete]"  # a reader keeps it from writing
READ = "test_a_reader_beside_it_does_no_harm[wal]"  # and here it does not
STOPS = {f"test_execute_stops_when_it_is_told[cancelled-{moment}]" for moment in ("before it begins", *MOMENTS)}
FREE = {f"test_nothing_is_locked_afterwards[{mode}]" for mode in MODES}
NAMES = "test_names_are_quoted"
SCHEMA = "test_names_in_the_schema_do_no_harm"
SILENT = "test_execute_stops_in_its_longest_silence"
CLOSES = "test_execute_closes_what_it_opened"


_kept: list[sqlite3.Connection] = []


class Contract(SQLiteOperationContract):
    __test__ = False
    breaks: ClassVar[set[str]] = set()
    #: Those that fail or not, depending on what it was just about to do when it was told to stop.
    may_break: ClassVar[set[str]] = set()
    database = {"rows": 50}
    busy_seconds = 0.05

    @pytest.fixture(autouse=True)
    def _closed_afterwards(self):
        """Close what an operation has left open, so that it is told of this one only."""
        yield
        while _kept:
            _kept.pop().close()


def good(db: Any, *, table: str = "event") -> pitstop.Result:
    """Write a table's rows anew, one at a time, in one transaction."""
    name = db.quote(table)
    ids = [number for (number,) in db.execute(f"SELECT id FROM {name}")]
    with db.transaction():
        for done, number in enumerate(ids):
            db.check_stop()
            db.execute(f"UPDATE {name} SET id = id WHERE id = ?", (number,))
            db.context.progress(done + 1, len(ids), "rows")
    return pitstop.Result.changed("done")


class TestGood(Contract):
    operation = good


# -- names -----------------------------------------------------------------------------------------------------------


def unquoted(db: Any, *, table: str = "event") -> None:
    """Forget to quote."""
    db.execute(f"SELECT count(*) FROM {table}")


class TestUnquoted(Contract):
    operation = unquoted
    breaks = {NAMES}


def quotes_without_doubling(db: Any, *, table: str = "event") -> None:
    """Quote by hand."""
    db.execute(f'SELECT count(*) FROM "{table}"')


class TestQuotesWithoutDoubling(Contract):
    operation = quotes_without_doubling
    breaks = {NAMES}


def apostrophes(db: Any, *, table: str = "event") -> None:
    """Take the name for a text."""
    db.execute(f"SELECT count(*) FROM '{table}'")


class TestApostrophes(Contract):
    operation = apostrophes
    breaks = {NAMES}


def several_statements(db: Any, *, table: str = "event") -> None:
    """Run what looks like several statements one by one, whatever fails."""
    for statement in f'SELECT count(*) FROM "{table}"'.split(";"):
        try:
            db.execute(statement.strip().removesuffix('"'))
        except pitstop.OperationError:
            db.context.logger.debug("skipped")


class TestSeveralStatements(Contract):
    """The injection works: the table x is gone, and the operation says that it has succeeded."""

    operation = several_statements
    breaks = {NAMES}


def unquoted_indexes(db: Any, *, indexes: list[str] | None = None) -> None:
    """Quote tables, but not indexes."""
    for index in indexes or ["event_by_kind"]:
        db.execute(f"REINDEX {index}")


class TestUnquotedIndexes(Contract):
    operation = unquoted_indexes
    breaks = {NAMES}


def unquoted_column(db: Any, *, table: str = "event", column: str = "kind") -> None:
    """Quote tables, but not columns."""
    db.execute(f"SELECT max({column}) FROM {db.quote(table)}")


class TestUnquotedColumn(Contract):
    """With the table of the same name all is well but the column."""

    operation = unquoted_column
    breaks = {NAMES}

    def make_parameters(self, folder):
        return {"column": "id"}


def unquoted_by_another_name(db: Any, *, what: str = "event") -> None:
    """Take a table under a name of its own."""
    db.execute(f"SELECT count(*) FROM {what}")


class TestUnquotedByAnotherName(Contract):
    operation = unquoted_by_another_name
    names_of = {"what": "table"}
    breaks = {NAMES}


def every_table_unquoted(db: Any) -> None:
    """Take names from the schema for granted."""
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
        db.execute(f"SELECT count(*) FROM {name}")


class TestEveryTableUnquoted(Contract):
    operation = every_table_unquoted
    breaks = {SCHEMA}


def warns_of_some(db: Any, *, tables: list[str] | None = None) -> pitstop.Result:
    """Go on with the others when one fails, and fail with all that need more than quotes."""
    there_are = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    warnings = []
    for name in tables or [name for (name,) in there_are]:
        try:
            db.execute(f'SELECT count(*) FROM "{name}"')
        except pitstop.OperationError as error:
            warnings.append(str(error))
    return pitstop.Result.unchanged("looked", warnings=tuple(warnings))


class TestWarnsOfSome(Contract):
    """It completes, and only its warnings tell what it did not do."""

    operation = warns_of_some
    breaks = {NAMES, SCHEMA}


def knows_words_only(db: Any, *, table: str = "event") -> None:
    """Look for the name among those that are words."""
    known = [name for (name,) in db.execute("SELECT name FROM sqlite_master") if name.isidentifier()]
    if table not in known:
        raise pitstop.UnknownNameError(kind="table", name=table, known=tuple(known))


class TestKnowsWordsOnly(Contract):
    """It says that there is no such table, and there is."""

    operation = knows_words_only
    breaks = {NAMES}


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
    _kept.append(connection)


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
    _kept.append(connection)


class TestKeepsALock(Contract):
    operation = keeps_a_lock
    repeatable = False
    breaks = {CLOSES, *FREE, *LOG_IS_LEFT}


# -- stopping and locks ----------------------------------------------------------------------------------------------


def never_asks(db: Any) -> None:
    """Work for a while, and never ask."""
    rows = db.execute("SELECT id FROM event")
    db.context.progress(0, len(rows), "rows")
    ends = time.monotonic() + 0.8
    while time.monotonic() < ends:
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
    db.execute(f"SELECT count(*) FROM {quoted(table)}")


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
