"""The pytest plugin: makes the contracts' assertions speak, and gives fixtures. Loaded in every pytest run that has it.

So it must cost nothing there: what a fixture needs is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pitstop.testing.observe import INITIAL_ENVIRONMENT as INITIAL_ENVIRONMENT

if TYPE_CHECKING:
    from pitstop.registry.registry import Registry
    from pitstop.testing.fakes.clock import FakeClock
    from pitstop.testing.fakes.context import FakeContext

# an assertion of a suite that fails is to show the values, as one of the author's own does
pytest.register_assert_rewrite("pitstop.testing")


@pytest.fixture
def pitstop_context() -> Iterator[FakeContext]:
    """A `pitstop.testing.FakeContext`."""
    from pitstop.testing.fakes.context import FakeContext

    context = FakeContext()
    yield context
    context.close()


@pytest.fixture
def pitstop_clock() -> FakeClock:
    """A `pitstop.testing.FakeClock`."""
    from pitstop.testing.fakes.clock import FakeClock

    return FakeClock()


@pytest.fixture
def pitstop_registry() -> Registry:
    """A `pitstop.Registry` that finds nothing that is installed: it has what the test adds."""
    from pitstop.registry.registry import Registry

    return Registry(path=[])
