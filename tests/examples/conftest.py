"""Fixtures for the examples: a folder of the test's own, in which they run as programs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from .programs import EXAMPLES, PATIENCE, Program


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set where jobs are recorded, for this process and those that it starts."""
    for name in ("PITSTOP_ALLOW", "PITSTOP_BLOCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PITSTOP_STORE", str(tmp_path / "state" / "jobs.db"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def program(environment: Path) -> Program:
    """Run an example and return what it prints, on both streams."""

    def run(name: str, *arguments: str | Path) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.fixture
def database(environment: Path) -> Path:
    """A database `app.db` in the current folder."""
    path = environment / "app.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE visit (page TEXT)")
        connection.execute("CREATE INDEX visit_page ON visit (page)")
        connection.executemany("INSERT INTO visit VALUES (?)", [(f"/{n}",) for n in range(100)])
    return path
