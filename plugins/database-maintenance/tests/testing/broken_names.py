"""Operations on SQLite that break what is promised of names.

No file of tests by its name: `test_contracts_tell_operations.py` runs it, and compares what fails with `breaks`.
"""

from __future__ import annotations

from typing import Any

from broken_operation import NAMES, SCHEMA, Contract

import pitstop


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
