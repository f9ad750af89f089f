"""Which environment variables a child process gets: those that every program needs, and those that were named.

A secret that the parent holds for one job, or for itself, is not there for the code of every other plugin to read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from pitstop.errors import InvalidValueError

#: Further names for every process runner of a process, separated by commas or spaces.
VARIABLE = "PITSTOP_CHILD_ENV"
#: What every program may need: where things are, who runs it, its language and time, and what Python itself reads.
NEEDED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SQLITE_TMPDIR",
    "PYTHON*",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_*",
    "XDG_*",
    "SSL_CERT_*",
    "PITSTOP_ALLOW",
    "PITSTOP_BLOCK",
    "PITSTOP_HISTORY",
)
#: The store is the parent's alone, and its URL may hold a password.
NEVER = ("PITSTOP_STORE",)


def parse_names(given: Iterable[str]) -> tuple[str, ...]:
    """Return names and patterns, after a look at each.

    Args:
        given: names, and beginnings of names with a star, such as "PG*"; a text is split at commas and spaces.

    Raises:
        InvalidValueError: one can be neither.
    """
    if isinstance(given, str):
        given = given.replace(",", " ").split()
    for name in given:
        stem = name.removesuffix("*") if isinstance(name, str) else ""
        if not stem or "*" in stem or "=" in stem or not stem.isprintable() or " " in stem:
            problem = f"{name!r} is neither a variable's name nor the beginning of some, such as 'PG*'"
            raise InvalidValueError(where="ProcessRunner", name="environment", problem=problem)
    return tuple(given)


def environment_for_child(named: Iterable[str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of a child.

    Args:
        named: names and patterns beside those that every program needs, from `parse_names`.
        environment: the parent's variables; those of this process if not given.
    """
    environment = os.environ if environment is None else environment
    patterns = (*NEEDED, *named)
    whole = {pattern for pattern in patterns if not pattern.endswith("*")}
    stems = tuple(pattern.removesuffix("*") for pattern in patterns if pattern.endswith("*"))
    return {
        name: value
        for name, value in environment.items()
        if (name in whole or name.startswith(stems)) and name not in NEVER
    }
