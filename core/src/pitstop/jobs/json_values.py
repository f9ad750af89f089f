"""Values that JSON can keep: what is stored is what was given."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from pitstop.errors import InvalidJobError
from pitstop.secrets.masking import MASK, is_secret_name, mask
from pitstop.text.escaping import one_line

#: How many levels a config, metadata or a result's data may have: whoever walks it comes far from Python's own limit.
DEEPEST = 100
#: Python refuses to write a number of more than 4300 digits.
_LARGEST = 10**4000


def json_object(value: object, *, what: str) -> dict[str, Any]:
    """Return a copy of `value` that is plain JSON, so that what is stored is what was given.

    Args:
        value: a mapping; tuples in it become lists.
        what: names it in errors, such as "config".

    Raises:
        InvalidJobError: it is not a mapping, something in it is not JSON (NaN and infinity are not), or it is nested
            deeper than `DEEPEST`; it says where.
    """
    if not isinstance(value, Mapping):
        raise InvalidJobError(reason=f"{what} is {type(value).__name__}, not an object", hint="give a mapping")
    return _json_entries(value, what, 1) if value else {}


def _json_entries(value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    # the exact types of JSON first, and no call for them: every job pays for this, twice
    return {
        key if type(key) is str else _json_key(key, where): entry
        if type(entry) in _JSON_ATOMS or (type(entry) is int and -_LARGEST < entry < _LARGEST)
        else _json_value(entry, where, key, depth)
        for key, entry in value.items()
    }


_JSON_ATOMS = frozenset({str, bool, type(None)})


def _json_value(value: object, where: str, key: object, depth: int) -> Any:
    if value is None or isinstance(value, (str, bool)) or (isinstance(value, int) and -_LARGEST < value < _LARGEST):
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    where = f"{where}[{key!r}]"
    if isinstance(value, (list, tuple, Mapping)):
        if depth >= DEEPEST:
            what = where.partition("[")[0]
            raise InvalidJobError(
                f"{what} is nested too deeply", hint=f"it may contain itself; {DEEPEST} levels are taken"
            )
        if isinstance(value, Mapping):
            return _json_entries(value, where, depth + 1)
        return [_json_value(entry, where, index, depth + 1) for index, entry in enumerate(value)]
    secret, large = is_secret_name(where), isinstance(value, int)
    shown = MASK if secret else "a number of thousands of digits" if large else repr(value)
    raise InvalidJobError(
        reason=f"{where} is {shown} ({type(value).__name__}), which JSON cannot hold",
        hint="use texts, finite numbers, booleans, null, lists and objects",
    )


def _json_key(key: object, where: str) -> str:
    if isinstance(key, str):
        return key
    raise InvalidJobError(reason=f"{where} has the key {key!r} ({type(key).__name__})", hint="keys of JSON are texts")


def as_config(value: object) -> dict[str, Any]:
    """Return a config as plain JSON; raises InvalidJobError as `json_object`."""
    return json_object(value, what="config")


def as_metadata(value: object) -> dict[str, Any]:
    """Return metadata as plain JSON; raises InvalidJobError as `json_object`."""
    return json_object(value, what="metadata")


def storable(value: Any) -> Any:
    """Return a text as any database and terminal takes it; anything else as it is."""
    # A name and a resource are shown in every listing. A file name may hold bytes that are no UTF-8, which no database
    # and no terminal takes.
    if value is None or value == "":
        return value
    if not isinstance(value, str):
        raise InvalidJobError(reason=f"a job's name or resource is {value!r}", hint="give a text, or leave it out")
    # one line, and whole: a resource that was cut could be another one's
    value = one_line(mask(value), at_most=len(value) * 10 + 100)
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
