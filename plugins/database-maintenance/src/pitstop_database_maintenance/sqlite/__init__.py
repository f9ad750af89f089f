"""SQLite, the built-in kind of database: what operations on it, their authors included, import.

    from pitstop_database_maintenance.sqlite import SQLiteConnection, require_sound

Nothing outside of this package imports it: it is found by its entry points, as another kind would be. Each name is
loaded when it is first used, because child processes that read database files run without site-packages.
"""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.sqlite.connection.connection import SQLiteConnection as SQLiteConnection
    from pitstop_database_maintenance.sqlite.connection.session import SQLiteMeasure as SQLiteMeasure
    from pitstop_database_maintenance.sqlite.database import SQLiteDatabase as SQLiteDatabase
    from pitstop_database_maintenance.sqlite.guards.soundness import require_sound as require_sound
    from pitstop_database_maintenance.sqlite.inspection.records import Inspection as Inspection
    from pitstop_database_maintenance.sqlite.operations._measured import OperationRun as OperationRun
    from pitstop_database_maintenance.sqlite.operations._measured import begin as begin

__getattr__, __dir__, __all__ = export(
    __name__,
    {
        "connection.connection": ("SQLiteConnection",),
        "connection.session": ("SQLiteMeasure",),
        "database": ("SQLiteDatabase",),
        "guards.soundness": ("require_sound",),
        "inspection.records": ("Inspection",),
        "operations._measured": ("OperationRun", "begin"),
    },
)
