"""A representative part of many parameters for every day, and all of them for `-m slow`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from hypothesis import settings


def some(values: Iterable[Any], *, each: int = 0, of: Collection[Any] = ()) -> list[ParameterSet]:
    """Return parameters for `parametrize`, most of them marked as slow.

    Args:
        values: all of them.
        each: every so many-th is not marked; 0: see `of`.
        of: which are not marked.
    """
    return [
        pytest.param(value, marks=() if (each and not number % each) or value in of else pytest.mark.slow)
        for number, value in enumerate(values)
    ]


def at_most(examples: int) -> settings:
    """Return settings for a property whose examples are costly: as many as are asked for, but no more than these."""
    return settings(max_examples=min(examples, settings.default.max_examples))


def chosen(request: pytest.FixtureRequest, parameter: str) -> list[Any]:
    """Return the values of a parameter in those tests of the requesting module that are to be run."""
    return [
        item.callspec.params[parameter]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.parent is request.node and parameter in item.fixturenames
    ]
