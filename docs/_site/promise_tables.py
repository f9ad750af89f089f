"""The promises of a conformance suite, made from its tests: Markdown, a table for each part of the suite.

A test's docstring is its promise. Nothing is run.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module


def promises(suite: str, *others: str) -> str:
    """Return what a suite promises as Markdown.

    Args:
        suite: the class, such as `pitstop.testing.RunnerContract`.
        others: suites that are shown elsewhere; what they have is left out here.

    Raises:
        ValueError: a test says nothing of what it promises, or there is none.
    """
    elsewhere = {part for other in others for part in class_of(other).__mro__}
    parts = [part for part in class_of(suite).__mro__ if part not in elsewhere]
    tables = [_table(part, rows) for part in parts if (rows := list(_rows(part)))]
    if not tables:
        raise ValueError(f"{suite} has no test of its own")
    return "\n\n".join(tables)


def class_of(name: str) -> type:
    """Return a class by its full name."""
    module, _, attribute = name.rpartition(".")
    found = getattr(import_module(module), attribute)
    assert isinstance(found, type), name
    return found


def _table(part: type, rows: list[str]) -> str:
    """Return the table of the tests that stand in one class, below what that class is about."""
    about = " ".join(inspect.cleandoc(part.__doc__ or "").partition("\n\n")[0].split())
    return "\n".join([f"**{part.__name__}.** {about.removesuffix(':')}", "", "| test | promise |", "|---|---|", *rows])


def _rows(part: type) -> Iterator[str]:
    for name, test in vars(part).items():
        if not name.startswith("test_"):
            continue
        promise = " ".join(inspect.cleandoc(test.__doc__ or "").split())
        if not promise:
            raise ValueError(f"{part.__name__}.{name} says nothing of what it promises")
        yield f"| `{name.removeprefix('test_')}` | {promise.replace('|', chr(92) + '|')} |"
