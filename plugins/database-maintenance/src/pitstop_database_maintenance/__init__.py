"""Keeps databases healthy: a worker type, a planner, and one kind of database built in."""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.databases.assessment import Assessment as Assessment
    from pitstop_database_maintenance.databases.database import Database as Database
    from pitstop_database_maintenance.databases.limits import Limits as Limits
    from pitstop_database_maintenance.maintenance.engine import maintain as maintain
    from pitstop_database_maintenance.planning.planner import plan_databases as plan_databases

__getattr__, __dir__, __all__ = export(
    __name__,
    {
        "databases.assessment": ("Assessment",),
        "databases.database": ("Database",),
        "databases.limits": ("Limits",),
        "maintenance.engine": ("maintain",),
        "planning.planner": ("plan_databases",),
    },
)
