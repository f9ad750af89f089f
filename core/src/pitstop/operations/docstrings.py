"""What a docstring says of a function: summary, description, what each argument means, and examples. Imports nothing.

It reads the three styles that are in use, as far as arguments go: Google's `Args:`, Sphinx's `:param name:` and numpy's
underlined `Parameters`. A docstring of any other form is all summary and description; none makes it raise. (A library
for this would be a dependency of every plugin, for some sixty lines.)
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

_ARGUMENTS = ("args", "arguments", "parameters", "params", "keyword args", "keyword arguments", "other parameters")
_EXAMPLES = ("example", "examples")
#: Headings that end the description; whatever stands under them is not about arguments.
_OTHERS = (
    "attributes",
    "note",
    "notes",
    "raises",
    "references",
    "return",
    "returns",
    "see also",
    "todo",
    "warning",
    "warnings",
    "warns",
    "yield",
    "yields",
)
_FIELD = re.compile(r":(?P<kind>\w+)(?P<rest>[^:]*):(?P<text>.*)")
_NAMED = re.compile(
    r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?:\((?P<type>[^)]*(?:\([^)]*\)[^)]*)*)\))?\s*:(?P<text>.*)"
)


class Docstring(NamedTuple):
    """What was read.

    Args:
        summary: the first line, or "".
        description: the paragraphs after it, before the first section; lines are joined, paragraphs kept apart.
        arguments: what each argument means, by name.
        examples: the lines under an `Example:` heading.
    """

    summary: str = ""
    description: str = ""
    arguments: dict[str, str] = {}  # noqa: RUF012 - never changed
    examples: tuple[str, ...] = ()


def read_docstring(thing: Any) -> Docstring:
    """Return what a function's or a class's docstring says; that of nothing if it has none."""
    try:
        text = inspect.getdoc(thing)
    except Exception:  # whatever a stranger's object does when it is asked
        text = None
    return parse(text) if isinstance(text, str) else Docstring()


def parse(text: str) -> Docstring:
    """Return what a docstring says, whose indentation has been taken away."""
    first, _, rest = text.strip("\n").partition("\n")
    lines, sections = _sections(rest.split("\n"))
    arguments = _read_meanings(lines, _begin_field)
    for kind, numpy, block in sections:
        if kind in _ARGUMENTS:
            margin = min((_indent(line) for line in block if line.strip()), default=0)
            arguments.update(_read_meanings(block, _begin_numpy if numpy else partial(_begin_google, margin=margin)))
    examples = [line.strip() for kind, _, block in sections if kind in _EXAMPLES for line in block if line.strip()]
    return Docstring(first.strip(), _paragraphs(_drop_fields(lines)), arguments, tuple(examples))


def _sections(lines: list[str]) -> tuple[list[str], list[tuple[str, bool, list[str]]]]:
    """Return what stands before the first heading, and each heading with whether it is underlined and what follows."""
    before: list[str] = []
    sections: list[tuple[str, bool, list[str]]] = []
    into = before
    skip = False
    for number, line in enumerate(lines):
        if skip:  # the line under a heading
            skip = False
            continue
        following = lines[number + 1].strip() if number + 1 < len(lines) else ""
        title = line.rstrip().removesuffix(":").lower()
        underlined = len(following) > 2 and set(following) <= {"-", "="}
        if title in (*_ARGUMENTS, *_EXAMPLES, *_OTHERS) and (underlined or line.rstrip().endswith(":")):
            into = []
            sections.append((title, underlined, into))
            skip = underlined
        else:
            into.append(line)
    return before, sections


def _read_meanings(lines: list[str], begin: Callable[[str], tuple[list[str], str] | None]) -> dict[str, str]:
    """Return names and meanings.

    Args:
        lines: where they are written.
        begin: returns the names, and the text behind them, of a line that begins a meaning, or ends the one before if
            there are none; None for a line that belongs to the one before.
    """
    found: list[tuple[list[str], list[str]]] = []
    for line in lines:
        begun = begin(line)
        if begun is not None:
            found.append((begun[0], [begun[1]]))
        elif found:
            found[-1][1].append(line)
    meanings = [(name.lstrip("*"), " ".join(" ".join(texts).split())) for names, texts in found for name in names]
    return {name: meaning for name, meaning in meanings if meaning}


def _begin_google(line: str, *, margin: int) -> tuple[list[str], str] | None:
    """Of an `Args:` section: each meaning begins less indented than what belongs to it."""
    if not line.strip() or _indent(line) != margin:
        return None
    found = _NAMED.match(line.strip())
    return (_split(found["names"]), found["text"]) if found else ([], "")


def _begin_numpy(line: str) -> tuple[list[str], str] | None:
    """Of an underlined section: `name : type`, and below it what it means, indented."""
    return (_split(line.partition(":")[0]), "") if line.strip() and not _indent(line) else None


def _begin_field(line: str) -> tuple[list[str], str] | None:
    """Of Sphinx's `:param type name: text`, which goes on in indented lines."""
    if found := _FIELD.match(line):
        known = found["kind"] in ("param", "parameter", "arg", "argument", "key", "keyword")
        return (found["rest"].split()[-1:] if known else []), found["text"]
    return ([], "") if line.strip() and not _indent(line) else None


def _drop_fields(lines: list[str]) -> Iterator[str]:
    within = False
    for line in lines:
        within = bool(_FIELD.match(line)) or (within and (_indent(line) > 0 or not line.strip()))
        if not within:
            yield line


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _paragraphs(lines: Iterable[str]) -> str:
    paragraphs = "\n".join(line.rstrip() for line in lines).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip())
