"""Failures that name what was promised: the docstring of each test goes with what it raises, whoever reports it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from typing import Any

import pytest


class Promises:
    """A class of tests, each with the promise that it checks as its docstring."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in list(vars(cls).items()):
            if name.startswith("test_") and callable(value) and value.__doc__:
                setattr(cls, name, _telling(value, cleandoc(value.__doc__)))


def _telling(test: Callable[..., None], promise: str) -> Callable[..., None]:
    """Return the same test, whose failures carry the promise as a note."""

    @wraps(test)  # fixtures and marks stay what they are
    def telling(*arguments: Any, **fixtures: Any) -> None:
        __tracebackhide__ = True
        try:
            test(*arguments, **fixtures)
        except (Exception, pytest.fail.Exception) as error:
            if not isinstance(error, pytest.skip.Exception):
                error.add_note(f"The promise: {promise}")
            raise

    return telling
