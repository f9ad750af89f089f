"""What is noted of the copies that `backup` makes, and what they are usually called. Records only."""

from __future__ import annotations

import re
from typing import Any, Final, Self

from attrs import frozen

#: How the history calls what is kept of copies.
COPY: Final = "backup"
#: What the names end in that `backup` gives to copies in a folder by itself: the place, the time, and ".db".
USUAL_NAME: Final = re.compile(r".+-[0-9a-f]{8}-\d{8}T\d{6}\.\d{3}Z\.db", re.DOTALL)


@frozen(kw_only=True)
class Copy:
    """A copy, as it was when it was made.

    Args:
        path: it.
        file: which file (`identify`).
        size: in bytes.
        modified: when it was last written to, in nanoseconds.
        template: what names it and the copies of its kind.
        database: the path of the database, links resolved.
        of: which file the database was.
    """

    path: str
    file: str
    size: int
    modified: int
    template: str
    database: str
    of: str

    @classmethod
    def parse(cls, data: Any) -> Self | None:
        """Return what the history holds; None if that is no such thing."""
        texts = ("path", "file", "template", "database", "of")
        numbers = ("size", "modified")
        if not isinstance(data, dict) or data.keys() != {*texts, *numbers}:
            return None
        if not all(isinstance(data[name], str) for name in texts):
            return None
        if not all(type(data[name]) is int for name in numbers):
            return None
        return cls(**data)
