"""For the reference, what Griffe does not know of our source by itself.

The fields of a record (attrs, `NamedTuple`) and of an error are the arguments of its class; the members of an enum are
told with it; a comment that begins with `#:` is the docstring of what follows it. A module's own docstring is for who
works on it, and stays away: each page has its introduction.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import griffe

_RECORD_DECORATORS = ("frozen", "define", "attrs.frozen", "attrs.define")


class OurDocstrings(griffe.Extension):
    """Gives records and errors their arguments, enums their members, and constants their comments."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Do so in a whole package, once all of it is loaded."""
        for obj in _everything(pkg):
            if isinstance(obj, griffe.Module):
                obj.docstring = None
            if isinstance(obj, griffe.Class) and is_record(obj):
                obj.set_member("__init__", _init_of(obj))
            if isinstance(obj, griffe.Class) and (line := ancestry_of_error(obj)):
                obj.set_member("__init__", _init_of_error(obj, line))
            if isinstance(obj, griffe.Attribute) and obj.docstring is None and (comment := comment_of(obj)):
                obj.docstring = griffe.Docstring(comment, parent=obj)
            if isinstance(obj, griffe.Class) and obj.docstring is not None and (members := members_of(obj)):
                obj.docstring.parsed.append(griffe.DocstringSectionText(f"One of {', '.join(members)}."))


def is_record(obj: griffe.Class) -> bool:
    """Return whether a class gets its arguments from its fields."""
    if "__init__" in obj.members:
        return False
    if any(str(base).rpartition(".")[2] == "NamedTuple" for base in obj.bases):
        return True
    return any(str(decorator.value).partition("(")[0] in _RECORD_DECORATORS for decorator in obj.decorators)


def ancestry_of_error(obj: griffe.Class) -> list[griffe.Class]:
    """Return an error of ours and its bases in the same module, `PitstopError` first; nothing for another class."""
    if obj.name == "PitstopError":
        return [obj]
    for base in obj.bases:
        found = obj.module.members.get(str(base))
        if isinstance(found, griffe.Class) and (line := ancestry_of_error(found)):
            return [*line, obj]
    return []


def comment_of(obj: griffe.Attribute) -> str:
    """Return the text of the comment above a name, if it begins with `#:`."""
    module = obj.module.filepath
    if obj.lineno is None or not isinstance(module, Path):
        return ""
    above: list[str] = []
    for line in reversed(_lines(module)[: obj.lineno - 1]):
        if not line.startswith("#:"):
            break
        above.insert(0, line.removeprefix("#:").strip())
    return " ".join(above)


@cache
def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text().splitlines()]


def members_of(obj: griffe.Class) -> list[str]:
    """Return the members of an enum with their values, as Markdown; nothing for another class."""
    if not any(str(base).rpartition(".")[2] in ("Enum", "StrEnum", "IntEnum") for base in obj.bases):
        return []
    members = [member for member in obj.members.values() if isinstance(member, griffe.Attribute)]
    values = [member for member in members if member.value is not None and "property" not in member.labels]
    return [f"`{member.name}` ({str(member.value).strip(chr(39))})" for member in values]


def _everything(obj: griffe.Object) -> Iterator[griffe.Object]:
    yield obj
    for member in list(obj.members.values()):
        if not member.is_alias:
            yield from _everything(member)


def _init_of(obj: griffe.Class) -> griffe.Function:
    self = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
    by_position = not obj.decorators or "kw_only=True" not in str(obj.decorators[0].value)
    kind = griffe.ParameterKind.positional_or_keyword if by_position else griffe.ParameterKind.keyword_only
    fields = [
        griffe.Parameter(name, annotation=member.annotation, kind=kind, default=_default(member.value))
        for name, member in obj.members.items()
        if isinstance(member, griffe.Attribute)
        and member.annotation is not None
        and "property" not in member.labels
        and not name.startswith("_")
    ]
    return griffe.Function("__init__", parameters=griffe.Parameters(self, *fields), returns="None", parent=obj)


def _init_of_error(obj: griffe.Class, line: list[griffe.Class]) -> griffe.Function:
    """Return what makes an error of its fields, which come by keyword but for one that is marked with `first`."""
    self = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
    fields = []
    for name, member in ((name, member) for part in line for name, member in part.members.items()):
        if not isinstance(member, griffe.Attribute) or member.annotation is None or name.startswith("_"):
            continue
        first = isinstance(member.value, griffe.ExprCall) and str(member.value.function) == "first"
        kind = griffe.ParameterKind.positional_or_keyword if first else griffe.ParameterKind.keyword_only
        default = None if first else member.value
        fields.append(griffe.Parameter(name, annotation=member.annotation, kind=kind, default=default))
    return griffe.Function("__init__", parameters=griffe.Parameters(self, *fields), returns="None", parent=obj)


def _default(value: Any) -> Any:
    """Return what a reader sees of a field's default: that of `field(default=...)`, and "..." for one that is made."""
    if isinstance(value, griffe.ExprCall):
        given = {entry.name: entry.value for entry in value.arguments if isinstance(entry, griffe.ExprKeyword)}
        if "default" in given:
            return _default(given["default"])
        made = "Factory" in str(value.function) or "factory" in given
        return "..." if made or not str(value.function).endswith("field") else None
    return value
