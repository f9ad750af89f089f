"""What tests of plans share: a history of their own, and a planner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from assessing import inspection

from pitstop_database_maintenance.history import History
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenanceRequest
from pitstop_database_maintenance.planning.planner import MaintenancePlanner
from pitstop_database_maintenance.sqlite.inspection.records import (
    Inspection,
)


@pytest.fixture
def history() -> Iterator[History]:
    with History(":memory:") as opened:
        yield opened


@pytest.fixture
def planned(lookup: Any, history: History) -> Callable[..., DatabasePlan]:
    """Return a plan for one database."""

    def make(found: Inspection | None = None, **request: Any) -> DatabasePlan:
        planning = MaintenancePlanner(MaintenanceRequest(**request), lookup=lookup, history=history)
        return planning.database("/data/app.db", found or inspection())

    return make
