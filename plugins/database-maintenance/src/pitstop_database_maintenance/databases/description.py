"""What a kind of database says of an inspection, for a terminal, a page and programs. Records only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

from attrs import Factory, field, frozen

from pitstop_database_maintenance.history import CheckRecord

PageKind: TypeAlias = Literal["table", "index", "overflow", "free", "other"]


class Level(StrEnum):
    """How much a finding matters; the value is what the reader sees."""

    DUE = "due"
    NOTABLE = "look at it"
    FINE = "fine"


@frozen
class Finding:
    """One thing that was found.

    Args:
        title: what it is; begins with a small letter, unless that is a name, and ends without a full stop.
        text: the figures, or what to do about it, written as the title is; may be empty.
        level: how much it matters. What is fine is told in a report only.
        gain: bytes that would be given back; None where bytes are not what it is about.
        cures: operations that do something about it: it is due while one of them is.
    """

    title: str
    text: str = ""
    level: Level = field(default=Level.NOTABLE, kw_only=True)
    gain: int | None = field(default=None, kw_only=True)
    cures: frozenset[str] = field(default=frozenset(), kw_only=True)

    def __str__(self) -> str:
        return f"{self.title}: {self.text}" if self.text else self.title


class Fact(NamedTuple):
    """Something worth knowing.

    Args:
        heading: a word or two.
        text: what there is.
        group: the heading of the facts that it is shown with in a report.
    """

    heading: str
    text: str
    group: str = ""


class Figure(NamedTuple):
    """One of the few figures that everybody looks for first.

    Args:
        title: what it is of, such as "Size".
        value: the figure.
        note: a few words more.
    """

    title: str
    value: str
    note: str = ""


@frozen(kw_only=True)
class Cell:
    """One cell of a map of a database: a run of neighbouring pages, of which one or a few were looked at.

    Args:
        kind: what most of them are.
        unused: the share of their bytes that holds nothing.
    """

    kind: PageKind
    unused: float


@frozen(kw_only=True)
class ObjectSpace:
    """The space of one table or index.

    Args:
        name: it.
        kind: "table", "index" or what else there is.
        table: the table that an index belongs to.
        pages: how many.
        bytes: what they take.
        unused: how many bytes in them hold nothing.
    """

    name: str
    kind: str
    table: str = ""
    pages: int
    bytes: int
    unused: int


@frozen(kw_only=True)
class Space:
    """Where the space of a database is.

    Args:
        at: when that was found, in seconds since 1970, UTC; 0 if it is not known.
        bytes: its size.
        free_bytes: how much of that is whole free pages.
        waste: the share of it that holds nothing; None if it is not known.
        objects: by table and index, the most wasteful first, as far as that is known.
        cells: the whole from its first page to its last, in cells of equal size, as far as that is known.
    """

    at: float = 0.0
    bytes: int
    free_bytes: int = 0
    waste: float | None = None
    objects: tuple[ObjectSpace, ...] = ()
    cells: tuple[Cell, ...] = ()


@frozen(kw_only=True)
class State:
    """The figures of a database that are compared before and after a run.

    Args:
        bytes: its size.
        disk: what its files take on disk, its log included.
        pending: how much of that goes back at the next checkpoint.
        free_bytes: how much of that is known to be unused as a whole; None if that is not known.
        waste: the share that a rebuild would give back, from 0 to 1; None if it is not known.
    """

    bytes: int
    disk: int = Factory(lambda state: state.bytes, takes_self=True)
    pending: int = 0
    free_bytes: int | None = None
    waste: float | None = None


def _make_findings(found: Iterable[str | Finding]) -> tuple[Finding, ...]:
    return tuple(Finding(one) if isinstance(one, str) else one for one in found)


def _make_facts(found: Iterable[tuple[str, ...]]) -> tuple[Fact, ...]:
    return tuple(Fact(*one) for one in found)


@frozen(kw_only=True)
class Description:
    """What an inspection found, for a person.

    Args:
        findings: what is wrong or worth knowing, the most important first; a sentence is a finding.
        facts: what else there is; a pair of a heading and a text is a fact.
        limits: what the look could not judge, for a sentence that begins with "nothing is wrong with it, "; "" if it
            has looked at everything.
        figures: what stands at the top of a report.
        space: where the bytes are; None if that is not known.
        checks: what is known of past checks: by check, the last verdict on each object.
        notes: what could not be known and why, one line each.
    """

    findings: tuple[Finding, ...] = field(default=(), converter=_make_findings)
    facts: tuple[Fact, ...] = field(default=(), converter=_make_facts)
    limits: str = ""
    figures: tuple[Figure, ...] = ()
    space: Space | None = None
    checks: Mapping[str, Mapping[str, CheckRecord]] = field(factory=dict)
    notes: tuple[str, ...] = ()
