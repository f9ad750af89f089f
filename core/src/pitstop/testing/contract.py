"""`Contract`: the base of all conformance suites. Owns how one is collected, and how an author's words are read."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar


class Contract:
    """A suite of tests that says what must hold for every implementation of one kind.

    A subclass says what is to be tested, and pytest collects it like any other class of tests; the suites themselves
    are never collected, wherever they are imported.

    Attributes:
        __test__: what pytest asks; false here, true for a subclass outside this package unless that says otherwise.
    """

    __test__: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__test__" not in vars(cls):
            cls.__test__ = not f"{cls.__module__}.".startswith("pitstop.testing.")

    @classmethod
    def given(cls, name: str) -> Any:
        """Return an attribute just as the author wrote it: a function as it is, and not as a method of this class."""
        try:
            value = inspect.getattr_static(cls, name)
        except AttributeError:
            hint = f"say '{name} = ...' in it, or '__test__ = False' if it is only a base of others"
            raise AssertionError(f"{cls.__name__} does not say what is to be tested: {hint}") from None
        return value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
