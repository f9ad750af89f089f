"""What tests of fleets share: a history of their own, and six databases, of which three are wasteful."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import pitstop
from pitstop_database_maintenance.history import VARIABLE, History


@pytest.fixture(autouse=True)
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    """The history of each test is its own."""
    path = tmp_path / "state" / "maintenance.db"
    monkeypatch.setenv(VARIABLE, str(path))
    with History(path) as opened:
        yield opened


@pytest.fixture
def registry() -> pitstop.Registry:
    return pitstop.Registry()


@pytest.fixture
def orchestrator(registry: pitstop.Registry) -> Iterator[pitstop.Orchestrator]:
    with pitstop.Orchestrator(pitstop.open_store("none"), registry=registry) as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path, bloated: Path) -> list[str]:
    """Six databases: three of which half is waste, and three healthy ones with statistics."""
    healthy = tmp_path / "healthy.db"
    shutil.copyfile(bloated, healthy)
    with closing(sqlite3.connect(healthy, isolation_level=None)) as connection:
        connection.execute("VACUUM")
        connection.execute("ANALYZE")
    with closing(sqlite3.connect(bloated, isolation_level=None)) as connection:
        connection.execute("DELETE FROM t WHERE id > 2000")
        connection.execute("ANALYZE")
    (tmp_path / "fleet").mkdir()
    made = []
    for number in range(6):
        path = tmp_path / "fleet" / f"{number}.db"
        shutil.copyfile(bloated if number % 2 else healthy, path)
        made.append(str(path))
    return made
