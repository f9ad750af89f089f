"""What an author tests an operation on SQLite with: temporary databases, fixtures, and a conformance suite.

    from pitstop_database_maintenance.sqlite.testing import SQLiteOperationContract, make_database

`make_database` and `open_sqlite` need nothing but this package; the contract needs pytest
(`pip install 'pitstop-database-maintenance[testing]'`). Each name is loaded when it is first used.
"""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.testing.databases import add_awkward_tables as add_awkward_tables
    from pitstop_database_maintenance.sqlite.testing.databases import make_database as make_database
    from pitstop_database_maintenance.sqlite.testing.databases import open_sqlite as open_sqlite
    from pitstop_database_maintenance.sqlite.testing.operation import SQLiteOperationContract as SQLiteOperationContract

__getattr__, __dir__, __all__ = export(
    __name__,
    {
        "databases": ("add_awkward_tables", "make_database", "open_sqlite"),
        "operation": ("SQLiteOperationContract",),
    },
)
