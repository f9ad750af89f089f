"""Kinds of databases that do odd but legal things: every one of them must get through the suite.

No file of tests by its name: `test_contracts_tell_databases.py` runs it.
"""

from __future__ import annotations

from contextlib import contextmanager

from sqlite_kind import SQLiteKind

from pitstop.errors import InvalidValueError, TransientError
from pitstop_database_maintenance.databases.database import Database, Measure
from pitstop_database_maintenance.sqlite.database import SQLiteDatabase


class Bare(Database):
    """Nothing but what is abstract, around another one: it refuses nothing, and has no inspection."""

    dialect = "sqlite"

    def __init__(self, inner):
        self._inner = inner
        self.context = inner.context

    @classmethod
    @contextmanager
    def connect(cls, url, context, **options):
        with SQLiteDatabase.connect(url.removeprefix("bare://"), context) as inner:
            yield cls(inner)

    def execute(self, sql, parameters=()):
        return self._inner.execute(sql, parameters)

    def quote(self, name):
        return self._inner.quote(name)

    def measure(self):
        return Measure(bytes=self._inner.measure().bytes)

    def interrupt(self):
        self._inner.interrupt()


class TestBare(SQLiteKind):
    database = Bare

    def make_url(self, folder):
        return f"bare://{super().make_url(folder)}"

    def missing_url(self, folder):
        return f"bare://{super().missing_url(folder)}"

    def spellings(self, url):
        return [f"{url}?timeout=5"]

    def with_password(self, url, password):
        return f"bare://somebody:{password}@host{url.removeprefix('bare://')}"


class Fussy(SQLiteDatabase):
    """Refuses every name that is not a word."""

    def quote(self, name):
        if not name.isidentifier():
            raise InvalidValueError(where="fussy", name="identifier", problem=f"{name!r} is no word")
        return super().quote(name)


class TestFussy(SQLiteKind):
    database = Fussy


class Brackets(SQLiteDatabase):
    """Quotes with brackets, which cannot be doubled, and refuses those names only."""

    def quote(self, name):
        if "]" in name:
            return super().quote(name)
        super().quote(name)
        return f"[{name}]"


class TestBrackets(SQLiteKind):
    database = Brackets


class AlwaysLater(SQLiteDatabase):
    """Takes every failure for one that goes away, and asks for the end before each statement."""

    def execute(self, sql, parameters=()):
        self.check_stop()
        try:
            return super().execute(sql, parameters)
        except RuntimeError as error:
            raise TransientError(f"not now: {error}") from error


class TestAlwaysLater(SQLiteKind):
    database = AlwaysLater


class WithoutALongStatement(SQLiteKind):
    __test__ = False
    long_statement = ""


class TestWithoutALongStatement(WithoutALongStatement):
    database = SQLiteDatabase

    def missing_url(self, folder):
        return None

    def spellings(self, url):
        return ()
