"""Operations with parameters of every kind."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import attrs

from pitstop.operations import Bounds, operation_of


class Mode(enum.Enum):
    FAST = "fast"
    FULL = "full"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Flavour(enum.StrEnum):
    SWEET = "sweet"


@attrs.frozen
class Limits:
    """Two limits, one with a default."""

    rows: int
    seconds: float = 1.5


@attrs.frozen
class Window:
    """A record with records in it."""

    name: str
    limits: Limits | None = None
    days: list[str] = attrs.field(factory=list)
    computed: int = attrs.field(default=0, init=False)


def everything(
    db: object,
    *,
    text: str = "",
    number: int = 0,
    real: float = 0.0,
    flag: bool = False,
    choice: Literal["a", 1, None] = "a",
    mode: Mode = Mode.FAST,
    level: Level = Level.LOW,
    flavour: Flavour = Flavour.SWEET,
    maybe: int | None = None,
    either: int | str = 0,
    numbers: list[int] = [],  # noqa: B006 - a default that can be changed is what is tested
    sequence: Sequence[str] = (),
    rest: tuple[int, ...] = (),
    unique: set[int] = frozenset(),  # type: ignore[assignment]
    table: dict[str, int] = {},  # noqa: B006
    mapping: Mapping[str, int] = {},
    plain_list: list = [],  # type: ignore[type-arg]  # noqa: B006
    plain_dict: dict = {},  # type: ignore[type-arg]  # noqa: B006
    window: Window | None = None,
    windows: list[Window] = [],  # noqa: B006
    noted: Annotated[int, "a note"] = 0,
    anything: Any = None,
    untyped=None,  # type: ignore[no-untyped-def]
) -> None:
    """Take one of each.

    And more text.
    """


ALL = operation_of("everything", everything, distribution="acme 1.0")


def freeze(db: object, /, *, table: str, older_than: int = 0) -> dict[str, Any]:
    """Freeze every row version of a table."""
    return {"table": table, "older_than": older_than}


class Least:
    """A bound of somebody else's, such as those of annotated-types."""

    def __init__(self, ge: float) -> None:
        self.ge = ge


@attrs.frozen
class Share:
    """A record with a bounded field."""

    percent: Annotated[float, Bounds(ge=0, le=100)]


def bounded(
    db: object,
    *,
    limit: Annotated[int, Bounds(ge=1)] | None = None,
    foreign: Annotated[int, Least(5), "a note"] = 5,
    ratio: Annotated[float, Bounds(gt=0, lt=1)] = 0.5,
    either: Annotated[int | None, Bounds(le=9)] = None,
    items: list[Annotated[int, Bounds(ge=0)]] = [],  # noqa: B006
    share: Share | None = None,
    loose: Annotated[Any, "only a note"] = None,
) -> None:
    """Take numbers within bounds."""


BOUNDED = operation_of("bounded", bounded)
