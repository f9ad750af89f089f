"""What kinds of databases that break their promises have in common: the suite, and one that keeps them all."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import ClassVar

import pytest
from sqlite_kind import SQLiteKind

from pitstop_database_maintenance.sqlite.database import SQLiteDatabase
from pitstop_database_maintenance.sqlite.inspection.records import Inspection

NAMES = "test_quote_makes_any_name_safe"
COLUMNS = "test_quote_makes_any_column_safe"
MISSING = "test_missing_database_is_refused_in_words"
SPELLINGS = "test_resource_is_one_text_for_all_spellings"
FAILS = "test_execute_fails_in_words"
TOLD = {f"test_execute_stops_when_the_job_is_told[{why}]" for why in ("cancelled", "its time is over")}
TOLD_BEFORE = "test_execute_refuses_to_begin_for_a_job_that_was_told"
INTERRUPT = "test_interrupt_stops_a_statement"
IDLE = "test_interrupt_with_nothing_to_stop"
MEASURE = "test_measure_grows_with_the_data"
CLOSES = "test_connect_closes_what_it_opened"
CLOSES_RAISING = "test_connect_closes_when_the_block_raises"
CLOSES_TOLD = "test_connect_closes_when_the_job_is_told_to_stop"
LOOKS = "test_inspect_yields_a_record_for_each_in_order"
LOOKS_ONLY = "test_inspect_changes_nothing"
DESCRIBE = "test_describe_is_for_people"
CHANGED = "test_changed_says_nothing_of_the_same_state"

#: Connections that a kind of database has left open.
kept: list[sqlite3.Connection] = []


class Contract(SQLiteKind):
    __test__ = False
    breaks: ClassVar[set[str]] = set()

    @pytest.fixture(autouse=True)
    def _close_afterwards(self):
        """Close what a kind of database has left open, so that it is told of this one only."""
        yield
        while kept:
            kept.pop().close()


class Good(SQLiteDatabase):
    """Keeps its promises, and waits neither for the disk nor for a surveyor's process; others break one or two."""

    @classmethod
    @contextmanager
    def connect(cls, url, context, **options):
        with super().connect(url, context, **options) as database:
            database.execute("PRAGMA synchronous = OFF")
            yield database

    @classmethod
    def inspect(cls, urls, **settings):
        for url in urls:
            size = os.path.getsize(url) if os.path.exists(url) else 0
            yield Inspection(path=url, bytes=size, refused="" if size else "there is no database")
