"""For the reference, two things that Griffe does not know of our classes and docstrings by itself.

The fields of a record (attrs, `NamedTuple`) are the arguments of its class; and an entry of a docstring may stand for
several names, as in `done, total: units`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import griffe

_RECORD_DECORATORS = ("frozen", "define", "attrs.frozen", "attrs.define")
_WITH_NAMES = (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes)


class OurDocstrings(griffe.Extension):
    """Gives records their arguments, and each name of a docstring's entry an entry of its own."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Do so in a whole package, once all of it is loaded."""
        for obj in _everything(pkg):
            if isinstance(obj, griffe.Class) and is_record(obj):
                obj.set_member("__init__", _init_of(obj))
            if obj.docstring is not None:
                for section in obj.docstring.parsed:
                    if section.kind in _WITH_NAMES:
                        section.value = [part for entry in section.value for part in _parts(entry, obj)]


def is_record(obj: griffe.Class) -> bool:
    """Return whether a class gets its arguments from its fields."""
    if "__init__" in obj.members:
        return False
    if any(str(base).rpartition(".")[2] == "NamedTuple" for base in obj.bases):
        return True
    return any(str(decorator.value).partition("(")[0] in _RECORD_DECORATORS for decorator in obj.decorators)


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
        if isinstance(member, griffe.Attribute) and member.annotation is not None and not name.startswith("_")
    ]
    return griffe.Function("__init__", parameters=griffe.Parameters(self, *fields), returns="None", parent=obj)


def _default(value: Any) -> Any:
    """Return what a reader sees of a field's default: that of `field(default=...)`, and "..." for one that is made."""
    if isinstance(value, griffe.ExprCall):
        given = {entry.name: entry.value for entry in value.arguments if isinstance(entry, griffe.ExprKeyword)}
        if "default" in given:
            return given["default"]
        made = "Factory" in str(value.function) or "factory" in given
        return "..." if made or not str(value.function).endswith("field") else None
    return value


def _parts(entry: Any, obj: griffe.Object) -> list[Any]:
    return [_named(entry, name.strip(), obj) for name in entry.name.split(",")]


def _named(entry: Any, name: str, obj: griffe.Object) -> Any:
    annotation = entry.annotation
    if annotation is None and isinstance(obj, griffe.Class):
        init, field = obj.members.get("__init__"), obj.members.get(name)
        if isinstance(init, griffe.Function) and name in init.parameters:
            annotation = init.parameters[name].annotation
        elif isinstance(field, griffe.Attribute):
            annotation = field.annotation
    elif annotation is None and isinstance(obj, griffe.Function) and name in obj.parameters:
        annotation = obj.parameters[name].annotation
    return type(entry)(name, annotation=annotation, description=entry.description)
