"""What does its work when it is called, and what only makes a coroutine or a generator."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from pitstop.callables import call_fault


async def coroutine() -> None:
    """Never run."""


async def async_generator() -> AsyncIterator[int]:
    """Never run."""
    yield 1


def generator() -> Iterator[int]:
    """Never run."""
    yield 1


class Plain:
    """Its objects can be called."""

    def __call__(self) -> None:
        """Do nothing."""

    async def waiting(self) -> None:
        """Never run."""


class Waiting:
    """Its objects only make coroutines."""

    async def __call__(self) -> None:
        """Never run."""


@pytest.mark.parametrize(
    "function", [coroutine, async_generator, functools.partial(coroutine), Plain().waiting, Waiting()]
)
def test_call_fault_names_what_nobody_would_await(function: Callable[..., Any]) -> None:
    """Also behind a partial application, as a method, and as an object that is called."""
    assert call_fault(function).startswith("is an 'async def', and nothing would await it; write a plain 'def'")


@pytest.mark.parametrize("function", [generator, functools.partial(generator)])
def test_call_fault_names_what_only_makes_a_generator(function: Callable[..., Any]) -> None:
    """Nothing of it would run."""
    assert call_fault(function) == "yields, so that calling it runs nothing; write a plain function"


class Awaiting:
    """Its objects run a coroutine function, under the attribute that a partial has too."""

    def __init__(self) -> None:
        self.func = coroutine

    def __call__(self) -> None:
        """Run it to its end."""
        asyncio.run(self.func())


@pytest.mark.parametrize(
    "function", [lambda: None, Plain(), Plain, Waiting, Awaiting(), Mock(), len, functools.partial(print)]
)
def test_call_fault_finds_nothing_wrong_with_what_runs(function: Callable[..., Any]) -> None:
    """A class is called to make an object, whatever calling that one would do."""
    assert call_fault(function) == ""
