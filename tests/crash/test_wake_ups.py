"""Nobody waits in vain: without the safety net under it, each wake-up comes, in one process and between two."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from pitstop.contracts import JobStore
from pitstop.stores.memory import MemoryStore
from pitstop.stores.sqlite.store import SQLiteStore

from .load import Place
from .meeting import Meeting
from .processes import install_racers
from .soak import soak


@pytest.fixture(autouse=True)
def _no_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pitstop.orchestration.orchestrator.LEASE", threading.TIMEOUT_MAX)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> JobStore:
    """Return a store that the soak closes."""
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "jobs.db", durability="process")


@pytest.mark.parametrize(("callers", "threads"), [(1, 2), (6, 3)])
def test_no_wake_up_is_lost(store: JobStore, callers: int, threads: int) -> None:
    """Of two thousand jobs, one after the other or from six threads, each end reaches who waits for it."""
    assert len(soak(store, 2000, callers=callers, threads=threads)) == 2000


def test_processes_notice_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends, is freed or is cancelled in another process is noticed long before a heartbeat could tell."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    install_racers(tmp_path / "site")
    meeting = Meeting(Place(tmp_path / "place"), tmp_path / "site")
    waits, starts = meeting.ends(3)
    assert len(waits) == len(starts) == 3
    assert len(meeting.cancels(3)) == 3
