"""What SQLite says in words only, without a code of its own: read here and in `connection/check_answers`, nowhere else.

Child processes go by it, too, which run without attrs. "Corrupt" and "error" are the only codes of what is told apart;
the sentences are those of build.c, prepare.c, resolve.c and pragma.c, from 3.40 to 3.54.
"""

from __future__ import annotations

import re
from enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: The answer to a check that found nothing.
GOOD = "ok"
#: How a check heads what is wrong with pages; what is wrong with rows comes without it (pragma.c, OP_IntegrityCk).
HEAD = "*** in database main ***\n"
_HEADING = "*** in database "
_NULL = "NULL value in "
_UNSAFE = "unsafe use"


class Corruption(StrEnum):
    """What an error says is corrupt."""

    #: An entry of the schema cannot be read: damage, or the syntax of a newer SQLite.
    SCHEMA = "schema"
    #: Nothing more is said: only the first page was read, and the length of the file looked at.
    UNSPECIFIED = "unspecified"
    #: Something that the text names.
    SPECIFIC = "specific"


class Feature(StrEnum):
    """What a schema may need of an application."""

    COLLATION = "collation"
    FUNCTION = "function"
    MODULE = "module"
    TOKENIZER = "tokenizer"


_MISSING = (
    (re.compile(r"no such collation sequence: (?P<name>.+)"), Feature.COLLATION),
    (re.compile(r"no such function: (?P<name>.+)"), Feature.FUNCTION),
    (re.compile(r"unknown function: (?P<name>.+?)(\(\))?$"), Feature.FUNCTION),
    (re.compile(r"unsafe use of (?P<name>.+?)(\(\))?$"), Feature.FUNCTION),
    (re.compile(r"no such module: (?P<name>.+)"), Feature.MODULE),
    (re.compile(r"(?:no such|unknown) tokenizer: (?P<name>.+)"), Feature.TOKENIZER),
)


def missing_feature(error: Exception) -> tuple[Feature, str] | None:
    """Return what an error says is missing, and its name; None if it is about something else."""
    for pattern, feature in _MISSING:
        match = pattern.search(str(error))
        if match:
            return feature, match["name"]
    return None


def is_unsafe(error: Exception) -> bool:
    """Return whether a function was refused because the schema is not trusted."""
    return _UNSAFE in str(error)


def corruption(error: Exception) -> Corruption:
    """Return what an error whose code says "corrupt" is about."""
    text = str(error)
    if "malformed database schema" in text:
        return Corruption.SCHEMA
    return Corruption.UNSPECIFIED if text == "database disk image is malformed" else Corruption.SPECIFIC


def describe_python_error(error: Exception) -> str:
    """Return what an error of Python's own, raised while it took over SQLite's answer, says of the file."""
    if isinstance(error, MemoryError):
        return "it claims sizes for which there is no memory"
    return "a name or a text in it is not valid UTF-8"


def is_null(answer: str) -> bool:
    """Return whether a check's answer is that a column holds a NULL that it must not hold."""
    return answer.startswith(_NULL)


def problem_lines(answers: Iterable[str]) -> list[str]:
    """Return the problems in a check's answers, one line each, without the headings; none of the one good answer."""
    lines = (line for answer in answers if answer != GOOD for line in answer.splitlines())
    return [line for line in lines if not line.startswith(_HEADING)]
