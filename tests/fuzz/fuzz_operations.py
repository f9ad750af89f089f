"""Parameters of an operation: hostile JSON gives an `InputError`, or values of the types that the signature names."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import attrs
from harness import fuzz, instrumented

with instrumented():
    from pitstop.errors import InputError
    from pitstop.operations import Bounds, operation_of


class Mode(enum.Enum):
    """Two modes."""

    FAST = "fast"
    FULL = "full"


@attrs.frozen
class Limits:
    """A record with a record in it."""

    rows: Annotated[int, Bounds(ge=1)]
    seconds: float = 1.5
    inner: Limits | None = None


def everything(
    db: object,
    *,
    text: str = "",
    number: Annotated[int, Bounds(ge=0, lt=100)] = 0,
    real: float = 0.0,
    flag: bool = False,
    choice: Literal["a", 1, None] = "a",
    mode: Mode = Mode.FAST,
    either: int | str | None = None,
    numbers: Sequence[int] = (),
    rest: tuple[int, ...] = (),
    table: Mapping[str, list[int]] = {},
    limits: Limits | None = None,
    password: str | None = None,
    anything: Any = None,
) -> None:
    """Take one of each."""


OPERATION = operation_of("everything", everything)
TYPES = {"text": str, "number": int, "real": float, "flag": bool, "mode": Mode, "rest": tuple, "numbers": list}
CORPUS = (
    b'{"text": "x", "number": 5, "real": 1, "flag": true, "mode": "fast", "choice": null}',
    b'{"number": 100}',
    b'{"numbers": [1, "2"], "rest": [1], "table": {"a": [1, null]}}',
    b'{"limits": {"rows": 0, "inner": {"rows": 1, "inner": null, "x": 1}}}',
    b'{"limits": {"rows": 1, "seconds": 1e400}, "either": [], "anything": {"a": [{}]}}',
    b'{"password": 5, "passwrod": 1}',
    b'{"table": {"\\ud800": [5]}, "text": "\\ud800\\u0000"}',
    b'{"limits": ' + b'{"rows": 1, "inner": ' * 300 + b"null" + b"}" * 301,
    b"[1]",
    b"null",
)


def TestOneInput(data: bytes) -> None:
    """Check a JSON value as a job's parameters."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        taken = OPERATION.check(values)
    except InputError as error:
        text = str(error)
        secret = values.get("password") if isinstance(values, dict) else None
        hidden = isinstance(secret, int) and len(str(secret)) > 6 and data.count(str(secret).encode()) == 1
        assert not hidden or str(secret) not in text, text
        return
    assert taken.keys() == values.keys()
    for name, kind in TYPES.items():
        assert name not in taken or type(taken[name]) is kind, (name, taken[name])
    assert 0 <= taken.get("number", 0) < 100
    assert taken.get("limits") is None or taken["limits"].rows >= 1


if __name__ == "__main__":
    fuzz(TestOneInput, CORPUS)
