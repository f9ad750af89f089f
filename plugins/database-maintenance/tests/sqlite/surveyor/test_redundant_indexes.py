"""Which indexes another one makes redundant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from surveying import schema

Make = Callable[..., Path]


def redundant(path: Path) -> dict[str, str]:
    return {index.name: index.redundant_with for index in schema(path).indexes if index.redundant_with}


def test_redundant_indexes_are_prefixes_of_others(make: Make) -> None:
    """An index that another begins with is redundant; with another order, collation or column it is not."""
    path = make(
        "CREATE TABLE t (a, b, c, d TEXT COLLATE NOCASE)",
        "CREATE INDEX wide ON t (a, b, c)",
        "CREATE INDEX prefix ON t (a, b)",
        "CREATE INDEX other_order ON t (b, a)",
        "CREATE INDEX falling ON t (a DESC)",
        "CREATE INDEX folded ON t (a COLLATE NOCASE)",
        "CREATE INDEX same ON t (a, b, c)",
        "CREATE INDEX inherited ON t (d)",
        "CREATE INDEX spelled ON t (d COLLATE nocase)",
    )
    assert redundant(path) == {"prefix": "wide", "same": "wide", "spelled": "inherited"}


def test_redundant_indexes_never_lose_a_constraint(make: Make) -> None:
    """UNIQUE promises something: only another one over just the same columns makes it redundant."""
    path = make(
        "CREATE TABLE t (a, b, c UNIQUE)",
        "CREATE UNIQUE INDEX one ON t (a)",
        "CREATE INDEX wider ON t (a, b)",
        "CREATE UNIQUE INDEX wider_one ON t (a, b)",
        "CREATE INDEX plain ON t (a)",
        "CREATE INDEX beside_constraint ON t (c)",
        "CREATE UNIQUE INDEX twice ON t (c)",
    )
    assert redundant(path) == {
        "wider": "wider_one",
        "plain": "wider_one",
        "beside_constraint": "sqlite_autoindex_t_1",
        "twice": "sqlite_autoindex_t_1",
    }


def test_redundant_indexes_hold_the_same_rows_and_expressions(make: Make) -> None:
    """A partial index is told by its WHERE, an expression by its text; blanks and case outside quotes do not count."""
    path = make(
        "CREATE TABLE t (a, b)",
        "CREATE INDEX whole ON t (a, b)",
        "CREATE INDEX part ON t (a) WHERE b > 5",
        "CREATE INDEX same_part ON t (a) where  B>5",
        "CREATE INDEX other_part ON t (a) WHERE b > 6",
        "CREATE INDEX quoted ON t (a) WHERE b > 'X'",
        "CREATE INDEX other_quoted ON t (a) WHERE b > 'x'",
        "CREATE INDEX upper ON t (upper(a), b)",
        "CREATE INDEX upper_too ON t ( UPPER( a ) )",
        "CREATE INDEX lower ON t (lower(a))",
    )
    assert redundant(path) == {"same_part": "part", "upper_too": "upper"}
    found = {index.name: index for index in schema(path).indexes}
    assert found["upper"].columns == ("<expression>", "b")
    assert (found["upper"].expression, found["part"].partial, found["whole"].partial) == (True, True, False)
