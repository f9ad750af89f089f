"""Kinds of databases that break what is promised of statements.

No file of tests by its name: `test_contracts_tell_databases.py` runs it, and compares what fails with `breaks`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import attrs
from broken_kind import FAILS, IDLE, INTERRUPT, MEASURE, NAMES, TOLD, TOLD_BEFORE, Contract, Good

from pitstop.errors import JobCancelledError, OperationError


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
