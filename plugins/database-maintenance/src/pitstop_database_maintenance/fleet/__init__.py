"""Thousands of databases: waves of jobs, what is unchanged since the last run, and totals."""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.fleet.fleet import Fleet as Fleet
    from pitstop_database_maintenance.fleet.summary import FleetSummary as FleetSummary
    from pitstop_database_maintenance.fleet.summary import OperationTotals as OperationTotals
    from pitstop_database_maintenance.fleet.unchanged import UnchangedFiles as UnchangedFiles

__getattr__, __all__ = export(
    __name__,
    {
        "fleet": ("Fleet",),
        "summary": (
            "OperationTotals",
            "FleetSummary",
        ),
        "unchanged": ("UnchangedFiles",),
    },
)
