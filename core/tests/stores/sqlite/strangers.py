"""Others who use the file of a store: as SQLite gives it to them, or in another process."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any


def ask(path: Path, sql: str) -> list[Any]:
    """Read from a file as a stranger would."""
    stranger = sqlite3.connect(path, isolation_level=None)
    try:
        return stranger.execute(sql).fetchall()
    finally:
        stranger.close()


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start another Python with a program whose standard output can be read."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def output(code: str, *arguments: object) -> str:
    """Return what another Python says."""
    with python(code, *arguments) as process:
        said, _ = process.communicate(timeout=60)
    return said
