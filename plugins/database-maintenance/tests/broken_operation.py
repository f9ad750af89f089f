"""What operations on SQLite that break their promises have in common: the suite, and what its tests are called."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

import pytest

from pitstop_database_maintenance.sqlite.testing import SQLiteOperationContract

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

#: Connections that an operation has left open.
kept: list[sqlite3.Connection] = []


class Contract(SQLiteOperationContract):
    __test__ = False
    breaks: ClassVar[set[str]] = set()
    #: Those that fail or not, depending on what it was just about to do when it was told to stop.
    may_break: ClassVar[set[str]] = set()
    database = {"rows": 50}
    busy_seconds = 0.05

    @pytest.fixture(autouse=True)
    def _close_afterwards(self):
        """Close what an operation has left open, so that it is told of this one only."""
        yield
        while kept:
            kept.pop().close()
