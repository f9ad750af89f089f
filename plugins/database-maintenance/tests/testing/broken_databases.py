"""Kinds of databases that break their promises, each with the tests that must tell.

No file of tests by its name: `test_contracts_tell_databases.py` runs it, and compares what fails with `breaks`.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import Any, ClassVar

import attrs
import pytest
from sqlite_kind import SQLiteKind

from pitstop.errors import InvalidValueError, JobCancelledError, OperationError
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

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


_kept: list[sqlite3.Connection] = []


class Contract(SQLiteKind):
    __test__ = False
    breaks: ClassVar[set[str]] = set()

    @pytest.fixture(autouse=True)
    def _closed_afterwards(self):
        """Close what a kind of database has left open, so that it is told of this one only."""
        yield
        while _kept:
            _kept.pop().close()


class Good(SQLiteDatabase):
    """Keeps its promises, and does not wait for the disk; what follows breaks one or two."""

    @classmethod
    @contextmanager
    def connect(cls, url, context, **options):
        with super().connect(url, context, **options) as database:
            database.execute("PRAGMA synchronous = OFF")
            yield database


class TestGood(Contract):
    database = Good


# -- names -----------------------------------------------------------------------------------------------------------


class DoublesNothing(Good):
    def quote(self, name):
        super().quote(name)
        return f'"{name}"'


class TestDoublesNothing(Contract):
    database = DoublesNothing
    breaks = {NAMES, COLUMNS}


class Apostrophes(Good):
    def quote(self, name):
        super().quote(name)
        doubled = name.replace("'", "''")
        return f"'{doubled}'"


class TestApostrophes(Contract):
    """SQLite takes them for names where no text can stand, so that it seems to work."""

    database = Apostrophes
    breaks = {COLUMNS}


class Shortens(Good):
    def quote(self, name):
        return super().quote(name[:63])


class TestShortens(Contract):
    database = Shortens
    breaks = {NAMES}


class LooksAlike(Good):
    def quote(self, name):
        import unicodedata

        return super().quote(unicodedata.normalize("NFC", name))


class TestLooksAlike(Contract):
    database = LooksAlike
    breaks = {NAMES}


class RefusesByValueError(Good):
    def quote(self, name):
        try:
            return super().quote(name)
        except InvalidValueError:
            raise ValueError("no") from None


class TestRefusesByValueError(Contract):
    database = RefusesByValueError
    breaks = {NAMES}


# -- before and around a connection ----------------------------------------------------------------------------------


class Leaks(Good):
    @classmethod
    @contextmanager
    def connect(cls, url, context, **options):
        _kept.append(sqlite3.connect(url, check_same_thread=False))
        with super().connect(url, context, **options) as database:
            yield database


class TestLeaks(Contract):
    database = Leaks
    breaks = {CLOSES, CLOSES_RAISING, CLOSES_TOLD, MISSING}  # what it keeps open, it has also made


class ClosesOnlyWhenAllIsWell(Good):
    @classmethod
    @contextmanager
    def connect(cls, url, context, **options):
        with super().connect(url, context, **options) as database:
            second = sqlite3.connect(url, check_same_thread=False)
            _kept.append(second)
            yield database
            second.close()


class TestClosesOnlyWhenAllIsWell(Contract):
    database = ClosesOnlyWhenAllIsWell
    breaks = {CLOSES_RAISING, CLOSES_TOLD}


class SwallowsTheBlock(Good):
    @classmethod
    @contextmanager
    def connect(cls, url, context, **options):
        try:
            with super().connect(url, context, **options) as database:
                yield database
        except Exception as error:
            raise OperationError(f"it failed: {error}") from error


class TestSwallowsTheBlock(Contract):
    database = SwallowsTheBlock
    breaks = {CLOSES_RAISING, CLOSES_TOLD}


class ChecksByMaking(Good):
    @classmethod
    def check(cls, url, **options):
        sqlite3.connect(url).close()
        super().check(url, **options)


class TestChecksByMaking(Contract):
    database = ChecksByMaking
    breaks = {MISSING}


class ChecksByWriting(Good):
    @classmethod
    def check(cls, url, **options):
        super().check(url, **options)
        connection = sqlite3.connect(url)
        connection.execute("CREATE TABLE IF NOT EXISTS may_i_write (id)")
        connection.close()


class TestChecksByWriting(Contract):
    database = ChecksByWriting
    breaks = {"test_check_accepts_what_is_right"}


class RefusesByOSError(Good):
    @classmethod
    def check(cls, url, **options):
        open(url).close()
        super().check(url, **options)


class TestRefusesByOSError(Contract):
    database = RefusesByOSError
    breaks = {MISSING}


class OptionsWithoutMeaning(Good):
    options: ClassVar[Any] = {"force": ""}


class TestOptionsWithoutMeaning(Contract):
    database = OptionsWithoutMeaning
    breaks = {"test_database_is_one"}


class OddOptionsCrash(Good):
    @classmethod
    def check(cls, url, **options):
        if "force" in options and options["force"] + 1:
            return
        super().check(url, **options)


class TestOddOptionsCrash(Contract):
    database = OddOptionsCrash
    breaks = {"test_options_with_odd_values_are_refused_in_words"}


class ResourceIsTheURL(Good):
    @classmethod
    def resource(cls, url):
        return url


class TestResourceIsTheURL(Contract):
    database = ResourceIsTheURL
    breaks = {SPELLINGS, "test_resource_holds_no_password"}

    def with_password(self, url, password):
        return f"sqlite://me:{password}@{url}"


class ResourceIsOneForAll(Good):
    @classmethod
    def resource(cls, url):
        return "sqlite"


class TestResourceIsOneForAll(Contract):
    database = ResourceIsOneForAll
    breaks = {"test_resource_of_two_databases_is_not_one"}


class ResourceMustBeThere(Good):
    @classmethod
    def resource(cls, url):
        open(url).close() if "://" not in url else None
        return super().resource(url)


class TestResourceMustBeThere(Contract):
    database = ResourceMustBeThere
    breaks = {"test_resource_takes_variables"}


class OneAtATime(Good):
    """Keeps the connection on the class, so that the second takes over the first one's."""

    _one: ClassVar[Any] = None

    @classmethod
    @contextmanager
    def connect(cls, url, context, **options):
        if cls._one is not None:
            yield cls._one
            return
        with super().connect(url, context, **options) as cls._one:
            try:
                yield cls._one
            finally:
                cls._one = None


class TestOneAtATime(Contract):
    database = OneAtATime
    breaks = {"test_connections_in_two_threads"}


# -- statements ------------------------------------------------------------------------------------------------------


class ReturnsAnIterator(Good):
    def execute(self, sql, parameters=()):
        rows = super().execute(sql, parameters)
        return rows if sql.startswith("PRAGMA") else iter(rows)


class TestReturnsAnIterator(Contract):
    database = ReturnsAnIterator
    breaks = {"test_execute_returns_rows_as_a_list"}


class IgnoresNames(Good):
    def execute(self, sql, parameters=()):
        return super().execute(sql, tuple(parameters))


class TestIgnoresNames(Contract):
    database = IgnoresNames
    breaks = {"test_execute_takes_parameters"}


class FormatsParameters(Good):
    def execute(self, sql, parameters=()):
        for value in parameters if isinstance(parameters, tuple) else ():
            sql = sql.replace("?", f"'{value}'" if isinstance(value, str) else str(value), 1)
            parameters = ()
        return super().execute(sql, parameters)


class TestFormatsParameters(Contract):
    database = FormatsParameters
    breaks = {"test_execute_takes_parameters", NAMES}


class TakesAllBack(Good):
    @classmethod
    @contextmanager
    def connect(cls, url, context, **options):
        with super().connect(url, context, **options) as database:
            database.execute("BEGIN")
            yield database
            database.rollback()


class TestTakesAllBack(Contract):
    database = TakesAllBack
    breaks = {"test_execute_is_for_good"}


class RaisesTheDrivers(Good):
    def execute(self, sql, parameters=()):
        try:
            return super().execute(sql, parameters)
        except OperationError as error:
            if error.__cause__ is not None:
                raise error.__cause__ from None
            raise


class TestRaisesTheDrivers(Contract):
    database = RaisesTheDrivers
    breaks = {FAILS, INTERRUPT}


class NotToBePickledError(OperationError):
    fault: Any


class RaisesWhatCannotBeSent(Good):
    def execute(self, sql, parameters=()):
        try:
            return super().execute(sql, parameters)
        except OperationError as error:
            raise NotToBePickledError(str(error), fault=lambda: None) from error


class TestRaisesWhatCannotBeSent(Contract):
    database = RaisesWhatCannotBeSent
    breaks = {FAILS, INTERRUPT}


class SwallowsTheEnd(Good):
    def execute(self, sql, parameters=()):
        try:
            return super().execute(sql, parameters)
        except JobCancelledError:
            return []


class TestSwallowsTheEnd(Contract):
    database = SwallowsTheEnd
    breaks = {*TOLD, TOLD_BEFORE}


class MistakesTheEnd(Good):
    def execute(self, sql, parameters=()):
        try:
            return super().execute(sql, parameters)
        except JobCancelledError as error:
            raise OperationError(f"the statement failed: {error}") from error


class TestMistakesTheEnd(Contract):
    database = MistakesTheEnd
    breaks = {*TOLD, TOLD_BEFORE}


class Deaf(Good):
    """Hears neither the context nor an interrupt until the statement is over."""

    STEPS = 2**31 - 1

    def interrupt(self):
        pass

    def execute(self, sql, parameters=()):
        # ends by itself: no test is to go on for ever
        return super().execute(sql.replace("FROM n)", "FROM n WHERE i < 6000000)"), parameters)


class TestDeaf(Contract):
    database = Deaf
    stops_within = 0.1
    breaks = {*TOLD, TOLD_BEFORE, INTERRUPT}


class InterruptDoesNothing(Good):
    def interrupt(self):
        pass

    def execute(self, sql, parameters=()):
        return super().execute(sql.replace("FROM n)", "FROM n WHERE i < 9000000)"), parameters)


class TestInterruptDoesNothing(Contract):
    database = InterruptDoesNothing
    stops_within = 0.2
    breaks = {INTERRUPT}


class InterruptNeedsAStatement(Good):
    _runs = False

    def execute(self, sql, parameters=()):
        self._runs = True
        try:
            return super().execute(sql, parameters)
        finally:
            self._runs = False

    def interrupt(self):
        if not self._runs:
            raise OperationError("no statement runs")
        super().interrupt()


class TestInterruptNeedsAStatement(Contract):
    database = InterruptNeedsAStatement
    breaks = {IDLE}


class InterruptIsForGood(Good):
    _interrupted = False

    def execute(self, sql, parameters=()):
        if self._interrupted and sql == "SELECT 1":
            self.check_stop()
            raise OperationError("interrupted")
        return super().execute(sql, parameters)

    def interrupt(self):
        self._interrupted = True
        super().interrupt()


class TestInterruptIsForGood(Contract):
    database = InterruptIsForGood
    breaks = {IDLE, INTERRUPT}


class MeasuresTheSame(Good):
    def measure(self):
        return attrs.evolve(super().measure(), bytes=4096)


class TestMeasuresTheSame(Contract):
    database = MeasuresTheSame
    breaks = {MEASURE}


class MeasuresMoreThanAll(Good):
    def measure(self):
        found = super().measure()
        return attrs.evolve(found, free_bytes=found.bytes + 1)


class TestMeasuresMoreThanAll(Contract):
    database = MeasuresMoreThanAll
    breaks = {MEASURE}


# -- looking ---------------------------------------------------------------------------------------------------------


class LooksByWriting(Good):
    @classmethod
    def inspect(cls, urls, **settings):
        for url in urls:
            sqlite3.connect(url).close()
            yield from super().inspect([url], **settings)


class TestLooksByWriting(Contract):
    database = LooksByWriting
    breaks = {LOOKS_ONLY}


class LeavesACache(Good):
    @classmethod
    def inspect(cls, urls, **settings):
        urls = list(urls)
        for url in urls:
            open(f"{url}.seen", "w").close()
        return super().inspect(urls, **settings)


class TestLeavesACache(Contract):
    database = LeavesACache
    breaks = {LOOKS_ONLY}


class LooksBackwards(Good):
    @classmethod
    def inspect(cls, urls, **settings):
        return super().inspect(reversed(list(urls)), **settings)


class TestLooksBackwards(Contract):
    database = LooksBackwards
    breaks = {LOOKS}


class LooksAtWhatIsThere(Good):
    @classmethod
    def inspect(cls, urls, **settings):
        return (found for found in super().inspect(urls, **settings) if not found.refused)


class TestLooksAtWhatIsThere(Contract):
    database = LooksAtWhatIsThere
    breaks = {LOOKS}


class FailsAtTheFirst(Good):
    @classmethod
    def inspect(cls, urls, **settings):
        for found in super().inspect(urls, **settings):
            if found.refused:
                raise FileNotFoundError(found.refused)
            yield found


class TestFailsAtTheFirst(Contract):
    database = FailsAtTheFirst
    breaks = {LOOKS, LOOKS_ONLY, DESCRIBE}


class DescribesInNumbers(Good):
    @classmethod
    def describe(cls, inspection, history=None):
        return attrs.evolve(super().describe(inspection), facts=(("size", inspection.bytes),))


class TestDescribesInNumbers(Contract):
    database = DescribesInNumbers
    breaks = {DESCRIBE}


class FingerprintOfSets(Good):
    @classmethod
    def fingerprint(cls, inspection):
        return {"tables": {"a"}}


class TestFingerprintOfSets(Contract):
    database = FingerprintOfSets
    breaks = {CHANGED}


class AlwaysChanged(Good):
    @classmethod
    def changed(cls, state, inspection):
        return "it may have changed"


class TestAlwaysChanged(Contract):
    database = AlwaysChanged
    breaks = {CHANGED}


class PoliciesByName(Good):
    @classmethod
    def policies(cls):
        return {"space": "module:policy"}


class TestPoliciesByName(Contract):
    database = PoliciesByName
    breaks = {"test_policies_can_be_called"}
