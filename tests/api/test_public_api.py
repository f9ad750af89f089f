"""The public API is what is written down, so that a change of it is on purpose."""

from __future__ import annotations

import enum
import re
import subprocess
import sys
from difflib import unified_diff
from typing import Any, NamedTuple, Protocol

import attrs

import pitstop

from .surface import MODULES, PLUGIN, ROOT, SNAPSHOT, described


def test_public_api_is_what_is_written_down() -> None:
    """Names, signatures, groups, commands and options; the difference says what to do."""
    # in a process of its own: what has used a record before may have made types of its annotations
    program = "from tests.api.surface import written_down; print(written_down(), end='')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    known, now = SNAPSHOT.read_text().splitlines(), done.stdout.splitlines()
    difference = "\n".join(unified_diff(known, now, "written down", "now", lineterm=""))
    assert not difference, (
        f"the public API has changed:\n{difference}\nIf that is meant, say so in CHANGELOG.md "
        "(docs/reference/versions.md) and run: uv run python -m tests.api"
    )


def test_public_api_has_every_public_name() -> None:
    """Nothing of `pitstop.__all__` is left out."""
    text = SNAPSHOT.read_text()
    section = text.partition("== module pitstop\n")[2].partition("\n== ")[0]
    lines = section.splitlines()
    for name in pitstop.__all__:
        assert any(line.startswith((f"class {name}", f"def {name}(", f"{name}:", f"{name} =")) for line in lines), name


def test_public_api_shows_no_address_and_no_path() -> None:
    """What differs from one process or machine to the next is not in it."""
    text = SNAPSHOT.read_text()
    assert " at 0x" not in text
    assert "/home" not in text
    assert "/tmp" not in text
    assert len(MODULES) == len({module for module, _ in MODULES})


def test_public_api_is_the_part_that_the_page_calls_stable() -> None:
    """Each module that is written down is named on the page, with each name where only some are stable."""
    page = (ROOT / "docs" / "reference" / "versions.md").read_text()
    for module, names in MODULES:
        told = module.removeprefix(f"{PLUGIN}.").removeprefix("pitstop.")
        assert re.search(rf"`(?:import )?(?:pitstop\.)?{re.escape(told)}\b", page), module
        # an error is an error of `pitstop.errors`, all of which are stable
        assert [n for n in names if not n.endswith("Error") and not re.search(rf"\b{n}`", page)] == [], module


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen(kw_only=True)
class Record:
    size: int
    names: list[str] = attrs.Factory(list)
    colour: Colour = Colour.RED

    @property
    def half(self) -> float:
        return self.size / 2

    @classmethod
    def of(cls, text: str, /, *more: str, deep: bool = False, **others: Any) -> Record:
        raise NotImplementedError

    def _hidden(self) -> None: ...


class Pair(NamedTuple):
    one: int
    two: str = "x"


class Shape(Protocol):
    sides: int

    def area(self, *, exact: bool) -> float: ...


class Plain:
    def __init__(self, a: int, b: Any = object()) -> None: ...  # noqa: B008


def lines(thing: Any) -> list[str]:
    # our own classes' members are shown; these are made ours for once
    home, thing.__module__ = thing.__module__, "pitstop.somewhere"
    try:
        return [line for line in described(thing.__name__, thing) if line]
    finally:
        thing.__module__ = home


def test_described_a_record_has_its_fields_and_members() -> None:
    """Fields as arguments, what is made as "...", class methods and properties; nothing with an underscore."""
    assert lines(Record) == [
        "class Record",
        "    Record(*, size: int, names: list[str] = ..., colour: Colour = Colour.RED)",
        "    half: float",
        "    classmethod of(text: str, /, *more: str, deep: bool = False, **others: Any) -> Record",
    ]


def test_described_tuples_enums_protocols_and_plain_classes() -> None:
    """Each by what makes it, and by what it has."""
    assert lines(Pair) == ["class Pair(tuple)", "    Pair(one: int, two: str = 'x')"]
    assert lines(Colour) == ["class Colour(Enum)", "    RED = 'red'"]
    assert lines(Shape) == [
        "class Shape(Protocol)",
        "    def area(*, exact: bool) -> float",
        "    sides: int",
    ]
    assert lines(Plain) == ["class Plain", "    Plain(a: int, b: Any = ...)"]


def test_described_a_long_signature_has_an_argument_a_line() -> None:
    """So that a diff shows the one that changed."""

    def long(
        first_of_many_arguments: int, second_of_many_arguments: str = "text", *, third_of_them: bool = True
    ) -> int:
        raise NotImplementedError

    assert list(described("long", long)) == [
        "def long(",
        "    first_of_many_arguments: int,",
        "    second_of_many_arguments: str = 'text',",
        "    *,",
        "    third_of_them: bool = True,",
        ") -> int",
    ]
