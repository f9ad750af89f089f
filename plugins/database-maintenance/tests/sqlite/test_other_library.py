"""Another SQLite library than Python's own: that it must not share a process, and that ours works with a newer one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

pysqlite3 = pytest.importorskip("pysqlite3", reason="a second SQLite library: pysqlite3-binary")
HERE = Path(__file__).parent
WRITES = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
#: Runs pytest with the other library in place of Python's own.
SWAPPED = """
import sys, pysqlite3, pysqlite3.dbapi2
sys.modules["sqlite3"], sys.modules["sqlite3.dbapi2"] = pysqlite3, pysqlite3.dbapi2
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def _is_kept_out(path: Path) -> bool:
    return subprocess.run([sys.executable, "-c", WRITES, str(path)], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("second", ["the same", "another"])
def test_another_library_in_one_process_drops_the_locks(make: Callable[..., Path], second: str) -> None:
    """POSIX locks belong to the process: the other library's close drops them all, and anybody may write."""
    path = make("CREATE TABLE t (x)")
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert _is_kept_out(path)
        with closing((sqlite3 if second == "the same" else pysqlite3).connect(path)) as other:
            other.execute("SELECT count(*) FROM t").fetchall()
        assert _is_kept_out(path) == (second == "the same")


@pytest.mark.slow
@pytest.mark.skipif(pysqlite3.sqlite_version_info < (3, 46), reason="the other library is no newer one")
def test_statistics_and_schemas_with_a_newer_sqlite(tmp_path: Path) -> None:
    """What depends on the version is right with SQLite 3.46 and later as well; with STAT4, which Python's may lack."""
    files = [f"operations/test_{name}.py" for name in ("optimize", "analyze", "rollback_stats")]
    files.append("guards/test_collation_order.py")
    command = [sys.executable, "-c", SWAPPED, "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'newer'}"]
    run = subprocess.run([*command, *(str(HERE / file) for file in files)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
