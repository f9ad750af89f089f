"""Checks what packages offer in the groups of this plugin, for `pitstop doctor` and `Registry.check`; uses none."""

from __future__ import annotations

from pitstop.callables import call_fault
from pitstop.contracts import Lookup
from pitstop_database_maintenance.databases.database import Database
from pitstop_database_maintenance.worker.worker import DatabaseMaintenanceWorker


def check_database(_name: str, loaded: object, _lookup: Lookup) -> None:
    """Check what is offered in `pitstop.databases`.

    Args:
        _name: the URL scheme.
        loaded: what serves it.
        _lookup: what else is installed.

    Raises:
        TypeError: it is no kind of database.
    """
    if not isinstance(loaded, type) or not issubclass(loaded, Database):
        raise TypeError(f"it is {_describe(loaded)}, not a subclass of Database")


def check_assessment(name: str, loaded: object, lookup: Lookup) -> None:
    """Check what is offered in `pitstop.assessments`.

    Args:
        name: the operation that it assesses, such as "acme.tidy".
        loaded: what assesses.
        lookup: what else is installed.

    Raises:
        TypeError: it cannot be called, or a call would not run it.
        ValueError: nobody offers such an operation.
    """
    if not callable(loaded):
        raise TypeError(f"it is {_describe(loaded)}, which cannot be called")
    if fault := call_fault(loaded):
        raise TypeError(f"it {fault}")
    if name not in lookup.operation_names(DatabaseMaintenanceWorker.worker_type):
        raise ValueError(f"no installed plugin offers the operation {name!r} that it assesses")


def _describe(thing: object) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"of type {type(thing).__name__}"
