"""What the history holds, as records: how steps went, when objects were checked, what was kept, what was left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from attrs import Factory, frozen

#: The outcomes of steps that did not come to their end.
UNFINISHED: Final = ("failed", "cancelled")
#: No number of bytes, pages or seconds is larger.
_LARGEST: Final = 2.0**62
#: How a step can end.
OUTCOMES: Final = ("changed", "unchanged", "skipped", *UNFINISHED)


@frozen(kw_only=True)
class PastStep:
    """One operation on one database, as it went.

    Args:
        database: the resource.
        operation: the short name, such as "vacuum".
        at: when it ended, in seconds since 1970, UTC.
        seconds: how long it took; None if it was skipped.
        bytes: how big the database was before; None if that is not known.
        outcome: "changed", "unchanged" or "skipped"; "failed" or "cancelled" of one that did not come to its end.
        summary: one line, or its error.
        run: the correlation id of its tree.
        predicted: what the plan said of it, as JSON; empty if there was no plan.
        data: the result's figures.
    """

    database: str
    operation: str
    at: float = Factory(time.time)
    seconds: float | None = None
    bytes: int | None = None
    outcome: str = "changed"
    summary: str = ""
    run: str = ""
    predicted: Mapping[str, Any] = Factory(dict)
    data: Mapping[str, Any] = Factory(dict)

    def figure(self, name: str) -> float | None:
        """Return a figure of its data; None if there is none of that name, or none that can be one."""
        return figure(self.data, name)


def figure(data: Mapping[str, Any], name: str) -> float | None:
    """Return a figure of a step's data, or of what was predicted of it; None if there is none.

    Every figure that an operation gives of itself is a number of something, and never less than none.
    """
    found = data.get(name)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found <= _LARGEST:
        return None
    return found


@frozen(kw_only=True)
class CheckRecord:
    """When an object of a database was last checked.

    Args:
        object: a table's name, or "" for the whole.
        kind: the check, such as "integrity_check".
        at: when, in seconds since 1970, UTC.
        seconds: how long it took.
        problems: how many it found.
        state: of which file or database, as its kind tells it from another that takes its place; empty if it does not.
        findings: what it found, as its kind of database tells it.
    """

    object: str
    kind: str
    at: float
    seconds: float
    problems: int
    state: Mapping[str, Any] = Factory(dict)
    findings: tuple[Mapping[str, Any], ...] = ()


@frozen(kw_only=True)
class Snapshot:
    """What an operation kept so that it can be restored; `id` is larger the newer it is."""

    id: int
    at: float
    data: Any


@frozen(kw_only=True)
class UnfinishedStep:
    """A step that a run did not reach or did not finish.

    Args:
        database: the resource.
        operation: the short name.
        at: when, in seconds since 1970, UTC.
        reason: what ended it, such as "time limit".
        parameters: to go on with.
        asked: the parameters with which somebody had asked for it by name, as they were given: only who asks for the
            same goes on with it. None if it was due by itself: then whatever run would plan it by itself does.
    """

    database: str
    operation: str
    at: float
    reason: str
    parameters: Mapping[str, Any]
    asked: Mapping[str, Any] | None = None
