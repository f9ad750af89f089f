"""The kinds of databases are equal: nothing but its own package knows one by name."""

from __future__ import annotations

import re
from pathlib import Path

import pitstop_database_maintenance

PACKAGE = Path(pitstop_database_maintenance.__file__).parent
#: SQLite itself; the history of past runs, which is kept in a file of the standard library's sqlite3; and where it says
#: what a bare path means.
EXCEPT = ("sqlite", "history", "databases/urls.py")
#: The name, however it is written, and what only somebody who knows it would write.
KNOWLEDGE = re.compile(r"sqlite|pragma|-wal\b|-shm\b|-journal\b", re.IGNORECASE)


def modules() -> list[str]:
    found = [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py"))]
    return [name for name in found if not name.startswith(EXCEPT)]


def test_no_module_outside_of_a_kind_knows_it() -> None:
    """Not in an import, in a string, nor in a comment: it could only be wrong of another kind."""
    assert len(modules()) > 50
    lines = [(name, line) for name in modules() for line in (PACKAGE / name).read_text(encoding="utf-8").splitlines()]
    assert [(name, line.strip()) for name, line in lines if KNOWLEDGE.search(line)] == []
