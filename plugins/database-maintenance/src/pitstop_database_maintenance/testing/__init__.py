"""What an author tests an operation or a kind of database with: temporary databases, fixtures, and conformance suites.

    from pitstop_database_maintenance.testing import SQLiteOperationContract, make_database

`make_database` and `open_sqlite` need nothing but this package; the contracts need pytest
(`pip install 'pitstop-database-maintenance[testing]'`). Each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.testing.databases.database import DatabaseContract as DatabaseContract
    from pitstop_database_maintenance.testing.making import add_awkward_tables as add_awkward_tables
    from pitstop_database_maintenance.testing.making import make_database as make_database
    from pitstop_database_maintenance.testing.making import open_sqlite as open_sqlite
    from pitstop_database_maintenance.testing.names import AWKWARD_NAMES as AWKWARD_NAMES
    from pitstop_database_maintenance.testing.operations.operation import (
        DatabaseOperationContract as DatabaseOperationContract,
    )
    from pitstop_database_maintenance.testing.operations.sqlite import (
        SQLiteOperationContract as SQLiteOperationContract,
    )

_HERE = "pitstop_database_maintenance.testing"
_MODULE_OF = {
    "AWKWARD_NAMES": f"{_HERE}.names",
    "DatabaseContract": f"{_HERE}.databases.database",
    "DatabaseOperationContract": f"{_HERE}.operations.operation",
    "SQLiteOperationContract": f"{_HERE}.operations.sqlite",
    "add_awkward_tables": f"{_HERE}.making",
    "make_database": f"{_HERE}.making",
    "open_sqlite": f"{_HERE}.making",
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {_HERE!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
