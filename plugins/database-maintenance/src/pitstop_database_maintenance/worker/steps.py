"""What is to be done with a database, as the configs of plans and of shared jobs have it: read once, into records.

{"database": "acme://host/shelf", "options": {...}, "steps": [
    {"operation": "vacuum", "parameters": {...}, "limits": {...}, "predicted": {...}}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

import attrs
from attrs import Attribute, Factory, field, frozen

from pitstop.errors import InvalidValueError, UnknownKeyError

_Record = TypeVar("_Record", bound="DatabaseSteps | JobStep")


def _check_name(_: object, __: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a name, got {value!r}")


def _check_object(_: object, __: Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected an object, got {type(value).__name__}")


@frozen(kw_only=True)
class JobStep:
    """One operation on one database.

    Args:
        operation: its short name.
        parameters: with which it is run.
        limits: see `Limits`.
        predicted: what the plan says of it, for the history.
    """

    operation: str = field(validator=_check_name)
    parameters: Mapping[str, Any] = field(default=Factory(dict), validator=_check_object)
    limits: Mapping[str, Any] = field(default=Factory(dict), validator=_check_object)
    predicted: Mapping[str, Any] = field(default=Factory(dict), validator=_check_object)

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON, without what is empty."""
        return {name: value for name, value in _fields(self) if value}


@frozen(kw_only=True)
class DatabaseSteps:
    """The steps on one database, in their order.

    Args:
        database: the URL.
        steps: at least one.
        options: how it is opened.
    """

    database: Any
    steps: tuple[JobStep, ...]
    options: Mapping[str, Any] = field(default=Factory(dict), validator=_check_object)

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON, without what is empty."""
        steps = [step.to_document() for step in self.steps]
        return {**{name: value for name, value in _fields(self) if value}, "steps": steps}

    @classmethod
    def read(cls, value: object, name: str, *, where: str) -> tuple[Self, ...]:
        """Return the entries of a list.

        Args:
            value: as it is in a config.
            name: its key there, for errors: they say "plan[0].steps[1].operation".
            where: whose config it is.

        Raises:
            InvalidValueError, UnknownKeyError: it is no such list; the text says where.
        """
        found = []
        for place, entry in _items(value, name, where=where):
            steps = {}
            if isinstance(entry, Mapping) and "steps" in entry:
                items = _items(entry["steps"], f"{place}.steps", where=where)
                steps["steps"] = tuple(_record(JobStep, step, at, where=where) for at, step in items)
            found.append(_record(cls, entry, place, where=where, **steps))
        return tuple(found)


def _fields(record: DatabaseSteps | JobStep) -> list[tuple[str, Any]]:
    return [(field.name, getattr(record, field.name)) for field in attrs.fields(type(record))]


def _items(value: object, name: str, *, where: str) -> list[tuple[str, object]]:
    """Return the items of a list that must not be empty, each with its place."""
    if not isinstance(value, (list, tuple)) or not value:
        got = "an empty list" if value in ([], ()) else type(value).__name__
        raise InvalidValueError(where=where, name=name, problem=f"expected a list of objects, got {got}")
    return [(f"{name}[{index}]", item) for index, item in enumerate(value)]


def _record(kind: type[_Record], value: object, place: str, *, where: str, **read: Any) -> _Record:
    """Return an object as a record of a kind, of which some fields have been read already."""
    if not isinstance(value, Mapping):
        raise InvalidValueError(where=where, name=place, problem=f"expected an object, got {type(value).__name__}")
    fields = {field.name: field for field in attrs.fields(kind)}
    for key in value:
        if key not in fields:
            raise UnknownKeyError(where=f"{where}: {place}", name=str(key), known=tuple(fields))
    for key, declared in fields.items():
        if declared.default is attrs.NOTHING and key not in value:
            raise InvalidValueError(where=where, name=place, problem=f"{key!r} is missing")
        if key in value and declared.validator is not None:
            try:
                declared.validator(None, declared, value[key])
            except ValueError as error:
                raise InvalidValueError(where=where, name=f"{place}.{key}", problem=str(error)) from None
    return kind(**{**value, **read})
