"""Kinds of databases that break what is promised before and around a connection, and of names.

No file of tests by its name: `test_contracts_tell_databases.py` runs it, and compares what fails with `breaks`.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import Any, ClassVar

from broken_kind import CLOSES, CLOSES_RAISING, CLOSES_TOLD, COLUMNS, MISSING, NAMES, SPELLINGS, Contract, Good, kept

from pitstop.errors import InvalidValueError, OperationError


class TestGood(Contract):
    database = Good


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


class Leaks(Good):
    @classmethod
    @contextmanager
    def connect(cls, url, context, **options):
        kept.append(sqlite3.connect(url, check_same_thread=False))
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
            kept.append(second)
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
