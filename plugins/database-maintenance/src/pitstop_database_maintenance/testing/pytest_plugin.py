"""The pytest plugin: makes the contracts' assertions speak, and gives fixtures. Loaded in every pytest run that has it.

So it must cost nothing there: what a fixture needs is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

# an assertion of a suite that fails is to show the values, as one of the author's own does
pytest.register_assert_rewrite("pitstop_database_maintenance.testing")


@pytest.fixture
def pitstop_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A history of past maintenance for this test run only, in a file; the user's own is not touched."""
    from pitstop_database_maintenance.testing.history import own_history

    with own_history(tmp_path_factory) as file:
        yield file
