"""No test touches the history of past maintenance of whoever runs it. Owns where that of the tests is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pitstop_database_maintenance.history import VARIABLE, shared_history


@contextmanager
def own_history(paths: pytest.TempPathFactory) -> Iterator[Path]:
    """Have jobs write their history to a file of this test run's, within the block. Yields the file.

    It is one for all tests, because a process keeps each that it has opened; a database is known there by its path,
    which is another one for each test.
    """
    file = paths.getbasetemp() / "pitstop-history" / "maintenance.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(file))
        shared_history()  # made here, so that no job is found to write it
        yield file


class OwnHistory:
    """A suite whose tests keep to a history of their own."""

    @pytest.fixture(autouse=True)
    def _own_history(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with own_history(tmp_path_factory):
            yield
