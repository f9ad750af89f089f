"""Short ways to make jobs, for the tests of what only one store does. What all must do is in `JobStoreContract`."""

from types import ModuleType

import pytest

from pitstop.testing.job_stores import shorthand


@pytest.fixture
def make() -> ModuleType:
    """Short ways to make jobs, claims and endings."""
    return shorthand
