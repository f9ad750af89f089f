"""Fixtures for the tests that cross packages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.preloaded import Preloaded


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    """The program, loaded once for all runs."""
    process = Preloaded(tmp_path_factory.mktemp("preloaded"))
    yield process
    process.close()
