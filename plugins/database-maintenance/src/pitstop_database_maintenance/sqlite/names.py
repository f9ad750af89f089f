"""What copies in a folder are called. Owns the template, and telling which names it made."""

from __future__ import annotations

import hashlib
import os
import re
from datetime import datetime
from typing import ClassVar

from attrs import frozen

from pitstop.errors import InvalidValueError

#: UTC, to the millisecond, in an order that is that of time.
_TIME = r"\d{8}T\d{6}\.\d{3}Z"
_FIELD = re.compile(r"\{(.*?)\}")


@frozen
class Template:
    """A file name with fields: `{time}`, `{name}` and `{place}`.

    Args:
        text: it.
    """

    DEFAULT: ClassVar[str] = "{name}-{place}-{time}.db"
    text: str

    @classmethod
    def of(cls, text: str) -> Template:
        """Return a template that can be used.

        Raises:
            InvalidValueError: it has a field that there is not, not one `{time}`, or no name of a file.
        """
        fields = _FIELD.findall(text)
        unknown = [name for name in fields if name not in ("name", "place", "time")]
        problem = ""
        if unknown:
            problem = f"there is no field {{{unknown[0]}}}; there are {{name}}, {{place}} and {{time}}"
        elif fields.count("time") != 1:
            problem = f"{{time}} must occur once, so that no copy has another one's name, got {text!r}"
        elif os.sep in text or "\0" in text or text.startswith("."):
            problem = f"expected the name of a file that is not hidden, got {text!r}"
        if problem:
            raise InvalidValueError(where="backup", name="template", problem=problem)
        return cls(text)

    def name(self, path: str, at: datetime) -> str:
        """Return the name of a copy.

        Args:
            path: the database, links resolved.
            at: when, in UTC.
        """
        time = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03}Z"
        given = {**_fields(path), "time": time}
        return _FIELD.sub(lambda field: given[field[1]], self.text)

    def pattern(self, path: str) -> re.Pattern[str]:
        """Return what the names of a database's copies match; the group "time" is when."""
        given = {**{name: re.escape(value) for name, value in _fields(path).items()}, "time": f"(?P<time>{_TIME})"}
        pieces = _FIELD.split(self.text)  # text and field in turn
        return re.compile("".join(given[p] if n % 2 else re.escape(p) for n, p in enumerate(pieces)))


def _fields(path: str) -> dict[str, str]:
    folder, name = os.path.split(path)
    place = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    return {"name": os.path.splitext(name)[0], "place": place}
