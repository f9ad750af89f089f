"""Fixtures for processes that meet in one store."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .load import Place
from .processes import Program, install_racers


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture
def start(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Program]]:
    """Yield what starts a part of `actors`; whatever still lives at the end of the test is killed."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    install_racers(tmp_path / "site")
    started: list[Program] = []

    def begin(part: str, *arguments: str) -> Program:
        complaints = tmp_path / f"{part}-{len(started)}"
        arguments = (part, str(place.folder), *arguments)
        started.append(Program("actors", *arguments, complaints=complaints, site=tmp_path / "site"))
        return started[-1]

    yield begin
    for program in started:
        if program.code is None:
            program.signal(signal.SIGKILL)
            program.end(kill=True)
