"""`Contract`: the base of all conformance suites. How one is collected, and what its failures say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from typing import Any, ClassVar

import pytest


class Contract:
    """A suite of tests that says what must hold for every implementation of one kind.

    A subclass says what is to be tested, and pytest collects it like any other class of tests; the suites themselves
    are never collected, wherever they are imported. The docstring of a test is the promise that it checks.

    Attributes:
        __test__: what pytest asks; false here, true for a subclass outside this package unless that says otherwise.
    """

    __test__: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__test__" not in vars(cls):
            cls.__test__ = not f"{cls.__module__}.".startswith("pitstop.testing.")
        for name, value in list(vars(cls).items()):
            if name.startswith("test_") and callable(value) and value.__doc__:
                setattr(cls, name, _with_promise(value, cleandoc(value.__doc__)))

    @classmethod
    def get_attribute(cls, name: str) -> Any:
        """Return an attribute just as the author wrote it: a function as it is, and not as a method of this class."""
        try:
            value = inspect.getattr_static(cls, name)
        except AttributeError:
            hint = f"say '{name} = ...' in it, or '__test__ = False' if it is only a base of others"
            raise AssertionError(f"{cls.__name__} does not say what is to be tested: {hint}") from None
        return value.__func__ if isinstance(value, (staticmethod, classmethod)) else value


def _with_promise(test: Callable[..., None], promise: str) -> Callable[..., None]:
    """Return the same test, whose failures carry the promise as a note."""

    @wraps(test)  # fixtures and marks stay what they are
    def run(*arguments: Any, **fixtures: Any) -> None:
        __tracebackhide__ = True
        try:
            test(*arguments, **fixtures)
        except (Exception, pytest.fail.Exception) as error:
            if not isinstance(error, pytest.skip.Exception):
                error.add_note(f"The promise: {promise}")
            raise

    return run
