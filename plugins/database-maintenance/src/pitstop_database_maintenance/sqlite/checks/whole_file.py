"""Whether SQLite's own check of a file looks at all of its pages, and how to make it. Owns the way round its shortcut.

Where a view or a virtual table comes first in SQLite's list, a check of the whole file takes itself for one of a single
table, and passes over the list of free pages, and pages that belong to nothing (docs/decisions/look-before-writing.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection


def looks_at_all_pages(db: SQLiteConnection) -> bool:
    """Return whether a check will look at the free pages, and for pages that are nowhere; False if unknown.

    It takes the first root page being 0 for a request to check one table only, and that is what a view or a virtual
    table has in place of one (seen in 3.40.1 and 3.54.1). Which comes first is up to a hash table, in whose order
    `table_list`, from 3.37 on, lists them too.
    """
    listed = db.execute("PRAGMA main.table_list")
    return bool(listed) and listed[0][2] not in ("view", "virtual")


@contextmanager
def without_views(db: SQLiteConnection) -> Iterator[None]:
    """Have no views and virtual tables within; they are back after it, and nothing of this reaches the file."""
    # in a transaction that is rolled back, and of which SQLite must keep the pages that it changes in memory
    db.execute("PRAGMA cache_spill = OFF")
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("DELETE FROM main.sqlite_master WHERE coalesce(rootpage, 0) = 0")
        db.execute("PRAGMA writable_schema = RESET")
        yield
    finally:
        db.rollback()
