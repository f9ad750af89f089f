"""What an author tests an operation or a kind of database with: conformance suites and awkward names.

    from pitstop_database_maintenance.testing import DatabaseContract

The contracts need pytest (`pip install 'pitstop-database-maintenance[testing]'`). What is for one kind of
database is in the `testing` of its own package. Each name is loaded when it is first used.
"""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.testing.database.database import DatabaseContract as DatabaseContract
    from pitstop_database_maintenance.testing.operation.awkward_names import AWKWARD_NAMES as AWKWARD_NAMES
    from pitstop_database_maintenance.testing.operation.operation import (
        DatabaseOperationContract as DatabaseOperationContract,
    )

__getattr__, __dir__, __all__ = export(
    __name__,
    {
        "database.database": ("DatabaseContract",),
        "operation.awkward_names": ("AWKWARD_NAMES",),
        "operation.operation": ("DatabaseOperationContract",),
    },
)
