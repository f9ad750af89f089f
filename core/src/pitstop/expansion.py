"""`${NAME}` in a config: found at any time, replaced from the environment only when a job is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from pitstop.errors import InvalidJobError

_REFERENCE = re.compile(r"\$(?P<escaped>\$)?\{(?P<name>[^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@frozen(kw_only=True)
class Expanded:
    """A config as the worker gets it.

    Args:
        config: the config, expanded.
        secrets: pairs of each value that was put in and what stood there, for `pitstop.masking.mask`.
    """

    config: dict[str, Any] = field(repr=False)
    secrets: tuple[tuple[str, str], ...] = field(repr=False)


def expand(config: Mapping[str, Any], environment: Mapping[str, str]) -> Expanded:
    """Return a config with each `${NAME}` in its texts replaced. `$${NAME}` stands for the text `${NAME}`.

    Keys are left alone, and what was put in is not looked at again.

    Raises:
        InvalidJobError: a variable is not set, or a name is none.
    """
    secrets: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return match[0][1:]
        check_name(match["name"])
        value = environment.get(match["name"])
        if value is None:
            raise InvalidJobError(
                reason=f"the config uses {match[0]}, and the environment has no variable {match['name']!r}",
                hint="set it where the job runs",
            )
        secrets[value] = match[0]
        return value

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return _REFERENCE.sub(replace, value)
        if isinstance(value, Mapping):
            return {key: walk(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [walk(entry) for entry in value]
        return value

    expanded = {key: walk(value) for key, value in config.items()}
    return Expanded(config=expanded, secrets=tuple(sorted(secrets.items(), key=lambda item: -len(item[0]))))


def check_name(name: str) -> None:
    """Raise InvalidJobError if `name` cannot be the name of an environment variable."""
    if not _NAME.match(name):
        raise InvalidJobError(reason=f"${{{name}}} in the config names no variable", hint="write ${NAME}")
