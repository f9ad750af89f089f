"""What tests of the engine share: a history of their own, and engines whose jobs run in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pitstop
from pitstop_database_maintenance.history import VARIABLE, History
from pitstop_database_maintenance.maintenance.engine import Maintenance
from pitstop_database_maintenance.planning.plan import MaintenanceRequest


@pytest.fixture(autouse=True)
def history_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The history of each test is its own."""
    path = tmp_path / "state" / "maintenance.db"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


@pytest.fixture
def registry() -> pitstop.Registry:
    return pitstop.Registry()


@pytest.fixture
def engine(registry: pitstop.Registry) -> Iterator[Callable[..., Maintenance]]:
    """Make engines whose jobs run in this process; their orchestrators are closed at the end."""
    started: list[Any] = []

    def made(**request: Any) -> Maintenance:
        def start() -> pitstop.Orchestrator:
            orchestrator = pitstop.Orchestrator(pitstop.open_store("none"), registry=registry)
            started.append(orchestrator)
            return orchestrator

        history = History()
        started.append(history)
        return Maintenance(registry, start, request=MaintenanceRequest(**request), history=history)

    yield made
    for one in started:
        one.close()
