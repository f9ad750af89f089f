"""What copies in a folder are called. Owns the template, and telling which names it made."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from attrs import frozen

from pitstop.errors import InvalidValueError

#: UTC, to the millisecond, in an order that is that of time.
_TIME = r"\d{8}T\d{6}\.\d{3}Z"
_ANY_TIME = "20000101T000000.000Z"
#: How many bytes a name may have so that SQLite can put a "-journal" beside it: file systems take 255.
_LONGEST = 255 - len("-journal")
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
    def parse(cls, text: str) -> Template:
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

        Raises:
            InvalidValueError: it would be longer than a name can be.
        """
        return self._fill(self._fields(path), f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03}Z")

    def pattern(self, path: str) -> re.Pattern[str]:
        """Return what the names of a database's copies match; the group "time" is when."""
        fields = self._fields(path)
        given = {**{name: re.escape(value) for name, value in fields.items()}, "time": f"(?P<time>{_TIME})"}
        pieces = _FIELD.split(self.text)  # text and field in turn
        return re.compile("".join(given[p] if n % 2 else re.escape(p) for n, p in enumerate(pieces)))

    def _fill(self, fields: Mapping[str, str], time: str) -> str:
        given = {**fields, "time": time}
        return _FIELD.sub(lambda field: given[field[1]], self.text)

    def _fields(self, path: str) -> dict[str, str]:
        """Return what the fields stand for; of a name that is too long a part, and a digest of the whole."""
        folder, name = os.path.split(path)
        stem = os.path.splitext(name)[0]
        fields = {"name": stem, "place": _digest(folder)}
        encoded = os.fsencode(stem)
        for length in range(len(encoded), -1, -1):
            if len(os.fsencode(self._fill(fields, _ANY_TIME))) <= _LONGEST:
                return fields
            # at the end of a character: SQLite takes no path in which there is half of one
            fields["name"] = f"{encoded[:length].decode(errors='ignore')}~{_digest(stem)}"
        problem = f"no name that is made of it fits into the {_LONGEST} bytes that there are, got {self.text[:60]!r}"
        raise InvalidValueError(where="backup", name="template", problem=problem)


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
