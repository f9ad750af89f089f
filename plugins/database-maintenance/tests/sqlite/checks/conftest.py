"""What the tests of checks share: a history, and a database with an index that lacks rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from check_databases import INDEX_OFF, INDEX_ON, ROWS

from pitstop_database_maintenance.history import History


@pytest.fixture
def history() -> Iterator[History]:
    with History(":memory:") as kept:
        yield kept


@pytest.fixture
def lacking(make: Any) -> Path:
    """A database with two tables, of which one has an index that lacks two rows."""
    made: Path = make(
        "CREATE TABLE good (x)",
        "CREATE TABLE t (x)",
        "CREATE INDEX i ON t (x)",
        f"{ROWS.format(50)} INSERT INTO t SELECT i FROM n",
        *INDEX_OFF,
        "INSERT INTO t VALUES (101), (102)",
        *INDEX_ON,
    )
    return made
