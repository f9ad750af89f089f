"""Python's own sqlite3 beside apsw: the same statements on the same file, and both libraries in one process.

apsw is no dependency of anything here: `uv run --with apsw python -m benchmarks library`. What was decided from these
figures: docs/decisions/library.md.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import Contender, Settings, disk_folder, interleave, table, timed

LIBRARIES = ("sqlite3", "apsw")
#: What is measured, with `{copy}` for a file that is not there yet.
STATEMENTS = {
    "VACUUM": "VACUUM",
    "VACUUM INTO": "VACUUM INTO '{copy}'",
    "REINDEX": "REINDEX",
    "ANALYZE": "ANALYZE",
    "integrity_check": "PRAGMA integrity_check",
    "opening, and reading the schema": "SELECT count(*) FROM sqlite_master",
}
#: Runs one statement with one of the libraries; nothing else is imported.
PROGRAM = """
import sys
library, path, sql = sys.argv[1:]
if library == "apsw":
    import apsw
    connection = apsw.Connection(path)
else:
    import sqlite3
    connection = sqlite3.connect(path, isolation_level=None)
for row in connection.execute(sql):
    pass
connection.close()
"""
#: Holds a lock with one library while the other one opens and closes the same file; a second process tries to write.
LOCKS = """
import subprocess, sys
first, second, path = sys.argv[1:]
def opened(library):
    if library == "apsw":
        import apsw
        return apsw.Connection(path)
    import sqlite3
    return sqlite3.connect(path, isolation_level=None, timeout=0)
def intruder():
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    failed = subprocess.run([sys.executable, "-c", code, path], capture_output=True).returncode
    return "kept out" if failed else "let in"
holder = opened(first)
holder.execute("BEGIN IMMEDIATE")
before = intruder()
other = opened(second)
list(other.execute("SELECT count(*) FROM sqlite_master"))
other.close()
print(f"{before}, {intruder()}")
"""


def main(settings: Settings) -> None:
    """Measure and print."""
    libraries = [name for name in LIBRARIES if find_spec(name)]
    if "apsw" not in libraries:
        print("\napsw is not installed: uv run --with apsw python -m benchmarks library")
    with disk_folder() as folder:
        original = folder / "original.db"
        _build(original, megabytes=settings.choose(300, 20))
        print(f"\n{original.stat().st_size / 1e6:,.0f} MB; {', '.join(map(_version, libraries))}")
        _compare(original, folder, libraries, runs=settings.choose(5, 2))
        _locks(folder / "locks.db", libraries)


def _compare(original: Path, folder: Path, libraries: Sequence[str], *, runs: int) -> None:
    rows = []
    for title, statement in STATEMENTS.items():
        taken = interleave(
            [Contender(name, _sample(name, statement, original, folder)) for name in libraries], runs=runs
        )
        own = taken[libraries[0]]
        rows += [
            (f"{title}, {name}", f"{samples.median:,.3f}", samples.spread(3), f"{samples.over(own):.2f}")
            for name, samples in taken.items()
        ]
    table("One statement, with the start of the process", ("", "median s", "min..max", f"x {libraries[0]}"), rows)


def _sample(library: str, statement: str, original: Path, folder: Path) -> Callable[[], float]:
    def sample() -> float:
        work, copy = folder / "work.db", folder / "copy.db"
        copy.unlink(missing_ok=True)
        shutil.copyfile(original, work)
        os.sync()  # what the copying left to write is not the statement's
        return timed([sys.executable, "-c", PROGRAM, library, str(work), statement.format(copy=copy)]).wall

    return sample


def _locks(path: Path, libraries: Sequence[str]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    rows = []
    for first in libraries:
        for second in libraries:
            command = [sys.executable, "-c", LOCKS, first, second, str(path)]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split(", ")
            rows.append((f"{first} holds the lock, {second} opens and closes", *told))
    table("Another process that wants to write", ("", "before", "after"), rows)


def _version(library: str) -> str:
    if library == "sqlite3":
        return f"sqlite3 with SQLite {sqlite3.sqlite_version}"
    code = "import apsw; print(apsw.apsw_version(), 'with SQLite', apsw.sqlite_lib_version())"
    return f"apsw {timed([sys.executable, '-c', code]).output.strip()}"


def _build(path: Path, *, megabytes: float) -> None:
    """Make a file with churn: three indexes, a third of the rows deleted, some put back."""
    chance, rows = random.Random(4), int(megabytes * 1e6 / 300)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, key TEXT UNIQUE, kind INTEGER, body TEXT)")
        connection.execute("CREATE INDEX by_kind ON t (kind, id)")
        connection.execute("CREATE INDEX by_body ON t (body)")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO t (key, kind, body) VALUES (?, ?, ?)",
            ((chance.randbytes(16).hex(), chance.randrange(50), chance.randbytes(40).hex()) for _ in range(rows)),
        )
        connection.execute("DELETE FROM t WHERE id % 3 = 0")
        connection.execute("COMMIT")
