"""The pytest plugin for SQLite: gives fixtures. Loaded in every pytest run that has it.

So it must cost nothing there: what a fixture needs is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.database import SQLiteDatabase

# an assertion of a suite that fails is to show the values, as one of the author's own does
pytest.register_assert_rewrite("pitstop_database_maintenance.sqlite.testing")


@pytest.fixture
def make_sqlite_database(tmp_path: Path, pitstop_history: Path) -> Callable[..., Path]:  # noqa: ARG001 - set up
    """Makes temporary SQLite databases: `make_sqlite_database("app.db", rows=10)`.

    The arguments are those of `make_database`, with a name instead of a path.
    """
    from pitstop_database_maintenance.sqlite.testing.databases import make_database

    return lambda name="app.db", **options: make_database(tmp_path / name, **options)


@pytest.fixture
def sqlite_database(make_sqlite_database: Callable[..., Path]) -> Path:
    """A temporary SQLite database with rows, indexes, free pages, and tables with awkward names."""
    return make_sqlite_database(awkward=True)


@pytest.fixture
def open_sqlite_database(pitstop_history: Path) -> Iterator[Callable[..., SQLiteDatabase]]:  # noqa: ARG001 - set up
    """Opens a SQLite database as an operation gets it: `open_sqlite_database(path)`; closed at the end of the test.

    The arguments are those of `pitstop_database_maintenance.sqlite.testing.open_sqlite`.
    """
    from pitstop_database_maintenance.sqlite.testing.databases import open_sqlite

    with ExitStack() as stack:
        yield lambda path, context=None: stack.enter_context(open_sqlite(path, context))
