"""Job definitions in TOML: named requests that can be run again and again. Reads files; runs and submits nothing.

[jobs.nightly]
action = "database_maintenance"
timeout = "30m"
on_error = "continue"

[jobs.nightly.config]
database = "sqlite:///app.db"
operations = ["vacuum", "analyze"]
parameters.analyze.limit = 1000
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from pitstop.errors import InvalidJobError, InvalidValueError, UnknownKeyError, UnknownNameError
from pitstop.jobs import Tolerance
from pitstop.orchestration.submission import SubmitOptions

DEFAULT_FILE = "pitstop.toml"
#: The keys of a definition, each with its type and what that is in a message.
KEYS: Mapping[str, tuple[type, str]] = {
    "action": (str, "a text"),
    "worker": (str, "a text"),
    "config": (dict, "a table"),
    "name": (str, "a text"),
    "timeout": (object, ""),
    "max_attempts": (int, "a whole number"),
    "on_error": (str, "a text"),
    "max_failures": (int, "a whole number"),
}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)?\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@frozen(kw_only=True)
class Definition:
    """One named request.

    Args:
        name: as the file calls it.
        what: the action or the worker type.
        config: what it is given.
        options: what else the file says of it; the root is called by the definition's name if not otherwise.
    """

    name: str
    what: str
    config: Mapping[str, Any]
    options: SubmitOptions


def load(path: Path) -> dict[str, Definition]:
    """Return the definitions of a file, in its order.

    Raises:
        InputError: the file cannot be read, is no TOML, or holds something else; it says where.
    """
    try:
        document = parse_toml(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise InvalidValueError(where=str(path), name="file", problem=f"cannot be read: {error.strerror}") from None
    except ValueError as error:  # also what is no UTF-8, and a path that can be none
        raise InvalidValueError(where=str(path), name="file", problem=f"is not valid TOML: {error}") from None
    _refuse_unknown(document, ("jobs",), where=str(path))
    jobs = document.get("jobs", {})
    if not isinstance(jobs, dict):
        raise InvalidValueError(where=str(path), name="jobs", problem="expected tables such as [jobs.nightly]")
    return {name: _definition(name, table, where=f"{path} [jobs.{name}]") for name, table in jobs.items()}


def parse_toml(text: str) -> dict[str, Any]:
    """Return what a TOML document says.

    Raises:
        ValueError: it is none, or holds a number or a nesting that Python does not read.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def find(name: str, path: Path) -> Definition:
    """Return one definition of a file.

    Raises:
        UnknownNameError: the file has none of this name.
        InputError: as `load`.
    """
    definitions = load(path)
    if name not in definitions:
        raise UnknownNameError(kind="job", name=name, owner=str(path), known=tuple(definitions))
    return definitions[name]


def duration(value: object, *, where: str, name: str) -> float:
    """Return the seconds that a number or a text such as "90", "1.5h", "30m", "45s" or "200ms" stands for.

    Raises:
        InvalidValueError: it is neither, or not more than 0.
    """
    seconds: float | None = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value) if abs(value) < 1e300 else None
    elif isinstance(value, str) and (match := _DURATION.match(value.strip())):
        seconds = float(match["number"]) * _SECONDS[match["unit"]]
    if seconds is None or not 0 < seconds < float("inf"):
        problem = f"{value!r} is no duration; write seconds, more than 0, or a text such as '90s', '30m' or '1.5h'"
        raise InvalidValueError(where=where, name=name, problem=problem)
    return seconds


def _definition(name: str, table: object, *, where: str) -> Definition:
    if not isinstance(table, dict):
        raise InvalidValueError(where=where, name=name, problem=f"expected a table, got {table!r}")
    _refuse_unknown(table, tuple(KEYS), where=where)
    for key, value in table.items():
        kind, expected = KEYS[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise InvalidValueError(where=where, name=key, problem=f"expected {expected}, got {value!r}")
    given = [key for key in ("action", "worker") if key in table]
    if len(given) != 1:
        problem = "both are given; keep one" if given else "one of them must be given"
        raise InvalidValueError(where=where, name="action, worker", problem=problem)
    if not table[given[0]]:
        raise InvalidValueError(where=where, name=given[0], problem="is empty")
    if table.get("max_attempts", 1) < 1:
        raise InvalidValueError(where=where, name="max_attempts", problem="give a whole number from 1")
    for key in ("on_error", "max_failures"):
        try:
            Tolerance(**({key: table[key]} if key in table else {}))
        except InvalidJobError as error:
            raise InvalidValueError(where=where, name=key, problem=str(error)) from None
    options = SubmitOptions(
        name=table.get("name") or name,
        timeout=None if "timeout" not in table else duration(table["timeout"], where=where, name="timeout"),
        max_attempts=table.get("max_attempts"),
        on_error=table.get("on_error"),
        max_failures=table.get("max_failures"),
        metadata={"definition": name},
    )
    return Definition(name=name, what=table[given[0]], config=table.get("config", {}), options=options)


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], *, where: str) -> None:
    for key in table:
        if key not in known:
            raise UnknownKeyError(where=where, name=key, known=known)
