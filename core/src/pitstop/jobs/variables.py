"""`${NAME}` in a config: found at any time, replaced from the environment only when a job is executed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from pitstop.errors import InvalidJobError
from pitstop.secrets.masking import names_secret
from pitstop.secrets.places import find_secrets

_REFERENCE = re.compile(r"\$(?P<escaped>\$)?\{(?P<name>[^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@frozen(kw_only=True)
class Expanded:
    """A config as the worker gets it.

    Args:
        config: the config, expanded.
        secrets: what to mask in all that is said of it, for `pitstop.secrets.masking.mask`: pairs of a secret and what
            to write instead, which is `${NAME}` for a value of the environment. `pitstop.secrets.places` says what a
            secret is.
    """

    config: Mapping[str, Any] = field(repr=False)
    secrets: tuple[tuple[str, str], ...] = field(repr=False)


def expand(config: Mapping[str, Any], environment: Mapping[str, str]) -> Expanded:
    """Return a config with each `${NAME}` in its texts replaced. `$${NAME}` stands for the text `${NAME}`.

    Keys are left alone, and what was put in is not looked at again. A config without a reference comes back itself.

    Raises:
        InvalidJobError: a variable is not set, or a name is none.
    """
    # a look at all of it as one text, which costs a fraction of a walk, and nearly every job ends here
    shown = repr(config)
    if "${" not in shown:
        return Expanded(config=config, secrets=find_secrets(config) if names_secret(shown) else ())
    filled_in: dict[str, str] = {}

    def put_in(match: re.Match[str]) -> str:
        if match["escaped"]:
            return match[0][1:]
        name = match["name"]
        if not _NAME.match(name):
            raise InvalidJobError(reason=f"{match[0]} in the config names no variable", hint="write ${NAME}")
        value = environment.get(name)
        if value is None:
            raise InvalidJobError(
                reason=f"the config uses {match[0]}, and the environment has no variable {name!r}",
                hint="set it where the job runs",
            )
        filled_in[name] = value
        return value

    expanded = _map_texts(config, lambda text: _REFERENCE.sub(put_in, text))
    return Expanded(config=expanded, secrets=find_secrets(expanded, filled_in))


def escape(value: Any) -> Any:
    """Return a JSON value that `expand` turns into this one: a `${NAME}` in it is part of a name, and no variable.

    Args:
        value: any JSON value, such as the names of tables that are to be put into a config.
    """
    return _map_texts(value, lambda text: _REFERENCE.sub(lambda match: f"${match[0]}", text))


def names_in(config: Mapping[str, Any]) -> set[str]:
    """Return the variables that a config's texts mention, be they set or not."""
    found: set[str] = set()

    def collect(text: str) -> str:
        found.update(match["name"] for match in _REFERENCE.finditer(text) if not match["escaped"])
        return text

    _map_texts(config, collect)
    return found


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with each of its texts changed; keys are left alone."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _map_texts(entry, change) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_texts(entry, change) for entry in value]
    return value
