"""The options of a SQLite database: what a job's config may say of how its file is opened. Owns their checking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from attrs import frozen

from pitstop.errors import InvalidValueError, UnknownKeyError
from pitstop_database_maintenance.sqlite.connection.on_connect import check_spec

#: What there is, and what it means; shown to users.
KNOWN: Final[Mapping[str, str]] = {
    "on_connect": "module:function that registers the application's collations and functions on each connection",
    "force": "work on the file although its file system (network, FUSE) or its damaged log is a reason not to",
}


@frozen(kw_only=True)
class Options:
    """How a file is opened.

    Args:
        on_connect: "module:function"; "" for none. See `pitstop_database_maintenance.sqlite.connection.on_connect`.
        force: whether a hazardous file system, or a log that cannot be read, is no reason to refuse.
    """

    on_connect: str = ""
    force: bool = False

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """Return what a job's config says.

        Raises:
            InputError: an option that there is not, or a value that it cannot have.
        """
        for name in given:
            if name not in KNOWN:
                raise UnknownKeyError(where="the options of a SQLite database", name=name, known=tuple(KNOWN))
        force = given.get("force", False)
        if not isinstance(force, bool):
            problem = f"expected true or false, got {force!r}"
            raise InvalidValueError(where="the options of a SQLite database", name="force", problem=problem)
        return cls(on_connect=check_spec(given.get("on_connect", "")), force=force)
