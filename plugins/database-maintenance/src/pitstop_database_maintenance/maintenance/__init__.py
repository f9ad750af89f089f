"""Inspect, plan, run, inspect again, and compare: the engine of `pitstop maintain`."""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.maintenance.engine import Maintenance as Maintenance
    from pitstop_database_maintenance.maintenance.engine import check_jobs as check_jobs
    from pitstop_database_maintenance.maintenance.engine import check_saved as check_saved
    from pitstop_database_maintenance.maintenance.engine import maintain as maintain
    from pitstop_database_maintenance.maintenance.job_outcomes import PlannedDatabase as PlannedDatabase
    from pitstop_database_maintenance.maintenance.outcome import DatabaseOutcome as DatabaseOutcome
    from pitstop_database_maintenance.maintenance.outcome import State as State
    from pitstop_database_maintenance.maintenance.outcome import StepOutcome as StepOutcome
    from pitstop_database_maintenance.maintenance.outcome import StepStatus as StepStatus

__getattr__, __all__ = export(
    __name__,
    {
        "engine": (
            "Maintenance",
            "check_jobs",
            "check_saved",
            "maintain",
        ),
        "job_outcomes": ("PlannedDatabase",),
        "outcome": (
            "DatabaseOutcome",
            "StepStatus",
            "State",
            "StepOutcome",
        ),
    },
)
